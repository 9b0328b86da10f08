"""The apps of a long run (`tools/soak`): each asks, checks what it got, waits, and begins again until it is told to stop."""

from __future__ import annotations

import random
import socket
import threading
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from harness import Gate, Keys, bearer, entries, next_link
from pages import Authorization, Person
from smart import assertion, post, smart_gate, token

PATIENTS = ("amy", "ben", "cleo", "dev")
# For how long after the FHIR server is back an app may still be told that it is away.
RECOVERY_SECONDS = 10


def soak_gate(folder: Path, upstream: str, keys: Keys, store: str | None) -> Gate:
    """Tokens, codes and keys live for minutes here, so that an hour sees each come and go; the cache of tokens is full early."""
    gate = smart_gate(folder, upstream, keys)
    gate.config["tokens"] = {"access_lifetime": "2m", "backend_lifetime": "1m", "refresh_lifetime": "10m", "key_overlap": "10s"}
    gate.config["limits"] = {"token_cache": 1000}
    if store:
        gate.config["store"] = {"url": store}
    gate.write()
    return gate


class Mood:
    """Whether the FHIR server is away, or was a moment ago; and whether the apps rest."""

    def __init__(self) -> None:
        self.recovered = 0.0
        self.awake = threading.Event()
        self.awake.set()

    @contextmanager
    def at_rest(self) -> Iterator[None]:
        """Within, no app begins anything."""
        self.awake.clear()
        try:
            yield
        finally:
            self.awake.set()

    @contextmanager
    def upstream_away(self) -> Iterator[None]:
        self.recovered = float("inf")
        try:
            yield
        finally:
            self.recovered = time.monotonic() + RECOVERY_SECONDS

    def excuses(self, began: float) -> bool:
        return began < self.recovered


class Seen:
    """What all apps saw, by app and by answer."""

    def __init__(self) -> None:
        self.answers: Counter[str] = Counter()
        self.explained: Counter[str] = Counter()
        self.unexplained: Counter[str] = Counter()


class Wrong(Exception):
    """An answer that is not as it has to be."""


class App:
    """One kind of client. `turn` is what it does; `pace` is how many seconds pass between two beginnings."""

    pace = 0.25
    http2 = False

    def __init__(self, gate: Gate, mood: Mood, seen: Seen, dice: random.Random) -> None:
        self.gate, self.mood, self.seen, self.dice = gate, mood, seen, dice
        self.http = httpx.Client(http1=not self.http2, http2=self.http2, timeout=60)

    def run(self, stop: threading.Event) -> None:
        while not stop.is_set():
            self.mood.awake.wait()
            began = time.monotonic()
            name = type(self).__name__
            try:
                self.turn()
                self.seen.answers[name] += 1
            except (Wrong, AssertionError, KeyError, ValueError, httpx.HTTPError, OSError) as error:
                if self.mood.excuses(began) and excusable(error):
                    self.seen.explained[f"{name}: the FHIR server is away"] += 1
                else:
                    self.seen.unexplained[f"{name}: {type(error).__name__}: {str(error)[:300]}"] += 1
            stop.wait(max(0.0, self.pace - (time.monotonic() - began)))

    def turn(self) -> None:
        raise NotImplementedError

    def ask(self, method: str, path: str, access: str, expected: int | tuple[int, ...] = 200, **more: Any) -> httpx.Response:
        url = path if path.startswith("http") else f"{self.gate.fhir}/{path}"
        answer = self.http.request(method, url, headers={**bearer(access), **more.pop("headers", {})}, **more)
        self.expect(answer, expected)
        return answer

    def expect(self, answer: httpx.Response, expected: int | tuple[int, ...]) -> httpx.Response:
        if answer.status_code not in (expected if isinstance(expected, tuple) else (expected,)):
            raise Wrong(f"{answer.request.method} {answer.request.url.path} {answer.status_code} {answer.text[:200]}")
        return answer

    def only_of(self, patient: str, bundle: dict[str, Any]) -> None:
        found = {it.get("subject", {}).get("reference") for it in entries(bundle) if it["resourceType"] == "Observation"}
        if found - {f"Patient/{patient}"}:
            raise Wrong(f"LEAK: asked as {patient}, got {found}")


def excusable(error: Exception) -> bool:
    """Whether an error is one that a FHIR server that is away explains: the gate answered, and said so to an app or a person."""
    said = str(error)
    return isinstance(error, Wrong) and any(f" {status} " in said for status in (502, 503, 504)) or "<title>Error: " in said


class Reader(App):
    """A patient's app with tokens of the other server: a page, the next one, a read."""

    pace = 0.1

    def turn(self) -> None:
        patient = self.dice.choice(PATIENTS)
        access = self.gate.token("patient/*.rs", patient=patient)
        page = self.ask("GET", "Observation?_count=5", access).json()
        self.only_of(patient, page)
        if after := next_link(page):
            self.only_of(patient, self.ask("GET", after, access).json())
        self.ask("GET", f"Patient/{patient}", access)


