"""Clients that mean harm: slow, greedy, or flooding HTTP/2. Each ends, or is held back, in bounded memory, and others are served meanwhile
(issue 6, item 4; `attacks.md` 205-211)."""

from __future__ import annotations

import json
import socket
import ssl
import struct
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from hpack import Encoder

import raw
from big import MIB, BigServer
from echo import CAPABILITIES
from harness import Gate, Keys, bearer
from sandbox import wait_until

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, CONTINUATION = 0, 1, 3, 4, 6, 7, 9
END_STREAM, END_HEADERS, ACK = 1, 4, 1
# What a flood may cost at most in memory.
GROWTH = 48 * MIB
POSTED = ("token", "introspect", "revoke", "register", "launch", "authorize", "login", "patient", "encounter", "consent", "manage", "userinfo")


@pytest.fixture(scope="module")
def gate(keys: Keys, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gate]:
    upstream = BigServer()
    made = Gate(tmp_path_factory.mktemp("abuse"), upstream.base, keys)
    made.config["server"].update(idle_timeout="2s", client_timeout="1s", request_timeout="2s")
    made.config["registration"] = {"tokens": [], "scopes": ["patient/*.rs"]}
    made.write()
    try:
        yield made.start()
    finally:
        assert made.stop() == 0
        upstream.stop()


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    return struct.pack("!I", len(payload))[1:] + bytes([kind, flags]) + struct.pack("!I", stream) + payload


def get(stream: int, path: str = "/fhir/metadata", more: list[tuple[str, str]] | None = None, end: int = END_STREAM | END_HEADERS) -> bytes:
    fields = [(":method", "GET"), (":scheme", "http"), (":authority", "p"), (":path", path), *(more or [])]
    return frame(HEADERS, end, stream, Encoder().encode(fields))


def connect(gate: Gate, settings: bytes = b"") -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", gate.port), 20)
    connection.sendall(PREFACE + frame(SETTINGS, 0, 0, settings))
    return connection


def frames(connection: socket.socket, seconds: float = 10) -> Iterator[tuple[int, int, int, bytes]]:
    """What comes until the connection ends."""
    connection.settimeout(seconds)
    received = b""
    while True:
        try:
            part = connection.recv(MIB)
        except ConnectionResetError:
            return
        if not part:
            return
        received += part
        while len(received) >= 9 and len(received) >= 9 + (length := int.from_bytes(received[:3])):
            yield received[3], received[4], int.from_bytes(received[5:9]) & 0x7FFF_FFFF, received[9:9 + length]
            received = received[9 + length:]


def resident(gate: Gate) -> int:
    assert gate.process
    lines = Path(f"/proc/{gate.process.pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS:"))


