"""Opaque tokens of an authorization server that nobody here wrote (`oidc-provider` from npm), by introspection."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from harness import Gate, bearer, rule
from sandbox import ROOT, free_port

HERE = ROOT / "tests" / "e2e"
SECRET = "a secret + of the gate's"
SCOPE = "system/Patient.r patient/Patient.r patient/Observation.rs"


@dataclass
class Asking:
    """A gate, and the server that it asks about each token each time."""

    gate: Gate
    issuer: str
    provider: subprocess.Popen[str]

    def token(self, scope: str, resource: str | None = None) -> str:
        form = {"grant_type": "client_credentials", "scope": scope, "resource": resource or self.gate.fhir}
        answer = httpx.post(f"{self.issuer}/token", data=form, auth=("service", SECRET.replace(" ", "%20").replace("+", "%2B")))
        assert answer.status_code == 200, answer.text
        return str(answer.json()["access_token"])

    def get(self, token: str, target: str) -> httpx.Response:
        return httpx.get(f"{self.gate.fhir}/{target}", headers=bearer(token) | {"Origin": "https://app.example.org"})


@pytest.fixture
def asking(own_gate: Gate, tmp_path: Path) -> Iterator[Asking]:
    issuer = f"http://127.0.0.1:{free_port()}"
    (own_gate.folder / "asking-secret").write_text(SECRET)
    own_gate.config["issuers"].append({
        "issuer": issuer, "audience": [own_gate.fhir], "scopes": ["system/Patient.r", "patient/*.rs"], "origins": ["https://app.example.org"],
        "introspection": {"client_id": "gate", "client_secret": "file:asking-secret", "cache": "0s"},
    })
    own_gate.write()
    asked = {"issuer": issuer, "secret": SECRET, "scope": SCOPE, "claims": {"patient": "amy"}}
    command = ["node", HERE / "clients" / "opaque.mjs", json.dumps(asked)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=HERE) as provider:
        try:
            assert provider.stdout and "ready" in provider.stdout.readline()
            yield Asking(own_gate.start(), issuer, provider)
        finally:
            provider.kill()


def test_an_opaque_token_opens_what_its_issuer_says(asking: Asking) -> None:
    service = asking.token("system/Patient.r")
    assert "." not in service
    assert asking.get(service, "Patient/ben").status_code == 200
    assert asking.get(service, "Observation?patient=ben").status_code == 403
    app = asking.token("patient/Patient.r patient/Observation.rs")
    answer = asking.get(app, "Patient/amy")
    assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (200, "https://app.example.org")
    assert asking.get(app, "Patient/ben").status_code == 404
    line = asking.gate.audit(asking.get(app, "Observation").headers["x-request-id"])
    assert (line["issuer"], line["client"], line["subject"], line["patient"]) == (asking.issuer, "service", "service", "amy")


def test_what_is_not_for_here_or_not_at_all_is_refused(asking: Asking) -> None:
    assert asking.get(asking.token("system/Patient.r", "https://other.example.org/fhir"), "Patient/amy").status_code == 401
    answer = asking.get("nobody-issued-this", "Patient/amy")
    assert (answer.status_code, rule(answer)) == (401, "token-refused")
    token = asking.token("system/Patient.r")
    assert asking.get(token, "Patient/amy").status_code == 200
    auth = ("service", SECRET.replace(" ", "%20").replace("+", "%2B"))
    assert httpx.post(f"{asking.issuer}/token/revocation", data={"token": token}, auth=auth).status_code == 200
    assert asking.get(token, "Patient/amy").status_code == 401, "the issuer ended it"
    metrics = asking.gate.metrics()
    assert metrics['smartgate_issuer_introspections_total{outcome="inactive"}'] == 2
    assert token not in asking.gate.log.read_text() + asking.gate.audit_file.read_text()


def test_an_issuer_that_is_down_means_503_and_it_comes_back(asking: Asking) -> None:
    token = asking.token("system/Patient.r")
    text = asking.gate.run("explain", "--token", token, "GET", "Patient/amy").stdout
    assert "decision     permit" in text, text
    checked = asking.gate.run("check", "--issuers")
    assert checked.returncode == 0 and f"right  {asking.issuer}: introspection" in checked.stdout, checked.stdout + checked.stderr
    asking.provider.kill()
    asking.provider.wait()
    checked = asking.gate.run("check", "--issuers")
    assert checked.returncode == 1 and f"WRONG  {asking.issuer}: introspection" in checked.stdout, checked.stdout + checked.stderr
    answer = asking.get(token, "Patient/amy")
    assert (answer.status_code, rule(answer)) == (503, "token-unchecked")
    own = asking.gate.token("patient/Patient.r", patient="amy")
    assert asking.get(own, "Patient/amy").status_code == 200, "other issuers' tokens go on"
    assert "token-unchecked" in asking.gate.run("explain", "--token", token, "GET", "Patient/amy").stdout
    assert asking.gate.metrics()['smartgate_issuer_introspections_total{outcome="failed"}'] == 1
