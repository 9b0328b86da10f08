"""What discovery says, and that it is so (SMART 2.2 conformance; tests/checklist.tsv CF)."""

from __future__ import annotations

import re
from typing import Any

import httpx
import pytest

from harness import REDIRECT, SECRET, Gate, bearer
from named_tests import named_tests
from pages import Authorization, Person
from raw import get
from sandbox import ROOT
from smart import PERSON, PORTAL, assertion, granted, post, service, token

ANY = "https://anywhere.example.org"

# Each capability that is advertised, and the duties whose tests show that it is true.
SHOWN_BY = {
    "launch-ehr": ["AL-10", "AL-11"], "launch-standalone": ["SC-23", "SC-24"], "authorize-post": ["AL-13"],
    "client-public": ["AL-20"], "client-confidential-symmetric": ["AL-22", "CS-1"], "client-confidential-asymmetric": ["AL-22", "CA-4"],
    "sso-openid-connect": ["SC-31", "SC-35", "SC-36"], "context-banner": ["SC-25"], "context-style": ["SC-25"],
    "context-ehr-patient": ["SC-25"], "context-ehr-encounter": ["SC-25"], "context-standalone-patient": ["SC-23"],
    "context-standalone-encounter": ["SC-19"], "permission-offline": ["AL-37"], "permission-online": ["AL-37"],
    "permission-patient": ["SC-13"], "permission-user": ["SC-15"], "permission-v1": ["SC-3", "SC-4"], "permission-v2": ["SC-1", "SC-8"],
}
HL7 = SHOWN_BY.keys() | {"smart-app-state"}


def document(gate: Gate, **headers: str) -> dict[str, Any]:
    return httpx.get(f"{gate.fhir}/.well-known/smart-configuration", headers=headers).raise_for_status().json()


def test_CF_1_it_is_below_the_fhir_base(smart: Gate) -> None:
    assert httpx.get(f"{smart.fhir}/.well-known/smart-configuration").status_code == 200
    for elsewhere in (f"{smart.url}/.well-known/smart-configuration", f"{smart.fhir}/Patient/.well-known/smart-configuration"):
        assert httpx.get(elsewhere).status_code in (401, 404), elsewhere


def test_CF_1_a_base_of_several_segments(own_gate: Gate) -> None:
    own_gate.config["fhir"]["base_path"] = "/hospital/r4"
    own_gate.config["issuers"][0]["audience"] = [f"{own_gate.url}/hospital/r4"]
    own_gate.write()
    own_gate.start()
    found = httpx.get(f"{own_gate.url}/hospital/r4/.well-known/smart-configuration").raise_for_status().json()
    assert found["token_endpoint"] == f"{own_gate.url}/auth/token"
    assert httpx.get(f"{own_gate.url}/hospital/r4/metadata").status_code == 200


def test_CF_2_CF_7_CF_9_CF_14_the_endpoints_are_there(smart: Gate) -> None:
    """Each answers as what it is to somebody who asks nothing in particular."""
    found = document(smart)
    for name, method, status, text in (
        ("authorization_endpoint", "GET", 400, "This app is not known here"), ("token_endpoint", "POST", 400, "invalid_request"),
        ("introspection_endpoint", "POST", 400, "invalid_request"), ("revocation_endpoint", "POST", 400, "invalid_request"),
        ("userinfo_endpoint", "GET", 401, "Authorization: Bearer"), ("management_endpoint", "GET", 200, "Log in"),
    ):
        answer = httpx.request(method, found[name])
        assert (answer.status_code, text in answer.text) == (status, True), f"{name}: {answer.text}"
    assert found["response_types_supported"] == ["code"]


@pytest.mark.parametrize("accept", [None, "application/json", "text/html", "application/fhir+xml", "nonsense", "*/*;q=0"])
def test_CF_3_it_is_json_whatever_is_accepted(smart: Gate, accept: str | None) -> None:
    found = get(smart.port, "/fhir/.well-known/smart-configuration", *([f"Accept: {accept}"] if accept else []))
    assert (found.status, found.header("content-type")) == (200, "application/json")


def test_CF_4_RF_3_every_url_is_absolute(smart: Gate) -> None:
    found = document(smart)
    urls = {name: it for name, it in found.items() if name == "issuer" or re.search("(_endpoint|_uri|_bundle)$", name)}
    assert len(urls) >= 8
    for name, url in urls.items():
        assert (url == smart.url or url.startswith(f"{smart.url}/")) and "#" not in url, name


def test_CF_5_CF_6_the_issuer_and_its_keys_go_with_sso(smart: Gate) -> None:
    found = document(smart)
    assert "sso-openid-connect" in found["capabilities"]
    assert found["issuer"] == smart.url
    assert httpx.get(found["jwks_uri"]).json()["keys"]


