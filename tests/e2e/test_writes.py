"""A patient's app writes through the gate: what is stored and what is to be stored are the patient's, by id and by criteria
(`attacks.md` I), and what the FHIR server obeys was tried before.
"""

from __future__ import annotations

import uuid
from typing import Any

import httpx
import pytest

from harness import Gate, bearer, rule
from sandbox import KIND

FHIR = {"Content-Type": "application/fhir+json"}
PATCH = {"Content-Type": "application/json-patch+json"}
SCOPE = "patient/Observation.cruds"


def observation(code: str, patient: str = "amy", **more: Any) -> dict[str, Any]:
    coding = {"system": "urn:smartgate:test", "code": code}
    return {
        "resourceType": "Observation", "status": "final", "code": {"coding": [coding]},
        "subject": {"reference": f"Patient/{patient}"}, **more,
    }


def ask(gate: Gate, method: str, path: str, scope: str = SCOPE, patient: str = "amy", **more: Any) -> httpx.Response:
    headers = {**bearer(gate.token(scope, patient=patient)), **more.pop("headers", {})}
    return httpx.request(method, f"{gate.fhir}/{path}", headers=headers, **more)


@pytest.fixture
def code() -> str:
    """A code that no other test has."""
    return str(uuid.uuid4())


def obeys(printed: str, method: str) -> bool:
    """What `check --upstream` says of a stale `If-Match`."""
    lines = [line for line in printed.splitlines() if line[7:].startswith("If-Match: ") and f" {method} " in line]
    assert len(lines) == 1, printed
    assert lines[0].startswith(("right", "note")), printed
    return lines[0].startswith("right")


def test_check_upstream_says_what_the_server_obeys(own_gate: Gate, code: str) -> None:
    done = own_gate.run("check", "--upstream")
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    assert "right  version: 4.0.1 is R4" in done.stdout
    assert "right  narrowing: Observation?patient=… narrows" in done.stdout, done.stdout
    put, delete = obeys(done.stdout, "PUT"), obeys(done.stdout, "DELETE")
    if KIND == "sekmet":
        assert (put, delete) == (True, False), done.stdout
        assert "note   If-None-Match: `*` on PUT overwrites what is there" in done.stdout, done.stdout

    own_gate.start()
    made = ask(own_gate, "POST", "Observation", json=observation(code), headers=FHIR)
    path = "Observation/" + made.json()["id"]
    updated = ask(own_gate, "PUT", path, json=observation(code, id=made.json()["id"]), headers=FHIR)
    assert updated.status_code == (200 if put else 403), updated.text
    deleted = ask(own_gate, "DELETE", path)
    assert deleted.status_code in ((200, 204) if delete else (403,)), deleted.text
    assert delete or rule(deleted) == "write-unpinned"


def test_check_upstream_of_another_version(own_gate: Gate) -> None:
    config = own_gate.edited()
    config["fhir"]["version"] = "R5"
    own_gate.write(config)
    done = own_gate.run("check", "--upstream")
    assert done.returncode == 1
    assert "WRONG  version: the statement says 4.0.1, [fhir] version says R5" in done.stdout, done.stdout


def test_check_upstream_without_a_server(own_gate: Gate) -> None:
    config = own_gate.edited()
    config["fhir"]["upstream"] = "http://127.0.0.1:1/fhir"
    own_gate.write(config)
    done = own_gate.run("check", "--upstream")
    assert done.returncode == 1
    assert "WRONG  metadata" in done.stdout, done.stdout


@pytest.fixture
def open_gate(own_gate: Gate) -> Gate:
    """A gate whose operator lets patients' apps delete, whatever the server makes of a stale `If-Match`."""
    config = own_gate.edited()
    config["fhir"]["unpinned_writes"] = ["DELETE"]
    own_gate.write(config)
    return own_gate.start()


