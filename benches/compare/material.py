"""What is served and what is asked: FHIR resources as files, keys, tokens, and requests as they go on the wire."""

from __future__ import annotations

import json
import secrets
import sqlite3
import time
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_private_key
from jwt.algorithms import ECAlgorithm

TOKENS = 10_000

# So long the tokens of a run are good, in seconds.
LIFETIME = 24 * 3600

# Bytes of the resource that is read, and of an entry of each Bundle.
READ = 468
ENTRY = {"small": (50, 900), "large": (1000, 1000)}

SCOPES = ("launch/patient", "openid", "fhirUser", "offline_access", "patient/Patient.rs", "patient/Observation.rs", "patient/Condition.rs",
          "patient/MedicationRequest.rs", "patient/AllergyIntolerance.rs")

Json = dict[str, Any]


def compact(value: Json) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


def observation(number: int, length: int, extra: Json) -> Json:
    """A patient's Observation, as servers print them, whose JSON has this many bytes."""
    resource = {
        "resourceType": "Observation", "id": str(number), "meta": {"versionId": "1", "lastUpdated": "2026-01-01T00:00:00Z"},
        "status": "final", **extra,
        "code": {"coding": [{"system": "http://loinc.org", "code": "29463-7", "display": "Body weight"}]},
        "subject": {"reference": "Patient/amy"}, "effectiveDateTime": "2026-01-01T12:00:00+01:00",
        "valueQuantity": {"value": 81.4, "unit": "kg", "system": "http://unitsofmeasure.org", "code": "kg"}, "note": [{"text": ""}],
    }
    resource["note"][0]["text"] = ("Measured at home. " * length)[: length - len(compact(resource))]
    if len(compact(resource)) != length:
        raise SystemExit(f"an Observation does not fit into {length} bytes")
    return resource


def bundle(base: str, kind: str) -> bytes:
    """A searchset of the patient's Observations; each entry with its comma has as many bytes as is said above."""
    count, length = ENTRY[kind]
    extra = {
        "text": {"status": "generated", "div": '<div xmlns="http://www.w3.org/1999/xhtml"><p>Body weight 81.4 kg – gemessen</p></div>'},
        "category": [{"coding": [{"system": "http://terminology.hl7.org/CodeSystem/observation-category", "code": "vital-signs"}]}],
        "performer": [{"reference": "Practitioner/1"}],
    }
    entries = []
    for number in range(1000, 1000 + count):
        entry: Json = {"fullUrl": f"{base}/Observation/{number}", "resource": {}, "search": {"mode": "match"}}
        entry["resource"] = observation(number, length - 1 - len(compact(entry)) + 2, extra)
        entries.append(entry)
    link = [{"relation": "self", "url": f"{base}/Observation?patient=amy&category={kind}"}]
    return compact({"resourceType": "Bundle", "type": "searchset", "total": count, "link": link, "entry": entries})


def write_resources(folder: Path, base: str) -> dict[str, Path]:
    """The files that the upstream serves, by name."""
    folder.mkdir(parents=True, exist_ok=True)
    contents = {"read": compact(observation(1, READ, {})), "small": bundle(base, "small"), "large": bundle(base, "large")}
    for name, content in contents.items():
        (folder / f"{name}.json").write_bytes(content)
    return {name: folder / f"{name}.json" for name in contents}


def gate_key(database: Path) -> tuple[str, Any]:
    """The key that a gate signs access tokens with, from its store: with it tokens can be made without ten thousand logins."""
    with sqlite3.connect(database) as store:
        kid, secret = store.execute("SELECT id, secret FROM keys WHERE algorithm = 'ES256' AND retired IS NULL").fetchone()
    return kid, load_der_private_key(secret, None)


def rsa_key() -> Any:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def service_key() -> tuple[Any, Json]:
    """The key pair of a backend service, and its JWK set."""
    key = ec.generate_private_key(ec.SECP384R1())
    jwk = ECAlgorithm(ECAlgorithm.SHA384).to_jwk(key.public_key(), as_dict=True)
    return key, {"keys": [{**jwk, "kid": "service", "alg": "ES384", "use": "sig"}]}


def public_pem(key: Any) -> bytes:
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def patient_claims(url: str, scopes: tuple[str, ...] = SCOPES) -> Json:
    """Claims as the gate gives them to an app that a patient logged in to."""
    now = int(time.time())
    return {
        "iss": url, "aud": f"{url}/fhir", "sub": "amy", "client_id": "growth-chart", "iat": now, "exp": now + LIFETIME,
        "jti": secrets.token_urlsafe(16), "scope": " ".join(scopes), "patient": "amy", "fhirUser": "Patient/amy",
        "need_patient_banner": True, "smart_style_url": f"{url}/smart-style.json", "grant": secrets.token_urlsafe(16),
    }


def system_claims(url: str) -> Json:
    """Claims as the gate gives them to a backend service."""
    now = int(time.time())
    return {
        "iss": url, "aud": f"{url}/fhir", "sub": "service", "client_id": "service", "iat": now, "exp": now + LIFETIME,
        "jti": secrets.token_urlsafe(16), "scope": "system/*.rs",
    }


def access_token(claims: Json, key: Any, kid: str, algorithm: str = "ES256") -> str:
    return jwt.encode(claims, key, algorithm, headers={"typ": "at+jwt", "kid": kid})


def get(target: str, host: str, token: str) -> bytes:
    """A request as an app sends it."""
    return (
        f"GET {target} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\nAccept: application/fhir+json\r\n"
        "User-Agent: bench/1.0\r\n\r\n"
    ).encode()


def token_request(url: str, host: str, key: Any) -> bytes:
    """A backend service's request for a token, with an assertion of its own."""
    now = int(time.time())
    claims = {"iss": "service", "sub": "service", "aud": f"{url}/auth/token", "iat": now, "exp": now + 290, "jti": secrets.token_urlsafe(16)}
    assertion = jwt.encode(claims, key, "ES384", headers={"kid": "service"})
    form = (
        "grant_type=client_credentials&scope=system%2F*.rs&client_assertion_type="
        f"urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer&client_assertion={assertion}"
    )
    return (
        f"POST /auth/token HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/x-www-form-urlencoded\r\n"
        f"Content-Length: {len(form)}\r\nUser-Agent: bench/1.0\r\n\r\n{form}"
    ).encode()


def write_requests(path: Path, requests: list[bytes]) -> Path:
    path.write_bytes(b"\0".join(requests))
    return path


def first(requests: Path) -> bytes:
    return requests.read_bytes().split(b"\0", 1)[0]