def flood(gate: Gate, connection: socket.socket, one: bytes, times: int) -> int:
    """Sends `one` so often, without reading, until it is stopped; how often it went out. Somebody else is served all the while."""
    httpx.get(f"{gate.fhir}/metadata")
    before, sent, done = resident(gate), 0, threading.Event()
    waits: list[float] = []

    def others() -> None:
        with httpx.Client() as client:
            while not done.is_set():
                began = time.monotonic()
                assert client.get(f"{gate.fhir}/metadata", timeout=10).status_code == 200
                waits.append(time.monotonic() - began)

    other = threading.Thread(target=others)
    other.start()
    batch = 100
    connection.settimeout(3)
    try:
        for _ in range(times // batch):
            connection.sendall(one * batch)
            sent += batch
    except (OSError, TimeoutError):
        pass
    finally:
        done.set()
        other.join()
    grown = resident(gate) - before
    print(f"\n{sent} of {times} sent, memory grew by {grown / MIB:.1f} MiB, others waited {max(waits, default=0) * 1000:.0f} ms at most")
    assert grown < GROWTH and max(waits, default=0) < 5
    return sent


def ended(connection: socket.socket) -> bool:
    """Whether the gate said that it is over, or simply closed."""
    try:
        return any(kind == GOAWAY for kind, *_ in frames(connection)) or True
    except TimeoutError:
        return False


def test_rapid_reset(gate: Gate) -> None:
    with connect(gate) as connection:
        sent = 0
        before = resident(gate)
        try:
            for first in range(1, 40_001, 200):
                ids = range(first, first + 200, 2)
                connection.sendall(b"".join(get(stream) + frame(RST_STREAM, 0, stream, struct.pack("!I", 8)) for stream in ids))
                sent += len(ids)
        except OSError:
            pass
        print(f"\n{sent} streams begun and reset, memory grew by {(resident(gate) - before) / MIB:.1f} MiB")
        assert sent < 20_000 and ended(connection), "the connection is ended before"
        assert resident(gate) - before < GROWTH
    wait_until(lambda: gate.metrics()["smartgate_requests_in_flight"] == 0, 10, "nothing of it is left")
    assert httpx.get(f"{gate.fhir}/metadata").status_code == 200


def test_continuation_flood(gate: Gate) -> None:
    with connect(gate) as connection:
        connection.sendall(get(1, end=END_STREAM))
        block = Encoder().encode([(f"x-{n}", "y" * 100) for n in range(60)])
        sent = flood(gate, connection, frame(CONTINUATION, 0, 1, block), 20_000)
        assert sent < 20_000 and ended(connection)


@pytest.mark.parametrize("what", ["ping", "settings"])
def test_flood_of_frames_that_want_an_answer(gate: Gate, what: str) -> None:
    one = frame(PING, 0, 0, b"12345678") if what == "ping" else frame(SETTINGS, 0, 0, struct.pack("!HI", 4, 65_535))
    with connect(gate) as connection:
        flood(gate, connection, one, 2_000_000)


def test_streams_of_one_connection(gate: Gate) -> None:
    """A hundred at a time: with no window none of the answers can be sent, so that they all stay open."""
    with connect(gate, struct.pack("!HI", 4, 0)) as connection:
        connection.sendall(b"".join(get(stream) for stream in range(1, 301, 2)))
        refused = {stream for kind, _, stream, payload in frames(connection) if kind == RST_STREAM and payload == struct.pack("!I", 7)}
        print(f"\n{len(refused)} of 150 streams refused")
        assert len(refused) >= 50


def test_an_answer_that_is_not_read(gate: Gate) -> None:
    token = gate.token("system/*.rs", sub="service", client_id="service")
    closed = lambda: gate.metrics()["smartgate_connections"] == 0 and gate.metrics()["smartgate_requests_in_flight"] == 0  # noqa: E731
    wait_until(closed, 10, "nobody is there")
    with socket.create_connection(("127.0.0.1", gate.port), 10) as connection:
        connection.sendall(f"GET /fhir/Observation/huge HTTP/1.1\r\nHost: p\r\nAuthorization: Bearer {token}\r\n\r\n".encode())
        wait_until(lambda: not closed(), 10, "it is answered")
        wait_until(closed, 20, "and cut off when it is not read")
    with connect(gate, struct.pack("!HI", 4, 0)) as connection:
        connection.sendall(get(1, "/fhir/Observation/huge", [("authorization", f"Bearer {token}")]))
        wait_until(lambda: not closed(), 10, "it is answered")
        wait_until(closed, 20, "and over HTTP/2")


class SilentServer:
    """A FHIR server that takes every request and answers none but that for its CapabilityStatement."""

    def __init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.base = f"http://127.0.0.1:{self.listener.getsockname()[1]}/fhir"
        self.asked: set[int] = set()
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self) -> None:
        while True:
            connection, _ = self.listener.accept()
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection: socket.socket) -> None:
        number = connection.fileno()
        with connection:
            while part := connection.recv(65536):
                if b"/metadata" in part:
                    body = json.dumps(CAPABILITIES).encode()
                    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/fhir+json\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
                else:
                    self.asked.add(number)
            self.asked.discard(number)


