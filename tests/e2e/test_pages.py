"""Every page for people, looked at by axe-core in a real browser: phone and desk, light and dark, keyboard only."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from harness import PASSWORD, Gate
from pages import Authorization, Person
from sandbox import ROOT

HERE = ROOT / "tests" / "e2e"
LASTING = "launch/patient launch/encounter patient/Patient.rs patient/Observation.rs offline_access"


def test_no_page_shuts_anybody_out(gate: Gate, chromium: str, artifacts: Path) -> None:
    lasting = Authorization(gate, client_id="care-diary", scope="launch/patient patient/*.rs offline_access")
    lasting.redeem(Person(gate).open(lasting.url()).log_in("amy").decide(allow=True).landed()["code"]).raise_for_status()
    asked = {
        "chromium": chromium, "shots": str(artifacts / "pages"), "password": PASSWORD,
        "authorize": Authorization(gate, client_id="care-diary", scope=LASTING).url(),
        "error": Authorization(gate).url(redirect_uri="https://evil.example.org/"),
        "manage": f"{gate.url}/auth/manage",
    }
    done = subprocess.run(["node", HERE / "clients" / "pages.mjs", json.dumps(asked)], capture_output=True, text=True, timeout=240, cwd=HERE)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["complaints"] == []
    assert told["seen"] == [
        "login", "login-failed", "picker", "picker-found", "encounter", "consent", "error", "manage-login", "manage", "manage-ended",
    ]
