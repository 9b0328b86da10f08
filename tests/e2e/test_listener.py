"""Who comes in, and as whom: PROXY protocol, forwarded addresses, rates, numbers of connections, TLS (issue 6, items 4 and 5)."""

from __future__ import annotations

import datetime
import socket
import ssl
import struct
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import trustme

import raw
from echo import EchoServer
from harness import SECRET, Gate, Keys, bearer, rule
from sandbox import Process, free_port, wait_until

SCOPE = "system/Patient.rs"
GET = "GET /fhir/Patient/amy HTTP/1.1\r\nHost: p\r\nConnection: close\r\n"
V2 = b"\r\n\r\n\0\r\nQUIT\n"


@pytest.fixture(scope="module")
def echo() -> Iterator[EchoServer]:
    server = EchoServer()
    yield server
    server.stop()


@pytest.fixture
def gate(own_gate: Gate, echo: EchoServer) -> Gate:
    own_gate.config["fhir"]["upstream"] = echo.base
    return own_gate


def begin(gate: Gate, **server: object) -> str:
    """Starts the gate with these keys in `[server]`; a token."""
    gate.config["server"].update(server)
    gate.write()
    gate.start()
    return gate.token(SCOPE)


def request(token: str, *headers: str) -> bytes:
    return (GET + "".join(f"{it}\r\n" for it in [f"Authorization: Bearer {token}", *headers]) + "\r\n").encode()


def asked_from(gate: Gate, answer: raw.RawAnswer) -> str:
    """The address that the audit line names."""
    assert answer.status == 200, answer
    return gate.audit(answer.header("x-request-id") or "")["address"]


def proxy_v1(source: str) -> bytes:
    return f"PROXY TCP4 {source} 10.0.0.1 4711 443\r\n".encode()


def proxy_v2(source: str, family: int = socket.AF_INET) -> bytes:
    kind, target = (0x11, "10.0.0.1") if family == socket.AF_INET else (0x21, "2001:db8::2")
    told = socket.inet_pton(family, source) + socket.inet_pton(family, target) + struct.pack("!HH", 4711, 443)
    told += b"\x02\x00\x04host"
    return V2 + bytes([0x21, kind]) + struct.pack("!H", len(told)) + told


def turned_away(gate: Gate, reason: str) -> float:
    return gate.metrics()[f'smartgate_connections_refused_total{{reason="{reason}"}}']


def test_the_address_is_the_connections_unless_somebody_is_believed(gate: Gate) -> None:
    token = begin(gate)
    lie = ("X-Forwarded-For: 192.0.2.1", "Forwarded: for=192.0.2.2", "X-Real-IP: 192.0.2.3")
    (answer,) = raw.exchange(gate.port, request(token, *lie))
    assert asked_from(gate, answer) == "127.0.0.1"
    sent = answer.body.decode().lower()
    assert not any(word in sent for word in ("forwarded", "x-real-ip", "192.0.2.")), "nor does the FHIR server hear of it"
    assert raw.exchange(gate.port, proxy_v1("192.0.2.9") + request(token))[0].status == 400, "a header that nobody asked for"


def test_forwarded_addresses_of_trusted_proxies(gate: Gate) -> None:
    token = begin(gate, forwarded={"from": ["127.0.0.0/8", "10.0.0.0/8"]})
    for values, address in (
        (("X-Forwarded-For: 192.0.2.1",), "192.0.2.1"),
        (("X-Forwarded-For: 127.0.0.1, 192.0.2.1, 10.9.9.9",), "192.0.2.1"),
        (("X-Forwarded-For: 203.0.113.1", "X-Forwarded-For: 2001:db8::7, 10.0.0.2"), "2001:db8::7"),
        (("Forwarded: for=192.0.2.1",), "127.0.0.1"),
        ((), "127.0.0.1"),
    ):
        (answer,) = raw.exchange(gate.port, request(token, *values))
        assert asked_from(gate, answer) == address, values
        assert "forwarded" not in answer.body.decode().lower()


