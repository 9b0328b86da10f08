"""A public app logs somebody in, and what it gets is what they may see (SMART 2.2 App Launch; `attacks.md` O)."""

from __future__ import annotations

import httpx
import jwt
import pytest

from harness import REDIRECT, SECRET, Gate, bearer, entries
from pages import Authorization, Person, app_tells, standalone_launch


def read(gate: Gate, token: object, path: str) -> httpx.Response:
    return httpx.get(f"{gate.fhir}/{path}", headers=bearer(str(token)))


def test_a_patient_sees_herself(gate: Gate) -> None:
    tokens = standalone_launch(gate)
    assert tokens["patient"] == "amy"
    assert str(tokens["token_type"]).lower() == "bearer"
    assert set(str(tokens["scope"]).split()) >= {"patient/Patient.rs", "patient/Observation.rs"}
    assert read(gate, tokens["access_token"], "Patient/amy").json()["id"] == "amy"
    found = read(gate, tokens["access_token"], "Observation?_count=100").json()
    assert {resource["subject"]["reference"] for resource in entries(found)} == {"Patient/amy"}
    assert read(gate, tokens["access_token"], "Patient/ben").status_code == 404
    assert read(gate, tokens["access_token"], "Condition").status_code == 403


def test_SC_23_a_clinician_chooses_the_patient(gate: Gate) -> None:
    authorization = Authorization(gate)
    person = Person(gate).open(authorization.url()).log_in("carter")
    tokens = authorization.redeem(person.choose("Okafor", "ben").decide(allow=True).landed()["code"]).json()
    assert tokens["patient"] == "ben"
    assert read(gate, tokens["access_token"], "Patient/ben").status_code == 200
    assert read(gate, tokens["access_token"], "Patient/amy").status_code == 404


def test_AL_29_the_token_is_what_rfc_9068_says(gate: Gate) -> None:
    token = str(standalone_launch(gate)["access_token"])
    header = jwt.get_unverified_header(token)
    assert (header["typ"], header["alg"]) == ("at+jwt", "ES256")
    key = jwt.PyJWKClient(f"{gate.url}/.well-known/jwks.json").get_signing_key(header["kid"])
    claims = jwt.decode(token, key.key, ["ES256"], audience=gate.fhir, issuer=gate.url)
    assert (claims["client_id"], claims["patient"]) == ("growth-chart", "amy")
    assert {"sub", "iat", "exp", "jti"} <= set(claims)


def test_a_wrong_password_says_nothing_of_the_user(gate: Gate) -> None:
    texts = set()
    for username in ("amy", "nobody-of-that-name"):
        person = Person(gate).open(Authorization(gate).url()).log_in(username, "wrong")
        assert person.page.form_with("username")
        texts.add(person.page.text.replace(username, ""))
    assert len(texts) == 1


def test_AL_17_saying_no(gate: Gate) -> None:
    authorization = Authorization(gate)
    landed = Person(gate).open(authorization.url()).log_in("amy").decide(allow=False).landed()
    assert (landed["error"], landed["state"]) == ("access_denied", authorization.state)
    assert "code" not in landed


def test_RF_1_row_218_a_code_counts_once_and_a_replay_ends_what_it_gave(gate: Gate) -> None:
    authorization = Authorization(gate)
    code = Person(gate).open(authorization.url()).log_in("amy").decide(allow=True).landed()["code"]
    token = authorization.redeem(code).json()["access_token"]
    assert read(gate, token, "Patient/amy").status_code == 200
    again = authorization.redeem(code)
    assert (again.status_code, again.json()["error"]) == (400, "invalid_grant")
    assert read(gate, token, "Patient/amy").status_code == 401


@pytest.mark.parametrize("changed", [{"code_verifier": "x" * 43}, {"code_verifier": ""}, {"redirect_uri": REDIRECT + "/"}, {"client_id": "backend-secret"}])
def test_AL_20_AL_21_row_218_a_code_is_bound_to_its_request(gate: Gate, changed: dict[str, str]) -> None:
    authorization = Authorization(gate)
    code = Person(gate).open(authorization.url()).log_in("amy").decide(allow=True).landed()["code"]
    answer = authorization.redeem(code, **changed)
    assert answer.status_code in (400, 401)
    assert answer.json()["error"] in ("invalid_grant", "invalid_client", "invalid_request")