class Everything(App):
    """One patient's whole record, and an include."""

    pace = 1.0

    def turn(self) -> None:
        patient = self.dice.choice(PATIENTS)
        access = self.gate.token("patient/*.rs", patient=patient)
        self.only_of(patient, self.ask("GET", f"Patient/{patient}/$everything", access).json())
        self.only_of(patient, self.ask("GET", "Observation?_include=Observation:encounter&_count=20", access).json())


class Streamer(App):
    """A service over HTTP/2 with one token for many reads."""

    http2 = True
    access = ""
    until = 0.0

    def turn(self) -> None:
        if time.monotonic() > self.until:
            self.access, self.until = self.gate.token("system/*.rs"), time.monotonic() + 200
        self.ask("GET", f"Patient/{self.dice.choice(PATIENTS)}", self.access)
        self.ask("GET", "Observation?_count=50", self.access)


class Writer(App):
    """A patient's app that makes and changes what is the patient's, and a service that takes it away again."""

    pace = 1.0

    def turn(self) -> None:
        access = self.gate.token("patient/Observation.cruds", patient="amy")
        resource = {"resourceType": "Observation", "status": "final", "code": {"text": str(uuid.uuid4())}, "subject": {"reference": "Patient/amy"}}
        made = self.ask("POST", "Observation", access, 201, json=resource).json()
        path = f"Observation/{made['id']}"
        self.ask("PUT", path, access, json={**made, "status": "amended"})
        self.ask("PUT", path, access, (400, 403, 404, 422), json={**made, "subject": {"reference": "Patient/ben"}})
        self.ask("DELETE", path, self.gate.token("system/Observation.cruds"), (200, 204))


class PersonsApp(App):
    """Somebody logs in, the app reads, refreshes, and gives its tokens back; now and then a code is shown twice."""

    pace = 2.0

    def turn(self) -> None:
        authorization = Authorization(self.gate, "app", scope="openid fhirUser launch/patient offline_access patient/*.rs")
        person = Person(self.gate)
        try:
            code = person.open(authorization.url()).log_in("amy").landed()["code"]
        finally:
            person.http.close()
        got = self.expect(token(self.gate, authorization, code), 200).json()
        self.ask("GET", "Patient/amy", got["access_token"])
        refreshed = self.expect(self.refresh(got), 200).json()
        self.ask("GET", "Condition", refreshed["access_token"])
        if self.dice.random() < 0.2:
            self.expect(token(self.gate, authorization, code), 400)
        else:
            self.expect(post(self.gate, "revoke", {"token": refreshed["refresh_token"], "client_id": "app"}), 200)
        self.ask("GET", "Patient/amy", refreshed["access_token"], 401)
        self.expect(self.refresh(refreshed), 400)

    def refresh(self, got: dict[str, Any]) -> httpx.Response:
        return post(self.gate, "token", {"grant_type": "refresh_token", "refresh_token": got["refresh_token"], "client_id": "app"})


class Service(App):
    """A backend service with a key: a token, a search, and the same assertion again."""

    pace = 0.5

    def turn(self) -> None:
        proof = assertion(self.gate, self.gate.keys.ec, "backend-ec")
        got = self.expect(self.prove(proof), 200).json()
        self.ask("GET", "Encounter?_count=3", got["access_token"])
        self.expect(self.prove(proof), 401)

    def prove(self, proof: dict[str, str]) -> httpx.Response:
        return post(self.gate, "token", {"grant_type": "client_credentials", "scope": "system/*.rs", **proof})


class Stranger(App):
    """Whatever is refused: no token, a wrong one, another's patient, a wrong password, half a request."""

    pace = 0.5

    def turn(self) -> None:
        self.expect(self.http.get(f"{self.gate.fhir}/Patient/amy"), 401)
        self.ask("GET", "Patient/amy", self.gate.token("patient/*.rs", key=self.gate.keys.stranger, patient="amy"), 401)
        access = self.gate.token("patient/Observation.rs", patient="amy")
        self.ask("GET", "Patient/ben", self.gate.token("patient/*.rs", patient="amy"), 404)
        self.ask("GET", "Condition", access, 403)
        self.ask("GET", "Observation?patient=ben%00", access, 400)
        self.expect(post(self.gate, "token", {"grant_type": "authorization_code", "code": "no", "client_id": "app"}), 400)
        self.half_a_request()

    def half_a_request(self) -> None:
        with socket.create_connection(("127.0.0.1", self.gate.port), 10) as wire:
            wire.sendall(b"POST /fhir/Observation HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{"[: self.dice.randrange(1, 70)])


class Impatient(App):
    """Asks for much and leaves before it has it."""

    pace = 1.0

    def turn(self) -> None:
        access = self.gate.token("system/*.rs" if self.dice.random() < 0.5 else "patient/*.rs", patient="amy")
        head = f"GET /fhir/Observation?_count=100 HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {access}\r\n\r\n"
        with socket.create_connection(("127.0.0.1", self.gate.port), 10) as wire:
            wire.sendall(head.encode())
            wire.settimeout(self.dice.random() * 0.2 + 0.001)
            try:
                wire.recv(200)
            except TimeoutError:
                pass


APPS: tuple[type[App], ...] = (Reader, Reader, Everything, Streamer, Writer, PersonsApp, Service, Stranger, Impatient)