def test_forwarded_hosts_and_schemes_change_nothing_that_is_published(gate: Gate) -> None:
    begin(gate, forwarded={"from": ["127.0.0.1"]})
    forged = {"X-Forwarded-Host": "evil.example.org", "X-Forwarded-Proto": "https", "X-Forwarded-For": "192.0.2.1", "Host": "evil.example.org"}
    for path in ("/fhir/.well-known/smart-configuration", "/.well-known/openid-configuration"):
        assert httpx.get(gate.url + path, headers=forged).json() == httpx.get(gate.url + path).json()


@pytest.mark.parametrize("secure", [False, True])
def test_the_proxy_protocol_before_http_and_before_tls(gate: Gate, secure: bool, certificate: tuple[Path, Path], authority: trustme.CA) -> None:
    if secure:
        gate.config["server"]["tls"] = {"cert": str(certificate[0]), "key": str(certificate[1])}
    token = begin(gate, proxy_protocol={"from": ["127.0.0.1"]})
    context = ssl.create_default_context()
    authority.configure_trust(context)
    for header, address in (
        (proxy_v1("192.0.2.1"), "192.0.2.1"),
        (proxy_v2("192.0.2.2"), "192.0.2.2"),
        (proxy_v2("2001:db8::5", socket.AF_INET6), "2001:db8::5"),
        (b"PROXY UNKNOWN\r\n", "127.0.0.1"),
        (V2 + b"\x20\x00\x00\x00", "127.0.0.1"),
    ):
        with socket.create_connection(("127.0.0.1", gate.port), 10) as plain:
            plain.sendall(header)
            connection = context.wrap_socket(plain, server_hostname="localhost") if secure else plain
            connection.sendall(request(token))
            received = b""
            while part := connection.recv(65536):
                received += part
        assert asked_from(gate, raw.answers(received)[0]) == address
    before = turned_away(gate, "proxy")
    assert raw.exchange(gate.port, request(token)) == [], "a listed balancer that sends none is not served"
    wait_until(lambda: turned_away(gate, "proxy") == before + 1, 5, "it is counted")


@pytest.mark.parametrize("version", ["send-proxy", "send-proxy-v2"])
def test_a_real_haproxy_tells_who_connects(gate: Gate, version: str, tmp_path: Path) -> None:
    token = begin(gate, proxy_protocol={"from": ["127.0.0.1"]})
    port = haproxy(tmp_path, f"  mode tcp\n  source 127.0.0.1\n  server gate 127.0.0.1:{gate.port} {version}\n")
    with socket.create_connection(("127.0.0.1", port), 10, source_address=("127.0.0.77", 0)) as connection:
        connection.sendall(request(token))
        received = b""
        while part := connection.recv(65536):
            received += part
    assert asked_from(gate, raw.answers(received)[0]) == "127.0.0.77"


def haproxy(folder: Path, proxy: str) -> int:
    """HAProxy in front; its port."""
    port = free_port()
    config = folder / "haproxy.cfg"
    times = "  timeout connect 5s\n  timeout client 30s\n  timeout server 30s\n"
    config.write_text(f"defaults\n{times}listen gates\n  bind 127.0.0.1:{port}\n{proxy}")
    process = Process("HAProxy", ["haproxy", "-db", "-f", config], folder / "haproxy.log")

    def listens() -> bool:
        assert process.running(), process.last_words()
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    wait_until(listens, 10, "HAProxy listens")
    return port


