"""Tokens that must not pass, shown to the built binary: `attacks.md` A, by number."""

from __future__ import annotations

import base64
import json
import time
from typing import Any

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives import serialization

from harness import ISSUER, Gate, Key, bearer, rule
from raw import exchange, get

SCOPE = "patient/Patient.r patient/Observation.rs"


def read(gate: Gate, token: str, path: str = "Patient/amy") -> httpx.Response:
    return httpx.get(f"{gate.fhir}/{path}", headers=bearer(token))


def assert_refused(gate: Gate, token: str) -> None:
    answer = read(gate, token)
    assert answer.status_code == 401, answer.text
    assert answer.headers["www-authenticate"].startswith("Bearer")
    assert 'error="invalid_token"' in answer.headers["www-authenticate"]


def claims(gate: Gate, **changed: Any) -> dict[str, Any]:
    now = int(time.time())
    all_claims = {"iss": ISSUER, "aud": gate.fhir, "sub": "s", "client_id": "app", "iat": now, "exp": now + 300, "jti": "j",
                  "scope": SCOPE, "patient": "amy", **changed}
    return {name: it for name, it in all_claims.items() if it is not None}


def encoded(of: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(of).encode()).rstrip(b"=").decode()


def test_the_good_token_passes(gate: Gate) -> None:
    assert read(gate, gate.token(SCOPE, patient="amy")).status_code == 200


def test_01_no_token_is_a_bare_challenge(gate: Gate) -> None:
    answer = httpx.get(f"{gate.fhir}/Patient/amy")
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith("Bearer")
    assert "error" not in answer.headers["www-authenticate"]


def test_02_a_token_in_the_query_is_no_token(gate: Gate) -> None:
    token = gate.token(SCOPE, patient="amy")
    answer = httpx.get(f"{gate.fhir}/Patient/amy", params={"access_token": token})
    assert answer.status_code == 401
    gate.audit(answer.headers["x-request-id"])
    for log in (gate.log, gate.audit_file):
        assert token not in log.read_text()


def test_03_two_authorization_headers(gate: Gate) -> None:
    token = gate.token(SCOPE, patient="amy")
    other = gate.token("system/*.cruds", client_id="other")
    assert get(gate.port, "/fhir/Patient/amy", f"Authorization: Bearer {token}", f"Authorization: Bearer {other}").status == 400
    assert get(gate.port, "/fhir/Patient/amy", f"Authorization: Bearer {token}, Bearer {other}").status in (400, 401)


@pytest.mark.parametrize("form", ["bearer\t{}", "Bearer  {}", "Bearer {}, Basic xxx", "Bearer", "Basic {}", "{}", "Bearer {} {}", "Token {}"])
def test_04_other_forms_of_the_header(gate: Gate, form: str) -> None:
    value = form.replace("{}", gate.token(SCOPE, patient="amy"))
    assert get(gate.port, "/fhir/Patient/amy", f"Authorization: {value}").status in (400, 401)


@pytest.mark.parametrize("scheme", ["bearer", "BEARER", "bEaReR"])
def test_04_the_scheme_has_no_case(gate: Gate, scheme: str) -> None:
    token = gate.token(SCOPE, patient="amy")
    assert get(gate.port, "/fhir/Patient/amy", f"Authorization: {scheme} {token}").status == 200


def test_05_algorithms_that_the_key_does_not_have(gate: Gate) -> None:
    header = {"typ": "at+jwt", "kid": gate.keys.idp.kid}
    for none in ("none", "None", "nOnE"):
        assert_refused(gate, f"{encoded({**header, 'alg': none})}.{encoded(claims(gate))}.")
    public = gate.keys.idp.private.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    signer = jwt.api_jws.PyJWS()
    hmac = jwt.algorithms.HMACAlgorithm(jwt.algorithms.HMACAlgorithm.SHA256)
    signed = f"{encoded({**header, 'alg': 'HS256'})}.{encoded(claims(gate))}"
    mac = base64.urlsafe_b64encode(hmac.sign(signed.encode(), public)).rstrip(b"=").decode()
    assert_refused(gate, f"{signed}.{mac}")
    del signer
    assert_refused(gate, jwt.encode(claims(gate), gate.keys.idp.private, "RS512", headers=header))


def test_05_keys_that_the_token_brings_along(gate: Gate) -> None:
    stranger = gate.keys.stranger
    assert_refused(gate, stranger.sign(claims(gate), typ="at+jwt"))
    for brought in ({"jwk": stranger.jwk()}, {"jku": "http://127.0.0.1:1/jwks"}, {"x5u": "http://127.0.0.1:1/x5u"}):
        assert_refused(gate, stranger.sign(claims(gate), typ="at+jwt", **brought))  # type: ignore[arg-type]
    assert_refused(gate, gate.keys.idp.sign(claims(gate), typ="at+jwt", crit=["exp"]))  # type: ignore[arg-type]


