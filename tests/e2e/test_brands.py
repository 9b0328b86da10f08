"""User-Access Brands of a running gate (SMART App Launch 2.2 brands; smart-checklist.md BR-1 to BR-4)."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from harness import Gate, Toml, toml
from sandbox import wait_until

URI = "urn:ietf:rfc:3986"
PATH = "/.well-known/user-access-brands.json"


def brand(name: str, *endpoints: str) -> dict[str, Any]:
    return {"resource": {
        "resourceType": "Organization", "id": name, "name": name.title(), "identifier": [{"system": URI, "value": f"https://{name}.example.org"}],
        "telecom": [{"system": "url", "value": f"https://www.{name}.example.org"}], "endpoint": [{"reference": f"Endpoint/{it}"} for it in endpoints],
    }}


def bundle(gate: Gate, *brands: dict[str, Any], timestamp: str = "2026-01-31T12:00:00Z") -> str:
    endpoint = {"resource": {
        "resourceType": "Endpoint", "id": "r4", "status": "active", "address": gate.fhir,
        "connectionType": {"system": "http://terminology.hl7.org/CodeSystem/endpoint-connection-type", "code": "hl7-fhir-rest"},
        "payloadType": [{"coding": [{"system": "http://terminology.hl7.org/CodeSystem/endpoint-payload-type", "code": "none"}]}],
    }}
    return json.dumps({"resourceType": "Bundle", "type": "collection", "timestamp": timestamp, "entry": [*brands, endpoint]})


@pytest.fixture
def branded(own_gate: Gate) -> Gate:
    """A gate with two brands, of which one is the primary."""
    (own_gate.folder / "brands.json").write_text(bundle(own_gate, brand("clinic", "r4"), brand("practice")))
    own_gate.config["brands"] = {"bundle": "brands.json", "identifier": {"system": URI, "value": "https://clinic.example.org"}}
    own_gate.write()
    return own_gate


def smart_configuration(gate: Gate) -> dict[str, Any]:
    return httpx.get(f"{gate.fhir}/.well-known/smart-configuration").raise_for_status().json()


def test_BR_1_CF_12_discovery_names_the_bundle_and_the_primary_brand(branded: Gate, gate: Gate) -> None:
    told = smart_configuration(branded.start())
    assert told["user_access_brand_bundle"] == branded.url + PATH
    assert told["user_access_brand_identifier"] == {"system": URI, "value": "https://clinic.example.org"}
    found = httpx.get(told["user_access_brand_bundle"]).json()
    own = told["user_access_brand_identifier"]
    assert sum(own in entry["resource"].get("identifier", []) for entry in found["entry"]) == 1
    assert not {name for name in smart_configuration(gate) if name.startswith("user_access")}, "CF-12: only what is there"
    assert httpx.get(gate.url + PATH).status_code == 404


def test_BR_4_any_page_reads_it_and_asks_after_it_by_its_tag(branded: Gate) -> None:
    url = branded.start().url + PATH
    origin = {"Origin": "https://anywhere.example.org"}
    answer = httpx.get(url, headers=origin)
    assert answer.text == (branded.folder / "brands.json").read_text()
    assert answer.headers["content-type"] == "application/fhir+json"
    assert answer.headers["etag"].startswith('W/"') and answer.headers["cache-control"].startswith("public, max-age=")
    again = httpx.get(url, headers={**origin, "If-None-Match": answer.headers["etag"]})
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", answer.headers["etag"])
    head = httpx.head(url, headers=origin)
    assert (head.status_code, head.content, head.headers["etag"]) == (200, b"", answer.headers["etag"])
    preflight = httpx.options(url, headers={**origin, "Access-Control-Request-Method": "GET", "Access-Control-Request-Headers": "if-none-match"})
    for it in (answer, again, head, preflight):
        assert it.headers["access-control-allow-origin"] == "*"
    assert "if-none-match" in preflight.headers["access-control-allow-headers"].lower()
    assert httpx.post(url).status_code == 405
    assert not branded.audit_file.exists() or PATH not in branded.audit_file.read_text(), "it is no FHIR request"


def test_the_bundle_is_read_again_and_a_wrong_one_changes_nothing(branded: Gate) -> None:
    url = branded.start().url + PATH
    first = httpx.get(url)
    file = branded.folder / "brands.json"
    file.write_text("{")
    wait_until(lambda: branded.metrics()['smartgate_reloads_total{outcome="rejected"}'], 10, "the refusal")
    assert httpx.get(url).text == first.text
    file.write_text(bundle(branded, brand("clinic", "r4"), timestamp="2026-02-01T12:00:00Z"))
    wait_until(lambda: httpx.get(url).text == file.read_text(), 10, "the new bundle")
    assert httpx.get(url, headers={"If-None-Match": first.headers["etag"]}).status_code == 200


def test_BR_2_check_says_what_is_wrong_and_what_would_be_right(branded: Gate) -> None:
    done = branded.run("check")
    assert (done.returncode, done.stderr) == (0, "")
    config: Toml = branded.edited()
    config["brands"].pop("identifier")
    (branded.folder / "brands.json").write_text(bundle(branded, brand("clinic", "r4", "r2"), brand("practice"), timestamp="yesterday"))
    branded.config_file.write_text(toml(config))
    done = branded.run("check")
    assert done.returncode == 1
    for text in ("[brands] identifier: is missing, and the bundle has several brands", "brands.json: `timestamp` is missing or no instant; write",
                 "brands.json: Organization/clinic refers to `Endpoint/r2`, which is not in the bundle"):
        assert text in done.stderr
