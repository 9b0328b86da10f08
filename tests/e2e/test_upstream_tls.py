"""TLS to the FHIR server: its certificate, the gate's own, the oldest version, and tokens that the gate gets itself."""

import base64
import json
import ssl
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import httpx
import jwt
import pytest
import trustme
from echo import EchoServer, headers_seen
from harness import Gate, Key, bearer, rule
from sandbox import wait_until


def written(issued: trustme.LeafCert, folder: Path, name: str) -> dict[str, str]:
    cert, key = folder / f"{name}.crt", folder / f"{name}.key"
    issued.private_key_pem.write_to_path(key)
    cert.write_bytes(b"".join(part.bytes() for part in issued.cert_chain_pems))
    return {"cert": str(cert), "key": str(key)}


@pytest.fixture
def secured(own_gate: Gate, authority: trustme.CA, tmp_path: Path) -> Iterator[tuple[EchoServer, ssl.SSLContext]]:
    """A FHIR server that speaks TLS and wants a certificate of the authority, behind the gate."""
    server = EchoServer()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    files = written(authority.issue_cert("127.0.0.1"), tmp_path, "server")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files["cert"], files["key"])
    context.load_verify_locations(tmp_path / "ca.pem")
    context.verify_mode = ssl.CERT_REQUIRED
    server.server.socket = context.wrap_socket(server.server.socket, server_side=True)
    own_gate.config["fhir"] |= {"upstream": server.base.replace("http:", "https:"), "ca_file": str(tmp_path / "ca.pem")}
    yield server, context
    server.server.shutdown()


def read(gate: Gate) -> httpx.Response:
    return httpx.get(f"{gate.fhir}/Patient/amy", headers=bearer(gate.token("system/Patient.rs")))


def test_the_gate_shows_its_certificate(own_gate: Gate, secured: object, authority: trustme.CA, tmp_path: Path) -> None:
    own_gate.config["fhir"]["client_cert"] = written(authority.issue_cert("gate.example.org"), tmp_path, "gate")
    own_gate.write()
    own_gate.start()
    assert read(own_gate).status_code == 200


def test_without_one_or_with_a_strangers_it_is_not_let_in(own_gate: Gate, secured: object, tmp_path: Path) -> None:
    own_gate.config["fhir"]["client_cert"] = written(trustme.CA().issue_cert("gate.example.org"), tmp_path, "stranger")
    own_gate.write()
    own_gate.start()
    refused = read(own_gate)
    assert (refused.status_code, rule(refused)) == (502, "upstream-unreachable")


def test_an_older_version_than_is_asked_for_is_not_spoken(
    own_gate: Gate, secured: tuple[EchoServer, ssl.SSLContext], authority: trustme.CA, tmp_path: Path
) -> None:
    secured[1].maximum_version = ssl.TLSVersion.TLSv1_2
    own_gate.config["fhir"] |= {"client_cert": written(authority.issue_cert("gate.example.org"), tmp_path, "gate"), "tls_min": "1.3"}
    own_gate.write()
    own_gate.start()
    refused = read(own_gate)
    assert (refused.status_code, rule(refused)) == (502, "upstream-unreachable")


def wait_for_reload(gate: Gate, change: Callable[[], object]) -> None:
    """Changes something that the gate reads again, and waits until it has."""
    def reloads() -> float:
        return gate.metrics()['smartgate_reloads_total{outcome="applied"}']

    before = reloads()
    change()
    wait_until(lambda: reloads() > before, 10, "the reload")


def test_a_renewed_certificate_is_shown_from_then_on(
    own_gate: Gate, secured: tuple[EchoServer, ssl.SSLContext], authority: trustme.CA, tmp_path: Path
) -> None:
    """Files that are replaced, and then others by name: connections that were made with the old one are not used again."""
    own_gate.config["fhir"]["client_cert"] = written(authority.issue_cert("first.example.org"), tmp_path, "gate")
    own_gate.config["fhir"]["health"] = {"check": "none"}
    own_gate.write()
    own_gate.start()
    peers = secured[0].peers

    def reads_as(name: str) -> set[int]:
        """The ports that three reads come from, all by this certificate."""
        peers.clear()
        for _ in range(3):
            assert read(own_gate).status_code == 200
        assert {dict(certificate["subjectAltName"])["DNS"] for _, certificate in peers} == {name}
        return {port for port, _ in peers}

    def replaced() -> None:
        files = written(authority.issue_cert("second.example.org"), tmp_path, "next")
        for part, file in files.items():
            Path(file).replace(own_gate.config["fhir"]["client_cert"][part])

    def named() -> None:
        own_gate.config["fhir"]["client_cert"] = written(authority.issue_cert("third.example.org"), tmp_path, "other")
        own_gate.write()

    first = reads_as("first.example.org")
    assert len(first) == 1, "connections are kept"
    wait_for_reload(own_gate, replaced)
    second = reads_as("second.example.org")
    wait_for_reload(own_gate, named)
    third = reads_as("third.example.org")
    assert len(first | second | third) == 3