def test_05_a_changed_token(gate: Gate) -> None:
    header, body, signature = gate.token(SCOPE, patient="amy").split(".")
    forged = encoded({**claims(gate), "patient": "ben"})
    assert_refused(gate, f"{header}.{forged}.{signature}")
    assert_refused(gate, f"{header}.{body}.{signature[:-4]}AAAA")
    assert_refused(gate, f"{header}.{body}")
    assert_refused(gate, f"{header}.{body}.")
    assert_refused(gate, f"{header}.{body}.{signature}.x")
    assert_refused(gate, "not-a-token")


def test_06_other_kinds_of_tokens(gate: Gate) -> None:
    for kind in ("JWT", "logout+jwt", "client-authentication+jwt"):
        assert_refused(gate, gate.token(SCOPE, patient="amy", header={"typ": kind}))
    untyped = jwt.encode(claims(gate), gate.keys.idp.private, "RS256", headers={"kid": gate.keys.idp.kid, "typ": None})
    assert_refused(gate, untyped)


@pytest.mark.parametrize("audience", [None, "https://other.example.org/fhir", "", [], ["https://other.example.org/fhir"], 7])
def test_07_meant_for_another_server(gate: Gate, audience: object) -> None:
    assert_refused(gate, gate.token(SCOPE, patient="amy", aud=audience))


def test_07_meant_for_this_one_among_others(gate: Gate) -> None:
    token = gate.token(SCOPE, patient="amy", aud=["https://other.example.org/fhir", gate.fhir])
    assert read(gate, token).status_code == 200


@pytest.mark.parametrize("changed", [
    lambda now: {"exp": now - 1}, lambda now: {"exp": None}, lambda now: {"exp": str(now + 300)},
    lambda now: {"exp": 1e300}, lambda now: {"exp": -1}, lambda now: {"nbf": now + 600}, lambda now: {"iat": now + 600},
    lambda now: {"iss": None}, lambda now: {"iss": "https://nobody.example.org"}, lambda now: {"iss": ISSUER + "/"},
])
def test_08_times_and_issuers(gate: Gate, changed: Any) -> None:
    token = gate.keys.idp.sign(claims(gate, **changed(int(time.time()))), typ="at+jwt")
    assert_refused(gate, token)


def test_09_an_unknown_key(gate: Gate) -> None:
    for number in range(20):
        stray = Key(f"no-such-key-{number}", "RS256", gate.keys.idp.private)
        assert_refused(gate, stray.sign(claims(gate), typ="at+jwt"))


@pytest.mark.parametrize("patient", ["amy,ben", "amy&_id=ben", "../Patient/ben", "amy%2Cben", "*", "", ["amy", "ben"], "x" * 65,
                                     "Patient/amy/_history/1", "Practitioner/amy", "amy ben", "http://127.0.0.1/fhir/Patient/amy", 7, {"a": 1}])
def test_12_patients_that_are_no_id(gate: Gate, patient: object) -> None:
    token = gate.token("patient/*.rs", patient=patient)
    for path in ("Patient/amy", "Observation?_count=100", "Patient/ben"):
        assert read(gate, token, path).status_code == 401


def test_13_no_patient_is_no_access_and_not_no_filter(gate: Gate) -> None:
    token = gate.token("patient/*.rs")
    for path in ("Patient/amy", "Observation?_count=100", "Observation?patient=amy"):
        answer = read(gate, token, path)
        assert answer.status_code == 403, answer.text


@pytest.mark.parametrize("scope", [None, "", "openid fhirUser", "launch/patient offline_access", ["patient/*.rs"]])
def test_14_no_scopes_are_no_access(gate: Gate, scope: object) -> None:
    answer = read(gate, gate.token(scope, patient="amy"))  # type: ignore[arg-type]
    assert answer.status_code in (401, 403), answer.text


def test_15_an_enormous_token(gate: Gate) -> None:
    token = gate.token(" ".join(["patient/Observation.rs"] * 5000), patient="amy")
    found = exchange(gate.port, f"GET /fhir/Patient/amy HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\r\n".encode())
    assert not found or found[0].status in (400, 401, 431)
    assert read(gate, gate.token(SCOPE, patient="amy")).status_code == 200


def test_16_a_bound_token_shown_as_plain_bearer(gate: Gate) -> None:
    assert_refused(gate, gate.token(SCOPE, patient="amy", cnf={"jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"}))


def test_refusals_name_their_rule(gate: Gate) -> None:
    answer = read(gate, "not-a-token")
    assert rule(answer) == "token-refused"
    assert gate.audit(answer.headers["x-request-id"])["rule"] == "token-refused"
