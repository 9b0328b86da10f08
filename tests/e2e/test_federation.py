"""People log in at an OpenID provider that nobody here wrote, through a real browser (`oidc-provider` from npm)."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from harness import SECRET as EHR_SECRET
from harness import Gate
from sandbox import ROOT, free_port
from test_browser import app_at, drive, launch_address

HERE = ROOT / "tests" / "e2e"
SECRET = "a secret + of the provider's"
PEOPLE = {"dr.carter": {"employee": "S-1001", "name": "Dr Carter"}, "nobody": {"employee": "S-9999", "name": "Nobody"}}


@pytest.fixture
def federated(own_gate: Gate) -> Iterator[Gate]:
    """A gate without local users, before a provider."""
    issuer = f"http://127.0.0.1:{free_port()}"
    asked = {"issuer": issuer, "secret": SECRET, "redirect": f"{own_gate.url}/auth/callback", "people": PEOPLE}
    (own_gate.folder / "idp-secret").write_text(SECRET)
    own_gate.config["users"] = []
    own_gate.client("ehr")["launch_users"] = [f"{issuer}#{name}" for name in PEOPLE]
    own_gate.config["login.oidc"] = {
        "issuer": issuer, "client_id": "gate", "client_secret": "file:idp-secret", "label": "the clinic",
        "fhir_user": {"search": "Practitioner?identifier=urn:example:staff|{employee}"},
    }
    own_gate.write()
    command = ["node", HERE / "clients" / "provider.mjs", json.dumps(asked)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=HERE) as provider:
        try:
            assert provider.stdout and "ready" in provider.stdout.readline()
            yield own_gate.start()
        finally:
            provider.kill()


def log_in(gate: Gate, chromium: str, shots: Path, login: str, **more: Any) -> dict[str, Any]:
    with app_at(gate, shots / "federated-app") as app:
        return drive(chromium, shots, name=f"federated-{login}", start=launch_address(gate, app), provider=login, **more)


def test_a_clinician_of_the_provider_reads_the_patient_they_pick(federated: Gate, chromium: str, artifacts: Path) -> None:
    told = log_in(federated, chromium, artifacts, "dr.carter", patient={"name": "Okafor", "id": "ben"}, revoke=f"{federated.url}/auth/revoke")
    assert told == {
        "patient": "ben", "observations": 15, "subjects": ["Patient/ben"], "other": 404, "user": "carter",
        "encounter": None, "intent": None, "before": 200, "revoked": 200, "after": 401, "complaints": [],
    }
    assert "dr.carter" in federated.audit_file.read_text() and "nonce" not in federated.audit_file.read_text()


def test_who_belongs_to_nobody_here_is_told_so(federated: Gate, chromium: str, artifacts: Path) -> None:
    told = log_in(federated, chromium, artifacts, "nobody", lost=True)
    assert "belongs to no record here" in told["text"] and told["complaints"] == []


def launch(gate: Gate, subject: str) -> str:
    """Has the EHR launch the app for somebody of the provider; returns where the browser begins."""
    said = {"app": "browser-app", "user": f"{gate.config['login.oidc']['issuer']}#{subject}", "patient": "ben"}
    return httpx.post(f"{gate.url}/auth/launch", data=said, auth=("ehr", EHR_SECRET)).raise_for_status().json()["start_url"]


def test_row_225_AL_11_an_ehr_launches_for_somebody_of_the_provider(federated: Gate, chromium: str, artifacts: Path) -> None:
    asked = {
        "chromium": chromium, "shots": str(artifacts), "gate": federated.url, "login": "dr.carter",
        "starts": [launch(federated, name) for name in ("dr.carter", "dr.carter", "nobody")],
    }
    with app_at(federated, artifacts / "launched-app"):
        done = subprocess.run(["node", HERE / "clients" / "launched.mjs", json.dumps(asked)], capture_output=True, text=True, timeout=120, cwd=HERE)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    first, second, other = told["told"]
    assert first.pop("pages") == ["/auth/login", "/auth/consent"], "the provider does not know the person yet"
    assert second.pop("pages") == ["/auth/consent"], "the provider knows the person, and shows no page"
    assert first == second and (first["patient"], first["user"], first["other"]) == ("ben", "carter", 404)
    assert other["pages"] == [] and "another user than the one who logged in" in other["error"]
    assert not any(name in other["error"] for name in PEOPLE)
    assert told["complaints"] == []