@pytest.mark.parametrize("changed", [{"code_challenge": None}, {"code_challenge_method": "plain"}, {"code_challenge_method": None},
                                     {"code_challenge": "short"}, {"aud": "https://other.example.org/fhir"}, {"aud": None},
                                     {"response_type": "token"}])
def test_AL_1_AL_14_AL_16_row_212_and_214_requests_that_go_back_with_an_error(gate: Gate, changed: dict[str, str | None]) -> None:
    authorization = Authorization(gate)
    landed = Person(gate).open(authorization.url(**changed)).landed()
    assert landed["error"] in ("invalid_request", "unsupported_response_type")
    assert landed["state"] == authorization.state


@pytest.mark.parametrize("changed", [
    {"client_id": "nobody"}, {"client_id": None}, {"redirect_uri": None}, {"redirect_uri": REDIRECT + "/"},
    {"redirect_uri": REDIRECT + "?x=1"}, {"redirect_uri": "http://127.0.0.1:9001/callback"}, {"redirect_uri": "http://localhost:9000/callback"},
    {"redirect_uri": "http://127.0.0.1:9000@evil.example.org/callback"}, {"redirect_uri": "https://evil.example.org/"}, {"redirect_uri": REDIRECT + "/sub"},
    {"redirect_uri": REDIRECT.replace("callback", "Callback")}, {"redirect_uri": REDIRECT.replace("callback", "%63allback")},
    {"redirect_uri": REDIRECT.replace("/callback", "/x/%2e%2e/callback")}, {"redirect_uri": REDIRECT.replace("http", "HTTP")},
])
def test_RF_2_row_213_and_217_requests_that_go_nowhere(gate: Gate, changed: dict[str, str | None]) -> None:
    assert Person(gate).open(Authorization(gate).url(**changed)).refused()


def test_AL_13_row_215_authorize_by_post(gate: Gate) -> None:
    authorization = Authorization(gate)
    person = Person(gate)
    person._follow(person.http.post(f"{gate.url}/auth/authorize", data=authorization.parameters()))
    assert "code" in person.log_in("amy").decide(allow=True).landed()


@pytest.mark.parametrize("state", ["a&error=x", "ü<b>\"'", "x" * 1000, "a b+c%20"])
def test_AL_18_row_216_the_state_comes_back_as_it_was(gate: Gate, state: str) -> None:
    authorization = Authorization(gate, state=state)
    assert Person(gate).open(authorization.url()).log_in("amy").decide(allow=False).landed()["state"] == state


def test_SC_18_row_227_no_more_than_asked_allowed_and_agreed(gate: Gate) -> None:
    authorization = Authorization(gate, scope="launch/patient patient/Observation.rs patient/*.cruds system/*.rs")
    person = Person(gate).open(authorization.url()).log_in("amy")
    form = next(form for form in person.page.forms if ("do", "allow") in form.buttons)
    landed = person.submit(form, do="allow", scope="system/*.cruds").landed()
    tokens = authorization.redeem(landed["code"]).json()
    assert set(tokens["scope"].split()) <= {"launch/patient", "patient/Observation.rs", "patient/*.rs"}
    assert read(gate, tokens["access_token"], "Patient/ben").status_code == 404


def test_row_231_pages_that_cannot_be_framed_or_cached(gate: Gate) -> None:
    headers = Person(gate).open(Authorization(gate).url()).answer.headers
    policy = headers["content-security-policy"]
    assert "frame-ancestors 'none'" in policy and "default-src 'none'" in policy and "unsafe-inline" not in policy
    assert headers["cache-control"] == "no-store"
    assert headers["referrer-policy"] == "no-referrer"
    assert "script" not in Person(gate).open(Authorization(gate).url()).answer.text


