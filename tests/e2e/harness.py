"""A gate with its configuration, keys and tokens, for the end-to-end suite."""

from __future__ import annotations

import copy
import json
import os
import subprocess
import time
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import argon2
import httpx
import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm
from prometheus_client.parser import text_string_to_metric_families

from sandbox import ROOT, Process, free_port, wait_until

BINARY = Path(os.environ.get("SMARTGATE_BINARY") or Path(os.environ.get("CARGO_TARGET_DIR") or ROOT / "target") / "debug" / "smartgate")
ISSUER = "https://idp.example.org"
PASSWORD = "correct horse battery staple"
SECRET = "an-entirely-random-looking-secret-of-the-suite"
REDIRECT = "http://127.0.0.1:9000/callback"

Toml = dict[str, Any]


@dataclass(frozen=True)
class Key:
    """A private key with its `kid` and algorithm."""

    kid: str
    algorithm: str
    private: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey

    @classmethod
    def make(cls, kid: str, algorithm: str) -> Key:
        if algorithm.startswith("RS"):
            return cls(kid, algorithm, rsa.generate_private_key(public_exponent=65537, key_size=2048))
        return cls(kid, algorithm, ec.generate_private_key(ec.SECP256R1() if algorithm == "ES256" else ec.SECP384R1()))

    def jwk(self) -> dict[str, str]:
        maker = RSAAlgorithm if self.algorithm.startswith("RS") else ECAlgorithm
        public = maker.to_jwk(self.private.public_key(), as_dict=True)
        return {**public, "kid": self.kid, "alg": self.algorithm, "use": "sig"}

    def pem(self) -> bytes:
        return self.private.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )

    def sign(self, claims: dict[str, Any], **header: str) -> str:
        return jwt.encode(claims, self.private, self.algorithm, headers={"kid": self.kid, **header})


def jwks(*keys: Key) -> str:
    return json.dumps({"keys": [key.jwk() for key in keys]})


def hashed_password() -> str:
    """The argon2id hash of `PASSWORD`, made by another implementation than the gate's own."""
    return argon2.PasswordHasher(time_cost=2, memory_cost=19456, parallelism=1).hash(PASSWORD)


def toml(table: Toml) -> str:
    """TOML text of nested dictionaries; a list of dictionaries becomes an array of tables."""

    def value(of: Any) -> str:
        if isinstance(of, dict):
            return "{ " + ", ".join(f"{name} = {value(it)}" for name, it in of.items()) + " }"
        if isinstance(of, list):
            return "[" + ", ".join(value(it) for it in of) + "]"
        return json.dumps(of)

    lines: list[str] = []
    for name, of in table.items():
        for section, header in ((of, f"[{name}]"),) if isinstance(of, dict) else ((it, f"[[{name}]]") for it in of):
            lines += [header, *(f"{key} = {value(it)}" for key, it in section.items()), ""]
    return "\n".join(lines)


@dataclass
class Keys:
    """Keys of everybody who signs something in the suite."""

    idp: Key = field(default_factory=lambda: Key.make("idp-1", "RS256"))
    rsa: Key = field(default_factory=lambda: Key.make("backend-rsa-1", "RS384"))
    ec: Key = field(default_factory=lambda: Key.make("backend-ec-1", "ES384"))
    stranger: Key = field(default_factory=lambda: Key.make("idp-1", "RS256"))


