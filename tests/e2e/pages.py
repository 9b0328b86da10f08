"""A person without a browser: reads the gate's pages, fills in forms and follows redirects until an app is reached."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import subprocess
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode, urljoin, urlsplit

import httpx

from harness import PASSWORD, REDIRECT, Gate
from sandbox import ROOT


@dataclass
class Form:
    action: str
    method: str
    fields: dict[str, str] = field(default_factory=dict)
    choices: dict[str, list[str]] = field(default_factory=dict)
    buttons: list[tuple[str, str]] = field(default_factory=list)


class Page(HTMLParser):
    """The forms of a page, and its text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.forms: list[Form] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        of = {name: it or "" for name, it in attributes}
        if tag == "form":
            self.forms.append(Form(of.get("action", ""), of.get("method", "get").lower()))
        if not self.forms:
            return
        form, name, value, kind = self.forms[-1], of.get("name", ""), of.get("value", ""), of.get("type", "")
        if tag == "button" and name or kind == "submit":
            form.buttons.append((name, value))
        elif tag == "input" and kind == "radio":
            form.choices.setdefault(name, []).append(value)
        elif tag == "input" and kind == "checkbox":
            form.choices.setdefault(name, []).append(value or "on")
            if "checked" in of:
                form.fields.setdefault(name, value or "on")
        elif tag == "input" and name:
            form.fields[name] = value

    def handle_data(self, text: str) -> None:
        self.text += text

    def form_with(self, name: str) -> Form:
        for form in self.forms:
            if name in form.fields or name in form.choices or any(name == button for button, _ in form.buttons):
                return form
        raise AssertionError(f"no form with `{name}` on this page:\n{self.text}")


@dataclass
class Authorization:
    """One authorization request of an app, with the PKCE secret that belongs to it."""

    gate: Gate
    client_id: str = "growth-chart"
    redirect_uri: str = REDIRECT
    scope: str = "launch/patient patient/Patient.rs patient/Observation.rs"
    state: str = field(default_factory=lambda: secrets.token_urlsafe(24))
    verifier: str = field(default_factory=lambda: secrets.token_urlsafe(48))

    def parameters(self) -> dict[str, str]:
        digest = hashlib.sha256(self.verifier.encode()).digest()
        return {
            "response_type": "code", "client_id": self.client_id, "redirect_uri": self.redirect_uri, "scope": self.scope,
            "state": self.state, "aud": self.gate.fhir,
            "code_challenge": base64.urlsafe_b64encode(digest).rstrip(b"=").decode(), "code_challenge_method": "S256",
        }

    def url(self, **changed: str | None) -> str:
        kept = {name: it for name, it in {**self.parameters(), **changed}.items() if it is not None}
        return f"{self.gate.url}/auth/authorize?{urlencode(kept)}"

    def redeem(self, code: str, **changed: str) -> httpx.Response:
        form = {"grant_type": "authorization_code", "code": code, "redirect_uri": self.redirect_uri,
                "client_id": self.client_id, "code_verifier": self.verifier, **changed}
        return httpx.post(f"{self.gate.url}/auth/token", data=form)


class Person:
    """Somebody at the pages of a gate; stops where the app's own address begins."""

    def __init__(self, gate: Gate) -> None:
        self.gate = gate
        # A password takes its time to be hashed, and longer on a machine that is busy.
        self.http = httpx.Client(timeout=60)
        self.answer: httpx.Response

    def open(self, url: str) -> Person:
        return self._follow(self.http.get(url))

    def submit(self, form: Form, **values: str) -> Person:
        address = urljoin(str(self.answer.url), form.action)
        fields = {**form.fields, **values}
        if form.method == "post":
            return self._follow(self.http.post(address, data=fields, headers={"Origin": self.gate.url}))
        return self._follow(self.http.get(address, params=fields))

    def _follow(self, answer: httpx.Response) -> Person:
        while answer.next_request and str(answer.next_request.url).startswith(self.gate.url):
            answer = self.http.send(answer.next_request)
        self.answer = answer
        return self

    @property
    def page(self) -> Page:
        assert self.answer.headers.get("content-type", "").startswith("text/html"), self.answer.text
        return Page(self.answer.text)

    def log_in(self, username: str, password: str = PASSWORD) -> Person:
        return self.submit(self.page.form_with("username"), username=username, password=password, do="login")

    def choose(self, name: str, patient: str) -> Person:
        self.submit(self.page.form_with("name"), name=name, do="search")
        form = self.page.form_with("patient")
        assert patient in form.choices["patient"], self.page.text
        return self.submit(form, patient=patient, do="choose")

    def decide(self, allow: bool) -> Person:
        form = next(form for form in self.page.forms if ("do", "allow") in form.buttons)
        return self.submit(form, do="allow" if allow else "deny")

    def landed(self) -> dict[str, str]:
        """What the app finds in the address that it was called back on."""
        target = self.answer.headers.get("location")
        assert target and self.answer.status_code in (302, 303), f"{self.answer.status_code}\n{self.answer.text}"
        return dict(parse_qsl(urlsplit(target).query))

    def refused(self) -> bool:
        """Whether the gate shows an error of its own and sends nobody anywhere."""
        return self.answer.status_code == 400 and "location" not in self.answer.headers


def standalone_launch(gate: Gate) -> dict[str, object]:
    """Amy's whole launch, to the token response."""
    authorization = Authorization(gate)
    landed = Person(gate).open(authorization.url()).log_in("amy").decide(allow=True).landed()
    assert landed["state"] == authorization.state
    answer = authorization.redeem(landed["code"])
    assert answer.status_code == 200, answer.text
    return answer.json()


def app_tells(gate: Gate, script: str, *arguments: str | Path) -> dict[str, Any]:
    """What an app of `clients/` got: it prints where to go, Amy goes there and agrees, and it is told where she came back."""
    command = ["node", ROOT / "tests" / "e2e" / "clients" / script, *arguments]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as app:
        assert app.stdout
        person = Person(gate).open(app.stdout.readline().strip()).log_in("amy").decide(allow=True)
        told, complaint = app.communicate(person.answer.headers["location"] + "\n", timeout=60)
    assert app.returncode == 0, complaint
    return json.loads(told)
