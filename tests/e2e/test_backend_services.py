"""Programs that log in by themselves, with libraries that nobody here wrote (SMART 2.2 Backend Services)."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import uuid
from pathlib import Path
from typing import Any

import httpx
import pytest
from authlib.integrations.httpx_client import OAuth2Client
from authlib.oauth2.rfc7523 import PrivateKeyJWT

from harness import SECRET, Gate, Key, bearer, entries
from sandbox import CACHE, ROOT, free_port

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


def authlib_client(gate: Gate, name: str, key: Key) -> OAuth2Client:
    endpoint = f"{gate.url}/auth/token"
    client = OAuth2Client(client_id=name, client_secret=key.pem().decode(), token_endpoint_auth_method="private_key_jwt",
                          token_endpoint=endpoint)
    header = {"kid": key.kid, "alg": key.algorithm}
    # Authlib's own hour is more than the five minutes that SMART allows an assertion.
    claims = {"exp": int(time.time()) + 240}
    client.register_client_auth_method(PrivateKeyJWT(endpoint, claims, header, key.algorithm))
    return client


@pytest.mark.parametrize("name", ["backend-rsa", "backend-ec"])
def test_CA_4_BS_5_authlib_with_private_key_jwt(gate: Gate, name: str) -> None:
    key = {"backend-rsa": gate.keys.rsa, "backend-ec": gate.keys.ec}[name]
    with authlib_client(gate, name, key) as client:
        token = client.fetch_token(grant_type="client_credentials", scope="system/Observation.rs system/Patient.rs")
        assert token["token_type"].lower() == "bearer"
        assert set(token["scope"].split()) == {"system/Observation.rs", "system/Patient.rs"}
        assert 0 < token["expires_in"] <= 300
        assert "refresh_token" not in token
        answer = client.get(f"{gate.fhir}/Observation?_count=100")
        subjects = {resource["subject"]["reference"] for resource in entries(answer.json())}
        assert {"Patient/amy", "Patient/ben", "Patient/cleo", "Patient/dev"} <= subjects
        assert client.get(f"{gate.fhir}/Condition").status_code == 403


def test_CS_1_authlib_with_a_secret(gate: Gate) -> None:
    with OAuth2Client(client_id="backend-secret", client_secret=SECRET, token_endpoint=f"{gate.url}/auth/token") as client:
        token = client.fetch_token(grant_type="client_credentials", scope="system/Observation.rs")
        assert token["scope"] == "system/Observation.rs"
        assert client.get(f"{gate.fhir}/Observation/amy-hba1c-2").status_code == 200
        assert client.get(f"{gate.fhir}/Patient/amy").status_code == 403


def test_openid_client(gate: Gate, tmp_path: Path) -> None:
    """openid-client and oauth4webapi find everything by discovery and check the token as RFC 9068 wants it."""
    key = tmp_path / "key.pem"
    key.write_bytes(gate.keys.ec.pem())
    script = ROOT / "tests" / "e2e" / "clients" / "backend.mjs"
    command = ["node", script, gate.url, gate.fhir, "backend-ec", gate.keys.ec.kid, key]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["scope"] == "system/Observation.rs"
    assert told["claims"]["client_id"] == "backend-ec"
    assert told["observations"] > 0


def test_sekmet_as_a_client(gate: Gate, tmp_path: Path) -> None:
    """SEKMET's own conformance scenario, as a SMART Backend Services client of the gate."""
    key = tmp_path / "key.pem"
    key.write_bytes(gate.keys.ec.pem())
    auth = {"type": "smart", "client_id": "backend-ec", "private_key_path": str(key), "kid": gate.keys.ec.kid, "alg": "ES384",
            "scope": "system/*.cruds"}
    port = free_port()
    settings = {"base_url": f"http://127.0.0.1:{port}/fhir", "port": port, "host": "127.0.0.1", "data_dir": str(tmp_path / "data"),
                "peers": {"gate": {"base_url": gate.fhir, "auth": auth}}}
    config = tmp_path / "settings.yaml"
    config.write_text(json.dumps(settings))
    command = [CACHE / "venv" / "bin" / "sekmet", "scenario", "run", "conformance_smoke", "--peer", "gate", "--no-serve",
               "--config", config, "--report-dir", tmp_path / "reports"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr


def assertion(gate: Gate, **changed: Any) -> str:
    now = int(time.time())
    claims = {"iss": "backend-rsa", "sub": "backend-rsa", "aud": f"{gate.url}/auth/token", "iat": now, "exp": now + 240,
              "jti": str(uuid.uuid4()), **changed}
    return gate.keys.rsa.sign({name: it for name, it in claims.items() if it is not None})


def post(gate: Gate, client_assertion: str, **more: str) -> httpx.Response:
    form = {"grant_type": "client_credentials", "scope": "system/Patient.rs", "client_assertion_type": ASSERTION_TYPE,
            "client_assertion": client_assertion, **more}
    return httpx.post(f"{gate.url}/auth/token", data=form)


def test_CA_8_row_222_an_assertion_counts_once(gate: Gate) -> None:
    once = assertion(gate)
    first, second = post(gate, once), post(gate, once)
    assert first.status_code == 200, first.text
    assert first.headers["cache-control"] == "no-store"
    assert first.headers["pragma"] == "no-cache"
    assert (second.status_code, second.json()["error"]) == (401, "invalid_client")


@pytest.mark.parametrize("changed", [
    lambda now: {"exp": now - 1}, lambda now: {"exp": now + 3600}, lambda now: {"exp": None}, lambda now: {"jti": None},
    lambda now: {"aud": "https://other.example.org/token"}, lambda now: {"aud": None}, lambda now: {"sub": "backend-ec"},
    lambda now: {"iss": "backend-ec"}, lambda now: {"iss": "nobody", "sub": "nobody"},
])
def test_CA_6_CA_9_CA_13_RF_6_row_222_assertions_that_prove_nothing(gate: Gate, changed: Any) -> None:
    answer = post(gate, assertion(gate, **changed(int(time.time()))))
    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")


def test_CA_7_a_stranger_with_the_right_kid(gate: Gate) -> None:
    now = int(time.time())
    forged = Key(gate.keys.rsa.kid, "RS384", gate.keys.stranger.private)
    claims = {"iss": "backend-rsa", "sub": "backend-rsa", "aud": f"{gate.url}/auth/token", "exp": now + 240, "jti": "x"}
    assert post(gate, forged.sign(claims)).status_code == 401


def test_BS_3_BS_6_row_224_no_more_than_it_was_registered_for(gate: Gate) -> None:
    for scope in ("system/*.cruds", "system/Patient.cud", "patient/*.rs", "user/*.rs", ""):
        answer = post(gate, assertion(gate), scope=scope)
        if answer.status_code == 200:
            assert set(answer.json()["scope"].split()) <= {"system/*.rs"}, scope
        else:
            assert (answer.status_code, answer.json()["error"]) == (400, "invalid_scope")


def test_RF_4_row_219_wrong_secrets(gate: Gate) -> None:
    for name, secret in (("backend-secret", "wrong"), ("backend-secret", ""), ("nobody", SECRET), ("backend-rsa", SECRET)):
        answer = httpx.post(f"{gate.url}/auth/token", auth=(name, secret), data={"grant_type": "client_credentials"})
        assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")
        assert answer.headers["www-authenticate"].startswith("Basic")


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has more than one loopback address from the start")
def test_row_232_who_guesses_waits_and_nobody_elsewhere(own_gate: Gate) -> None:
    own_gate.start()

    def ask(secret: str, place: str) -> httpx.Response:
        with httpx.Client(transport=httpx.HTTPTransport(local_address=place)) as client:
            form = {"grant_type": "client_credentials", "scope": "system/Observation.rs"}
            return client.post(f"{own_gate.url}/auth/token", auth=("backend-secret", secret), data=form)

    assert [ask("wrong", "127.0.0.1").status_code for _ in range(10)] == [401] * 10
    held = ask(SECRET, "127.0.0.1")
    assert held.status_code == 429 and 0 < int(held.headers["retry-after"]) <= 60
    assert ask(SECRET, "127.0.0.2").status_code == 200
    counted = own_gate.metrics()
    outcomes = {of: counted[f'smartgate_client_authentications_total{{outcome="{of}"}}'] for of in ("success", "failure", "refused")}
    assert outcomes == {"success": 1, "failure": 10, "refused": 1}


def test_a_backend_token_is_no_users_token(gate: Gate) -> None:
    token = post(gate, assertion(gate)).json()["access_token"]
    assert httpx.get(f"{gate.fhir}/Patient/ben", headers=bearer(token)).status_code == 200
    assert httpx.delete(f"{gate.fhir}/Patient/ben", headers=bearer(token)).status_code == 403