class Gate:
    """The built binary with a configuration of its own in a folder of its own."""

    def __init__(self, folder: Path, upstream: str, keys: Keys, tls: tuple[Path, Path] | None = None) -> None:
        self.folder = folder
        self.keys = keys
        # Logs are not written beside the configuration, whose folder is watched.
        (folder / "log").mkdir(parents=True, exist_ok=True)
        self.log = folder / "log" / "gate.log"
        self.audit_file = folder / "log" / "audit.jsonl"
        self.port, self.admin_port, self.app_port = free_port(), free_port(), free_port()
        self.app = f"http://127.0.0.1:{self.app_port}"
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self.port}"
        self.admin = f"http://127.0.0.1:{self.admin_port}"
        self.scraper = httpx.Client(base_url=self.admin)
        self.fhir = f"{self.url}/fhir"
        self.config_file = folder / "smartgate.toml"
        self.process: Process | None = None
        self.environment: dict[str, str] = {}
        for name, key in (("idp", keys.idp), ("rsa", keys.rsa), ("ec", keys.ec)):
            (folder / f"{name}-jwks.json").write_text(jwks(key))
        self.config = self._config(upstream, tls)
        self.write()

    def _config(self, upstream: str, tls: tuple[Path, Path] | None) -> Toml:
        server: Toml = {"listen": [f"127.0.0.1:{self.port}"], "public_url": self.url, "drain_delay": "0s", "drain_timeout": "10s"}
        if tls:
            server["tls"] = {"cert": str(tls[0]), "key": str(tls[1])}
        secret = subprocess.run([BINARY, "hash-password", "--secret"], input=SECRET, capture_output=True, text=True, check=True)
        symmetric = {"kind": "confidential-symmetric", "secret_hash": secret.stdout.strip()}
        asymmetric = {"kind": "confidential-asymmetric", "grant_types": ["client_credentials"]}
        password = hashed_password()
        return {
            "server": server,
            "admin": {"listen": [f"127.0.0.1:{self.admin_port}"]},
            "fhir": {"base_path": "/fhir", "version": "R4", "upstream": upstream},
            "store": {"url": f"sqlite:{self.folder / 'state' / 'smartgate.db'}"},
            "audit": {"file": str(self.audit_file)},
            "issuers": [{
                "issuer": ISSUER, "audience": [self.fhir], "jwks_file": "idp-jwks.json", "algorithms": ["RS256"],
                "scopes": ["patient/*.cruds", "user/*.cruds", "system/*.cruds"],
                "origins": ["https://app.example.org"],
            }],
            "clients": [
                {"id": "growth-chart", "name": "Growth Chart", "kind": "public", "redirect_uris": [REDIRECT],
                 "scopes": ["launch/patient", "patient/*.rs"]},
                {"id": "browser-app", "kind": "public", "redirect_uris": [f"{self.app}/index.html"],
                 "launch_uris": [f"{self.app}/launch.html?scope=launch+openid+fhirUser+patient%2F%2A.rs+user%2FPractitioner.r"],
                 "scopes": ["launch", "launch/patient", "openid", "fhirUser", "patient/*.rs", "user/Practitioner.r"]},
                {"id": "care-diary", "name": "Care Diary", "kind": "public", "redirect_uris": [REDIRECT],
                 "scopes": ["launch/patient", "launch/encounter", "patient/*.rs", "offline_access"]},
                {"id": "ehr", **symmetric, "may_launch": True, "launch_users": ["carter"]},
                {"id": "backend-rsa", **asymmetric, "jwks_file": "rsa-jwks.json", "scopes": ["system/*.rs"]},
                {"id": "backend-ec", **asymmetric, "jwks_file": "ec-jwks.json", "scopes": ["system/*.cruds"]},
                {"id": "backend-secret", **symmetric, "grant_types": ["client_credentials"], "scopes": ["system/Observation.rs"]},
                {"id": "resource-server", **symmetric, "grant_types": ["client_credentials"], "scopes": ["system/Patient.r"],
                 "may_introspect": True},
            ],
            "users": [
                {"username": "amy", "password_hash": password, "fhir_user": "Patient/amy"},
                {"username": "carter", "password_hash": password, "fhir_user": "Practitioner/carter"},
            ],
        }

    def client(self, name: str) -> Toml:
        return next(it for it in self.config["clients"] if it["id"] == name)

    def write(self, config: Toml | None = None) -> None:
        """Puts a configuration in place as one step, as a careful operator does."""
        beside = self.config_file.with_suffix(".new")
        beside.write_text(toml(config or self.config))
        beside.replace(self.config_file)

    def edited(self) -> Toml:
        return copy.deepcopy(self.config)

    def run(self, *arguments: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        """Runs another command of the binary with this configuration."""
        command = [BINARY, "--config", self.config_file, *arguments]
        return subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=60, cwd=self.folder)

    def launch(self) -> Process:
        command = [BINARY, "--config", self.config_file, "run"]
        self.process = Process("the gate", command, self.log, self.environment, cwd=self.folder)
        return self.process

    def start(self) -> Gate:
        self.launch().wait_for(f"{self.admin}/readyz")
        return self

    def stop(self) -> int:
        return self.process.stop() if self.process else 0

    def metrics(self) -> dict[str, float]:
        """Every sample by its name and labels: `name{a="b"}`."""
        samples: dict[str, float] = {}
        for family in text_string_to_metric_families(self.scraper.get("/metrics").text):
            for sample in family.samples:
                labels = ",".join(f'{key}="{it}"' for key, it in sorted(sample.labels.items()))
                samples[f"{sample.name}{{{labels}}}" if labels else sample.name] = sample.value
        return samples

    def audit(self, request_id: str) -> dict[str, Any]:
        """The audit line of one request; it is written behind the answer."""

        def find() -> dict[str, Any] | None:
            lines = self.audit_file.read_text().splitlines()
            return next((line for line in map(json.loads, lines) if line["request_id"] == request_id), None)

        return wait_until(find, 5, f"the audit line of request {request_id}")  # type: ignore[return-value]

    def token(self, scope: str, key: Key | None = None, header: dict[str, str] | None = None, **claims: Any) -> str:
        """A token of the other authorization server; a claim that is None is left out."""
        now = int(time.time())
        all_claims = {
            "iss": ISSUER, "aud": self.fhir, "sub": "somebody", "client_id": "app", "iat": now, "exp": now + 300,
            "jti": str(uuid.uuid4()), "scope": scope, **claims,
        }
        kept = {name: it for name, it in all_claims.items() if it is not None}
        return (key or self.keys.idp).sign(kept, **{"typ": "at+jwt", **(header or {})})


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def rule(answer: httpx.Response) -> str:
    """The rule by which the gate refused."""
    return answer.json()["issue"][0]["details"]["coding"][0]["code"]


def entries(bundle: dict[str, Any]) -> list[dict[str, Any]]:
    return [entry["resource"] for entry in bundle.get("entry", [])]


def next_link(bundle: dict[str, Any]) -> str | None:
    return next((link["url"] for link in bundle.get("link", []) if link["relation"] == "next"), None)
