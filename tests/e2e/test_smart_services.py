"""Clients that prove who they are, and who may ask about tokens (SMART 2.2 backend-services, client-confidential-asymmetric,
token-introspection; tests/checklist.tsv BS, CA, TI)."""

from __future__ import annotations

import json
import socket
import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import jwt
import pytest
import trustme

from harness import SECRET, Gate, Key, bearer, jwks
from pages import Authorization, Person
from sandbox import free_port, wait_until
from smart import assertion, granted, launched, post, service, token

ASKED = {"grant_type": "client_credentials", "scope": "system/Patient.rs"}


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion")
@pytest.mark.parametrize(("version", "served"), [
    (ssl.TLSVersion.TLSv1, False), (ssl.TLSVersion.TLSv1_1, False), (ssl.TLSVersion.TLSv1_2, True), (ssl.TLSVersion.TLSv1_3, True),
])
def test_BS_1_tls_1_2_or_later(tls_gate: Gate, authority: trustme.CA, version: ssl.TLSVersion, served: bool) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.set_ciphers("ALL:@SECLEVEL=0")  # or OpenSSL itself would not try the old ones
    context.minimum_version = context.maximum_version = version
    authority.configure_trust(context)
    with socket.create_connection(("127.0.0.1", tls_gate.port), 10) as plain:
        if served:
            with context.wrap_socket(plain, server_hostname="127.0.0.1") as secure:
                assert secure.version() == version.name.replace("_", ".")
        else:
            with pytest.raises(ssl.SSLError, match="ALERT"):
                context.wrap_socket(plain, server_hostname="127.0.0.1")


@pytest.mark.parametrize(("changed", "status", "error"), [
    ({}, 200, None), ({"scope": None}, 400, "invalid_scope"), ({"grant_type": None}, 400, "invalid_request"),
    ({"client_assertion_type": None}, 400, "invalid_request"), ({"client_assertion_type": "urn:x"}, 400, "invalid_request"),
    ({"client_assertion": None}, 400, "invalid_request"), ({"client_assertion": "x.y.z"}, 401, "invalid_client"),
])
def test_BS_2_BS_7_CA_13_what_a_service_sends(smart: Gate, changed: dict[str, str | None], status: int, error: str | None) -> None:
    answer = post(smart, "token", {**ASKED, **assertion(smart, smart.keys.rsa, "backend-rsa"), **changed})
    assert (answer.status_code, answer.json().get("error")) == (status, error)
    assert answer.headers["content-type"] == "application/json"
    assert ("error_description" in answer.json()) == (error is not None)


def test_BS_5_BS_8_BS_10_what_a_service_gets(smart: Gate) -> None:
    found = service(smart, "system/Patient.rs offline_access").json()
    assert set(found) == {"access_token", "token_type", "expires_in", "scope"}, "and no refresh token"
    assert (found["token_type"].lower(), found["scope"]) == ("bearer", "system/Patient.rs")
    claims = jwt.decode(found["access_token"], options={"verify_signature": False})
    assert found["expires_in"] == claims["exp"] - claims["iat"]
    assert 0 < found["expires_in"] <= 300


def test_BS_10_whatever_is_configured(own_gate: Gate) -> None:
    own_gate.config["tokens"] = {"backend_lifetime": "1h"}
    own_gate.write()
    own_gate.start()
    answer = service(own_gate, "system/Observation.rs", auth=("backend-secret", SECRET))
    assert answer.json()["expires_in"] <= 300


class KeyServer:
    """A client's JWKS by URL, with the `Cache-Control` that the client wants."""

    def __init__(self) -> None:
        self.body = self.cache = ""
        self.seen: list[tuple[str, str]] = []
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                server.seen.append((self.command, self.headers["Accept"]))
                self.send_response(200)
                self.send_header("Cache-Control", server.cache)
                self.send_header("Content-Length", str(len(server.body)))
                self.end_headers()
                self.wfile.write(server.body.encode())

            def log_message(self, *_: object) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_address[1]}/jwks.json"
        threading.Thread(target=self.http.serve_forever, daemon=True).start()


