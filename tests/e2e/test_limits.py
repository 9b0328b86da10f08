"""What is too large is refused, or passes, in bounded memory: `attacks.md` 15, 92, 161, 180 and 208, and answers of the FHIR server.

The figure is the gate's peak resident size (`VmHWM`), over all of this, each sent by several clients at once."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from big import ENTRIES, HUGE, MIB, BigServer
from harness import Gate, Keys

AT_ONCE = 6
# A request may hold its body (8 MiB) or its answer (16 MiB) a few times over while it is verified and printed anew.
PEAK = 400 * MIB


@pytest.fixture(scope="module")
def gate(keys: Keys, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gate]:
    upstream = BigServer()
    made = Gate(tmp_path_factory.mktemp("limits"), upstream.base, keys)
    try:
        yield made.start()
        peak = resident(made, "VmHWM")
        print(f"\npeak resident size {peak / MIB:.0f} MiB, now {resident(made, 'VmRSS') / MIB:.0f} MiB")
        assert peak < PEAK
    finally:
        made.stop()
        upstream.stop()


def resident(gate: Gate, name: str) -> int:
    assert gate.process
    lines = Path(f"/proc/{gate.process.pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{name}:"))


def ask(gate: Gate, head: str, body: Iterator[bytes] | None = None) -> tuple[int, int]:
    """Sends a request and reads the whole answer without keeping it: its status and the length of its body."""
    with socket.create_connection(("127.0.0.1", gate.port), 60) as connection:
        connection.settimeout(60)
        try:
            connection.sendall(head.encode())
            for part in body or ():
                connection.sendall(part)
        except OSError:
            # The gate has answered and closed; what it said is still to be read.
            pass
        first, length = b"", 0
        try:
            while part := connection.recv(MIB):
                if b"\r\n\r\n" in first:
                    length += len(part)
                else:
                    first += part
        except ConnectionResetError:
            pass
    assert first.startswith(b"HTTP/1.1 "), first[:100]
    start, _, rest = first.partition(b"\r\n\r\n")
    return int(start.split()[1]), length + len(rest)


def at_once(gate: Gate, what: str, request: Callable[[], tuple[int, int]]) -> list[tuple[int, int]]:
    with ThreadPoolExecutor(AT_ONCE) as pool:
        answers = list(pool.map(lambda _: request(), range(AT_ONCE)))
    print(f"{what}: {sorted({status for status, _ in answers})}, peak so far {resident(gate, 'VmHWM') / MIB:.0f} MiB")
    return answers


def statuses(answers: list[tuple[int, int]]) -> set[int]:
    return {status for status, _ in answers}


def head(gate: Gate, method: str, target: str, *headers: str, scope: str = "patient/*.cruds", **claims: str) -> str:
    token = gate.token(scope, **({"patient": "amy"} | claims))
    lines = [f"{method} {target} HTTP/1.1", f"Host: 127.0.0.1:{gate.port}", "Connection: close", f"Authorization: Bearer {token}"]
    return "\r\n".join([*lines, *headers]) + "\r\n\r\n"


def post(gate: Gate, target: str, body: bytes) -> tuple[int, int]:
    sent = head(gate, "POST", target, "Content-Type: application/fhir+json", f"Content-Length: {len(body)}")
    return ask(gate, sent, iter([body]))


def test_180_a_body_of_100_mb(gate: Gate) -> None:
    kind = "Content-Type: application/fhir+json"

    def declared() -> tuple[int, int]:
        sent = head(gate, "POST", "/fhir/Observation", kind, f"Content-Length: {HUGE}")
        return ask(gate, sent, (b"x" * MIB for _ in range(HUGE // MIB)))

    def chunked() -> tuple[int, int]:
        sent = head(gate, "POST", "/fhir/Observation", kind, "Transfer-Encoding: chunked")
        chunk = b"100000\r\n" + b"x" * MIB + b"\r\n"
        return ask(gate, sent, (chunk for _ in range(HUGE // MIB)))

    def form() -> tuple[int, int]:
        sent = head(gate, "POST", "/fhir/Observation/_search", "Content-Type: application/x-www-form-urlencoded", f"Content-Length: {HUGE}")
        return ask(gate, sent, (b"x" * MIB for _ in range(HUGE // MIB)))

    for what, request in (("100 MB", declared), ("100 MB in chunks", chunked), ("100 MB of a form", form)):
        assert statuses(at_once(gate, what, request)) == {413}


def test_161_a_bundle_of_10000_entries(gate: Gate) -> None:
    entry = {"request": {"method": "GET", "url": "Observation/o1"}}
    body = json.dumps({"resourceType": "Bundle", "type": "batch", "entry": [entry] * ENTRIES}).encode()
    assert statuses(at_once(gate, "a batch of 10,000 entries", lambda: post(gate, "/fhir", body))) == {413}


def test_180_json_200_deep(gate: Gate) -> None:
    deep = b'{"resourceType":"Observation","subject":{"reference":"Patient/amy"},"extension":' + b"[" * 200 + b"]" * 200 + b"}"
    assert statuses(at_once(gate, "JSON 200 deep", lambda: post(gate, "/fhir/Observation", deep))) == {400}


def test_180_many_elements(gate: Gate) -> None:
    many = b'{"resourceType":"Observation","subject":{"reference":"Patient/ben"},"note":[' + b"{}," * 1_000_000 + b"{}]}"
    assert statuses(at_once(gate, "a million elements", lambda: post(gate, "/fhir/Observation", many))) <= {400, 403}


def test_92_parameters_and_queries(gate: Gate) -> None:
    for what, query, expected in (
        ("5,000 parameters", "&".join(["a=1"] * 5000), {414}),
        ("a query of 1 MB", "a=" + "x" * MIB, {400, 414}),
        ("64 nested _has", "_has:Observation:patient:" * 64 + "code=x", {400, 403}),
    ):
        assert statuses(at_once(gate, what, lambda q=query: ask(gate, head(gate, "GET", f"/fhir/Observation?{q}")))) <= expected


def test_15_scopes_and_headers(gate: Gate) -> None:
    many = " ".join(f"patient/Observation.rs?category=c{number}" for number in range(5000))
    for what, request, expected in (
        ("5,000 scopes", head(gate, "GET", "/fhir/Observation", scope=many), {431}),
        ("a header of 100 kB", head(gate, "GET", "/fhir/Observation", "X-Long: " + "x" * 100_000), {431}),
        ("1,000 headers", head(gate, "GET", "/fhir/Observation", *["X-Many: x"] * 1000), {400, 431}),
        ("a header of 2 MB", head(gate, "GET", "/fhir/Observation", "X-Long: " + "x" * 2 * MIB), {400, 431}),
    ):
        assert statuses(at_once(gate, what, lambda sent=request: ask(gate, sent))) <= expected


def test_an_answer_of_100_mb_is_not_held_under_a_patient_context(gate: Gate) -> None:
    for target in ("/fhir/Observation/huge", "/fhir/Observation?code=huge"):
        answers = at_once(gate, f"an answer of 100 MB to {target}", lambda t=target: ask(gate, head(gate, "GET", t)))
        assert statuses(answers) == {502}


def test_an_answer_of_100_mb_flows_where_nothing_is_to_be_verified(gate: Gate) -> None:
    for target in ("/fhir/Observation/huge", "/fhir/Observation?code=huge"):
        sent = lambda t=target: head(gate, "GET", t, scope="system/*.cruds", sub="service", client_id="service", patient=None)  # noqa: E731
        answers = at_once(gate, f"100 MB of {target} flowing", lambda request=sent: ask(gate, request()))
        assert statuses(answers) == {200} and all(length > HUGE for _, length in answers)


def test_10000_entries_are_all_verified_and_given(gate: Gate) -> None:
    answers = at_once(gate, "10,000 entries verified", lambda: ask(gate, head(gate, "GET", "/fhir/Observation?_count=200")))
    assert statuses(answers) == {200} and all(length > 50_000 for _, length in answers)