def test_row_231_forms_that_another_browser_or_page_sends(gate: Gate) -> None:
    person = Person(gate).open(Authorization(gate).url())
    form = person.page.form_with("username")
    other = Person(gate)
    other.answer = person.answer
    assert other.log_in("amy").answer.status_code == 400, "the cookie is missing"
    form.fields["id"] = "A" * 22
    assert person.submit(form, username="amy", password="x").answer.status_code == 400, "the form is not this browser's"


def test_row_231_two_tabs_do_not_meet(gate: Gate) -> None:
    first, second = Authorization(gate), Authorization(gate, scope="launch/patient patient/Patient.rs")
    person = Person(gate).open(first.url())
    page = person.answer
    person.open(second.url()).log_in("amy")
    consent = person.answer
    person.answer = page
    landed = person.log_in("amy").decide(allow=True).landed()
    assert landed["state"] == first.state
    person.answer = consent
    landed = person.decide(allow=True).landed()
    assert landed["state"] == second.state
    assert second.redeem(landed["code"]).json()["scope"] == "launch/patient patient/Patient.rs"


def test_CF_4_row_233_discovery_speaks_of_the_configured_address(gate: Gate) -> None:
    headers = {"Host": "evil.example.org", "X-Forwarded-Host": "evil.example.org", "Accept": "text/html", "Origin": "https://anywhere.example.org"}
    answer = httpx.get(f"{gate.fhir}/.well-known/smart-configuration", headers=headers)
    assert answer.headers["content-type"].startswith("application/json")
    assert answer.headers["access-control-allow-origin"] == "*"
    found = answer.json()
    assert found["code_challenge_methods_supported"] == ["S256"]
    for name in ("authorization_endpoint", "token_endpoint", "introspection_endpoint", "revocation_endpoint"):
        assert found[name].startswith(f"{gate.url}/auth/")
    assert "evil" not in answer.text
    posted = httpx.post(f"{gate.fhir}/.well-known/smart-configuration", headers=headers)
    assert (posted.status_code, posted.headers["allow"], "evil" in posted.text) == (405, "GET, HEAD, OPTIONS", False)


def test_CF_24_the_capability_statement_names_the_endpoints(gate: Gate) -> None:
    statement = httpx.get(f"{gate.fhir}/metadata").json()
    security = statement["rest"][0]["security"]
    uris = next(it for it in security["extension"] if it["url"].endswith("/oauth-uris"))
    assert {it["url"]: it["valueUri"] for it in uris["extension"]}["token"] == f"{gate.url}/auth/token"
    assert any(coding["code"] == "SMART-on-FHIR" for service in security["service"] for coding in service["coding"])


def test_openid_client_as_a_public_app(gate: Gate) -> None:
    """The library makes the request and redeems the code; the pages are filled in here."""
    found = app_tells(gate, "standalone.mjs", gate.url, gate.fhir, "growth-chart", REDIRECT, "launch/patient patient/Patient.rs")
    assert (found["patient"], found["before"], found["after"]) == ("amy", 200, 401)


def test_TI_1_AL_39_RF_8_row_229_and_230_introspect_and_revoke_end_to_end(gate: Gate) -> None:
    from authlib.integrations.httpx_client import OAuth2Client

    token = str(standalone_launch(gate)["access_token"])
    with OAuth2Client(client_id="resource-server", client_secret=SECRET) as server:
        told = server.introspect_token(f"{gate.url}/auth/introspect", token=token).json()
        assert (told["active"], told["client_id"], told["patient"]) == (True, "growth-chart", "amy")
        assert server.introspect_token(f"{gate.url}/auth/introspect", token="garbage").json() == {"active": False}
        assert httpx.post(f"{gate.url}/auth/introspect", data={"token": token}).status_code == 401
        # A client cannot end what was given to another.
        server.revoke_token(f"{gate.url}/auth/revoke", token=token)
        assert read(gate, token, "Patient/amy").status_code == 200
        with OAuth2Client(client_id="growth-chart", token_endpoint_auth_method="none") as app:
            assert app.revoke_token(f"{gate.url}/auth/revoke", token=token).status_code == 200
        assert read(gate, token, "Patient/amy").status_code == 401
        assert server.introspect_token(f"{gate.url}/auth/introspect", token=token).json() == {"active": False}
