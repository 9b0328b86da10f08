"""Batches and transactions of a patient's app (issue 3, `attacks.md` J)."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from harness import Gate, bearer, rule

Wire = tuple[Gate, httpx.Client]
SCOPE = "patient/Observation.cruds patient/Encounter.cruds patient/Patient.rs"
OWN = {"reference": "Patient/cleo"}


def send(wire: Wire, kind: str, *entries: dict[str, Any]) -> httpx.Response:
    gate, client = wire
    headers = {**bearer(gate.token(SCOPE, patient="cleo")), "Content-Type": "application/fhir+json"}
    return client.post(gate.fhir, headers=headers, json={"resourceType": "Bundle", "type": kind, "entry": list(entries)})


def observation(**more: Any) -> dict[str, Any]:
    return {"resourceType": "Observation", "status": "final", "code": {"text": "made together"}, "subject": OWN, **more}


def entry(method: str, url: str, resource: dict[str, Any] | None = None, name: str | None = None, **conditions: str) -> dict[str, Any]:
    made: dict[str, Any] = {"request": {"method": method, "url": url, **conditions}}
    if resource is not None:
        made["resource"] = resource
    if name is not None:
        made["fullUrl"] = f"urn:uuid:{name}"
    return made


VISIT = "0f3c2f8e-97a3-4f0e-8d38-6d3c6a1c1a01"
VALUE = "0f3c2f8e-97a3-4f0e-8d38-6d3c6a1c1a02"


def created(answer: httpx.Response, index: int) -> str:
    """`Type/id` of what an entry created."""
    location = answer.json()["entry"][index]["response"]["location"]
    return "/".join(location.split("/_history/")[0].split("/")[-2:])


def statuses(answer: httpx.Response) -> list[str]:
    return [entry["response"]["status"][:3] for entry in answer.json()["entry"]]


@pytest.fixture
def two(wire: Wire) -> tuple[str, str]:
    """A visit and a value that refer to each other."""
    visit = {
        "resourceType": "Encounter", "status": "finished", "class": {"code": "AMB"}, "subject": OWN,
        "extension": [{"url": "http://example.org/value", "valueReference": {"reference": f"urn:uuid:{VALUE}"}}],
    }
    value = observation(encounter={"reference": f"urn:uuid:{VISIT}"})
    answer = send(wire, "transaction", entry("POST", "Encounter", visit, VISIT), entry("POST", "Observation", value, VALUE))
    assert answer.status_code == 200, answer.text
    assert statuses(answer) == ["201", "201"]
    return created(answer, 0), created(answer, 1)


def test_what_is_created_together_refers_to_each_other(wire: Wire, two: tuple[str, str]) -> None:
    visit, value = two
    answer = send(wire, "batch", entry("GET", value), entry("GET", visit), entry("GET", "Observation/ben-hba1c-2"))
    assert statuses(answer) == ["200", "200", "404"]
    first, second = (it["resource"] for it in answer.json()["entry"][:2])
    assert first["encounter"]["reference"] == visit
    assert second["extension"][0]["valueReference"]["reference"] == value


def test_a_write_is_for_the_version_that_was_checked_and_reads_see_it(wire: Wire, two: tuple[str, str]) -> None:
    _, value = two
    change = observation(id=value.split("/")[1], note=[{"text": "changed together"}])
    answer = send(wire, "transaction", entry("GET", value), entry("PUT", value, change))
    assert answer.status_code == 200, answer.text
    assert answer.json()["entry"][0]["resource"]["note"][0]["text"] == "changed together"
    stale = send(wire, "transaction", entry("PUT", value, change, ifMatch='W/"nope"'))
    assert (stale.status_code, rule(stale)) == (412, "precondition-failed")


def test_a_deletion_goes_up_where_the_server_obeys_its_condition(wire: Wire, two: tuple[str, str]) -> None:
    _, value = two
    answer = send(wire, "transaction", entry("DELETE", value), entry("GET", value))
    found = statuses(send(wire, "batch", entry("GET", value)))
    if answer.status_code == 403:
        assert (rule(answer), found) == ("write-unpinned", ["200"])
    else:
        assert (statuses(answer), found) == (["204", "404"], ["404"])


def test_one_entry_that_is_anothers_undoes_the_whole(wire: Wire) -> None:
    marked = observation(code={"text": "never made"})
    theirs = observation(id="ben-hba1c-2")
    answer = send(wire, "transaction", entry("POST", "Observation", marked), entry("PUT", "Observation/ben-hba1c-2", theirs))
    nobodys = observation(id="nobodys")
    same = send(wire, "transaction", entry("POST", "Observation", marked), entry("PUT", "Observation/nobodys", nobodys))
    assert (answer.status_code, answer.content) == (404, same.content)
    assert answer.json()["issue"][0]["expression"] == ["Bundle.entry[1]"]
    found = send(wire, "batch", entry("GET", "Observation?_count=100"))
    texts = [it["resource"]["code"].get("text") for it in found.json()["entry"][0]["resource"]["entry"]]
    assert "never made" not in texts


def test_what_is_there_is_not_created_again(wire: Wire, two: tuple[str, str]) -> None:
    visit, _ = two
    name = visit.split("/")[1]
    again = {"resourceType": "Encounter", "status": "finished", "class": {"code": "AMB"}, "subject": OWN}
    value = observation(encounter={"reference": f"urn:uuid:{VISIT}"})
    answer = send(
        wire, "transaction", entry("POST", "Encounter", again, VISIT, ifNoneExist=f"_id={name}"), entry("POST", "Observation", value, VALUE)
    )
    assert statuses(answer) == ["200", "201"], answer.text
    assert created(answer, 0) == visit
    read = send(wire, "batch", entry("GET", created(answer, 1)))
    assert read.json()["entry"][0]["resource"]["encounter"]["reference"] == visit
