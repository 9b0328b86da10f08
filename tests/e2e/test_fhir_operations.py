"""Operations before a server that does not divide its data: `$everything`, `$validate`, and bulk export from kick-off to files."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from harness import Gate, Keys, bearer, entries, next_link, rule
from sandbox import CACHE, FhirServer, free_port, wait_until

LOADER = "system/Patient.rs system/Observation.rs"
ASYNC = {"Prefer": "respond-async", "Accept": "application/fhir+json"}


def amy(gate: Gate, scope: str = "patient/*.rs") -> dict[str, str]:
    return bearer(gate.token(scope, patient="amy"))


def names(resources: list[dict[str, Any]]) -> set[str]:
    return {f"{resource['resourceType']}/{resource['id']}" for resource in resources}


def everything(gate: Gate, headers: dict[str, str], query: str = "") -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    url: str | None = f"{gate.fhir}/Patient/amy/$everything{query}"
    while url:
        page = httpx.get(url, headers=headers)
        assert page.status_code == 200, page.text
        found += entries(page.json())
        url = next_link(page.json())
    return found


def test_everything_is_what_the_searches_find(gate: Gate) -> None:
    found = everything(gate, amy(gate))
    for of in ("Observation", "Condition", "Encounter"):
        searched = httpx.get(f"{gate.fhir}/{of}?_count=100", headers=amy(gate)).json()
        assert names([it for it in found if it["resourceType"] == of]) == names(entries(searched)) != set(), of
    assert "Patient/amy" in names(found)
    assert not any(name.split("/")[1].startswith(("ben", "cleo", "dev")) for name in names(found)), names(found)


def test_everything_is_no_more_than_is_granted(gate: Gate) -> None:
    found = everything(gate, amy(gate, "patient/Patient.r patient/Condition.r"))
    assert {resource["resourceType"] for resource in found} == {"Patient", "Condition"}
    body = {"resourceType": "Parameters", "parameter": [{"name": "_type", "valueString": "Condition"}]}
    headers = {**amy(gate), "Content-Type": "application/fhir+json"}
    posted = httpx.post(f"{gate.fhir}/Patient/amy/$everything", headers=headers, content=json.dumps(body))
    assert names(entries(posted.json())) == names(everything(gate, amy(gate), "?_type=Condition"))


def test_everything_of_somebody_else_is_nothing(gate: Gate) -> None:
    theirs, nobodys = (httpx.get(f"{gate.fhir}/Patient/{who}/$everything", headers=amy(gate)) for who in ("ben", "nobody"))
    assert (theirs.status_code, theirs.content) == (404, nobodys.content)


def test_a_service_validates_and_a_patients_app_does_not(gate: Gate) -> None:
    body = json.dumps({"resourceType": "Observation", "status": "final", "code": {"text": "x"}})
    url = f"{gate.fhir}/Observation/$validate"
    service = bearer(gate.token("system/*.rs", sub="app"))
    answer = httpx.post(url, headers={**service, "Content-Type": "application/fhir+json"}, content=body)
    assert (answer.status_code, answer.json()["resourceType"]) == (200, "OperationOutcome")
    answer = httpx.post(url, headers={**amy(gate), "Content-Type": "application/fhir+json"}, content=body)
    assert (answer.status_code, rule(answer)) == (403, "operation-restricted")


def loader(gate: Gate, client: str = "loader", scope: str = LOADER) -> dict[str, str]:
    return bearer(gate.token(scope, sub=client, client_id=client))


def exported(gate: Gate) -> tuple[str, dict[str, Any]]:
    """The status URL of an export that is done, and its manifest."""
    started = httpx.get(f"{gate.fhir}/$export", headers={**loader(gate), **ASYNC})
    assert started.status_code == 202, started.text
    watched = started.headers["content-location"]

    def done() -> httpx.Response | None:
        answer = httpx.get(watched, headers=loader(gate))
        assert answer.status_code in (200, 202), answer.text
        return answer if answer.status_code == 200 else None

    return watched, wait_until(done, 30, "the export")  # type: ignore[return-value]


def test_an_export_of_what_is_granted(gate: Gate, upstream: FhirServer) -> None:
    watched, complete = exported(gate)
    manifest = complete.json()
    assert manifest["requiresAccessToken"] is True
    assert manifest["request"] == f"{gate.fhir}/$export"
    assert {it["type"] for it in manifest["output"]} == {"Patient", "Observation"}
    assert upstream.base not in complete.text
    for listed in manifest["output"]:
        answer = httpx.get(listed["url"], headers=loader(gate))
        assert (answer.status_code, answer.headers["content-type"]) == (200, "application/fhir+ndjson")
        lines = [json.loads(line) for line in answer.text.splitlines()]
        assert len(lines) == listed["count"] > 0
        assert {line["resourceType"] for line in lines} == {listed["type"]}
    # Nobody else's, and gone when it is cancelled.
    for url in (watched, manifest["output"][0]["url"]):
        assert httpx.get(url, headers=loader(gate, client="stranger")).status_code == 404
        assert httpx.get(url, headers=amy(gate)).status_code == 403
        assert httpx.get(url).status_code == 401
    assert httpx.delete(watched, headers=loader(gate)).status_code == 202
    assert httpx.get(watched, headers=loader(gate)).status_code == 404


def test_no_export_for_apps_and_beyond_the_scopes(gate: Gate) -> None:
    for headers, query, expected in (
        (amy(gate), "", "export-system-only"),
        (bearer(gate.token("user/*.rs", fhirUser="Practitioner/carter")), "", "export-system-only"),
        (loader(gate), "?_type=Condition", "scope-missing"),
    ):
        answer = httpx.get(f"{gate.fhir}/$export{query}", headers={**headers, **ASYNC})
        assert (answer.status_code, rule(answer)) == (403, expected)
    answer = httpx.get(f"{gate.fhir}/$export", headers=loader(gate))
    assert (answer.status_code, rule(answer)) == (400, "export-async")


@pytest.fixture
def empty_gate(keys: Keys, tmp_path: Path) -> Iterator[Gate]:
    """A gate before a server of its own, for a client that writes what it then exports."""
    server = FhirServer(tmp_path / "upstream")
    made = Gate(tmp_path / "gate", server.base, keys)
    try:
        yield made.start()
    finally:
        made.stop()
        server.stop()


def test_sekmet_exports_a_group(empty_gate: Gate, tmp_path: Path) -> None:
    """SEKMET as a bulk client: kick-off, polls, manifest, files, by SMART Backend Services."""
    key = tmp_path / "key.pem"
    key.write_bytes(empty_gate.keys.ec.pem())
    auth = {"type": "smart", "client_id": "backend-ec", "private_key_path": str(key), "kid": empty_gate.keys.ec.kid, "alg": "ES384",
            "scope": "system/*.cruds"}
    port = free_port()
    settings = {"base_url": f"http://127.0.0.1:{port}/fhir", "port": port, "host": "127.0.0.1", "data_dir": str(tmp_path / "data"),
                "peers": {"gate": {"base_url": empty_gate.fhir, "auth": auth}}}
    config = tmp_path / "settings.yaml"
    config.write_text(json.dumps(settings))
    command = [CACHE / "venv" / "bin" / "sekmet", "scenario", "run", "bulk_export_group", "--peer", "gate", "--no-serve",
               "--config", config, "--report-dir", tmp_path / "reports"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr


def test_an_operators_operation_that_verifies_nothing_is_warned_of(own_gate: Gate) -> None:
    row = {"name": "evaluate-measure", "levels": ["instance"], "types": ["Measure"], "answer": "none"}
    own_gate.write({**own_gate.edited(), "operations": [row]})
    checked = own_gate.run("check")
    assert checked.returncode == 0, checked.stderr
    assert "smartgate.toml:" in checked.stderr and "$evaluate-measure" in checked.stderr, checked.stderr
    own_gate.write({**own_gate.edited(), "operations": [{**row, "name": "$graphql"}]})
    checked = own_gate.run("check")
    assert checked.returncode == 1 and "is never let through" in checked.stderr + checked.stdout


def test_operations_are_explained(gate: Gate) -> None:
    def explained(*arguments: str) -> str:
        done = gate.run("explain", *arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout

    told = explained("--scope", "patient/Patient.r", "--patient", "amy", "GET", "Patient/amy/$everything")
    assert "Patient/amy/$everything?_type=Patient" in told and "verified" in told
    told = explained("--scope", "patient/*.rs", "--patient", "amy", "GET", "$export")
    assert "export-system-only" in told
    told = explained("--scope", "system/Patient.rs", "GET", "$export")
    assert "$export?_type=Patient" in told and "seal" in told
