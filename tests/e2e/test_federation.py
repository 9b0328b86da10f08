"""People log in at an OpenID provider that nobody here wrote, through a real browser (`oidc-provider` from npm)."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

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
    own_gate.config["clients"] = [it for it in own_gate.config["clients"] if it["id"] != "ehr"]
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