class TokenEndpoint:
    """Gives a token to whoever asks, and keeps the forms."""

    def __init__(self, lifetime: int = 300) -> None:
        self.asked: list[dict[str, list[str]]] = []
        self.authorizations: list[str | None] = []
        self.lifetime = lifetime
        self.refuses = False
        endpoint = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                endpoint.asked.append(parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode()))
                endpoint.authorizations.append(self.headers["Authorization"])
                token = f"of-the-gate-{len(endpoint.asked)}"
                answer = {"error": "invalid_client"} if endpoint.refuses else {
                    "access_token": token, "token_type": "Bearer", "expires_in": endpoint.lifetime}
                body = json.dumps(answer).encode()
                self.send_response(401 if endpoint.refuses else 200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/token"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def endpoint() -> Iterator[TokenEndpoint]:
    endpoint = TokenEndpoint()
    yield endpoint
    endpoint.server.shutdown()


def proves_itself(gate: Gate, endpoint: TokenEndpoint, **proof: str) -> EchoServer:
    """A FHIR server before which the gate gets itself tokens at `endpoint`."""
    upstream = EchoServer()
    auth = {"kind": "client_credentials", "token_url": endpoint.url, "client_id": "gate", "scope": "system/*.rs", **proof}
    gate.config["fhir"] |= {"upstream": upstream.base, "upstream_auth": auth}
    gate.write()
    gate.start()
    return upstream


def token_sent(answer: httpx.Response) -> str:
    assert answer.status_code == 200
    return headers_seen(answer.json())["authorization"]


def test_the_gate_gets_itself_a_token(own_gate: Gate, endpoint: TokenEndpoint, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("a-secret")
    proves_itself(own_gate, endpoint, client_secret=f"file:{tmp_path / 'secret'}")
    for _ in range(3):
        assert token_sent(read(own_gate)) == "Bearer of-the-gate-1"
    assert endpoint.asked == [{"grant_type": ["client_credentials"], "scope": ["system/*.rs"]}]
    assert endpoint.authorizations == [f"Basic {base64.b64encode(b'gate:a-secret').decode()}"]


@pytest.mark.parametrize("algorithm", ["ES384", "RS384"])
def test_the_gate_gets_itself_a_token_by_a_key(
    own_gate: Gate, endpoint: TokenEndpoint, tmp_path: Path, algorithm: str
) -> None:
    """As SMART Backend Services has it: what it signs is checked by a library that nobody here wrote."""
    key, other = Key.make("gate-1", algorithm), Key.make("gate-2", algorithm)
    (tmp_path / "key.pem").write_bytes(key.pem())
    proves_itself(own_gate, endpoint, key_file=str(tmp_path / "key.pem"), key_id=key.kid, algorithm=algorithm)

    def claims(form: dict[str, list[str]], of: Key) -> dict[str, Any]:
        [assertion] = form.pop("client_assertion")
        assert form == {"grant_type": ["client_credentials"], "scope": ["system/*.rs"],
                        "client_assertion_type": ["urn:ietf:params:oauth:client-assertion-type:jwt-bearer"]}
        assert jwt.get_unverified_header(assertion) == {"typ": "JWT", "alg": algorithm, "kid": of.kid}
        required = {"require": ["exp", "iat", "jti", "iss", "sub", "aud"]}
        claims = jwt.decode(assertion, of.private.public_key(), [algorithm], audience=endpoint.url, issuer="gate", options=required)
        assert claims["sub"] == "gate" and claims["exp"] - claims["iat"] <= 300
        return claims

    for _ in range(3):
        assert token_sent(read(own_gate)) == "Bearer of-the-gate-1"
    assert endpoint.authorizations == [None]
    first = claims(endpoint.asked[0], key)

    # The key is replaced: from then on the gate proves itself by the new one.
    own_gate.config["fhir"]["upstream_auth"]["key_id"] = other.kid

    def renewed() -> None:
        (tmp_path / "key.pem").write_bytes(other.pem())
        own_gate.write()

    wait_for_reload(own_gate, renewed)
    assert token_sent(read(own_gate)) == f"Bearer of-the-gate-{len(endpoint.asked)}"
    assert claims(endpoint.asked[-1], other)["jti"] != first["jti"]


def test_a_token_endpoint_that_refuses_the_gate_is_told_to_nobody(
    own_gate: Gate, endpoint: TokenEndpoint, tmp_path: Path
) -> None:
    endpoint.refuses = True
    (tmp_path / "key.pem").write_bytes(Key.make("gate-1", "ES384").pem())
    upstream = proves_itself(own_gate, endpoint, key_file=str(tmp_path / "key.pem"), key_id="gate-1")
    refused = read(own_gate)
    assert (refused.status_code, rule(refused)) == (502, "upstream-unreachable")
    assert not upstream.requests and "invalid_client" not in refused.text and endpoint.url not in refused.text
