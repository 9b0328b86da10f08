"""A gate that is killed again and again, and clients that go on using it and remember everything that they were told."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from random import Random
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from harness import REDIRECT, SECRET, Gate, Keys
from sandbox import free_port

APP = "rounds"
SCOPE = "launch openid user/Patient.r offline_access"
ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

# Longest wait for an answer, a start, or the next request; only reached when something is wrong.
PATIENCE = 30
# The gate gives the same successor for 30 seconds; what was exchanged earlier than this is left alone.
REPEATS_WITHIN = 10
# An assertion that was accepted is shown again while it is valid otherwise.
ASSERTION_LIVES, REPLAYED_WITHIN = 240, 200


class Victim(Gate):
    """A gate with an app that needs no pages, and the record of its deaths."""

    def __init__(self, folder: Path, keys: Keys) -> None:
        super().__init__(folder, f"http://127.0.0.1:{free_port()}/fhir", keys)
        self.client("ehr")["launch_binding"] = "none"
        self.config["clients"].append({
            "id": APP, "kind": "public", "consent": "granted", "redirect_uris": [REDIRECT], "launch_uris": [REDIRECT],
            "scopes": SCOPE.split(), "grant_types": ["authorization_code", "refresh_token"],
        })
        self.write()
        self.changed = threading.Condition()
        self.life = 0
        self.alive = self.over = False
        self.sent = 0

    def revive(self) -> None:
        self.start()
        with self.changed:
            self.life, self.alive, self.sent = self.life + 1, True, 0
            self.changed.notify_all()

    def kill_after(self, requests: int) -> None:
        """Kills it as soon as this many requests were sent to it in this life, in the middle of whatever it is at."""
        assert self.process
        with self.changed:
            assert self.changed.wait_for(lambda: self.over or self.sent >= requests, PATIENCE), "nobody asks the gate anything"
            self.alive = False
            self.process.child.kill()
        self.process.child.wait()

    def present_life(self) -> int:
        """Waits until it is up, and counts a request that is about to be sent."""
        with self.changed:
            assert self.changed.wait_for(lambda: self.alive, PATIENCE), "the gate does not come back"
            self.sent += 1
            self.changed.notify_all()
            return self.life

    def survived(self, life: int) -> bool:
        with self.changed:
            return self.alive and self.life == life

    def end(self) -> None:
        with self.changed:
            self.over = True
            self.changed.notify_all()


@dataclass
class Answer:
    status: int
    location: dict[str, str]
    body: dict[str, Any]

    @property
    def error(self) -> tuple[int, str | None]:
        return self.status, self.body.get("error")


class Wire:
    """One connection, kept alive as long as the gate is."""

    def __init__(self, gate: Victim) -> None:
        self.gate = gate
        self.life = 0
        self.http: HTTPConnection

    def send(self, method: str, path: str, form: dict[str, str] | None = None, secret_of: str | None = None) -> Callable[[], Answer | None]:
        """Sends a request; what is returned reads the answer, or gives None if the gate was killed before it answered."""
        life = self.gate.present_life()
        if life != self.life:
            self.http, self.life = HTTPConnection("127.0.0.1", self.gate.port, timeout=PATIENCE), life
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        if secret_of:
            headers["Authorization"] = "Basic " + base64.b64encode(f"{secret_of}:{SECRET}".encode()).decode()

        def attempt(act: Callable[[], Answer | None]) -> Answer | None:
            try:
                return act()
            except (OSError, HTTPException):
                assert not self.gate.survived(life), f"{path}: a gate that lives answers"
                self.life = 0
                return None

        def write() -> Answer | None:
            self.http.request(method, path, urlencode(form) if form else None, headers)
            return None

        def read() -> Answer:
            answer = self.http.getresponse()
            body = answer.read()
            location = dict(parse_qsl(urlsplit(answer.getheader("Location") or "").query))
            return Answer(answer.status, location, json.loads(body) if body else {})

        attempt(write)
        return lambda: attempt(read) if self.life == life else None


@dataclass
class Family:
    """Every refresh token of one grant, oldest first, and its latest access token."""

    code: Code
    tokens: list[str]
    access: str
    exchanged: float = field(default_factory=time.monotonic)
    ended: bool = False

    def exchanged_just_now(self) -> bool:
        return time.monotonic() - self.exchanged < REPEATS_WITHIN


@dataclass
class Code:
    value: str
    verifier: str

    def form(self) -> dict[str, str]:
        return {"grant_type": "authorization_code", "code": self.value, "code_verifier": self.verifier, "redirect_uri": REDIRECT,
                "client_id": APP}


class Client:
    """Somebody who asks for tokens, one request after the other, and asks again when there was no answer.

    An answer that was lost may or may not have been committed. What the client knows is asserted: every 200 it has got holds,
    whatever is refused once stays refused, and of one thing there is never a second one."""

    def __init__(self, gate: Victim, dice: Random) -> None:
        self.gate = gate
        self.dice = dice
        self.wires = Wire(gate), Wire(gate)
        self.families: list[Family] = []
        self.assertions: list[tuple[float, str]] = []
        self.revoked_access: list[str] = []
        self.seen: Counter[str] = Counter()

    def run(self) -> None:
        deeds = {
            self.redeem: 20, self.refresh: 30, self.refresh_twice_at_once: 10, self.ask_for_the_same_again: 10, self.serve: 20,
            self.show_an_assertion_again: 5, self.revoke: 5, self.revoke_access: 3, self.show_a_code_again: 3, self.steal: 3,
            self.look_at_what_has_ended: 10,
        }
        try:
            while not self.gate.over:
                [deed] = self.dice.choices(list(deeds), list(deeds.values()))
                deed()
                self.seen[deed.__name__] += 1
        finally:
            self.gate.end()

    def persist(self, what: str, *request: Any) -> tuple[Answer, bool]:
        """Asks until there is an answer; and whether an earlier one was lost."""
        lost = False
        while not (answer := self.wires[0].send(*request)()):
            self.seen[f"{what}: answer lost"] += 1
            lost = True
        return answer, lost

    def token(self, what: str, form: dict[str, str]) -> tuple[Answer, bool]:
        return self.persist(what, "POST", "/auth/token", form)

    # Codes.

    def code(self) -> Code:
        """A fresh authorization: the EHR launches, and the app has its code with the next request."""
        while True:
            launched, _ = self.persist("launch", "POST", "/auth/launch", {"app": APP, "user": "carter"}, "ehr")
            assert launched.status == 200, launched
            verifier = secrets.token_urlsafe(48)
            challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
            asked = {"response_type": "code", "client_id": APP, "redirect_uri": REDIRECT, "scope": SCOPE, "state": "s", "aud": self.gate.fhir,
                     "launch": launched.body["launch"], "code_challenge": challenge, "code_challenge_method": "S256"}
            answer, lost = self.persist("code", "GET", f"/auth/authorize?{urlencode(asked)}")
            if "code" in answer.location:
                return Code(answer.location["code"], verifier)
            # The launch was spent for a code that nobody has got.
            assert lost and answer.location.get("error") == "invalid_request", answer
            self.seen["code: had been made"] += 1

    def redeem(self) -> None:
        while True:
            code = self.code()
            answer, lost = self.token("redeem", code.form())
            if answer.status == 200:
                break
            # RFC 6749 §4.1.2: a code is never good for a second time, even if the first answer was lost. What has to succeed
            # then is a fresh authorization.
            assert lost and answer.error == (400, "invalid_grant"), answer
            self.seen["redeem: had been spent"] += 1
        self.families.append(Family(code, [answer.body["refresh_token"]], answer.body["access_token"]))

    def show_a_code_again(self) -> None:
        if family := self.some(lambda it: not it.ended):
            self.refused(family.code.form())
            family.ended = True

    # Refresh tokens.

    def refresh(self) -> None:
        if family := self.some(lambda it: not it.ended):
            answer, lost = self.token("refresh", self.rotation(family.tokens[-1]))
            self.succeeds(family, answer)

    def refresh_twice_at_once(self) -> None:
        """Both get the same successor, also when only one of them, or neither, is answered."""
        if family := self.some(lambda it: not it.ended):
            form = self.rotation(family.tokens[-1])
            readers = [wire.send("POST", "/auth/token", form) for wire in self.wires]
            answers = [answer for read in readers if (answer := read())]
            if not answers:
                self.seen["refresh: answer lost"] += 1
                answers = [self.token("refresh", form)[0]]
            self.succeeds(family, *answers)

    def ask_for_the_same_again(self) -> None:
        if family := self.some(lambda it: not it.ended and len(it.tokens) > 1 and it.exchanged_just_now()):
            answer, _ = self.token("again", self.rotation(family.tokens[-2]))
            assert answer.status == 200, answer
            assert answer.body["refresh_token"] == family.tokens[-1], "a second successor"

    def steal(self) -> None:
        if family := self.some(lambda it: not it.ended and len(it.tokens) > 2):
            self.refused(self.rotation(self.dice.choice(family.tokens[:-2])))
            family.ended = True

    def succeeds(self, family: Family, *answers: Answer) -> None:
        assert all(answer.status == 200 for answer in answers), answers
        successors = {answer.body["refresh_token"] for answer in answers}
        assert len(successors) == 1 and not successors & set(family.tokens), "two successors, or an old one"
        family.tokens += successors
        family.access = answers[-1].body["access_token"]
        family.exchanged = time.monotonic()

    # Services.

    def serve(self) -> None:
        while True:
            now = int(time.time())
            claims = {"iss": "backend-ec", "sub": "backend-ec", "aud": f"{self.gate.url}/auth/token", "iat": now,
                      "exp": now + ASSERTION_LIVES, "jti": str(uuid.uuid4())}
            assertion = self.gate.keys.ec.sign(claims)
            answer, lost = self.token("service", self.service(assertion))
            if answer.status == 200:
                break
            assert lost and answer.error == (401, "invalid_client"), answer
            self.seen["service: had been used"] += 1
        self.assertions.append((time.monotonic(), assertion))

    def show_an_assertion_again(self) -> None:
        if self.assertions:
            self.counts_no_more(*self.dice.choice(self.assertions))

    def counts_no_more(self, accepted: float, assertion: str) -> None:
        if time.monotonic() - accepted < REPLAYED_WITHIN:
            answer, _ = self.token("replay", self.service(assertion))
            assert answer.error == (401, "invalid_client"), answer

    # Ends.

    def revoke(self) -> None:
        if family := self.some(lambda it: not it.ended):
            self.give_back(self.dice.choice(family.tokens))
            family.ended = True

    def revoke_access(self) -> None:
        """The access token only: the grant goes on."""
        if family := self.some(lambda it: not it.ended):
            self.give_back(family.access)
            self.revoked_access.append(family.access)

    def give_back(self, token: str) -> None:
        answer, _ = self.persist("revoke", "POST", "/auth/revoke", {"token": token, "client_id": APP})
        assert answer.status == 200, answer

    def look_at_what_has_ended(self) -> None:
        if family := self.some(lambda it: it.ended):
            self.has_ended(family)

    def has_ended(self, family: Family) -> None:
        self.refused(self.rotation(self.dice.choice(family.tokens)))
        assert not self.is_active(family.access)

    def refused(self, form: dict[str, str]) -> None:
        answer, _ = self.token("refused", form)
        assert answer.error == (400, "invalid_grant"), answer

    def is_active(self, token: str) -> bool:
        answer, _ = self.persist("introspect", "POST", "/auth/introspect", {"token": token}, "resource-server")
        assert answer.status == 200, answer
        return bool(answer.body["active"])

    def settle(self) -> None:
        """What holds in the end, of everything that this client has ever been told."""
        for family in self.families:
            if family.ended:
                self.has_ended(family)
                continue
            self.succeeds(family, self.token("refresh", self.rotation(family.tokens[-1]))[0])
            assert [self.is_active(token) for token in family.tokens] == [False] * (len(family.tokens) - 1) + [True]
            assert self.is_active(family.access)
        assert not any(map(self.is_active, self.revoked_access))
        for family in self.families:
            self.refused(family.code.form())
            assert not self.is_active(family.access), "what came of a code that was shown twice has ended"
        for accepted, assertion in self.assertions:
            self.counts_no_more(accepted, assertion)

    def some(self, fits: Callable[[Family], bool]) -> Family | None:
        found = [family for family in self.families[-20:] if fits(family)]
        return self.dice.choice(found) if found else None

    @staticmethod
    def rotation(token: str) -> dict[str, str]:
        return {"grant_type": "refresh_token", "refresh_token": token, "client_id": APP}

    @staticmethod
    def service(assertion: str) -> dict[str, str]:
        return {"grant_type": "client_credentials", "scope": "system/Patient.rs", "client_assertion_type": ASSERTION_TYPE,
                "client_assertion": assertion}