def test_CF_8_each_grant_type_is_served_and_no_other(smart: Gate) -> None:
    supported = set(document(smart)["grant_types_supported"])
    assert supported == {"authorization_code", "client_credentials", "refresh_token"}
    for grant in [*supported, "password", "implicit", "urn:ietf:params:oauth:grant-type:device_code"]:
        error = post(smart, "token", {"grant_type": grant, "client_id": "app"}).json()["error"]
        assert (error == "unsupported_grant_type") == (grant not in supported), grant


def test_CF_10_CA_1_each_way_to_authenticate_is_served(smart: Gate) -> None:
    found = document(smart)
    assert set(found["token_endpoint_auth_methods_supported"]) == {"client_secret_basic", "client_secret_post", "private_key_jwt", "none"}
    assert set(found["token_endpoint_auth_signing_alg_values_supported"]) == {"RS384", "ES384"}
    assert {"system/*.cruds"} <= set(found["scopes_supported"])
    credentials: list[tuple[str, dict[str, str], Any]] = [
        ("system/Patient.rs", {}, ("backend", SECRET)),
        ("system/Patient.rs", {"client_id": "backend", "client_secret": SECRET}, None),
        ("system/Patient.rs", assertion(smart, smart.keys.rsa, "backend-rsa"), None),
        ("system/Patient.rs", assertion(smart, smart.keys.ec, "backend-ec"), None),
    ]
    for scope, form, auth in credentials:
        answer = post(smart, "token", {"grant_type": "client_credentials", "scope": scope, **form}, auth=auth)
        assert (answer.status_code, answer.json().get("scope")) == (200, scope), form
    assert granted(smart, "launch/patient patient/Patient.rs")["patient"] == "amy", "none: a public app"


def test_CF_11_what_is_optional_and_not_there_is_not_named(smart: Gate) -> None:
    found = document(smart)
    for name in ("registration_endpoint", "associated_endpoints", "smart_app_state_endpoint"):
        assert name not in found


def test_CF_13_every_scope_listed_is_granted_whole(own_gate: Gate) -> None:
    listed = document(own_gate_with_all_scopes(own_gate))["scopes_supported"]
    assert len(set(listed)) == len(listed)
    system = [scope for scope in listed if scope.startswith("system/")]
    answer = service(own_gate, " ".join(system), auth=("all-services", SECRET))
    assert answer.json()["scope"].split() == system
    # `launch` is granted with a launch only (AL-11), and a `launch/encounter` to who chooses one (SC-19).
    asked = [scope for scope in listed if scope not in (*system, "launch", "launch/encounter")]
    authorization = Authorization(own_gate, "all-scopes", scope=" ".join(asked))
    landed = Person(own_gate).open(authorization.url()).log_in("amy").landed()
    assert token(own_gate, authorization, landed["code"]).json()["scope"].split() == asked


def own_gate_with_all_scopes(gate: Gate) -> Gate:
    """Registered for what is listed, to find out whether it is given."""
    scopes = [*PERSON.split(), "patient/*.rs", "user/*.cruds", "system/*.cruds"]
    gate.config["clients"] += [
        {"id": "all-scopes", "kind": "public", "redirect_uris": [REDIRECT], "consent": "granted",
         "scopes": [scope for scope in scopes if not scope.startswith("system/")]},
        {"id": "all-services", "kind": "confidential-symmetric", "secret_hash": gate.client("ehr")["secret_hash"],
         "grant_types": ["client_credentials"], "scopes": ["system/*.cruds"]},
    ]
    gate.write()
    return gate.start()


def test_CF_15_CF_22_CF_23_what_is_advertised_is_true(smart: Gate) -> None:
    capabilities = document(smart)["capabilities"]
    assert isinstance(capabilities, list) and len(set(capabilities)) == len(capabilities)
    assert all(name in HL7 or name.startswith("https://") for name in capabilities), "simple strings are HL7's"
    assert "Every capability in it is one that SMART defines." in (ROOT / "docs" / "apps.md").read_text()
    assert set(capabilities) == SHOWN_BY.keys()
    shown = {purpose for test in named_tests() for purpose in test.purposes}
    assert {duty for duties in SHOWN_BY.values() for duty in duties} <= shown


def test_CF_23_nothing_of_an_ehr_without_one(own_gate: Gate) -> None:
    own_gate.config["clients"] = [it for it in own_gate.config["clients"] if it["id"] != "ehr"]
    own_gate.write()
    own_gate.start()
    found = document(own_gate)
    assert set(found["capabilities"]) == SHOWN_BY.keys() - {"launch-ehr", "context-ehr-patient", "context-ehr-encounter", "context-style"}
    assert "launch" not in found["scopes_supported"]