def test_rates_of_addresses_and_clients(gate: Gate) -> None:
    gate.config["limits"] = {"address_rate": {"per_second": 1, "burst": 12}, "client_rate": {"per_second": 1, "burst": 3}}
    token = begin(gate, forwarded={"from": ["127.0.0.1"]})

    client = httpx.Client()
    others = [gate.token(SCOPE, client_id=f"c{n}") for n in range(40)]

    def ask(address: str, with_token: str = token) -> httpx.Response:
        return client.get(f"{gate.fhir}/Patient/amy", headers={**bearer(with_token), "X-Forwarded-For": address})

    answers = [ask("192.0.2.1") for _ in range(6)]
    assert [answer.status_code for answer in answers][:3] == [200, 200, 200]
    refused = [answer for answer in answers if answer.status_code == 429]
    assert refused and all(rule(answer) == "rate-client" and answer.headers["retry-after"] == "1" for answer in refused)
    assert refused[0].json()["issue"][0]["code"] == "throttled"
    assert ask("192.0.2.9").status_code == 429, "the client is the same elsewhere"
    assert ask("192.0.2.9", others[0]).status_code == 200

    flood = [ask("2001:db8:1:2::1", other) for other in others]
    held = [answer for answer in flood if answer.status_code == 429]
    assert held and {rule(answer) for answer in held} == {"rate-address"}
    assert ask("2001:db8:1:2:ffff::9", others[1]).status_code == 429, "the same /64"
    assert ask("2001:db8:1:3::1", others[2]).status_code == 200, "another one"

    token_form = {"grant_type": "client_credentials", "client_id": "backend-secret", "client_secret": SECRET, "scope": "system/Observation.rs"}
    def ask_for_token(address: str) -> httpx.Response:
        return client.post(f"{gate.url}/auth/token", data=token_form, headers={"X-Forwarded-For": address, "Origin": "https://app.example.org"})

    held_back = next(answer for answer in (ask_for_token("2001:db8:1:2::1") for _ in range(40)) if answer.status_code == 429)
    assert held_back.json()["error"] == "temporarily_unavailable" and int(held_back.headers["retry-after"]) >= 1
    assert held_back.headers["access-control-allow-origin"] == "https://app.example.org"
    assert "Retry-After" in held_back.headers["access-control-expose-headers"]
    assert ask_for_token("192.0.2.77").status_code == 200
    refusals = gate.metrics()
    assert refusals['smartgate_refusals_total{rule="rate-client"}'] >= 1 and refusals['smartgate_refusals_total{rule="rate-address"}'] >= 2
    line = gate.audit(held[0].headers["x-request-id"])
    assert (line["decision"], line["rule"], line["status"], line["address"]) == ("refuse", "rate-address", 429, "2001:db8:1:2::1")


def test_a_client_may_have_a_rate_of_its_own(gate: Gate) -> None:
    gate.client("backend-secret")["rate"] = {"per_second": 1, "burst": 2}
    begin(gate)
    form = {"grant_type": "client_credentials", "client_id": "backend-secret", "client_secret": SECRET, "scope": "system/Observation.rs"}
    headers = bearer(httpx.post(f"{gate.url}/auth/token", data=form).json()["access_token"])
    client = httpx.Client(base_url=f"{gate.fhir}/")
    statuses = [client.get("Observation/x", headers=headers).status_code for _ in range(10)]
    assert statuses[:2].count(429) == 0 and 429 in statuses, statuses
    others = bearer(gate.token(SCOPE, client_id="backend-secret"))
    assert {client.get("Patient/amy", headers=others).status_code for _ in range(6)} == {200}, "of another issuer"


def test_there_is_an_end_to_connections(gate: Gate) -> None:
    begin(gate, max_connections=10, max_connections_per_address=6)

    def connect(source: str) -> socket.socket:
        return socket.create_connection(("127.0.0.1", gate.port), 10, source_address=(source, 0))

    def closed(connection: socket.socket) -> bool:
        connection.settimeout(10)
        try:
            return connection.recv(1) == b""
        except ConnectionResetError:
            return True

    held = [connect("127.0.0.1") for _ in range(6)]
    wait_until(lambda: gate.metrics()["smartgate_connections"] == 6, 5, "six are open")
    assert closed(connect("127.0.0.1"))
    wait_until(lambda: turned_away(gate, "address") == 1, 5, "it is counted")
    held += [connect("127.0.0.2") for _ in range(4)]
    wait_until(lambda: gate.metrics()["smartgate_connections"] == 10, 5, "ten are open")
    assert closed(connect("127.0.0.3"))
    wait_until(lambda: turned_away(gate, "full") == 1, 5, "it is counted")
    assert httpx.get(f"{gate.admin}/readyz").status_code == 200, "the admin listener is not among them"
    held.pop(0).close()
    wait_until(lambda: gate.metrics()["smartgate_connections"] == 9, 5, "a place is free again")
    assert httpx.get(f"{gate.fhir}/metadata").status_code == 200
    for connection in held:
        connection.close()
    wait_until(lambda: gate.metrics()["smartgate_connections"] == 0, 5, "all are free")


