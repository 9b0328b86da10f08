"""A gate with every kind of client that SMART knows, and what they say to it, for the tests that are named by its duties."""

from __future__ import annotations

import time
import uuid
from pathlib import Path
from typing import Any

import argon2
import httpx

from harness import PASSWORD, REDIRECT, SECRET, Gate, Key, Keys
from pages import Authorization, Person

PERSON = "openid fhirUser launch launch/patient launch/encounter offline_access online_access patient/*.cruds user/*.cruds"
LAUNCH_URI = "http://127.0.0.1:9000/launch"
PORTAL = "https://portal.example.org"
ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


def smart_gate(folder: Path, upstream: str, keys: Keys) -> Gate:
    """Not started yet. The apps are trusted (no consent page) and the passwords quick to check."""
    gate = Gate(folder, upstream, keys)
    app = {"scopes": PERSON.split(), "consent": "granted"}
    secret = {"kind": "confidential-symmetric", "secret_hash": gate.client("ehr")["secret_hash"]}
    gate.config["clients"] += [
        {"id": "app", "kind": "public", "redirect_uris": [REDIRECT, "org.example.app:/callback"], "launch_uris": [LAUNCH_URI], **app},
        {"id": "portal", **secret, "redirect_uris": [f"{PORTAL}/callback"], **app, "scopes": [*PERSON.split(), "system/*.rs"],
         "grant_types": ["authorization_code", "refresh_token", "client_credentials"]},
        {"id": "signing-app", "kind": "confidential-asymmetric", "jwks_file": "ec-jwks.json", "redirect_uris": [REDIRECT], **app},
        {"id": "backend", **secret, "grant_types": ["client_credentials"], "scopes": ["system/*.cruds"]},
        {"id": "asking-app", "kind": "public", "redirect_uris": [REDIRECT], "scopes": PERSON.split(), "may_introspect": True},
    ]
    gate.client("ehr")["launch_users"] = ["amy", "carter"]
    clinician = {**quick_user("carter"), "fhir_user": "Practitioner/carter"}
    guest = {name: it for name, it in quick_user("guest").items() if name != "fhir_user"}
    gate.config["users"] = [quick_user("amy"), clinician, guest]
    gate.write()
    return gate


def quick_user(name: str) -> dict[str, str]:
    """A patient whose password is checked at once."""
    quick = argon2.PasswordHasher(time_cost=1, memory_cost=64, parallelism=1).hash(PASSWORD)
    return {"username": name, "password_hash": quick, "fhir_user": f"Patient/{name}"}


def granted(gate: Gate, scope: str, username: str = "amy", client_id: str = "app") -> dict[str, Any]:
    """The token response of a public app's standalone launch."""
    authorization = Authorization(gate, client_id, scope=scope)
    person = Person(gate).open(authorization.url()).log_in(username)
    if username == "carter" and person.answer.headers.get("content-type"):
        person.choose("Okafor", "ben")
    return token(gate, authorization, person.landed()["code"]).raise_for_status().json()


def token(gate: Gate, authorization: Authorization, code: str, **more: Any) -> httpx.Response:
    """A code, exchanged. What is None is left out of the form."""
    form = {"grant_type": "authorization_code", "code": code, "redirect_uri": authorization.redirect_uri,
            "client_id": authorization.client_id, "code_verifier": authorization.verifier, **more.pop("form", {})}
    return post(gate, "token", form, **more)


def post(gate: Gate, endpoint: str, form: dict[str, str | None], **more: Any) -> httpx.Response:
    kept = {name: it for name, it in form.items() if it is not None}
    return httpx.post(f"{gate.url}/auth/{endpoint}", data=kept, **more)


def service(gate: Gate, scope: str | None = "system/*.cruds", **more: Any) -> httpx.Response:
    """A backend service asks for a token."""
    return post(gate, "token", {"grant_type": "client_credentials", "scope": scope}, **{"auth": ("backend", SECRET), **more})


def assertion(gate: Gate, key: Key, client: str, header: dict[str, str] | None = None, **claims: Any) -> dict[str, str]:
    """The parameters by which a client with a key authenticates."""
    now = int(time.time())
    said = {"iss": client, "sub": client, "aud": f"{gate.url}/auth/token", "exp": now + 240, "jti": str(uuid.uuid4()), **claims}
    return {"client_assertion_type": ASSERTION_TYPE, "client_assertion": key.sign(said, **(header or {}))}


def launch(gate: Gate, **said: str) -> httpx.Response:
    """The EHR says what it launches."""
    return post(gate, "launch", {"app": "app", "user": "carter", **said}, auth=("ehr", SECRET))


def opened(gate: Gate, launched: httpx.Response) -> Person:
    """The browser that the EHR sends."""
    return Person(gate).open(launched.raise_for_status().json()["start_url"])


def launched(gate: Gate, scope: str, **said: str) -> dict[str, Any]:
    """The token response of an EHR launch."""
    answer = launch(gate, **said)
    authorization = Authorization(gate, "app", scope=scope)
    person = opened(gate, answer).open(authorization.url(launch=answer.json()["launch"]))
    return token(gate, authorization, person.landed()["code"]).raise_for_status().json()
