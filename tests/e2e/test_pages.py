"""Every page for people, looked at by axe-core in a real browser: phone and desk, light and dark, keyboard only; as it comes and with
an operator's brand, in both languages."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

from harness import PASSWORD, Gate
from pages import Authorization, Person
from sandbox import ROOT

HERE = ROOT / "tests" / "e2e"
LASTING = "launch/patient launch/encounter patient/Patient.rs patient/Observation.rs offline_access"
EVERY_PAGE = [
    "login", "login-failed", "picker", "picker-found", "encounter", "consent", "error", "manage-login", "manage", "manage-ended",
]
# With a script, which nobody may let run.
LOGO = """<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 48 48" width="48" height="48">
<style>path { fill: #ffffff; }</style>
<rect width="48" height="48" rx="10" fill="#00695c"/><path d="M20 10h8v10h10v8H28v10h-8V28H10v-8h10z"/>
<script>document.documentElement.setAttribute('data-ran', 'yes');</script>
</svg>"""
BRAND = {
    "name": "Klinikum Beispielstadt", "logo": "logo.svg", "color": "#00695c", "support": "Servicestelle, Telefon 0800 100 200",
    "links": {"Impressum": "https://klinikum.example.org/impressum", "Datenschutz": "https://klinikum.example.org/datenschutz"},
}


def walk(gate: Gate, chromium: str, artifacts: Path, **more: Any) -> dict[str, Any]:
    """Shows every page to axe-core; returns what was seen and what there was to complain of."""
    lasting = Authorization(gate, client_id="care-diary", scope="launch/patient patient/*.rs offline_access")
    lasting.redeem(Person(gate).open(lasting.url()).log_in("amy").decide(allow=True).landed()["code"]).raise_for_status()
    asked = {
        "chromium": chromium, "shots": str(artifacts / "pages"), "password": PASSWORD,
        "authorize": Authorization(gate, client_id="care-diary", scope=LASTING).url(),
        "error": Authorization(gate).url(redirect_uri="https://evil.example.org/"),
        "manage": f"{gate.url}/auth/manage", **more,
    }
    done = subprocess.run(["node", HERE / "clients" / "pages.mjs", json.dumps(asked)], capture_output=True, text=True, timeout=240, cwd=HERE)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_no_page_shuts_anybody_out(gate: Gate, chromium: str, artifacts: Path) -> None:
    told = walk(gate, chromium, artifacts, locale="en-GB", name="")
    assert told == {"complaints": [], "seen": EVERY_PAGE, "languages": ["en"]}


def test_nor_does_a_page_in_german_with_a_brand_and_a_provider(own_gate: Gate, chromium: str, artifacts: Path) -> None:
    (own_gate.folder / "logo.svg").write_text(LOGO)
    own_gate.config["pages"] = BRAND
    own_gate.config["login.oidc"] = {
        "issuer": "http://127.0.0.1:9", "client_id": "gate", "label": "Klinikkonto", "fhir_user": {"claim": "fhirUser"},
    }
    own_gate.write()
    own_gate.start()
    told = walk(own_gate, chromium, artifacts, locale="de-AT", name="brand-", logo=f"{own_gate.url}/auth/logo")
    assert told == {"complaints": [], "seen": EVERY_PAGE, "languages": ["de"], "ran": None}