@pytest.fixture
def key_server() -> Iterator[KeyServer]:
    server = KeyServer()
    yield server
    server.http.shutdown()
    server.http.server_close()


def with_url(gate: Gate, url: str) -> Gate:
    gate.config["clients"].append({"id": "by-url", "kind": "confidential-asymmetric", "jwks_url": url, "scopes": ["system/*.rs"]})
    gate.write()
    return gate.start()


def status(gate: Gate, client: str, key: Key, **header: str) -> int:
    return post(gate, "token", {**ASKED, **assertion(gate, key, client, header)}).status_code


def test_CA_2_CA_10_CA_12_keys_inline_and_by_url(own_gate: Gate, key_server: KeyServer) -> None:
    key_server.body, key_server.cache = jwks(own_gate.keys.ec), "max-age=60"
    with_url(own_gate, key_server.url)
    assert status(own_gate, "backend-rsa", own_gate.keys.rsa) == 200, "inline"
    assert status(own_gate, "by-url", own_gate.keys.ec) == 200
    assert key_server.seen == [("GET", "application/json")]
    assert status(own_gate, "by-url", own_gate.keys.ec, jku=key_server.url) == 200
    for jku in (f"{key_server.url}?x", "https://other.example.org/jwks.json"):
        assert status(own_gate, "by-url", own_gate.keys.ec, jku=jku) == 401
    assert status(own_gate, "backend-rsa", own_gate.keys.rsa, jku=key_server.url) == 401, "it registered none"
    assert len(key_server.seen) == 1, "no address of an assertion's own is fetched"


def test_CA_11_CA_14_CA_15_row_223_keys_are_kept_as_their_server_says(own_gate: Gate, key_server: KeyServer) -> None:
    ec, rsa = own_gate.keys.ec, own_gate.keys.rsa
    key_server.body, key_server.cache = jwks(ec), "max-age=3600"
    with_url(own_gate, key_server.url)
    assert [status(own_gate, "by-url", ec) for _ in range(3)] == [200] * 3
    assert len(key_server.seen) == 1, "kept"
    assert status(own_gate, "by-url", rsa) == 401, "an unknown kid is asked for, and is not there"
    key_server.body, key_server.cache = jwks(rsa), "no-store"
    own_gate.stop()
    own_gate.start()
    assert [status(own_gate, "by-url", key) for key in (rsa, ec)] == [200, 401]
    key_server.body = jwks(ec)
    assert [status(own_gate, "by-url", key) for key in (ec, rsa)] == [200, 401], "not kept: the withdrawn key is none at once"


def test_CA_5_a_key_has_all_of_its_members(own_gate: Gate, key_server: KeyServer) -> None:
    ec, rsa = own_gate.keys.ec, own_gate.keys.rsa
    key_server.body, key_server.cache = jwks(ec, rsa), "no-store"
    with_url(own_gate, key_server.url)
    assert [status(own_gate, "by-url", key) for key in (ec, rsa)] == [200, 200]
    for key, member in ((ec, "kty"), (ec, "kid"), (ec, "crv"), (ec, "x"), (ec, "y"), (rsa, "n"), (rsa, "e")):
        key_server.body = json.dumps({"keys": [{name: it for name, it in key.jwk().items() if name != member}]})
        assert status(own_gate, "by-url", key) == 401, member
    assert len(key_server.seen) == 9


def test_CA_3_a_broken_key_file_changes_nothing(own_gate: Gate) -> None:
    own_gate.start()
    assert status(own_gate, "backend-rsa", own_gate.keys.rsa) == 200
    (own_gate.folder / "rsa-jwks.json").write_text('{"keys": [{"kty"')
    wait_until(lambda: own_gate.metrics()["smartgate_config_last_reload_successful"] == 0, 10, "the broken file is noticed")
    assert status(own_gate, "backend-rsa", own_gate.keys.rsa) == 200, "the last good keys are kept"
    assert own_gate.run("check").returncode == 1


