"""The unmodified SMART library of most browser apps, in a real browser, against the built binary."""

from __future__ import annotations

import json
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest

from harness import PASSWORD, SECRET, Gate
from pages import Authorization
from sandbox import ROOT

HERE = ROOT / "tests" / "e2e"
BUNDLE = HERE / "node_modules" / "fhirclient" / "build" / "fhir-client.js"


@pytest.fixture(scope="session")
def app(gate: Gate, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with app_at(gate, tmp_path_factory.mktemp("app")) as address:
        yield address


@contextmanager
def app_at(gate: Gate, folder: Path) -> Iterator[str]:
    """The app, as static pages in `folder` at the address that the gate knows it by."""
    folder.mkdir(exist_ok=True)
    for page in ("launch.html", "index.html"):
        shutil.copy(HERE / "app" / page, folder)
    shutil.copy(BUNDLE, folder / "fhir-client.js")

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", gate.app_port), partial(Quiet, directory=str(folder)))
    server.handle_error = lambda *_: None  # type: ignore[method-assign]  # a browser hangs up when it likes
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield gate.app
    server.shutdown()
    server.server_close()


def drive(chromium: str, shots: Path, script: str = "browser.mjs", **asked: Any) -> dict[str, Any]:
    command = ["node", HERE / "clients" / script, json.dumps({"chromium": chromium, "shots": str(shots), **asked})]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, cwd=HERE)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def launch_address(gate: Gate, app: str, **more: str) -> str:
    scope = "openid fhirUser launch/patient patient/Patient.rs patient/Observation.rs"
    return f"{app}/launch.html?{urlencode({'iss': gate.fhir, 'scope': scope, **more})}"


@pytest.mark.parametrize(("username", "patient", "picks"), [("amy", "amy", None), ("carter", "ben", {"name": "Okafor", "id": "ben"})])
def test_fhirclient_launches_reads_and_ends_with_the_revocation(
    gate: Gate, app: str, chromium: str, artifacts: Path, username: str, patient: str, picks: dict[str, str] | None
) -> None:
    told = drive(chromium, artifacts, name=username, start=launch_address(gate, app), username=username, password=PASSWORD,
                 patient=picks, revoke=f"{gate.url}/auth/revoke")
    assert told == {
        "patient": patient, "observations": 14 + (patient == "ben"), "subjects": [f"Patient/{patient}"], "other": 404,
        "user": username, "encounter": None, "intent": None,
        "before": 200, "revoked": 200, "after": 401, "complaints": [],
    }


def test_fhirclient_is_launched_by_an_ehr(gate: Gate, app: str, chromium: str, artifacts: Path) -> None:
    said = {"app": "browser-app", "user": "carter", "patient": "ben", "encounter": "ben-visit", "intent": "reconcile"}
    launched = httpx.post(f"{gate.url}/auth/launch", data=said, auth=("ehr", SECRET)).raise_for_status().json()
    told = drive(chromium, artifacts, name="ehr", start=launched["start_url"], agrees=True, revoke=f"{gate.url}/auth/revoke")
    assert told == {
        "patient": "ben", "observations": 15, "subjects": ["Patient/ben"], "other": 404, "user": "carter",
        "encounter": "ben-visit", "intent": "reconcile", "before": 200, "revoked": 200, "after": 401, "complaints": [],
    }
    again = drive(chromium, artifacts, name="ehr-again", start=launched["start_url"])
    assert "no longer valid" in again["text"]


def test_fhirclient_has_the_person_log_in_in_a_window_beside_the_app(gate: Gate, app: str, chromium: str, artifacts: Path) -> None:
    """That window tells the app's own, which opened it, how it went, and closes."""
    start = launch_address(gate, app, target="popup")
    told = drive(chromium, artifacts, "popup.mjs", start=start, username="amy", password=PASSWORD)
    assert told == {"patient": "amy", "user": "amy"}


def test_the_error_page_sends_nobody_anywhere(gate: Gate, chromium: str, artifacts: Path) -> None:
    start = Authorization(gate).url(redirect_uri="https://evil.example.org/")
    told = drive(chromium, artifacts, name="error", start=start)
    assert told["complaints"] == []
    assert "redirect_uri" in told["text"]