def test_check_warns_of_believing_everybody(gate: Gate) -> None:
    gate.config["server"].update(forwarded={"from": ["0.0.0.0/0"]}, proxy_protocol={"from": ["::/0"]})
    gate.write()
    told = gate.run("check").stderr
    assert "[server] forwarded believes everybody" in told and "[server] proxy_protocol believes everybody" in told


# TLS


def served(gate: Gate, context: ssl.SSLContext, name: str = "localhost") -> ssl.SSLSocket:
    plain = socket.create_connection(("127.0.0.1", gate.port), 10)
    return context.wrap_socket(plain, server_hostname=name)


def get(connection: ssl.SSLSocket) -> int:
    connection.sendall(b"GET /fhir/.well-known/smart-configuration HTTP/1.1\r\nHost: p\r\n\r\n")
    received = b""
    while not raw.complete(received):
        part = connection.recv(65536)
        assert part, "the connection ended"
        received += part
    return raw.answers(received)[0].status


def write_pem(folder: Path, name: str, issued: trustme.LeafCert) -> dict[str, str]:
    key, cert = folder / f"{name}.key", folder / f"{name}.crt"
    issued.private_key_pem.write_to_path(key)
    cert.write_bytes(b"".join(part.bytes() for part in issued.cert_chain_pems))
    return {"cert": str(cert), "key": str(key)}


