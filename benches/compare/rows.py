"""The rows of the comparison, what each is measured against, and what each sends."""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Row:
    name: str
    label: str
    server: str
    # Which prepared requests are sent.
    asks: str
    # Which body comes back: a file of the upstream, or what the gate makes of it.
    body: str
    status: int = 200

    @property
    def is_gate(self) -> bool:
        return self.server in ("smartgate", UNAUDITED)


# The gate with its audit log turned off.
UNAUDITED = "smartgate-unaudited"

READ = "/fhir/Observation/1"
SMALL = "/fhir/Observation?patient=amy&category=small"
LARGE = "/fhir/Observation?patient=amy&category=large"
# A type that the patient's tokens have no scope for.
DENIED = "/fhir/Encounter/1"

AUDITED = [
    Row("gate-stream", "Smartgate, stream path, 468 B", "smartgate", "read-system", "read"),
    Row("gate-read", "Smartgate, guarded read, 468 B", "smartgate", "read", "read"),
    Row("gate-small", "Smartgate, guarded search, 45 kB", "smartgate", "small", "bundle"),
    Row("gate-large", "Smartgate, guarded search, 1 MB", "smartgate", "large", "bundle"),
    Row("gate-denied", "Smartgate, refused, 403", "smartgate", "denied", "outcome", 403),
]

ROWS = [
    Row("pingora-read", "pingora, 468 B", "pingora", "read", "read"),
    Row("nginx-read", "nginx, 468 B", "nginx", "read", "read"),
    Row("haproxy-read", "HAProxy, 468 B", "haproxy", "read", "read"),
    Row("pingora-small", "pingora, 45 kB", "pingora", "small", "small"),
    Row("nginx-small", "nginx, 45 kB", "nginx", "small", "small"),
    Row("haproxy-small", "HAProxy, 45 kB", "haproxy", "small", "small"),
    Row("pingora-large", "pingora, 1 MB", "pingora", "large", "large"),
    Row("nginx-large", "nginx, 1 MB", "nginx", "large", "large"),
    Row("haproxy-large", "HAProxy, 1 MB", "haproxy", "large", "large"),
    Row("njs-read", "nginx with njs, RS256, 468 B", "nginx-njs", "read-rs256", "read"),
    Row("haproxy-rs256-read", "HAProxy jwt_verify RS256, 468 B", "haproxy-rs256", "read-rs256", "read"),
    Row("haproxy-es256-read", "HAProxy jwt_verify ES256, 468 B", "haproxy-es256", "read", "read"),
    Row("nginx-403", "nginx, a static 403", "nginx-403", "denied", "any", 403),
    *AUDITED,
    *(replace(row, name=f"{row.name}-unaudited", label=f"{row.label}, audit off", server=UNAUDITED) for row in AUDITED),
    Row("gate-token", "Smartgate, client_credentials", "smartgate", "token", "token"),
    Row("signatures", "ES384 verified + ES256 signed, alone", "", "", ""),
]

BY_NAME = {row.name: row for row in ROWS}


@dataclass(frozen=True)
class Target:
    """A ratio that must at least be reached."""

    text: str
    row: str
    against: str
    at_least: float


TARGETS = [
    Target("stream path vs bare pingora, 468 B", "gate-stream", "pingora-read", 0.95),
    Target("guarded read vs bare pingora, 468 B", "gate-read", "pingora-read", 1.10),
    Target("guarded read vs HAProxy, RS256 per request", "gate-read", "haproxy-rs256-read", 1.5),
    Target("guarded read vs HAProxy, ES256 per request", "gate-read", "haproxy-es256-read", 3.0),
    Target("guarded read vs nginx with njs", "gate-read", "njs-read", 1.5),
    Target("guarded search vs bare pingora, 45 kB", "gate-small", "pingora-small", 0.70),
    Target("guarded search vs bare pingora, 1 MB", "gate-large", "pingora-large", 0.55),
    Target("refused vs nginx answering a static 403", "gate-denied", "nginx-403", 0.5),
    Target("client_credentials vs its signatures alone", "gate-token", "signatures", 0.6),
]
