"""The demo's app: logs a person in at the gate with PKCE and shows what their token lets it read. Standard library only."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import secrets
import threading
import urllib.error
import urllib.parse
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

CLIENT_ID = "vitals"
SCOPE = "launch/patient patient/Patient.rs patient/Observation.rs"
STARTED_AT_MOST = 100


def fetch(url: str, token: str | None = None, form: dict[str, str] | None = None) -> dict[str, Any]:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    body = urllib.parse.urlencode(form).encode() if form else None
    with urllib.request.urlopen(urllib.request.Request(url, body, headers), timeout=30) as answer:
        return json.load(answer)


class DemoApp:
    """Listens on `port` and sends whoever comes to the gate to log in."""

    def __init__(self, gate: str, port: int) -> None:
        self.fhir = f"{gate}/fhir"
        self.address = f"http://127.0.0.1:{port}"
        self.callback = f"{self.address}/callback"
        self.started: dict[str, str] = {}
        app = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                path, _, query = self.path.partition("?")
                if path == "/":
                    self.send_response(303)
                    self.send_header("Location", app.authorize())
                    self.end_headers()
                elif path == "/callback":
                    self.page(app.called_back(dict(urllib.parse.parse_qsl(query))))
                else:
                    self.send_error(404)

            def page(self, text: str) -> None:
                body = f"<!doctype html><meta charset=utf-8><title>Vitals</title><body style='font:16px sans-serif;margin:2em'>{text}"
                self.send_response(200)
                self.send_header("Content-Type", "text/html; charset=utf-8")
                self.end_headers()
                self.wfile.write(body.encode())

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def authorize(self) -> str:
        """Where a launch begins: the gate's own answer to where people log in, asked as any app would."""
        endpoint = fetch(f"{self.fhir}/.well-known/smart-configuration")["authorization_endpoint"]
        state, verifier = secrets.token_urlsafe(24), secrets.token_urlsafe(48)
        while len(self.started) >= STARTED_AT_MOST:
            self.started.pop(next(iter(self.started)))
        self.started[state] = verifier
        challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
        return endpoint + "?" + urllib.parse.urlencode({
            "response_type": "code", "client_id": CLIENT_ID, "redirect_uri": self.callback, "scope": SCOPE, "state": state,
            "aud": self.fhir, "code_challenge": challenge, "code_challenge_method": "S256",
        })

    def called_back(self, answer: dict[str, str]) -> str:
        verifier = self.started.pop(answer.get("state", ""), None)
        if verifier is None:
            return "<p>This login was not begun here. <a href='/'>Begin</a>"
        if "code" not in answer:
            return f"<p>The gate says: {html.escape(answer.get('error_description', answer.get('error', '')))}. <a href='/'>Again</a>"
        try:
            endpoint = fetch(f"{self.fhir}/.well-known/smart-configuration")["token_endpoint"]
            tokens = fetch(endpoint, form={
                "grant_type": "authorization_code", "code": answer["code"], "redirect_uri": self.callback,
                "client_id": CLIENT_ID, "code_verifier": verifier,
            })
            return self.vitals(tokens)
        except urllib.error.HTTPError as refused:
            return f"<p>{refused.code}: <pre>{html.escape(refused.read().decode(errors='replace'))}</pre>"

    def vitals(self, tokens: dict[str, Any]) -> str:
        patient = fetch(f"{self.fhir}/Patient/{tokens['patient']}", tokens["access_token"])
        found = fetch(f"{self.fhir}/Observation?category=vital-signs&_count=50", tokens["access_token"])
        name = patient["name"][0]
        rows = "".join(f"<tr><td>{html.escape(self.row(entry['resource']))}" for entry in found.get("entry", []))
        return (
            f"<h1>{html.escape(' '.join(name.get('given', [])))} {html.escape(name['family'])}</h1>"
            f"<table>{rows}</table>"
            f"<p>The access token, to try with curl:<pre style='white-space:pre-wrap;word-break:break-all'>{html.escape(tokens['access_token'])}</pre>"
        )

    @staticmethod
    def row(observation: dict[str, Any]) -> str:
        parts = observation.get("component", [observation])
        values = " / ".join(f"{part['valueQuantity']['value']} {part['valueQuantity']['unit']}" for part in parts)
        return f"{observation['effectiveDateTime'][:10]}  {observation['code']['text']}: {values}"

    def stop(self) -> None:
        self.server.shutdown()
        self.server.server_close()
