"""Launch context and identity: what an app is told of patient, encounter, EHR and user (SMART 2.2 scopes; tests/checklist.tsv SC-19 to SC-38)."""

from __future__ import annotations

import json
from typing import Any

import httpx
import jwt
import pytest

from harness import Gate, bearer
from pages import Authorization, Person
from sandbox import ROOT
from smart import granted, launch, launched, opened, token

KNOWN = {
    "access_token", "token_type", "expires_in", "scope", "refresh_token", "id_token",
    "patient", "encounter", "fhirContext", "need_patient_banner", "intent", "smart_style_url", "tenant",
}
CONTEXT = {
    "patient": "ben", "encounter": "ben-visit-1", "need_patient_banner": "false", "intent": "reconcile", "tenant": "north",
    "smart_style_url": "https://ehr.example.org/style.1.json",
    "fhirContext": json.dumps([{"reference": "Observation/ben-weight-1"}, {"canonical": "http://example.org/q", "type": "Questionnaire"},
                               {"identifier": {"value": "1"}, "type": "Task"}]),
}


def key_of(gate: Gate, of: str) -> Any:
    return jwt.PyJWKClient(f"{gate.url}/.well-known/jwks.json").get_signing_key_from_jwt(of).key


def identity(gate: Gate, found: dict[str, Any], client: str = "app") -> dict[str, Any]:
    return jwt.decode(found["id_token"], key_of(gate, found["id_token"]), ["RS256"], audience=client, issuer=gate.url)


def test_SC_19_SC_23_a_patient_and_a_visit_are_chosen(smart: Gate) -> None:
    authorization = Authorization(smart, "app", scope="launch/patient launch/encounter patient/Encounter.rs")
    person = Person(smart).open(authorization.url()).log_in("carter").choose("Okafor", "ben")
    person.submit(person.page.form_with("encounter"), encounter="ben-visit-2", do="choose")
    found = token(smart, authorization, person.landed()["code"]).json()
    assert (found["patient"], found["encounter"]) == ("ben", "ben-visit-2")
    assert found["scope"] == authorization.scope
    assert granted(smart, "launch/patient")["patient"] == "amy", "who has one record only is not asked"
    assert "patient" not in granted(smart, "openid")


def test_SC_20_a_role_that_is_not_supported(smart: Gate) -> None:
    found = granted(smart, "launch/patient?role=https://ehr.example.org/mother")
    assert (found["scope"], found["patient"]) == ("launch/patient", "amy")


def test_SC_21_SC_22_in_an_ehr_launch_the_patient_is_the_ehrs_or_is_chosen(smart: Gate) -> None:
    found = launched(smart, "launch launch/patient patient/*.rs", patient="cleo")
    assert found["patient"] == "cleo", "the scope is a hint that asks nothing again"
    answer = launch(smart)
    authorization = Authorization(smart, "app", scope="launch patient/Patient.rs")
    person = opened(smart, answer).open(authorization.url(launch=answer.json()["launch"]))
    found = token(smart, authorization, person.choose("Okafor", "ben").landed()["code"]).json()
    assert found["patient"] == "ben"


def test_SC_24_row_228_no_patient_scope_without_a_patient(smart: Gate) -> None:
    for scope in ("patient/*.rs", "launch/patient", "patient/Observation.r?category=x"):
        authorization = Authorization(smart, "app", scope=scope)
        landed = Person(smart).open(authorization.url()).log_in("guest").landed()
        assert landed["error"] == "access_denied" and "code" not in landed
    assert granted(smart, "openid patient/*.rs", username="guest")["scope"] == "openid"


def test_row_228_a_patient_that_nobody_chose(smart: Gate) -> None:
    """Neither the consent page nor an id that was not offered leads around the choice."""
    authorization = Authorization(smart, "asking-app", scope="patient/Patient.rs")
    person = Person(smart).open(authorization.url()).log_in("carter")
    form = person.page.form_with("name")
    for fields in ({"do": "allow", "patient": "ben"}, {"do": "choose", "patient": "nobody"}, {"do": "choose", "patient": "../ben"}, {"do": "choose"}):
        person.submit(form, **fields) if fields["do"] == "choose" else person._follow(
            person.http.post(f"{smart.url}/auth/consent", data={**form.fields, **fields}, headers={"Origin": smart.url}))
        assert person.page.form_with("name"), "the choice, again"


def test_SC_25_the_context_is_at_the_top_level(smart: Gate) -> None:
    found = launched(smart, "launch patient/*.rs", **CONTEXT)
    expected = {**CONTEXT, "need_patient_banner": False, "fhirContext": json.loads(CONTEXT["fhirContext"])}
    assert {name: found[name] for name in expected} == expected
    standalone = granted(smart, "launch/patient patient/*.rs")
    assert standalone["need_patient_banner"] is True
    assert not {"encounter", "fhirContext", "intent", "smart_style_url", "tenant"} & set(standalone), "nothing is made up"