def trusting(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


def test_certificates_by_name_and_renewed_while_connections_are_open(gate: Gate, authority: trustme.CA) -> None:
    folder = gate.folder
    first = write_pem(folder, "first", authority.issue_cert("localhost", "127.0.0.1"))
    others = [write_pem(folder, "second", authority.issue_cert("b.example.org")), write_pem(folder, "third", authority.issue_cert("*.c.example.org"))]
    begin(gate, tls={**first, "certificates": others}, public_url=f"https://127.0.0.1:{gate.port}")
    context = trusting(authority)

    def shown(name: str) -> bytes:
        with served(gate, context, name) as connection:
            return connection.getpeercert(binary_form=True) or b""

    open_before = served(gate, context)
    assert get(open_before) == 200
    assert len({shown(name) for name in ("localhost", "b.example.org", "x.c.example.org")}) == 3
    unchecked = ssl.create_default_context()
    unchecked.check_hostname, unchecked.verify_mode = False, ssl.CERT_NONE
    with served(gate, unchecked, "unknown.example.org") as connection:
        assert connection.getpeercert(binary_form=True) == shown("localhost")

    before = shown("localhost")
    write_pem(folder, "first", authority.issue_cert("localhost", "127.0.0.1"))
    wait_until(lambda: shown("localhost") != before, 20, "the new certificate is shown")
    assert get(open_before) == 200, "the connection that was open goes on"
    (folder / "first.crt").write_text("half a file")
    wait_until(lambda: gate.metrics()['smartgate_reloads_total{outcome="rejected"}'] >= 1, 20, "a broken file is seen")
    assert get(open_before) == 200 and shown("localhost") != before, "and changes nothing"


def test_it_is_told_when_certificates_end(gate: Gate, authority: trustme.CA) -> None:
    now = datetime.datetime.now(datetime.UTC).replace(microsecond=0)
    soon, later = (now + datetime.timedelta(days=days) for days in (3, 30))
    first = write_pem(gate.folder, "first", authority.issue_cert("localhost", not_after=later))
    second = write_pem(gate.folder, "second", authority.issue_cert("b.example.org", not_after=soon))
    begin(gate, tls={**first, "certificates": [second]}, public_url=f"https://127.0.0.1:{gate.port}")

    def ends() -> float | None:
        return gate.metrics().get('smartgate_certificate_not_after_seconds{shown_to="clients"}')

    wait_until(lambda: ends() == soon.timestamp(), 10, "the first to end is told")
    write_pem(gate.folder, "second", authority.issue_cert("b.example.org", not_after=later))
    wait_until(lambda: ends() == later.timestamp(), 20, "the renewed one is told")


def test_the_lowest_version(gate: Gate, authority: trustme.CA) -> None:
    pem = write_pem(gate.folder, "gate", authority.issue_cert("localhost"))
    begin(gate, tls={**pem, "min": "1.3"}, public_url=f"https://127.0.0.1:{gate.port}")
    context = trusting(authority)
    with served(gate, context) as connection:
        assert connection.version() == "TLSv1.3"
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises(ssl.SSLError):
        served(gate, context)
    wait_until(lambda: turned_away(gate, "tls") >= 1, 5, "it is counted")
    openssl = ["openssl", "s_client", "-connect", f"127.0.0.1:{gate.port}", "-brief"]
    assert subprocess.run([*openssl, "-tls1_2"], stdin=subprocess.DEVNULL, capture_output=True).returncode != 0
    told = subprocess.run([*openssl, "-tls1_3"], stdin=subprocess.DEVNULL, capture_output=True, text=True)
    assert told.returncode == 0 and "TLSv1.3" in told.stderr + told.stdout
    gate.config["server"]["tls"]["min"] = "1.2"
    gate.write()

    def old_client() -> bool:
        try:
            with served(gate, context) as connection:
                return connection.version() == "TLSv1.2"
        except ssl.SSLError:
            return False

    wait_until(old_client, 20, "the version is reloaded too")


def test_clients_show_certificates(gate: Gate, authority: trustme.CA, keys: Keys) -> None:
    clients, strangers = trustme.CA(), trustme.CA()
    pem = write_pem(gate.folder, "gate", authority.issue_cert("localhost"))
    clients.cert_pem.write_to_path(gate.folder / "clients.pem")
    begin(gate, tls={**pem, "client_ca": "clients.pem"}, public_url=f"https://127.0.0.1:{gate.port}")

    def context(issuer: trustme.CA | None) -> ssl.SSLContext:
        made = trusting(authority)
        if issuer:
            issuer.issue_cert("app.example.org").configure_cert(made)
        return made

    def answers(issuer: trustme.CA | None) -> bool:
        try:
            with served(gate, context(issuer)) as connection:
                return get(connection) == 200
        except (ssl.SSLError, ConnectionResetError, AssertionError):
            return False

    assert answers(clients)
    assert not answers(None) and not answers(strangers)
    wait_until(lambda: turned_away(gate, "tls") >= 2, 5, "they are counted")
    gate.config["server"]["tls"]["client_auth"] = "request"
    gate.write()
    wait_until(lambda: answers(None), 20, "it is only asked for")
    assert answers(clients) and not answers(strangers), "one that is shown must be good"


def test_http_2_by_alpn_and_by_prior_knowledge(gate: Gate, authority: trustme.CA) -> None:
    pem = write_pem(gate.folder, "gate", authority.issue_cert("localhost"))
    authority.cert_pem.write_to_path(gate.folder / "ca.pem")
    plain = begin(gate) and f"http://127.0.0.1:{gate.port}/fhir/metadata"
    said = ["-s", "-o", "/dev/null", "-w", "%{http_version} %{http_code}"]

    def curl(*arguments: str) -> str:
        return subprocess.run(["curl", *said, *arguments], capture_output=True, text=True, timeout=30).stdout

    assert curl(plain) == "1.1 200"
    assert curl("--http2-prior-knowledge", plain) == "2 200"
    assert curl("--http2", plain).startswith("1.1 4"), "an upgrade is refused (RFC 9113 dropped it)"
    gate.config["server"]["tls"] = pem
    gate.write()
    secure = [f"https://localhost:{gate.port}/fhir/metadata", "--cacert", str(gate.folder / "ca.pem"), "--connect-to", f"localhost:{gate.port}:127.0.0.1:{gate.port}"]
    wait_until(lambda: curl("--http2", *secure) == "2 200", 20, "TLS is there after a reload")
    assert curl("--http1.1", *secure) == "1.1 200"


def test_a_handshake_that_does_not_come_has_an_end(gate: Gate, authority: trustme.CA) -> None:
    pem = write_pem(gate.folder, "gate", authority.issue_cert("localhost"))
    begin(gate, tls=pem, public_url=f"https://127.0.0.1:{gate.port}", client_timeout="300ms")
    for sent in (b"", b"\x16\x03\x01"):
        with socket.create_connection(("127.0.0.1", gate.port), 10) as connection:
            connection.sendall(sent)
            connection.settimeout(10)
            began = time.monotonic()
            assert connection.recv(1) == b"" and time.monotonic() - began < 5
    wait_until(lambda: turned_away(gate, "slow") == 2, 5, "they are counted")
