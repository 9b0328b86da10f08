"""A patient's app sees what is the patient's and nothing of anybody else's, however it asks (issue 2, `attacks.md` F to M).

Ben has an Observation that Amy performed, a Task that she owns: they mention her and are not hers.
"""

from __future__ import annotations

import re
from typing import Any

import httpx
import pytest

from harness import Gate, bearer, entries, next_link, rule

Wire = tuple[Gate, httpx.Client]
SCOPE = "patient/Patient.rs patient/Observation.rs patient/Encounter.rs patient/Condition.rs"
OF_AMY = 14


def ask(wire: Wire, path: str, method: str = "GET", scope: str = SCOPE, **more: Any) -> httpx.Response:
    gate, client = wire
    headers = {**bearer(gate.token(scope, patient="amy")), **more.pop("headers", {})}
    url = path if path.startswith("http") else f"{gate.fhir}/{path}"
    return client.request(method, url, headers=headers, **more)


def subjects(bundle: dict[str, Any]) -> set[str]:
    return {resource["subject"]["reference"] for resource in entries(bundle)}


def test_the_wire_is_the_one_named(wire: Wire, request: pytest.FixtureRequest) -> None:
    answer = ask(wire, "Patient/amy")
    assert answer.http_version == ("HTTP/2" if "http2" in request.node.name else "HTTP/1.1")


def test_reads_its_own(wire: Wire) -> None:
    assert ask(wire, "Patient/amy").json()["name"][0]["family"] == "Shaw"
    answer = ask(wire, "Observation/amy-hba1c-2")
    assert (answer.status_code, answer.json()["valueQuantity"]["value"]) == (200, 6.5)
    assert answer.headers["cache-control"] == "no-store"
    version = answer.json()["meta"]["versionId"]
    assert ask(wire, f"Observation/amy-hba1c-2/_history/{version}").status_code == 200


@pytest.mark.parametrize("path", ["Patient/ben", "Observation/ben-hba1c-2", "Observation/ben-weight-at-home", "Encounter/ben-visit-1"])
def test_what_is_someone_elses_reads_like_what_does_not_exist(wire: Wire, path: str) -> None:
    theirs = ask(wire, path)
    nobodys = ask(wire, path.split("/")[0] + "/there-is-no-such-thing")
    assert (theirs.status_code, theirs.content) == (404, nobodys.content)
    constant = {"x-request-id", "date"}
    assert {name: it for name, it in theirs.headers.items() if name not in constant} == {
        name: it for name, it in nobodys.headers.items() if name not in constant
    }


SEARCHES = [
    "Observation?_count=100",
    "Observation?patient=amy&_count=100",
    "Observation?patient=Patient/amy&_count=100",
    "Observation?subject=Patient/amy&_count=100",
    "Observation?subject:Patient=amy&_count=100",
    "Observation?patient=amy,ben&_count=100",
    "Patient/amy/Observation?_count=100",
]


@pytest.mark.parametrize("search", SEARCHES)
def test_searches_find_all_of_its_own_and_nothing_else(wire: Wire, search: str) -> None:
    answer = ask(wire, search)
    assert answer.status_code == 200, answer.text
    bundle = answer.json()
    assert subjects(bundle) == {"Patient/amy"}
    assert len(entries(bundle)) == OF_AMY
    assert bundle["total"] == OF_AMY


def test_a_category_is_still_the_clients_to_choose(wire: Wire) -> None:
    bundle = ask(wire, "Observation?category=laboratory&_count=100").json()
    assert len(entries(bundle)) == 6
    assert subjects(bundle) == {"Patient/amy"}


@pytest.mark.parametrize("search", ["Observation?patient=ben", "Observation?subject=Patient/ben", "Patient/ben/Observation", "Patient?_id=ben"])
def test_searches_for_someone_else_are_empty(wire: Wire, search: str) -> None:
    answer = ask(wire, search)
    assert answer.status_code == 200, answer.text
    assert entries(answer.json()) == []
    assert answer.json().get("total", 0) == 0


