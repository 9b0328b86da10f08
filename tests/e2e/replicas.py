"""Two gates on one PostgreSQL, and what an app and an EHR say to either of them."""

from __future__ import annotations

import base64
import hashlib
import secrets
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx

from crashes import APP, SCOPE, Victim
from harness import REDIRECT, SECRET, Keys
from postgres import Cluster

# Of what the tests wait for, all is there within a second or so; this is for a machine that does other things.
PATIENCE = 30


def database(postgres: Cluster) -> str:
    """The URL of an empty database, for a role that owns nothing but its schema."""
    name = f"gate_{secrets.token_hex(6)}"
    postgres.sql(f"CREATE ROLE {name} LOGIN")
    postgres.sql(f"CREATE DATABASE {name}")
    postgres.sql(f"CREATE SCHEMA {name} AUTHORIZATION {name}", name)
    return f"postgres://{name}@127.0.0.1:{postgres.port}/{name}?sslmode=disable"


class Replica(Victim):
    """A gate that is known by the name of the first of them."""

    def __init__(self, folder: Path, upstream: str, keys: Keys, url: str, first: Replica | None = None) -> None:
        super().__init__(folder, keys)
        self.database = url.split("?")[0].rsplit("/", 1)[1]
        self.config["store"] = {"url": url}
        self.config["fhir"]["upstream"] = upstream
        if first:
            self.config["server"]["public_url"] = first.url
        self.audience = first.fhir if first else self.fhir
        self.write()
        self.http = httpx.Client(base_url=self.url, timeout=PATIENCE)

    def post(self, endpoint: str, form: dict[str, str], secret_of: str | None = None, secret: str = SECRET) -> httpx.Response:
        return self.http.post(f"/auth/{endpoint}", data=form, auth=(secret_of, secret) if secret_of else None)

    def code(self, scope: str = SCOPE) -> dict[str, str]:
        """The form that redeems a fresh code."""
        launch = self.post("launch", {"app": APP, "user": "carter"}, "ehr").raise_for_status().json()["launch"]
        verifier = secrets.token_urlsafe(48)
        challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
        asked = {"response_type": "code", "client_id": APP, "redirect_uri": REDIRECT, "scope": scope, "state": "s", "aud": self.audience,
                 "launch": launch, "code_challenge": challenge, "code_challenge_method": "S256"}
        answer = self.http.get("/auth/authorize", params=asked)
        code = dict(parse_qsl(urlsplit(answer.headers["location"]).query))["code"]
        return {"grant_type": "authorization_code", "code": code, "code_verifier": verifier, "redirect_uri": REDIRECT, "client_id": APP}

    def tokens(self, scope: str = SCOPE) -> dict[str, Any]:
        return self.post("token", self.code(scope)).raise_for_status().json()

    def refresh(self, token: str) -> httpx.Response:
        return self.post("token", {"grant_type": "refresh_token", "refresh_token": token, "client_id": APP})

    def service(self, secret: str = SECRET) -> httpx.Response:
        return self.post("token", {"grant_type": "client_credentials", "scope": "system/Observation.rs"}, "backend-secret", secret)

    def read(self, token: str) -> httpx.Response:
        return self.http.get("/fhir/Patient/amy", headers={"Authorization": f"Bearer {token}"})

    def logs_in(self, password: str, username: str = "amy") -> bool:
        """Whether a password opens the page where people see what apps hold."""
        return self.post("manage", {"do": "login", "username": username, "password": password}).status_code == 303

    def is_active(self, token: str) -> bool:
        return bool(self.post("introspect", {"token": token}, "resource-server").raise_for_status().json()["active"])

    def readiness(self) -> tuple[int, str | None]:
        answer = self.scraper.get("/readyz", timeout=PATIENCE)
        return answer.status_code, answer.json().get("because")