def test_row_237_keys_that_cannot_be_had_open_nothing(own_gate: Gate) -> None:
    own_gate.config["issuers"][0].pop("jwks_file")
    own_gate.config["issuers"][0]["jwks_url"] = f"http://127.0.0.1:{free_port()}/jwks.json"
    with_url(own_gate, f"http://127.0.0.1:{free_port()}/jwks.json")
    answer = httpx.get(f"{own_gate.fhir}/Patient/amy", headers=bearer(own_gate.token("patient/Patient.r", patient="amy")))
    assert (answer.status_code, answer.json()["resourceType"]) == (503, "OperationOutcome")
    assert status(own_gate, "by-url", own_gate.keys.ec) == 503


def introspect(gate: Gate, about: str, **more: object) -> httpx.Response:
    return post(gate, "introspect", {"token": about}, **{"auth": ("resource-server", SECRET), **more})


def test_TI_2_TI_4_what_introspection_tells(smart: Gate) -> None:
    found = granted(smart, "openid fhirUser launch/patient patient/Patient.rs")
    told = introspect(smart, found["access_token"]).json()
    identity = jwt.decode(found["id_token"], options={"verify_signature": False})
    assert (told["active"], told["client_id"], told["scope"]) == (True, "app", found["scope"])
    assert told["exp"] - told["iat"] == found["expires_in"]
    for name in ("iss", "sub", "fhirUser"):
        assert told[name] == identity[name], name


def test_TI_3_every_context_parameter_is_told(smart: Gate) -> None:
    found = launched(smart, "launch patient/Patient.rs", patient="ben", encounter="ben-visit-1", intent="reconcile",
                     fhirContext='[{"reference": "ImagingStudy/1"}]', need_patient_banner="false", tenant="north",
                     smart_style_url="https://ehr.example.org/style.json")
    told = introspect(smart, found["access_token"]).json()
    context = found.keys() - {"access_token", "token_type", "expires_in", "scope"}
    assert len(context) == 7
    assert {name: told[name] for name in context} == {name: found[name] for name in context}


def test_TI_5_RF_9_row_229_a_bearer_that_may_asks_about_anybodys(smart: Gate) -> None:
    theirs = granted(smart, "launch/patient patient/Patient.rs")["access_token"]
    backend = service(smart, "system/Patient.r", auth=("resource-server", SECRET)).json()["access_token"]
    app = granted_to_the_asking_app(smart)
    for caller in (backend, app):
        told = introspect(smart, theirs, auth=None, headers=bearer(caller)).json()
        assert (told["active"], told["client_id"]) == (True, "app")
    for headers, status, error in (
        (bearer(theirs), 403, "unauthorized_client"), (bearer("garbage"), 401, "invalid_token"), ({}, 401, "invalid_client"),
    ):
        answer = introspect(smart, theirs, auth=None, headers=headers)
        assert (answer.status_code, answer.json()["error"], "active" in answer.json()) == (status, error, False)
        assert answer.headers.get("www-authenticate", "").startswith("Bearer") == (error == "invalid_token")


def granted_to_the_asking_app(gate: Gate) -> str:
    authorization = Authorization(gate, "asking-app", scope="openid")
    landed = Person(gate).open(authorization.url()).log_in("amy").decide(allow=True).landed()
    return token(gate, authorization, landed["code"]).json()["access_token"]


def test_RF_9_row_229_of_a_token_that_is_none_nothing_is_told(smart: Gate) -> None:
    found = granted(smart, "openid launch/patient patient/Patient.rs")
    httpx.post(f"{smart.url}/auth/revoke", data={"token": found["access_token"], "client_id": "app"}).raise_for_status()
    for none in (found["access_token"], found["id_token"], "garbage", smart.token("patient/*.rs", patient="amy")):
        assert introspect(smart, none).json() == {"active": False}
    assert httpx.get(f"{smart.url}/auth/introspect", params={"token": "x"}, auth=("resource-server", SECRET)).status_code == 405