@pytest.mark.parametrize("search", ["Observation?performer=Patient/amy&_count=100", "Observation?_id=ben-weight-at-home,amy-weight-1"])
def test_being_mentioned_is_not_being_the_subject(wire: Wire, search: str) -> None:
    bundle = ask(wire, search).json()
    assert "ben-weight-at-home" not in {resource["id"] for resource in entries(bundle)}
    assert subjects(bundle) <= {"Patient/amy"}


def test_post_search(wire: Wire) -> None:
    form = {"patient": "amy", "_count": "100"}
    bundle = ask(wire, "Observation/_search", "POST", data=form).json()
    assert (len(entries(bundle)), subjects(bundle)) == (OF_AMY, {"Patient/amy"})
    form = {"patient": "ben", "_count": "100"}
    assert entries(ask(wire, "Observation/_search", "POST", data=form).json()) == []


def test_post_search_in_the_compartment(wire: Wire) -> None:
    bundle = ask(wire, "Patient/amy/Observation/_search", "POST", data={"_count": "100"}).json()
    assert (len(entries(bundle)), subjects(bundle)) == (OF_AMY, {"Patient/amy"})
    assert entries(ask(wire, "Patient/ben/Observation/_search", "POST", data={"_count": "100"}).json()) == []


def test_pages_lead_through_everything_and_only_through_the_gate(wire: Wire) -> None:
    gate, _ = wire
    bundle = ask(wire, "Observation?_count=2").json()
    seen, pages = [resource["id"] for resource in entries(bundle)], 1
    while link := next_link(bundle):
        assert link.startswith(f"{gate.fhir}"), link
        assert not re.search("patient|_offset|_cursor", link, re.I), "a page link is sealed"
        answer = ask(wire, link)
        assert answer.status_code == 200, answer.text
        bundle, pages = answer.json(), pages + 1
        assert subjects(bundle) == {"Patient/amy"}
        assert len(entries(bundle)) <= 2
        seen += [resource["id"] for resource in entries(bundle)]
        assert pages <= OF_AMY
    assert (len(seen), len(set(seen)), pages) == (OF_AMY, OF_AMY, OF_AMY // 2)


def test_a_page_link_is_no_use_to_anyone_else(wire: Wire) -> None:
    gate, client = wire
    link = next_link(ask(wire, "Observation?_count=2").json())
    assert link
    for stolen_by in ({"patient": "ben"}, {"patient": "amy", "client_id": "other"}, {"patient": "amy", "sub": "other"}):
        answer = client.get(link, headers=bearer(gate.token(SCOPE, **stolen_by)))
        assert (answer.status_code, rule(answer)) == (404, "seal-refused")
    assert client.get(link).status_code == 401


def test_scopes_that_do_not_cover_are_refused_by_name(wire: Wire) -> None:
    answer = ask(wire, "MedicationRequest?patient=amy")
    assert answer.status_code == 403
    challenge = answer.headers["www-authenticate"]
    assert 'error="insufficient_scope"' in challenge
    assert "patient/MedicationRequest.s" in challenge
    gate, _ = wire
    line = gate.audit(answer.headers["x-request-id"])
    assert (line["decision"], line["rule"], line["patient"]) == ("refuse", rule(answer), "amy")


def test_head_is_decided_like_get(wire: Wire) -> None:
    assert ask(wire, "Observation/amy-hba1c-2", "HEAD").status_code == 200
    theirs = ask(wire, "Observation/ben-hba1c-2", "HEAD")
    assert (theirs.status_code, theirs.content) == (404, b"")


def test_no_url_of_the_fhir_server_leaves(wire: Wire) -> None:
    gate, _ = wire
    upstream = gate.config["fhir"]["upstream"]
    for path in ("Patient/amy", "Observation?_count=2", "Observation?_count=100", "metadata", "Patient/amy/Observation"):
        answer = ask(wire, path)
        assert upstream not in answer.text
        assert upstream not in str(answer.headers)
