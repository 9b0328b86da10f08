"""Apps register themselves (RFC 7591) where the operator lets them, have little, and are approved by a row or removed."""

from __future__ import annotations

import secrets
import ssl
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

from harness import REDIRECT, Gate, Key, Keys, bearer, jwks
from pages import Authorization, Person
from sandbox import FhirServer, wait_until

TOKEN = secrets.token_urlsafe(32)
SCOPES = ["openid", "fhirUser", "launch/patient", "patient/*.rs", "offline_access"]
JWT_BEARER = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
DOCUMENTS = ["fhir/.well-known/smart-configuration", ".well-known/openid-configuration", ".well-known/oauth-authorization-server"]


def opened(gate: Gate, **auth: Any) -> Gate:
    """The gate with registration, started."""
    token = gate.run("hash-password", "--secret", stdin=TOKEN).stdout.strip()
    gate.config["registration"] = {"tokens": [token], "scopes": SCOPES}
    if auth:
        gate.config["auth"] = auth
    gate.write()
    return gate.start()


@pytest.fixture(scope="module")
def open_gate(upstream: FhirServer, keys: Keys, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gate]:
    gate = Gate(tmp_path_factory.mktemp("registration"), upstream.base, keys)
    try:
        yield opened(gate)
    finally:
        gate.stop()


def register(gate: Gate, token: str = TOKEN, **metadata: Any) -> httpx.Response:
    return httpx.post(f"{gate.url}/auth/register", json=metadata, headers=bearer(token))


def registered(gate: Gate, **metadata: Any) -> dict[str, Any]:
    answer = register(gate, **{"redirect_uris": [REDIRECT], **metadata})
    assert answer.status_code == 201, answer.text
    assert answer.headers["cache-control"] == "no-store"
    return answer.json()


def public(gate: Gate, **metadata: Any) -> dict[str, Any]:
    return registered(gate, token_endpoint_auth_method="none", client_name="Sleep Diary", **metadata)


def launched(gate: Gate, client: str, scope: str = "launch/patient patient/Patient.rs offline_access", **form: str) -> tuple[str, httpx.Response]:
    """The text of the consent page, and the answer of the token endpoint."""
    authorization = Authorization(gate, client_id=client, scope=scope)
    person = Person(gate).open(authorization.url()).log_in("amy")
    text = person.page.text
    return text, authorization.redeem(person.decide(allow=True).landed()["code"], **form)


def assertion(gate: Gate, client: str, key: Key) -> dict[str, str]:
    now = int(time.time())
    claims = {"iss": client, "sub": client, "aud": f"{gate.url}/auth/token", "iat": now, "exp": now + 200, "jti": str(uuid.uuid4())}
    return {"client_assertion_type": JWT_BEARER, "client_assertion": key.sign(claims)}


def refresh(gate: Gate, token: str, **form: str) -> httpx.Response:
    return httpx.post(f"{gate.url}/auth/token", data={"grant_type": "refresh_token", "refresh_token": token, **form}, timeout=30)


def patient(gate: Gate, token: str) -> int:
    return httpx.get(f"{gate.fhir}/Patient/amy", headers=bearer(token)).status_code


def test_row_235_registration_is_off_by_default(gate: Gate) -> None:
    assert register(gate, redirect_uris=[REDIRECT]).status_code == 404
    for document in DOCUMENTS:
        assert "registration_endpoint" not in httpx.get(f"{gate.url}/{document}").json()


def test_CF_11_the_endpoint_is_named(open_gate: Gate) -> None:
    for document in DOCUMENTS:
        assert httpx.get(f"{open_gate.url}/{document}").json()["registration_endpoint"] == f"{open_gate.url}/auth/register"


def test_AL_7_AL_9_a_public_app_registers_and_launches(open_gate: Gate) -> None:
    app = public(open_gate, grant_types=["authorization_code", "refresh_token"], scope="launch/patient patient/Patient.rs offline_access system/*.rs")
    assert app["scope"] == "launch/patient patient/Patient.rs offline_access"
    assert "client_secret" not in app
    text, answer = launched(open_gate, app["client_id"])
    assert "Sleep Diary" in text and "registered itself" in text
    tokens = answer.json()
    assert tokens["patient"] == "amy"
    assert patient(open_gate, tokens["access_token"]) == 200
    assert httpx.get(f"{open_gate.fhir}/Observation", headers=bearer(tokens["access_token"])).status_code == 403
    assert patient(open_gate, refresh(open_gate, tokens["refresh_token"], client_id=app["client_id"]).json()["access_token"]) == 200
    assert open_gate.metrics()['smartgate_registrations_total{outcome="success"}'] >= 1