def test_SC_25_a_visit_goes_with_its_patient(smart: Gate) -> None:
    """Or the person could choose another patient for it."""
    answer = launch(smart, encounter="ben-visit-1")
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")
    assert launch(smart, patient="ben", encounter="ben-visit-1").status_code == 200


@pytest.mark.parametrize(("item", "right"), [
    ({"reference": "ImagingStudy/1"}, True), ({"reference": "ImagingStudy/1", "role": "launch"}, True),
    ({"reference": "Patient/amy", "role": "https://ehr.example.org/mother"}, True),
    ({"identifier": {"system": "urn:x", "value": "1"}, "type": "Task", "role": "urn:example:role"}, True),
    ({}, False), ({"type": "Task"}, False), ({"reference": "https://other.example.org/ImagingStudy/1"}, False),
    ({"reference": "Patient/amy"}, False), ({"reference": "Encounter/1", "role": "launch"}, False), ({"type": "Patient", "identifier": {"value": "1"}}, False),
    ({"reference": "ImagingStudy/1", "role": ""}, False), ({"reference": "ImagingStudy/1", "role": "mine"}, False),
])
def test_SC_26_SC_27_what_fhir_context_may_hold(smart: Gate, item: dict[str, Any], right: bool) -> None:
    answer = launch(smart, patient="ben", fhirContext=json.dumps([item]))
    assert answer.status_code == (200 if right else 400), answer.text


def test_SC_28_SC_29_the_documentation_says_what_of_the_context_is_passed_on() -> None:
    text = (ROOT / "docs" / "apps.md").read_text()
    assert "Of `fhirContext`, any `role` that is an absolute URI is passed on, and `launch`." in text
    assert "Give `smart_style_url` another value whenever what it serves changes" in text


def test_SC_30_no_parameters_of_our_own(smart: Gate) -> None:
    found = launched(smart, "launch openid fhirUser offline_access patient/*.rs", **CONTEXT)
    assert set(found) == KNOWN


def test_SC_31_identity_goes_with_openid(smart: Gate) -> None:
    assert "id_token" not in granted(smart, "launch/patient fhirUser")
    assert "fhirUser" not in identity(smart, granted(smart, "openid"))
    nobody = granted(smart, "openid fhirUser", username="guest")
    assert nobody["scope"] == "openid", "who has no resource has no fhirUser"
    assert "fhirUser" not in identity(smart, nobody)


@pytest.mark.parametrize(("username", "reference"), [("amy", "Patient/amy"), ("carter", "Practitioner/carter")])
def test_SC_32_SC_35_RF_12_the_id_token_names_the_person(smart: Gate, username: str, reference: str) -> None:
    authorization = Authorization(smart, "app", scope="openid fhirUser user/*.rs")
    landed = Person(smart).open(authorization.url(nonce="n-0S6_WzA2Mj")).log_in(username).landed()
    found = token(smart, authorization, landed["code"]).json()
    claims = identity(smart, found)
    assert claims["fhirUser"] == f"{smart.fhir}/{reference}"
    assert (claims["iss"], claims["sub"], claims["aud"], claims["nonce"]) == (smart.url, username, "app", "n-0S6_WzA2Mj")
    assert claims["iat"] < claims["exp"]
    assert "nonce" not in identity(smart, granted(smart, "openid")), "nor one that was not sent"
    assert httpx.get(claims["fhirUser"], headers=bearer(found["access_token"])).json()["id"] == username


def test_SC_32_a_user_is_a_resource_that_users_can_be(own_gate: Gate) -> None:
    for kind in ("Patient", "Practitioner", "PractitionerRole", "RelatedPerson", "Person", "Organization", "Group", "Device"):
        own_gate.config["users"][0]["fhir_user"] = f"{kind}/x"
        own_gate.write()
        assert own_gate.run("check").returncode == (kind in ("Organization", "Group", "Device")), kind


def test_SC_34_SC_36_SC_38_by_its_issuer_one_finds_the_key_of_an_id_token(smart: Gate) -> None:
    found = granted(smart, "openid")
    issuer = jwt.decode(found["id_token"], options={"verify_signature": False})["iss"]
    keys = httpx.get(httpx.get(f"{issuer}/.well-known/openid-configuration").json()["jwks_uri"]).json()["keys"]
    header = jwt.get_unverified_header(found["id_token"])
    [own] = [key for key in keys if key["kid"] == header["kid"]]
    assert (header["alg"], own["kty"]) == ("RS256", "RSA") and {"n", "e"} <= set(own)
    assert all({"kty", "kid"} <= set(key) and not {"d", "p", "q", "k"} & set(key) for key in keys)
    assert identity(smart, found)["sub"] == "amy"
