"""HTTP/1.1 by hand, for requests that no well-behaved client sends."""

from __future__ import annotations

import socket
from dataclasses import dataclass


@dataclass
class RawAnswer:
    status: int
    headers: list[tuple[str, str]]
    body: bytes

    def header(self, name: str) -> str | None:
        return next((value for key, value in self.headers if key == name), None)


def exchange(port: int, request: bytes, seconds: float = 10) -> list[RawAnswer]:
    """Sends the bytes as they are and reads every answer until the connection ends or falls silent."""
    received = b""
    with socket.create_connection(("127.0.0.1", port), seconds) as connection:
        connection.sendall(request)
        connection.settimeout(seconds)
        try:
            while part := connection.recv(65536):
                received += part
                if complete(received):
                    # Whatever the gate would still answer to the same bytes comes at once.
                    connection.settimeout(0.3)
        except (TimeoutError, ConnectionResetError):
            pass
    return answers(received)


def get(port: int, target: str, *headers: str, method: str = "GET") -> RawAnswer:
    """One request for a target that goes out byte for byte."""
    lines = [f"{method} {target} HTTP/1.1", f"Host: 127.0.0.1:{port}", "Connection: close", *headers]
    found = exchange(port, ("\r\n".join(lines) + "\r\n\r\n").encode("utf-8", "surrogateescape"))
    assert found, f"no answer to {target!r}"
    return found[0]


def complete(received: bytes) -> bool:
    try:
        return bool(answers(received, strict=True))
    except ValueError:
        return False


def answers(received: bytes, strict: bool = False) -> list[RawAnswer]:
    found: list[RawAnswer] = []
    while received:
        head, separator, rest = received.partition(b"\r\n\r\n")
        if not separator:
            if strict:
                raise ValueError("an unfinished head")
            break
        first, *fields = head.decode("latin-1").split("\r\n")
        headers = [(name.lower(), value.strip()) for name, _, value in (field.partition(":") for field in fields)]
        answer = RawAnswer(int(first.split()[1]), headers, b"")
        if "chunked" in (answer.header("transfer-encoding") or ""):
            answer.body, rest = unchunk(rest, strict)
        else:
            length = int(answer.header("content-length") or 0)
            if strict and len(rest) < length:
                raise ValueError("an unfinished body")
            answer.body, rest = rest[:length], rest[length:]
        if answer.status >= 200:
            found.append(answer)
        received = rest
    return found


def unchunk(rest: bytes, strict: bool) -> tuple[bytes, bytes]:
    body = b""
    while True:
        size, separator, rest = rest.partition(b"\r\n")
        if not separator:
            if strict:
                raise ValueError("an unfinished chunk")
            return body, b""
        length = int(size.split(b";")[0], 16)
        if strict and len(rest) < length + 2:
            raise ValueError("an unfinished chunk")
        body, rest = body + rest[:length], rest[length + 2:]
        if length == 0:
            return body, rest
