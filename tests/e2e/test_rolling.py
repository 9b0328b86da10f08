"""Restarts under load without one failed request: two replicas behind a load balancer in turn, and one gate whose binary is replaced
on sockets that outlive it (issue 6, item 6)."""

from __future__ import annotations

import http.client
import os
import shutil
import signal
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import httpx
import pytest

from echo import EchoServer
from harness import BINARY, Gate, Keys
from sandbox import Process, wait_until
from test_listener import haproxy

CLIENTS = 8
ROUNDS = 2


@pytest.fixture
def echo() -> Iterator[EchoServer]:
    server = EchoServer()
    yield server
    server.stop()


@dataclass
class Load:
    """Clients that keep their connections, never try twice, and take note of everything that is not 200."""

    port: int
    token: str
    failures: list[str] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    reconnects: int = 0
    stopping: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Load:
        self.threads = [threading.Thread(target=self.ask) for _ in range(CLIENTS)]
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stopping.set()
        for thread in self.threads:
            thread.join()

    def ask(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        headers = {"Authorization": f"Bearer {self.token}"}
        while not self.stopping.is_set():
            began = time.monotonic()
            self.reconnects += connection.sock is None
            try:
                connection.request("GET", "/fhir/Patient/amy", headers=headers)
                answer = connection.getresponse()
                answer.read()
                if answer.status != 200:
                    self.failures.append(str(answer.status))
            except (OSError, http.client.HTTPException) as error:
                self.failures.append(repr(error))
                connection.close()
            self.times.append(time.monotonic() - began)

    def more(self, requests: int) -> None:
        """Waits until so many more were answered."""
        upto = len(self.times) + requests
        wait_until(lambda: len(self.times) >= upto, 60, f"{requests} more requests")

    def report(self, what: str) -> None:
        print(f"\n{what}: {len(self.times)} requests, {len(self.failures)} failed, {self.reconnects} connections, longest {max(self.times) * 1000:.0f} ms")
        assert self.failures == []


def serves(gate: Gate) -> bool:
    """Whether it has answered anything since it was started."""
    return sum(it for name, it in gate.metrics().items() if name.startswith("smartgate_requests_total")) > 0


def test_two_replicas_are_restarted_in_turn(echo: EchoServer, keys: Keys, tmp_path: Path) -> None:
    gates = [Gate(tmp_path / name, echo.base, keys) for name in ("one", "two")]
    public = "http://gates.example.org"
    for gate in gates:
        gate.fhir = f"{public}/fhir"
        gate.config["server"].update(public_url=public, drain_delay="1500ms")
        gate.config["issuers"][0]["audience"] = [gate.fhir]
        gate.write()
        gate.start()
    lines = ["  mode http", "  option httpchk", "  http-check send meth GET uri /readyz ver HTTP/1.1 hdr Host localhost", "  default-server inter 100ms fall 1 rise 1"]
    lines += [f"  server {gate.folder.name} 127.0.0.1:{gate.port} check port {gate.admin_port}" for gate in gates]
    port = haproxy(tmp_path, "\n".join(lines) + "\n")
    try:
        wait_until(lambda: all(httpx.get(f"http://127.0.0.1:{port}/fhir/metadata").status_code == 200 for _ in range(4)), 10, "both are up")
        with Load(port, gates[0].token("system/Patient.rs", exp=int(time.time()) + 3600)) as load:
            for _ in range(ROUNDS):
                for gate in gates:
                    load.more(200)
                    assert gate.stop() == 0
                    load.more(100)
                    gate.start()
                    wait_until(partial(serves, gate), 10, "it takes its share again")
        load.report("a rolling restart of two replicas behind HAProxy")
    finally:
        for gate in gates:
            gate.stop()


def test_the_binary_is_replaced_on_sockets_that_stay(echo: EchoServer, keys: Keys, tmp_path: Path) -> None:
    """What systemd does with a .socket unit: it holds the sockets and starts the service on them, again and again."""
    gate = Gate(tmp_path / "gate", echo.base, keys)
    gate.config["server"]["drain_delay"] = "1s"
    gate.write()
    binary = tmp_path / "smartgate"
    # The gate is told where they begin; systemd says nothing and begins at 3.
    sockets = held(gate.port, gate.admin_port)
    handed = {"LISTEN_FDS": str(len(sockets)), "LISTEN_FDS_FIRST_FD": str(sockets[0].fileno())}

    def start() -> None:
        command = [binary, "--config", gate.config_file, "run"]
        passed = tuple(it.fileno() for it in sockets)
        gate.process = Process("the gate", command, gate.log, handed, gate.folder, sockets=passed)
        gate.process.wait_for(f"{gate.admin}/readyz")

    try:
        shutil.copy(BINARY, binary)
        start()
        with Load(gate.port, gate.token("system/Patient.rs", exp=int(time.time()) + 3600)) as load:
            for _ in range(ROUNDS + 1):
                load.more(200)
                beside = tmp_path / "smartgate.new"
                shutil.copy(BINARY, beside)
                beside.replace(binary)
                assert gate.stop() == 0
                start()
                load.more(200)
        load.report("a binary replaced under load")
    finally:
        gate.stop()
        for it in sockets:
            it.close()


def test_systemd_hands_its_sockets_over(echo: EchoServer, keys: Keys, tmp_path: Path) -> None:
    activate = shutil.which("systemd-socket-activate")
    if not activate:
        pytest.skip("systemd is not there")
    gate = Gate(tmp_path / "gate", echo.base, keys)
    listens = [it for port in (gate.port, gate.admin_port) for it in ("-l", f"127.0.0.1:{port}")]
    gate.process = Process("systemd", [activate, *listens, BINARY, "--config", gate.config_file, "run"], gate.log, cwd=gate.folder)
    try:
        # The first connection has the gate started; nobody else could listen on these ports.
        gate.process.wait_for(f"{gate.admin}/readyz")
        assert httpx.get(f"{gate.fhir}/metadata").status_code == 200
    finally:
        assert gate.stop() == 0


def test_a_socket_that_is_in_no_listen_is_an_error(echo: EchoServer, keys: Keys, tmp_path: Path) -> None:
    gate = Gate(tmp_path / "gate", echo.base, keys)
    stranger = socket.create_server(("127.0.0.1", 0))
    handed = {"LISTEN_FDS": "1", "LISTEN_FDS_FIRST_FD": str(stranger.fileno())}
    gate.process = Process("the gate", [BINARY, "--config", gate.config_file, "run"], gate.log, handed, gate.folder, sockets=(stranger.fileno(),))
    assert gate.process.child.wait(15) == 1
    assert f"a socket for 127.0.0.1:{stranger.getsockname()[1]}, which is in no `listen`" in gate.log.read_text()
    stranger.close()


def held(*ports: int) -> list[socket.socket]:
    """Listening sockets whose numbers follow one another."""
    first = 200
    made = []
    for at, port in enumerate(ports):
        listening = socket.create_server(("127.0.0.1", port), backlog=4096)
        os.dup2(listening.fileno(), first + at, inheritable=True)
        listening.close()
        made.append(socket.socket(fileno=first + at))
    return made


def test_draining_tells_connections_to_end(echo: EchoServer, keys: Keys, tmp_path: Path) -> None:
    gate = Gate(tmp_path / "gate", echo.base, keys)
    gate.config["server"]["drain_delay"] = "20s"
    gate.write()
    gate.start()
    try:
        connection = http.client.HTTPConnection("127.0.0.1", gate.port, timeout=10)
        headers = {"Authorization": f"Bearer {gate.token('system/Patient.rs')}"}

        def ask() -> tuple[int, str | None]:
            connection.request("GET", "/fhir/Patient/amy", headers=headers)
            answer = connection.getresponse()
            answer.read()
            return answer.status, answer.getheader("connection")

        assert ask() == (200, None) or ask()[1] != "close"
        assert gate.process
        gate.process.signal(signal.SIGTERM)
        wait_until(lambda: httpx.get(f"{gate.admin}/readyz").status_code == 503, 10, "it drains")
        assert ask() == (200, "close"), "the connection is used once more, and says so"
        with httpx.Client(http1=False, http2=True) as client:
            assert client.get(f"{gate.fhir}/metadata").status_code == 200, "new connections are served until it closes"
        gate.process.signal(signal.SIGINT)
        assert gate.process.child.wait(15) == 0
    finally:
        gate.stop()