def test_AL_4_a_registered_apps_origin_may_call(open_gate: Gate) -> None:
    origin = "https://sleep.example.org"
    preflight = {"Origin": origin, "Access-Control-Request-Method": "POST"}
    assert "access-control-allow-origin" not in httpx.options(f"{open_gate.url}/auth/token", headers=preflight).headers
    public(open_gate, redirect_uris=[f"{origin}/callback"])
    for path in ("auth/token", "fhir/Patient"):
        assert httpx.options(f"{open_gate.url}/{path}", headers=preflight).headers["access-control-allow-origin"] == origin


def test_AL_8_CA_2_a_key_in_the_registration_authenticates(open_gate: Gate) -> None:
    key = Key.make("app-1", "ES384")
    app = registered(open_gate, token_endpoint_auth_method="private_key_jwt", jwks={"keys": [key.jwk()]},
                     grant_types=["authorization_code", "refresh_token"])
    id = app["client_id"]
    _, answer = launched(open_gate, id, **assertion(open_gate, id, key))
    token = answer.json()["refresh_token"]
    assert refresh(open_gate, token, **assertion(open_gate, id, Key.make("app-1", "ES384"))).json()["error"] == "invalid_client"
    again = refresh(open_gate, token, **assertion(open_gate, id, key))
    assert patient(open_gate, again.json()["access_token"]) == 200


def test_AL_8_a_secret_authenticates(open_gate: Gate) -> None:
    app = registered(open_gate, token_endpoint_auth_method="client_secret_post")
    _, answer = launched(open_gate, app["client_id"], client_secret=app["client_secret"])
    assert answer.json()["token_type"] == "Bearer"
    _, answer = launched(open_gate, app["client_id"], client_secret=app["client_secret"] + "x")
    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")


def test_row_235_what_an_app_cannot_have(open_gate: Gate) -> None:
    app = registered(open_gate)
    credentials = (app["client_id"], app["client_secret"])
    form = {"grant_type": "client_credentials", "scope": "system/Patient.rs"}
    assert httpx.post(f"{open_gate.url}/auth/token", data=form, auth=credentials).json()["error"] == "unauthorized_client"
    for path, form in (("introspect", {"token": "x"}), ("launch", {"app": "browser-app", "user": "amy"})):
        answer = httpx.post(f"{open_gate.url}/auth/{path}", data=form, auth=credentials)
        assert (answer.status_code, answer.json()["error"]) == (403, "unauthorized_client"), path
    public_app = public(open_gate)["client_id"]
    _, answer = launched(open_gate, public_app, scope="launch/patient patient/Patient.rs patient/*.cruds system/*.rs user/*.rs")
    tokens = answer.json()
    assert "system/" not in tokens["scope"] and "user/" not in tokens["scope"] and "refresh_token" not in tokens
    answer = httpx.post(f"{open_gate.url}/auth/introspect", data={"token": tokens["access_token"]}, headers=bearer(tokens["access_token"]))
    assert answer.status_code == 403


@pytest.mark.parametrize(("error", "metadata"), [
    ("invalid_redirect_uri", {"redirect_uris": ["javascript:alert(1)"]}),
    ("invalid_redirect_uri", {"redirect_uris": ["data:text/html,x"]}),
    ("invalid_redirect_uri", {"redirect_uris": ["http://app.example.org/callback"]}),
    ("invalid_redirect_uri", {"redirect_uris": [REDIRECT + "#x"]}),
    ("invalid_redirect_uri", {"redirect_uris": []}),
    ("invalid_client_metadata", {"scope": "system/*.rs"}),
    ("invalid_client_metadata", {"grant_types": ["client_credentials"]}),
    ("invalid_client_metadata", {"client_name": "Growth\u202eChart"}),
    ("invalid_client_metadata", {"logo_uri": "http://169.254.169.254/"}),
    ("invalid_client_metadata", {"token_endpoint_auth_method": "private_key_jwt", "jwks_uri": "https://169.254.169.254/latest"}),
    ("invalid_client_metadata", {"token_endpoint_auth_method": "private_key_jwt", "jwks_uri": "http://127.0.0.1:1/jwks"}),
    ("invalid_client_metadata", {"token_endpoint_auth_method": "private_key_jwt"}),
])
def test_row_235_wrong_metadata(open_gate: Gate, error: str, metadata: dict[str, Any]) -> None:
    answer = register(open_gate, **{"redirect_uris": [REDIRECT], **metadata})
    assert (answer.status_code, answer.json()["error"]) == (400, error)