@pytest.mark.parametrize("secured", [False, True])
def test_clients_that_leave_free_their_places(keys: Keys, tmp_path: Path, certificate: tuple[Path, Path], secured: bool) -> None:
    """Those with the FHIR server, and those that wait for a turn, long before either would end by itself."""
    server = SilentServer()
    gate = Gate(tmp_path, server.base, keys, certificate if secured else None)
    gate.config["fhir"].update(max_concurrent=8, max_wait="60s", read_timeout="60s", health={"check": "none"})
    gate.write()
    gate.start()
    try:
        token = gate.token("patient/*.rs", patient="amy")
        request = f"GET /fhir/Observation/any HTTP/1.1\r\nHost: p\r\nAuthorization: Bearer {token}\r\n\r\n".encode()
        clients = [socket.create_connection(("127.0.0.1", gate.port), 10) for _ in range(40)]
        if secured:
            context = ssl.create_default_context()
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            clients = [context.wrap_socket(client) for client in clients]
        for client in clients:
            client.sendall(request)

        def busy(requests: int, asked: int) -> bool:
            metrics = gate.metrics()
            return metrics["smartgate_requests_in_flight"] == requests and len(server.asked) == asked

        wait_until(lambda: busy(40, 8), 20, "all are there, and as many as may be with the server")
        for client in clients:
            client.close()
        wait_until(lambda: busy(0, 0), 10, "nobody is there")
        wait_until(lambda: gate.metrics()["smartgate_upstream_requests"] == 0, 10, "and none of them counts")
        audited = gate.audit_file.read_text
        wait_until(lambda: audited().count("\n") == 40, 5, "an audit line of each")
        assert {(line["rule"], line["status"]) for line in map(json.loads, audited().splitlines())} == {("answer-cut-off", 499)}
    finally:
        assert gate.stop() == 0


def test_http_2_connections_that_only_wait(gate: Gate) -> None:
    for sent in (b"", get(1, end=END_STREAM), frame(HEADERS, 0, 1)[:5]):
        with connect(gate) as connection:
            connection.sendall(sent)
            began = time.monotonic()
            assert ended(connection) and time.monotonic() - began < 9, sent
    wait_until(lambda: gate.metrics()["smartgate_connections"] == 0, 10, "all are gone")


@pytest.mark.parametrize("chunked", [False, True])
def test_forms_of_the_authorization_server_have_an_end(gate: Gate, chunked: bool) -> None:
    body = b"a=" + b"x" * 70_000
    for name in POSTED:
        kind = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {len(body)}"
        head = f"POST /auth/{name} HTTP/1.1\r\nHost: p\r\nConnection: close\r\nContent-Type: application/x-www-form-urlencoded\r\n{kind}\r\n\r\n"
        sent = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body) if chunked else body
        (answer,) = raw.exchange(gate.port, head.encode() + sent)
        assert answer.status == 413, name


def test_pipelined_requests_are_not_looked_at(gate: Gate) -> None:
    one = b"GET /fhir/metadata HTTP/1.1\r\nHost: p\r\n\r\n"
    answers = raw.exchange(gate.port, one * 100)
    assert [answer.status for answer in answers] == [200]


@pytest.mark.parametrize("number, status", [(250, 200), (257, 400)])
def test_the_number_of_headers(gate: Gate, number: int, status: int) -> None:
    many = [f"X-{n}: y" for n in range(number)]
    assert raw.get(gate.port, "/fhir/metadata", *many).status == status


def test_wrong_requests_do_not_end_the_gate(gate: Gate) -> None:
    assert httpx.get(f"{gate.fhir}/Patient/amy", headers=bearer("x" * 7000)).status_code == 401
    assert httpx.get(f"{gate.fhir}/Patient/amy", headers=bearer("x" * 9000)).status_code == 431
    assert "panicked" not in gate.log.read_text()
