"""What is a patient's through something else: documents and the Binaries they point at, Provenance (issue 3, `attacks.md` 113, 114).

The FHIR server has one of each that is Amy's and one that is Ben's, and Provenance that is about both.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from harness import Gate, bearer, entries, rule
from sandbox import FhirServer

SCOPE = "patient/Observation.rs patient/DocumentReference.rs patient/Binary.r patient/Provenance.rs"
LETTER = b"Dear Amy, all is well."


def reference(to: str) -> dict[str, str]:
    return {"reference": to}


def binary(name: str, content: bytes, context: str | None = None) -> dict[str, Any]:
    held = {"resourceType": "Binary", "id": name, "contentType": "text/plain", "data": base64.b64encode(content).decode()}
    return {**held, **({"securityContext": reference(context)} if context else {})}


def document(name: str, patient: str, url: str) -> dict[str, Any]:
    return {
        "resourceType": "DocumentReference", "id": name, "status": "current", "subject": reference(patient),
        "content": [{"attachment": {"contentType": "text/plain", "url": url}}],
    }


def provenance(name: str, *targets: str) -> dict[str, Any]:
    return {
        "resourceType": "Provenance", "id": name, "target": [reference(target) for target in targets],
        "recorded": "2026-01-01T00:00:00Z", "agent": [{"who": reference("Practitioner/carter")}],
    }


HELD = [
    binary("amy-letter", LETTER), document("amy-document", "Patient/amy", "Binary/amy-letter"),
    binary("ben-letter", b"Dear Ben"), document("ben-document", "Patient/ben", "Binary/ben-letter"),
    binary("amy-scan", LETTER, "Patient/amy"), binary("ben-scan", b"Dear Ben", "Patient/ben"), binary("nobodys", b"?"),
    provenance("amy-told", "Observation/amy-hba1c-2"), provenance("ben-told", "Observation/ben-hba1c-2"),
    provenance("both-told", "Observation/amy-hba1c-2", "Observation/ben-hba1c-2"),
]


@pytest.fixture(scope="module", autouse=True)
def held(upstream: FhirServer) -> Iterator[None]:
    with httpx.Client(base_url=f"{upstream.base}/", headers={"Content-Type": "application/fhir+json"}) as server:
        for resource in HELD:
            answer = server.put(f"{resource['resourceType']}/{resource['id']}", json=resource)
            assert answer.status_code in (200, 201), answer.text
        yield
        # Provenance first, for a server that watches over references.
        for resource in reversed(HELD):
            server.delete(f"{resource['resourceType']}/{resource['id']}")


def ask(gate: Gate, path: str, scope: str = SCOPE, patient: str = "amy", **headers: str) -> httpx.Response:
    return httpx.get(f"{gate.fhir}/{path}", headers={**bearer(gate.token(scope, patient=patient)), **headers})


def test_a_letter_is_read_as_the_file_that_it_is(gate: Gate) -> None:
    (found,) = entries(ask(gate, "DocumentReference?patient=amy").json())
    answer = ask(gate, found["content"][0]["attachment"]["url"], Accept="text/plain")
    assert (answer.status_code, answer.content) == (200, LETTER)
    assert answer.headers["content-type"] == "text/plain"
    assert answer.headers["content-disposition"] == "attachment"
    assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("name", ["amy-letter", "amy-scan"])
def test_or_as_the_resource(gate: Gate, name: str) -> None:
    answer = ask(gate, f"Binary/{name}", Accept="application/fhir+json")
    assert answer.status_code == 200, answer.text
    assert base64.b64decode(answer.json()["data"]) == LETTER


@pytest.mark.parametrize("accept", ["*/*", "text/plain", "application/fhir+json"])
@pytest.mark.parametrize("name", ["ben-letter", "ben-scan", "nobodys", "there-is-no-such-thing"])
def test_what_is_bens_is_as_if_it_were_not_there(gate: Gate, name: str, accept: str) -> None:
    answer = ask(gate, f"Binary/{name}", Accept=accept)
    assert (answer.status_code, rule(answer)) == (404, "not-found-or-not-yours")
    assert b"Ben" not in answer.content


def test_a_letter_needs_its_document_to_be_granted(gate: Gate) -> None:
    scope = SCOPE.replace("patient/DocumentReference.rs ", "")
    assert ask(gate, "Binary/amy-letter", scope).status_code == 404
    assert ask(gate, "Binary/amy-scan", scope).status_code == 200


def test_what_is_told_about_amys_data(gate: Gate) -> None:
    assert ask(gate, "Provenance/amy-told").json()["target"] == [reference("Observation/amy-hba1c-2")]
    bundle = ask(gate, "Provenance?target=Observation/amy-hba1c-2").json()
    assert ([it["id"] for it in entries(bundle)], bundle["total"]) == (["amy-told"], 1)


@pytest.mark.parametrize("name", ["ben-told", "both-told", "there-is-no-such-thing"])
def test_what_is_told_about_ben_too_is_not_told(gate: Gate, name: str) -> None:
    assert ask(gate, f"Provenance/{name}").status_code == 404
    assert entries(ask(gate, f"Provenance?_id={name}").json()) == []


def test_bens_observation_leads_nowhere(gate: Gate) -> None:
    theirs = ask(gate, "Provenance?target=Observation/ben-hba1c-2")
    nobodys = ask(gate, "Provenance?target=Observation/there-is-no-such-thing")
    assert (theirs.status_code, theirs.json()["total"]) == (200, 0)
    assert theirs.text.replace("ben-hba1c-2", "there-is-no-such-thing") == nobodys.text


def test_provenance_is_asked_for_by_what_it_is_about(gate: Gate) -> None:
    answer = ask(gate, "Provenance?recorded=gt2000-01-01")
    assert (answer.status_code, rule(answer)) == (403, "provenance-target")


def test_both_of_bens_are_there_for_ben(gate: Gate) -> None:
    assert ask(gate, "Binary/ben-letter", patient="ben").content == b"Dear Ben"
    assert ask(gate, "Provenance/ben-told", patient="ben").status_code == 200
