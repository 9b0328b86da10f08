"""Chains, includes and counts of a patient's app, before a FHIR server that carries them out over everyone's data."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from harness import Gate, bearer, entries, rule

Wire = tuple[Gate, httpx.Client]
SCOPE = "patient/Patient.rs patient/Observation.rs patient/Encounter.rs patient/Practitioner.rs"
OF_AMY = 14


def ask(wire: Wire, path: str, scope: str = SCOPE) -> httpx.Response:
    gate, client = wire
    return client.get(f"{gate.fhir}/{path}", headers=bearer(gate.token(scope, patient="amy")))


def found(answer: httpx.Response, mode: str) -> set[str]:
    assert answer.status_code == 200, answer.text
    of_mode = [entry["resource"] for entry in answer.json().get("entry", []) if entry.get("search", {}).get("mode") == mode]
    return {f"{resource['resourceType']}/{resource['id']}" for resource in of_mode}


INCLUDES: list[tuple[str, set[str]]] = [
    ("Observation?_count=100&_include=Observation:subject", {"Patient/amy"}),
    ("Observation?_count=100&_include=Observation:performer", {"Practitioner/carter"}),
    ("Observation?_count=100&_include=Observation:encounter", {"Encounter/amy-visit-1", "Encounter/amy-visit-2"}),
    ("Patient?_revinclude=Encounter:subject", {"Encounter/amy-visit-1", "Encounter/amy-visit-2"}),
]


@pytest.mark.parametrize(("search", "expected"), INCLUDES)
def test_includes_are_the_patients_own_or_shared(wire: Wire, search: str, expected: set[str]) -> None:
    answer = ask(wire, search)
    assert found(answer, "include") == expected
    assert "ben" not in answer.text and "osei" not in answer.text


def test_a_reverse_include_is_filtered_by_whom_it_is_about(wire: Wire) -> None:
    answer = ask(wire, "Patient?_revinclude=Observation:performer")
    assert (found(answer, "match"), found(answer, "include")) == ({"Patient/amy"}, set())


@pytest.mark.parametrize(
    ("search", "count"),
    [
        ("Observation?subject:Patient.family=Shaw&_count=100", OF_AMY),
        ("Observation?subject:Patient.family=Okafor&_count=100", 0),
        ("Observation?performer:Practitioner.family=Carter&_count=100", OF_AMY),
        ("Observation?performer:Practitioner.family=Osei&_count=100", 0),
        ("Patient?_has:Observation:patient:code=29463-7", 1),
        ("Patient?_has:Observation:patient:code=nonsense", 0),
    ],
)
def test_chains(wire: Wire, search: str, count: int) -> None:
    answer = ask(wire, search)
    assert len(found(answer, "match")) == count, answer.text


@pytest.mark.parametrize(
    ("search", "scope", "expected"),
    [
        ("Observation?encounter:Encounter.class=AMB", SCOPE, "join-restricted"),
        ("Patient?_has:Observation:performer:code=29463-7", SCOPE, "join-restricted"),
        ("Practitioner?_revinclude=Observation:performer", SCOPE, "join-restricted"),
        ("Observation?subject:Patient.family=Shaw", "patient/Observation.rs", "patient-parameter"),
        ("Observation?_include=Observation:subject:Patient", "patient/Observation.rs", "scope-missing"),
    ],
)
def test_what_could_lead_to_others_is_refused(wire: Wire, search: str, scope: str, expected: str) -> None:
    answer = ask(wire, search, scope)
    assert (answer.status_code, rule(answer)) == (403, expected)


@pytest.mark.parametrize("search", ["Observation?_summary=count", "Observation?_count=0", "Patient/amy/Observation?_summary=count"])
def test_a_count_is_of_the_patients_own(wire: Wire, search: str) -> None:
    bundle: dict[str, Any] = ask(wire, search).json()
    assert (bundle["total"], entries(bundle)) == (OF_AMY, [])
