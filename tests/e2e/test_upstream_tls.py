"""TLS to the FHIR server: its certificate, the gate's own, the oldest version, and tokens that the gate gets itself."""

import json
import ssl
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs

import httpx
import pytest
import trustme
from echo import EchoServer
from harness import Gate, bearer, rule


def written(issued: trustme.LeafCert, folder: Path, name: str) -> dict[str, str]:
    cert, key = folder / f"{name}.crt", folder / f"{name}.key"
    issued.private_key_pem.write_to_path(key)
    cert.write_bytes(b"".join(part.bytes() for part in issued.cert_chain_pems))
    return {"cert": str(cert), "key": str(key)}


@pytest.fixture
def secured(own_gate: Gate, authority: trustme.CA, tmp_path: Path) -> Iterator[Callable[[ssl.TLSVersion], None]]:
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

    def newest(version: ssl.TLSVersion) -> None:
        context.maximum_version = version

    yield newest
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
    own_gate: Gate, secured: Callable[[ssl.TLSVersion], None], authority: trustme.CA, tmp_path: Path
) -> None:
    secured(ssl.TLSVersion.TLSv1_2)
    own_gate.config["fhir"] |= {"client_cert": written(authority.issue_cert("gate.example.org"), tmp_path, "gate"), "tls_min": "1.3"}
    own_gate.write()
    own_gate.start()
    refused = read(own_gate)
    assert (refused.status_code, rule(refused)) == (502, "upstream-unreachable")


def test_the_gate_gets_itself_a_token(own_gate: Gate, tmp_path: Path) -> None:
    asked: list[dict[str, list[str]]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked.append(parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode()))
            body = json.dumps({"access_token": "of-the-gate", "token_type": "Bearer", "expires_in": 300}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    endpoint = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=endpoint.serve_forever, daemon=True).start()
    upstream = EchoServer()
    (tmp_path / "secret").write_text("a-secret")
    own_gate.config["fhir"] |= {
        "upstream": upstream.base,
        "upstream_auth": {
            "kind": "client_credentials", "token_url": f"http://127.0.0.1:{endpoint.server_address[1]}/token",
            "client_id": "gate", "client_secret": f"file:{tmp_path / 'secret'}", "scope": "system/*.rs",
        },
    }
    own_gate.write()
    own_gate.start()
    for _ in range(3):
        answer = read(own_gate)
        assert answer.status_code == 200
        assert json.loads(answer.json()["text"]["div"])["authorization"] == "Bearer of-the-gate"
    assert asked == [{"grant_type": ["client_credentials"], "scope": ["system/*.rs"]}]
    endpoint.shutdown()