def test_CF_16_AL_1_pkce_is_s256_and_nothing_else(smart: Gate) -> None:
    assert document(smart)["code_challenge_methods_supported"] == ["S256"]
    authorization = Authorization(smart, "app", scope="launch/patient")
    assert Person(smart).open(authorization.url()).page.form_with("username")
    plain = Person(smart).open(authorization.url(code_challenge=authorization.verifier, code_challenge_method="plain"))
    assert plain.landed()["error"] == "invalid_request"


CLIENT = {"client-public", "client-confidential-symmetric"}
PATIENT_STANDALONE = {"launch-standalone", "context-standalone-patient", "permission-patient"}
PATIENT_EHR = {"launch-ehr", "context-ehr-patient", "permission-patient"}
CLINICIAN_STANDALONE = {"launch-standalone", "permission-user", "permission-patient"}
CLINICIAN_EHR = {"launch-ehr", "context-ehr-patient", "context-ehr-encounter", "permission-user", "permission-patient"}


@pytest.mark.parametrize("needed", [PATIENT_STANDALONE, PATIENT_EHR, CLINICIAN_STANDALONE, CLINICIAN_EHR])
def test_CF_17_CF_18_CF_19_CF_20_CF_21_every_capability_set_is_whole(smart: Gate, needed: set[str]) -> None:
    assert needed | CLIENT <= set(document(smart)["capabilities"])


def test_CF_25_header_names_have_no_case(smart: Gate) -> None:
    good = smart.token("patient/Patient.r", patient="amy")
    for name in ("authorization", "AUTHORIZATION", "aUtHoRiZaTiOn"):
        assert get(smart.port, "/fhir/Patient/amy", f"{name}: Bearer {good}").status == 200


@pytest.mark.parametrize("path", ["fhir/.well-known/smart-configuration", "fhir/metadata"])
def test_AL_3_any_origin_reads_what_is_public(smart: Gate, path: str) -> None:
    answer = httpx.get(f"{smart.url}/{path}", headers={"Origin": ANY})
    assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (200, "*")
    preflight = httpx.options(f"{smart.url}/{path}", headers={"Origin": ANY, "Access-Control-Request-Method": "GET"})
    assert (preflight.status_code, preflight.headers["access-control-allow-origin"]) == (204, "*")


@pytest.mark.parametrize(("path", "method"), [("auth/token", "POST"), ("fhir/Patient/amy", "GET"), ("fhir/Observation", "POST")])
def test_AL_4_at_a_preflight_every_registered_origin_counts(smart: Gate, path: str, method: str) -> None:
    headers = {"authorization", "cache-control", "content-type", "pragma"}
    asked = {"Access-Control-Request-Method": method, "Access-Control-Request-Headers": ",".join(sorted(headers))}
    for origin in ("http://127.0.0.1:9000", PORTAL):
        answer = httpx.options(f"{smart.url}/{path}", headers={"Origin": origin, **asked})
        assert answer.status_code == 204
        assert answer.headers["access-control-allow-origin"] == origin
        assert method in answer.headers["access-control-allow-methods"]
        allowed = answer.headers["access-control-allow-headers"].lower().split(", ")
        assert headers <= set(allowed)
    assert "access-control-allow-origin" not in httpx.options(f"{smart.url}/{path}", headers={"Origin": ANY, **asked}).headers


def test_AL_4_at_a_request_only_the_clients_own_origin_counts(smart: Gate) -> None:
    def may_read(answer: httpx.Response) -> bool:
        return answer.headers.get("access-control-allow-origin") == answer.request.headers["origin"]

    authorization = Authorization(smart, "app", scope="launch/patient patient/Patient.rs offline_access")
    landed = Person(smart).open(authorization.url()).log_in("amy").landed()
    own, other = {"Origin": "http://127.0.0.1:9000"}, {"Origin": PORTAL}
    first = token(smart, authorization, landed["code"], headers=own)
    assert first.status_code == 200 and may_read(first)
    form = {"grant_type": "refresh_token", "refresh_token": first.json()["refresh_token"], "client_id": "app"}
    second = post(smart, "token", form, headers=other)
    assert second.status_code == 200 and not may_read(second)
    for origin in (own, other):
        answer = httpx.get(f"{smart.fhir}/Patient/amy", headers={**bearer(first.json()["access_token"]), **origin})
        assert (answer.status_code, may_read(answer)) == (200, origin == own)


def test_RF_11_SC_38_the_documents_agree(smart: Gate) -> None:
    smart_document = document(smart)
    for path in ("openid-configuration", "oauth-authorization-server"):
        answer = httpx.get(f"{smart_document['issuer']}/.well-known/{path}")
        assert answer.headers["content-type"] == "application/json"
        found = answer.json()
        assert found["issuer"] == smart.url
        assert {name: found.get(name) for name in smart_document if name != "capabilities"} == {
            name: it for name, it in smart_document.items() if name != "capabilities"
        }
        assert "RS256" in found["id_token_signing_alg_values_supported"]