def test_create_update_patch_delete(open_gate: Gate, code: str) -> None:
    gate = open_gate
    made = ask(gate, "POST", "Observation", json=observation(code), headers=FHIR)
    assert made.status_code == 201, made.text
    path = "Observation/" + made.json()["id"]
    assert made.headers["location"].startswith(f"{gate.fhir}/{path}")

    changed = observation(code, id=made.json()["id"], valueString="changed")
    assert ask(gate, "PUT", path, json=changed, headers=FHIR).status_code == 200
    stale = ask(gate, "PUT", path, json=changed, headers={**FHIR, "If-Match": 'W/"99"'})
    assert (stale.status_code, rule(stale)) == (412, "precondition-failed")
    patch = [{"op": "replace", "path": "/valueString", "value": "patched"}]
    assert ask(gate, "PATCH", path, json=patch, headers=PATCH).json()["valueString"] == "patched"

    theirs = {**observation(code, "ben"), "id": made.json()["id"]}
    refused = ask(gate, "PUT", path, json=theirs, headers=FHIR)
    assert (refused.status_code, rule(refused)) == (403, "subject-not-own")
    for method, body, headers in (("PUT", changed, FHIR), ("PATCH", patch, PATCH), ("DELETE", None, {})):
        assert ask(gate, method, path, patient="ben", json=body, headers=headers).status_code in (403, 404)
    assert ask(gate, "DELETE", path).status_code in (200, 204)
    assert ask(gate, "GET", path).status_code == 404


def test_by_criteria(open_gate: Gate, code: str) -> None:
    gate = open_gate
    criteria = f"code=urn:smartgate:test|{code}"
    theirs = httpx.post(f"{gate.config['fhir']['upstream']}/Observation", json=observation(code, "ben"), headers=FHIR)
    assert theirs.status_code == 201, theirs.text

    def create() -> httpx.Response:
        return ask(gate, "POST", "Observation", json=observation(code), headers={**FHIR, "If-None-Exist": criteria})

    made, again = create(), create()
    assert (made.status_code, again.status_code) == (201, 200), made.text + again.text
    path = "Observation/" + made.json()["id"]
    assert again.headers["location"].startswith(f"{gate.fhir}/{path}")

    updated = ask(gate, "PUT", "Observation", params=criteria, json=observation(code, valueString="x"), headers=FHIR)
    assert (updated.status_code, updated.json()["id"]) == (200, made.json()["id"]), updated.text
    patch = [{"op": "replace", "path": "/valueString", "value": "y"}]
    patched = ask(gate, "PATCH", "Observation", params=criteria, json=patch, headers=PATCH)
    assert (patched.status_code, patched.json()["valueString"]) == (200, "y"), patched.text
    assert ask(gate, "DELETE", "Observation", params=criteria).status_code in (200, 204)
    gone = ask(gate, "DELETE", "Observation", params=criteria)
    assert (gone.status_code, rule(gone)) == (404, "not-found-or-not-yours")
    left = httpx.get(f"{gate.config['fhir']['upstream']}/Observation/{theirs.json()['id']}")
    assert left.json()["subject"]["reference"] == "Patient/ben", "what is Ben's was never touched"


def test_without_s_there_are_no_criteria(gate: Gate, code: str) -> None:
    refused = ask(gate, "DELETE", f"Observation?code={code}", scope="patient/Observation.d")
    assert (refused.status_code, rule(refused)) == (403, "scope-missing")


def test_within_a_constraint(open_gate: Gate, code: str) -> None:
    gate = open_gate
    scope = "patient/Observation.cuds?category=laboratory"
    laboratory = {"category": [{"coding": [{"code": "laboratory"}]}]}
    made = ask(gate, "POST", "Observation", scope, json=observation(code, **laboratory), headers=FHIR)
    assert made.status_code == 201 and not made.content, made.text
    path = made.headers["location"].removeprefix(f"{gate.fhir}/").split("/_history")[0]
    out = observation(code, id=path.split("/")[1])
    refused = ask(gate, "PUT", path, scope, json=out, headers=FHIR)
    assert (refused.status_code, rule(refused)) == (403, "constraint-not-met")
    assert ask(gate, "DELETE", path, scope).status_code in (200, 204)
