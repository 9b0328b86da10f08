"""How an authorization is asked for and answered, standalone and from an EHR (SMART 2.2 app-launch; tests/checklist.tsv AL-2 to AL-18)."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest

from harness import REDIRECT, Gate, bearer
from pages import Authorization, Person
from smart import LAUNCH_URI, PORTAL, launch, opened, token

SCOPE = "launch/patient patient/Patient.rs"


def asked(gate: Gate, client: str = "app", scope: str = SCOPE, **changed: str | None) -> Person:
    redirect = f"{PORTAL}/callback" if client == "portal" else REDIRECT
    return Person(gate).open(Authorization(gate, client, redirect_uri=redirect, scope=scope).url(**changed))


@pytest.mark.parametrize("client", ["app", "portal", "signing-app"])
@pytest.mark.parametrize("changed", [{"code_challenge": None, "code_challenge_method": None}, {"code_challenge_method": None}])
def test_AL_2_every_kind_of_app_uses_pkce(smart: Gate, client: str, changed: dict[str, None]) -> None:
    assert asked(smart, client).page.form_with("username")
    assert asked(smart, client, **changed).landed()["error"] == "invalid_request"


@pytest.mark.parametrize(("name", "error"), [
    ("response_type", "unsupported_response_type"), ("scope", "invalid_scope"), ("state", "invalid_request"), ("aud", "invalid_request"),
    ("code_challenge", "invalid_request"), ("code_challenge_method", "invalid_request"),
])
def test_AL_6_AL_14_what_is_required_is_required(smart: Gate, name: str, error: str) -> None:
    assert asked(smart, **{name: None}).landed()["error"] == error


@pytest.mark.parametrize("name", ["client_id", "redirect_uri"])
def test_AL_14_RF_2_without_an_app_there_is_nowhere_to_go(smart: Gate, name: str) -> None:
    assert asked(smart, **{name: None}).refused()


def test_AL_7_AL_8_what_a_client_is_registered_with(own_gate: Gate) -> None:
    """None or several launch URIs, one or several redirect URIs, fixed and whole; a secret, keys or where they are."""
    app = own_gate.client("growth-chart")
    right: list[dict[str, Any]] = [
        {"redirect_uris": [REDIRECT, "org.example.app:/callback"]}, {"launch_uris": [LAUNCH_URI, f"{LAUNCH_URI}/2"]}, {"launch_uris": []},
        {"kind": "confidential-asymmetric", "jwks_file": "ec-jwks.json"},
        {"kind": "confidential-asymmetric", "jwks_url": "https://app.example.org/jwks.json"},
        {"kind": "confidential-symmetric", "secret_hash": own_gate.client("ehr")["secret_hash"]},
    ]
    wrong: list[dict[str, Any]] = [
        {"redirect_uris": []}, {"redirect_uris": ["/callback"]}, {"redirect_uris": [f"{REDIRECT}#x"]}, {"redirect_uris": ["https://*.example.org/"]},
        {"launch_uris": ["launch"]}, {"id": ""}, {"kind": "confidential-asymmetric"}, {"kind": "confidential-symmetric"},
    ]
    for changed in right + wrong:
        own_gate.config["clients"][0] = {**app, **changed}
        own_gate.write()
        done = own_gate.run("check")
        assert done.returncode == (changed in wrong), (changed, done.stderr)
        assert done.returncode == 0 or "has an error" in done.stderr, done.stderr


@pytest.mark.parametrize(("name", "here"), [("aud", True), ("resource", True), ("audience", False)])
def test_AL_15_aud_or_resource_names_the_fhir_base(smart: Gate, name: str, here: bool) -> None:
    person = asked(smart, **{"aud": None, name: smart.fhir})
    if here:
        assert person.page.form_with("username")
    else:
        assert person.landed()["error"] == "invalid_request"


def test_AL_15_row_214_one_trailing_slash_is_the_same_server(smart: Gate) -> None:
    assert asked(smart, aud=f"{smart.fhir}/").page.form_with("username")


@pytest.mark.parametrize("aud", ["{}//", "{}?x=1", "{}/Patient", "{}#", "https://other.example.org/fhir", "{upper}", "{root}", "{tls}"])
def test_AL_16_row_214_another_server_is_refused(smart: Gate, aud: str) -> None:
    wrong = aud.replace("{upper}", smart.fhir.upper()).replace("{root}", smart.url).replace("{tls}", smart.fhir.replace("http:", "https:")).replace("{}", smart.fhir)
    assert asked(smart, aud=wrong).landed()["error"] == "invalid_request"
    assert asked(smart, resource=wrong).landed()["error"] == "invalid_request", "one of two is wrong"


def test_row_214_two_audiences_go_nowhere(smart: Gate) -> None:
    url = Authorization(smart, "app", scope=SCOPE).url()
    assert Person(smart).open(f"{url}&aud=https%3A%2F%2Fother.example.org").refused()


def test_row_217_a_known_app_is_told_what_is_wrong(smart: Gate) -> None:
    authorization = Authorization(smart, "app", scope="nothing that is known")
    landed = Person(smart).open(authorization.url()).landed()
    assert (landed["error"], landed["state"], landed["iss"]) == ("invalid_scope", authorization.state, smart.url)


def test_AL_18_the_app_gets_a_code_and_its_state(smart: Gate) -> None:
    authorization = Authorization(smart, "app", scope=SCOPE)
    person = Person(smart).open(authorization.url()).log_in("amy")
    landed = person.landed()
    assert person.answer.headers["location"].startswith(f"{REDIRECT}?")
    assert set(landed) == {"code", "state", "iss"}
    assert landed["state"] == authorization.state


def test_AL_13_SC_33_a_form_is_as_good_as_a_query(smart: Gate) -> None:
    authorization = Authorization(smart, "app", scope=f"openid {SCOPE}")
    person = Person(smart)
    person._follow(person.http.post(f"{smart.url}/auth/authorize", data=authorization.parameters()))
    found = token(smart, authorization, person.log_in("amy").landed()["code"]).json()
    assert {"access_token", "id_token"} <= set(found)
    answer = httpx.post(authorization.url(), json=authorization.parameters())
    assert answer.status_code == 400, "neither another kind of body, nor the query of a POST"


def test_AL_10_a_launch_has_iss_and_an_opaque_value(smart: Gate) -> None:
    said = launch(smart, patient="ben")
    person = opened(smart, said)
    target = urlsplit(person.answer.headers["location"])
    assert target._replace(query="").geturl() == LAUNCH_URI
    assert dict(parse_qsl(target.query)) == {"iss": smart.fhir, "launch": said.json()["launch"]}
    assert len(said.json()["launch"]) >= 22 and "ben" not in said.json()["launch"]
    assert launch(smart, patient="ben").json()["launch"] != said.json()["launch"]


def test_AL_11_row_225_the_launch_leads_to_its_context_once(smart: Gate) -> None:
    said = {patient: launch(smart, patient=patient) for patient in ("ben", "cleo")}
    for patient, answer in said.items():
        authorization = Authorization(smart, "app", scope="launch patient/Patient.rs")
        person = opened(smart, answer).open(authorization.url(launch=answer.json()["launch"]))
        found = token(smart, authorization, person.landed()["code"]).json()
        assert found["patient"] == patient
        assert httpx.get(f"{smart.fhir}/Patient/{patient}", headers=bearer(found["access_token"])).status_code == 200
        assert person.open(authorization.url(launch=answer.json()["launch"])).landed()["error"] == "invalid_request", "spent"


@pytest.mark.parametrize("value", ["guessed", "", "A" * 43])
def test_AL_11_row_225_a_launch_that_nobody_made(smart: Gate, value: str) -> None:
    person = asked(smart, scope="launch patient/Patient.rs", launch=value)
    if value:
        assert person.landed()["error"] == "invalid_request"
    else:
        assert "launch" not in (person.page.text or "launch"), "an empty parameter is none (RFC 6749 §3.1)"


def test_AL_12_in_an_ehr_launch_aud_is_the_iss(smart: Gate) -> None:
    said = launch(smart, patient="ben")
    authorization = Authorization(smart, "app", scope="launch patient/Patient.rs")
    value = said.json()["launch"]
    person = opened(smart, said)
    assert person.open(authorization.url(launch=value, aud="https://other.example.org/fhir")).landed()["error"] == "invalid_request"
    assert "code" in person.open(authorization.url(launch=value)).landed(), "and the launch is as good as before"


def test_RF_3_parameters_once_and_unknown_ones_are_nothing(smart: Gate) -> None:
    url = Authorization(smart, "app", scope=SCOPE).url()
    assert Person(smart).open(f"{url}&unknown=1").page.form_with("username")
    for twice in ("&state=b", "&scope=openid", "&client_id=app"):
        assert Person(smart).open(url + twice).refused(), twice


def test_RF_10_the_answer_names_who_gives_it_and_goes_nowhere_else(smart: Gate) -> None:
    for response_type in ("token", "id_token", "code token", "none"):
        landed = asked(smart, response_type=response_type).landed()
        assert landed["error"] == "unsupported_response_type", response_type
        assert landed["iss"] == smart.url
    assert asked(smart, response_mode="fragment").landed()["error"] == "invalid_request"
    for elsewhere in (f"{REDIRECT}/", f"{REDIRECT}/..", REDIRECT.upper(), f"{PORTAL}/callback", "https://evil.example.org/"):
        assert asked(smart, redirect_uri=elsewhere).refused(), elsewhere