def test_row_235_without_the_operators_token(open_gate: Gate) -> None:
    answer = register(open_gate, token="x" * 43, redirect_uris=[REDIRECT])
    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_token")
    assert 'error="invalid_token"' in answer.headers["www-authenticate"]
    large = httpx.post(f"{open_gate.url}/auth/register", json={"client_name": "x" * 70_000}, headers=bearer(TOKEN))
    assert large.status_code == 413


def test_AL_9_an_app_is_approved_by_a_row_and_removed(own_gate: Gate) -> None:
    gate = opened(own_gate)
    app = public(gate)["client_id"]
    _, answer = launched(gate, app, scope="launch/patient patient/Patient.rs")
    token = answer.json()["access_token"]
    listed = gate.run("clients", "list").stdout
    assert app in listed and "not approved" in listed and "Sleep Diary" in listed
    row = gate.run("clients", "export", app).stdout
    (gate.folder / "clients.d").mkdir()
    (gate.folder / "clients.d" / f"{app}.toml").write_text(row.replace('"openid"', '"openid", "user/Patient.r"'))
    wait_until(lambda: gate.metrics()["smartgate_config_generation"] == 2, 10, "the row is in effect")
    assert "has a row" in gate.run("clients", "list").stdout
    text, answer = launched(gate, app, scope="launch/patient user/Patient.r")
    assert "registered itself" not in text
    assert "user/Patient.r" in answer.json()["scope"]
    assert patient(gate, token) == 200, "what people gave it goes on"

    assert gate.run("clients", "remove", app).returncode == 0
    assert gate.run("clients", "remove", app).returncode == 1
    other = public(gate)["client_id"]
    _, answer = launched(gate, other, scope="launch/patient patient/Patient.rs")
    gone = answer.json()["access_token"]
    assert patient(gate, gone) == 200
    assert patient(gate, token) == 200, "the row is enough"
    gate.run("clients", "remove", other)
    wait_until(lambda: patient(gate, gone) == 401, 3, "tokens of an app that was removed are refused")
    assert Person(gate).open(Authorization(gate, client_id=other).url()).answer.status_code == 400
    assert patient(gate, token) == 200


def test_AL_9_registrations_outlive_a_restart(own_gate: Gate) -> None:
    gate = opened(own_gate)
    app = public(gate)["client_id"]
    gate.stop()
    gate.start()
    assert launched(gate, app, scope="launch/patient patient/Patient.rs")[1].json()["patient"] == "amy"


@contextmanager
def key_server(certificate: tuple[Path, Path], body: str, redirect: bool = False, silent: bool = False) -> Iterator[tuple[str, list[str]]]:
    """Serves a key set over TLS; counts who asks."""
    seen: list[str] = []
    over = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            seen.append(self.path)
            if silent:
                over.wait()
                return
            self.send_response(302 if redirect and self.path == "/jwks" else 200)
            if redirect:
                self.send_header("Location", "/other")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"https://localhost:{server.server_port}", seen
    finally:
        over.set()
        server.shutdown()
        server.server_close()


def test_row_222_CA_2_a_key_url_inside_is_fetched_only_where_the_operator_says_so(
    own_gate: Gate, certificate: tuple[Path, Path], authority: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    key = Key.make("app-1", "ES384")
    large = jwks(key)[:-1] + f', "x": "{"y" * 70_000}"}}'
    with (
        key_server(certificate, jwks(key)) as (inside, asked_inside),
        key_server(certificate, jwks(key)) as (listed, asked),
        key_server(certificate, jwks(key), redirect=True) as (elsewhere, asked_elsewhere),
        key_server(certificate, large) as (huge, _),
        key_server(certificate, "", silent=True) as (slow, _),
    ):
        gate = opened(own_gate, fetch_allow=[listed, elsewhere, huge, slow])

        def redeemed(origin: str) -> httpx.Response:
            metadata = {"token_endpoint_auth_method": "private_key_jwt", "jwks_uri": f"{origin}/jwks"}
            id = registered(gate, **metadata)["client_id"]
            form = {"grant_type": "authorization_code", "code": "x", "redirect_uri": REDIRECT, "code_verifier": "x" * 43, **assertion(gate, id, key)}
            return httpx.post(f"{gate.url}/auth/token", data=form, timeout=30)

        assert redeemed(listed).json()["error"] == "invalid_grant", "it was believed who it is"
        assert asked == ["/jwks"]
        began = time.monotonic()
        for origin in (inside, elsewhere, huge, slow):
            answer = redeemed(origin)
            assert (answer.status_code, answer.json()["error"]) == (503, "temporarily_unavailable"), origin
        assert time.monotonic() - began < 8
        assert asked_inside == [], "its name is at no public address"
        assert asked_elsewhere == ["/jwks"], "no redirect is followed"
