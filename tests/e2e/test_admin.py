"""The admin page and the search for decisions: from the id that an app got to the rule behind it."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from harness import Gate, bearer
from sandbox import FhirServer, wait_until
from test_pages import HERE

TOKEN = "an-admin-token-that-nobody-guesses"


@pytest.fixture(scope="module")
def watched(upstream: FhirServer, keys: object, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gate]:
    gate = Gate(tmp_path_factory.mktemp("watched"), upstream.base, keys)  # type: ignore[arg-type]
    (gate.folder / "admin-token").write_text(f"{TOKEN}\n")
    gate.config["admin"]["token"] = "file:admin-token"
    gate.write()
    try:
        yield gate.start()
    finally:
        gate.stop()


def refused(gate: Gate) -> str:
    """The id of a request that was refused."""
    answer = httpx.get(f"{gate.fhir}/Condition?code=secret-diagnosis", headers=bearer(gate.token("patient/Patient.rs", patient="amy")))
    assert answer.status_code == 403
    request_id = answer.headers["x-request-id"]
    gate.audit(request_id)
    return request_id


def decisions(gate: Gate, request_id: str) -> list[dict[str, object]]:
    answer = httpx.get(f"{gate.admin}/decisions", params={"request_id": request_id}, headers=bearer(TOKEN))
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    assert answer.json()["request_id"] == request_id
    return answer.json()["decisions"]


def test_without_a_token_there_is_no_page(gate: Gate) -> None:
    for path in ("/", "/decisions?request_id=x"):
        for headers in ({}, bearer("x")):
            assert httpx.get(f"{gate.admin}{path}", headers=headers).status_code == 404, path


def test_nobody_gets_in_without_the_token(watched: Gate) -> None:
    for path in ("/", "/decisions?request_id=x"):
        for answer in (httpx.get(f"{watched.admin}{path}"), httpx.get(f"{watched.admin}{path}", auth=("admin", "wrong"))):
            assert answer.status_code == 401
            assert answer.headers["www-authenticate"].startswith("Basic ")
        assert httpx.get(f"{watched.admin}{path}", headers={**bearer(TOKEN), "Host": "evil.example.org"}).status_code == 403
        assert httpx.post(f"{watched.admin}{path}", headers=bearer(TOKEN)).status_code == 405
    assert httpx.get(f"{watched.admin}/", auth=("anybody", TOKEN)).status_code == 200
    assert httpx.get(f"{watched.url}/decisions?request_id=x", headers=bearer(TOKEN)).status_code == 404, "not for apps"


def test_from_the_id_to_the_rule(watched: Gate) -> None:
    request_id = refused(watched)
    (line,) = decisions(watched, request_id)
    assert (line["decision"], line["rule"], line["client"], line["patient"]) == ("refuse", "scope-missing", "app", "amy")
    assert line["parameters"] == ["code"] and line["address"] == "127.0.0.1"
    assert "secret-diagnosis" not in json.dumps(line)
    page = httpx.get(f"{watched.admin}/", params={"request_id": request_id}, headers=bearer(TOKEN))
    assert "scope-missing" in page.text and "secret-diagnosis" not in page.text
    assert decisions(watched, "no-such-request") == []


def test_what_was_sent_up_is_told_without_values(watched: Gate) -> None:
    answer = httpx.get(f"{watched.fhir}/Observation?category=laboratory", headers=bearer(watched.token("patient/Observation.rs", patient="amy")))
    watched.audit(answer.headers["x-request-id"])
    (line,) = decisions(watched, answer.headers["x-request-id"])
    assert line["decision"] == "permit" and str(line["sent"]).startswith("GET /Observation?")
    assert "laboratory" not in json.dumps(line)
    answer = httpx.get(f"{watched.fhir}/Patient/amy", headers=bearer(watched.token("patient/Patient.rs", patient="amy")))
    watched.audit(answer.headers["x-request-id"])
    (line,) = decisions(watched, answer.headers["x-request-id"])
    assert (line["resource_id"], line["sent"]) == ("amy", "GET /Patient/amy")


def test_search_values_where_they_are_asked_for(own_gate: Gate) -> None:
    own_gate.config["audit"]["search_values"] = True
    own_gate.write()
    own_gate.start()
    answer = httpx.get(f"{own_gate.fhir}/Observation?category=laboratory", headers=bearer(own_gate.token("patient/Observation.rs", patient="amy")))
    line = own_gate.audit(answer.headers["x-request-id"])
    assert "category=laboratory" in line["query"] and "category=laboratory" in line["sent"] and "amy" in line["sent"]


def test_the_page_is_closed(watched: Gate) -> None:
    answer = httpx.get(f"{watched.admin}/", headers=bearer(TOKEN))
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; style-src 'sha256-") and "script" not in policy
    assert (answer.headers["cache-control"], answer.headers["x-frame-options"]) == ("no-store", "DENY")
    assert "<script" not in answer.text
    odd = httpx.get(f"{watched.admin}/", params={"request_id": "<script>alert(1)</script>"}, headers=bearer(TOKEN))
    assert "<script" not in odd.text


def test_a_wrong_configuration_is_named_with_its_line(watched: Gate) -> None:
    wrong = watched.edited()
    wrong["fhir"]["narrowing"] = "nonsense"
    watched.write(wrong)
    try:
        page = wait_until(lambda: "rejected" in (it := httpx.get(f"{watched.admin}/", headers=bearer(TOKEN)).text) and it, 20, "the page tells")
        assert "smartgate.toml:" in page and "[fhir] narrowing" in page  # type: ignore[operator]
    finally:
        watched.write()
    wait_until(lambda: watched.metrics()["smartgate_config_last_reload_successful"] == 1, 20, "the configuration is right again")


def test_guesses_have_an_end(own_gate: Gate) -> None:
    (own_gate.folder / "admin-token").write_text(TOKEN)
    own_gate.config["admin"]["token"] = "file:admin-token"
    own_gate.write()
    own_gate.start()
    assert [httpx.get(f"{own_gate.admin}/", headers=bearer(f"guess-{n}")).status_code for n in range(11)] == [401] * 10 + [429]
    paused = httpx.get(f"{own_gate.admin}/", headers=bearer(TOKEN))
    assert paused.status_code == 429 and 0 < int(paused.headers["retry-after"]) <= 60
    assert own_gate.metrics()['smartgate_admin_accesses_total{outcome="refused"}'] == 2
    assert httpx.get(f"{own_gate.admin}/metrics").status_code == 200, "Prometheus goes on"


def test_it_shuts_nobody_out(watched: Gate, chromium: str, artifacts: Path) -> None:
    request_id = refused(watched)
    asked = {
        "chromium": chromium, "shots": str(artifacts / "pages"), "name": "", "token": TOKEN, "admin": f"{watched.admin}/", "request": request_id,
    }
    done = subprocess.run(["node", HERE / "clients" / "admin.mjs", json.dumps(asked)], capture_output=True, text=True, timeout=240, cwd=HERE)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"complaints": [], "seen": ["admin", "admin-found"]}
