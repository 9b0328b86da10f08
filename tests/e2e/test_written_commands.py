"""Commands and configuration of README.md, docs and deploy, run as they are written, as far as that needs neither a cluster nor a cloud."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import yaml

from harness import BINARY, SECRET, Gate, Keys, bearer
from postgres import Cluster
from sandbox import CACHE, ROOT, FhirServer, wait_until
from test_registration import SCOPES, TOKEN, public

README = (ROOT / "README.md").read_text()
APPS = (ROOT / "docs" / "apps.md").read_text()
OPERATIONS = (ROOT / "docs" / "operations.md").read_text()
DEPLOY = (ROOT / "deploy" / "README.md").read_text()


def block(page: str, language: str, containing: str = "") -> str:
    """The block of this language that has these words, without its indentation."""
    found = re.findall(r"^( *)```(\w*)\n(.*?)^ *```", page, re.S | re.M)
    (only,) = (re.sub(rf"^{indent}", "", text, flags=re.M) for indent, of, text in found if of == language and containing in text)
    return only


def written(page: str, command: str) -> str:
    assert command in page
    return command


def shell(command: str, folder: Path, tools: Path, **environment: str) -> str:
    """What bash prints of `command`, with the built binary as `smartgate`."""
    tools.mkdir(exist_ok=True)
    if not (tools / "smartgate").exists():
        (tools / "smartgate").symlink_to(BINARY)
    full = {**os.environ, **environment, "PATH": f"{tools}:{os.environ['PATH']}"}
    done = subprocess.run(["bash", "-euc", command], cwd=folder, env=full, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def need(tool: str) -> None:
    if not shutil.which(tool):
        pytest.skip(f"{tool} is not there")


@pytest.fixture
def tools(tmp_path: Path) -> Path:
    return tmp_path / "bin"


@pytest.fixture(scope="module")
def gate(upstream: FhirServer, keys: Keys, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gate]:
    """A gate as the pages have it: with an admin token, a name for Prometheus, registration, and a program with a secret."""
    gate = Gate(tmp_path_factory.mktemp("written"), upstream.base, keys)
    (gate.folder / "secrets").mkdir()
    (gate.folder / "secrets" / "admin-token").write_text(f"{SECRET}\n")
    (hosts,) = re.findall(r"`(hosts = \[[^\]]*\])`", README)
    gate.config["admin"] |= {"token": "file:secrets/admin-token", **tomllib.loads(hosts)}
    token = gate.run("hash-password", "--secret", stdin=TOKEN).stdout.strip()
    gate.config["registration"] = {"tokens": [token], "scopes": SCOPES}
    secret = {"kind": "confidential-symmetric", "secret_hash": gate.client("ehr")["secret_hash"], "grant_types": ["client_credentials"]}
    gate.config["clients"].append({"id": "report", **secret, "scopes": ["system/Patient.rs"]})
    gate.write()
    try:
        yield gate.start()
    finally:
        gate.stop()


def test_the_readmes_configuration_is_right_with_files_of_ones_own(tmp_path: Path, tools: Path, certificate: tuple[Path, Path]) -> None:
    hashed = shell("echo 'a long pass phrase' | smartgate hash-password", tmp_path, tools).strip()
    config, count = re.subn(r'"\$argon2id[^"]*"', f'"{hashed}"', block(README, "toml"))
    assert count == 1
    (tmp_path / "smartgate.toml").write_text(config)
    (tmp_path / "tls").mkdir()
    for name, file in zip(("cert.pem", "key.pem"), certificate, strict=True):
        shutil.copy(file, tmp_path / "tls" / name)
    told = shell(written(README, "smartgate --config smartgate.toml check"), tmp_path, tools)
    assert "https://fhir.example.org/fhir in front of http://fhir.internal:8080/fhir" in told


def test_the_readme_explains_without_a_request(tools: Path) -> None:
    told = shell(block(README, "sh", "smartgate explain"), ROOT, tools)
    assert "scope-missing" in told and "would allow  patient/Condition.s" in told


def test_prometheus_reaches_the_gate_by_the_name_that_the_readme_gives_it(gate: Gate) -> None:
    (job,) = yaml.safe_load(block(README, "yaml"))["scrape_configs"]
    (target,) = job["static_configs"][0]["targets"]
    answer = httpx.get(f"{gate.admin}/metrics", headers={"Host": target})
    assert (answer.status_code, "smartgate_build_info" in answer.text) == (200, True)
    stranger = httpx.get(f"{gate.admin}/metrics", headers={"Host": f"not-{target}"})
    assert (stranger.status_code, "[admin] hosts" in stranger.json()["because"]) == (403, True)


def test_a_program_with_a_secret_gets_what_it_asks_for(gate: Gate, tools: Path) -> None:
    need("jq")
    command = block(APPS, "sh", "client_credentials").replace("https://fhir.example.org", gate.url)
    found = json.loads(shell(command, gate.folder, tools, CLIENT="report", SECRET=SECRET))
    assert [it["resource"]["id"] for it in found["entry"]] == ["amy"]


def test_an_app_is_approved_as_it_is_written(gate: Gate, tools: Path) -> None:
    app = public(gate)["client_id"]
    (gate.folder / "clients.d").mkdir()
    command = " && ".join(written(OPERATIONS, it) for it in ("smartgate clients export ID > ID.toml", "mv ID.toml clients.d/"))
    environment = {"SMARTGATE_CONFIG": "smartgate.toml"}
    shell(command.replace(" ID ", f" {app} "), gate.folder, tools, **environment)
    wait_until(lambda: gate.metrics()["smartgate_config_generation"] == 2, 10, "the row is in effect")
    assert f"{app}\t" in shell("smartgate clients list | grep 'has a row'", gate.folder, tools, **environment)


def test_a_decision_is_found_by_its_request_id(gate: Gate, tools: Path) -> None:
    need("jq")
    refused = httpx.get(f"{gate.fhir}/Condition", headers=bearer(gate.token("system/Patient.rs")))
    made = refused.headers["x-request-id"]
    gate.audit(made)
    sample = block(OPERATIONS, "sh", "/decisions")
    command = re.sub(r"request_id=[^\"]+", f"request_id={made}", sample).replace("127.0.0.1:9090", gate.admin.removeprefix("http://"))
    (found,) = json.loads(shell(command, gate.folder, tools))
    assert (found["rule"], found["request_id"]) == ("scope-missing", made)


def test_the_filters_of_the_audit_log_take_its_lines(tmp_path: Path, tools: Path) -> None:
    need("jq")
    line = json.loads(block(OPERATIONS, "json").splitlines()[0])
    slow, reported = {**line, "upstream_micros": 5_000_001}, {**line, "would": "scope-missing"}
    (tmp_path / "audit.jsonl").write_text("".join(f"{json.dumps(it)}\n" for it in (line, slow, reported)))
    for command in re.findall(r"`(jq [^`]*select[^`]*)`", OPERATIONS):
        told = shell(f"{command.replace('jq ', 'jq -c ')} audit.jsonl", tmp_path, tools)
        assert len(told.splitlines()) == 1 and line["client"] in told, command


def test_a_store_is_backed_up_and_restored_as_it_is_written(own_gate: Gate, tools: Path) -> None:
    need("sqlite3")

    def keys() -> set[str]:
        return {key["kid"] for key in httpx.get(f"{own_gate.url}/.well-known/jwks.json").json()["keys"]}

    own_gate.start()
    before = keys()
    shell(written(OPERATIONS, 'sqlite3 state/smartgate.db ".backup copy.db"'), own_gate.folder, tools)
    own_gate.stop()
    shell(written(OPERATIONS, "rm -f state/smartgate.db*"), own_gate.folder, tools)
    own_gate.start()
    assert not keys() & before, "a new store has keys of its own"
    own_gate.stop()
    for command in ("rm -f state/smartgate.db*", "install -m 600 copy.db state/smartgate.db"):
        shell(written(OPERATIONS, command), own_gate.folder, tools)
    own_gate.start()
    assert keys() == before


def test_postgresql_is_prepared_as_it_is_written(own_gate: Gate, tools: Path) -> None:
    cluster = Cluster()
    try:
        prepare = block(OPERATIONS, "sql").replace("'…'", "'a-password-of-the-role'")
        (own_gate.folder / "prepare.sql").write_text(prepare)
        psql = f"{cluster.bin}/psql -h 127.0.0.1 -p {cluster.port} -U postgres -v ON_ERROR_STOP=1 -q"
        shell(f"{psql} -f prepare.sql", own_gate.folder, tools)
        (own_gate.folder / "password").write_text("a-password-of-the-role\n")
        url = f"postgres://smartgate@localhost:{cluster.port}/smartgate"
        own_gate.config["store"] = {"url": url, "password": "file:password", "ca_file": str(cluster.authority)}
        own_gate.write()
        told = shell("smartgate keys rotate", own_gate.folder, tools, SMARTGATE_CONFIG="smartgate.toml")
        assert "ES256" in told, "the role may make its tables and nothing more is needed"
    finally:
        cluster.close()


def test_haproxy_takes_what_it_is_given_for_rolling_restarts(tmp_path: Path, tools: Path) -> None:
    times = "timeout connect 5s\n timeout client 30s\n timeout server 30s\n"
    (tmp_path / "haproxy.cfg").write_text(
        f"defaults\n mode http\n {times}frontend apps\n bind 127.0.0.1:1\n default_backend gates\nbackend gates\n{block(OPERATIONS, '', 'option httpchk')}"
    )
    shell("haproxy -c -f haproxy.cfg", tmp_path, tools)


def test_the_chart_is_installed_from_a_copy_of_an_example(tmp_path: Path, tools: Path) -> None:
    helm = CACHE / "helm" / "helm"
    if not helm.exists():
        pytest.skip("helm is not there")
    (tmp_path / "deploy").symlink_to(ROOT / "deploy")
    shutil.copy(ROOT / "deploy" / "helm" / "smartgate" / "examples" / "gateway.yaml", tmp_path / "my-values.yaml")
    (install,) = re.findall(r"^(helm install .*?) +#", DEPLOY, re.M)
    kinds = {it["kind"] for it in yaml.safe_load_all(shell(install.replace("helm install", f"{helm} template"), tmp_path, tools)) if it}
    assert {"ConfigMap", "Deployment", "Service"} <= kinds
    secret = re.findall(r"kubectl -n smartgate create secret .*", DEPLOY)
    assert secret and secret[0] in (tmp_path / "my-values.yaml").read_text()
