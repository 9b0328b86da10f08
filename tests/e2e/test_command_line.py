"""The commands beside `run`, as an operator types them."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path

import argon2
import httpx
import pytest

from harness import BINARY, Gate, bearer, rule, toml
from pages import standalone_launch
from sandbox import ROOT, free_port


def explain(gate: Gate, *arguments: str) -> str:
    done = gate.run("explain", *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


def field(text: str, name: str) -> str:
    found = re.search(rf"^{name}\s+(.*)$", text, re.M)
    assert found, text
    return found.group(1)


def test_explain_a_refusal(gate: Gate) -> None:
    text = explain(gate, "--scope", "patient/Observation.rs", "--patient", "amy", "GET", "Condition?patient=amy")
    token = gate.token("patient/Observation.rs", patient="amy")
    answer = httpx.get(f"{gate.fhir}/Condition?patient=amy", headers=bearer(token))
    assert field(text, "decision").startswith(f"refuse, {answer.status_code}")
    assert field(text, "rule") == rule(answer)
    assert "patient/Condition.s" in text


def test_explain_a_narrowed_search(gate: Gate) -> None:
    text = explain(gate, "--scope", "patient/Observation.rs", "--patient", "amy", "GET", "Observation?code=4548-4")
    assert field(text, "decision") == "permit"
    assert field(text, "path") == "guard"
    assert "Patient/amy" in field(text, "upstream").replace("%2F", "/")
    assert gate.config["fhir"]["upstream"] in text


def test_explain_a_token(gate: Gate) -> None:
    token = str(standalone_launch(gate)["access_token"])
    assert field(explain(gate, "--token", token, "GET", "Patient/amy"), "decision") == "permit"
    assert field(explain(gate, "--token", token, "GET", "Condition/x"), "decision").startswith("refuse, 403")
    assert field(explain(gate, "--token", token[:-4] + "AAAA", "GET", "Patient/amy"), "decision").startswith("refuse, 401")


def test_a_rule_is_found_by_one_search_in_the_source(gate: Gate) -> None:
    answer = httpx.get(f"{gate.fhir}/Condition", headers=bearer(gate.token("patient/Observation.rs", patient="amy")))
    name = gate.audit(answer.headers["x-request-id"])["rule"]
    sources = [file for file in (ROOT / "src").rglob("*.rs") if not file.stem.endswith("tests")]
    assert len([file for file in sources if f'"{name}"' in file.read_text()]) == 1


def test_check_says_what_is_right(gate: Gate) -> None:
    done = gate.run("check")
    assert (done.returncode, done.stderr) == (0, "")
    assert gate.fhir in done.stdout


def test_check_warns_of_what_is_allowed_and_yet_a_risk(own_gate: Gate) -> None:
    own_gate.client("ehr")["launch_binding"] = "none"
    endpoint = {"resourceType": "Endpoint", "id": "r4", "address": "https://elsewhere.example.org/fhir"}
    brand = {"resourceType": "Organization", "id": "clinic", "name": "Clinic", "endpoint": [{"reference": "Endpoint/r4"}]}
    bundle = {"resourceType": "Bundle", "type": "collection", "timestamp": "2026-01-31T12:00:00Z", "entry": [{"resource": brand}, {"resource": endpoint}]}
    (own_gate.folder / "brands.json").write_text(json.dumps(bundle))
    own_gate.config["brands"] = {"bundle": "brands.json"}
    own_gate.config["audit"]["file"] = "off"
    own_gate.write()
    done = own_gate.run("check")
    assert done.returncode == 0
    line = 1 + own_gate.config_file.read_text().splitlines().index("may_launch = true")
    unseen, elsewhere, unbound = sorted(done.stderr.splitlines())
    assert unseen.startswith(f"{own_gate.config_file}: warning: [audit] file is \"off\""), unseen
    assert unbound.startswith(f"{own_gate.config_file}:{line}: warning: whoever has a launch value of \"ehr\""), unbound
    assert elsewhere.startswith(f"{own_gate.config_file}: warning: no Endpoint of [brands] bundle"), elsewhere


def test_check_says_everything_that_is_wrong(own_gate: Gate) -> None:
    config = own_gate.edited()
    config["fhir"]["upstream"] = "not a url"
    config["fhir"]["narowing"] = "parameter"
    config["clients"][0]["kind"] = "open"
    own_gate.write(config)
    done = own_gate.run("check")
    assert done.returncode == 1
    lines = own_gate.config_file.read_text().splitlines()
    for wrong in ('upstream = "not a url"', "narowing", 'kind = "open"'):
        number = next(index for index, line in enumerate(lines, 1) if wrong in line)
        assert f"smartgate.toml:{number}" in done.stderr, done.stderr


def test_check_without_a_file(own_gate: Gate) -> None:
    own_gate.config_file.unlink()
    done = own_gate.run("check")
    assert done.returncode == 1
    assert "smartgate.toml" in done.stderr


def test_hash_password(gate: Gate) -> None:
    done = gate.run("hash-password", stdin="a long pass phrase\n")
    assert done.returncode == 0, done.stderr
    hashed = done.stdout.strip()
    assert hashed.startswith("$argon2id$")
    assert argon2.PasswordHasher().verify(hashed, "a long pass phrase")
    assert gate.run("hash-password", stdin="").returncode == 1


def test_RF_4_row_232_hash_password_of_a_client(gate: Gate) -> None:
    assert gate.run("hash-password", "--secret", stdin="x" * 32).stdout.startswith("sha256:")
    assert gate.run("hash-password", "--secret", stdin="short").returncode == 1


def test_keys(own_gate: Gate) -> None:
    own_gate.start()
    listed = own_gate.run("keys", "list")
    assert listed.returncode == 0, listed.stderr
    published = {key["kid"] for key in httpx.get(f"{own_gate.url}/.well-known/jwks.json").json()["keys"]}
    assert published and all(kid in listed.stdout for kid in published)
    own_gate.stop()
    rotated = own_gate.run("keys", "rotate")
    assert rotated.returncode == 0, rotated.stderr
    own_gate.start()
    after = {key["kid"] for key in httpx.get(f"{own_gate.url}/.well-known/jwks.json").json()["keys"]}
    assert published < after, "the old keys stay published while tokens of theirs live"


@pytest.mark.parametrize("arguments", ["check", "keys rotate", "explain --scope patient/Observation.rs --patient amy GET Observation"])
def test_a_reader_that_has_seen_enough_is_no_failure(own_gate: Gate, arguments: str) -> None:
    """What `| head -0` does, at a moment that is certain."""
    reader, closed = os.pipe()
    os.close(reader)
    done = subprocess.run([BINARY, "--config", own_gate.config_file, *arguments.split()], stdout=closed, stderr=subprocess.PIPE, text=True,
                          cwd=own_gate.folder, check=False)
    os.close(closed)
    assert (done.returncode, done.stderr) == (0, "")


def test_an_output_that_is_not_kept_is_a_failure(own_gate: Gate) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full here")
    with Path("/dev/full").open("w") as full:
        done = subprocess.run([BINARY, "--config", own_gate.config_file, "keys", "rotate"], stdout=full, stderr=subprocess.PIPE, text=True,
                              cwd=own_gate.folder, check=False)
    assert done.returncode == 1 and done.stderr.startswith("smartgate: standard output: "), done.stderr


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["run", "--help"], ["explain", "--help"]])
def test_help(gate: Gate, arguments: list[str]) -> None:
    done = gate.run(*arguments)
    assert done.returncode == 0
    assert done.stdout


@pytest.mark.parametrize("sample", sorted((ROOT / "conf").rglob("smartgate.toml")), ids=lambda it: str(it.relative_to(ROOT)))
def test_the_samples_are_right(gate: Gate, sample: Path) -> None:
    named = re.findall(r'^[^#\n]*"env:(\w+)"', sample.read_text(), re.M)
    environment = {**os.environ, **dict.fromkeys(named, "a-secret-of-the-environment")}
    done = subprocess.run([BINARY, "--config", sample, "check"], capture_output=True, text=True, cwd=ROOT, env=environment)
    assert done.returncode == 0, done.stderr


def test_ready_says_what_the_running_gate_says(gate: Gate, tmp_path: Path) -> None:
    assert gate.run("ready").returncode == 0
    nobody = tmp_path / "smartgate.toml"
    sections = {**gate.config, "admin": {"listen": [f"127.0.0.1:{free_port()}"]}}
    nobody.write_text(toml({name: sections[name] for name in ("server", "admin", "fhir")}))
    done = subprocess.run([BINARY, "--config", nobody, "ready"], capture_output=True, text=True, check=False)
    assert done.returncode == 1 and "/readyz: Connection refused" in done.stderr
