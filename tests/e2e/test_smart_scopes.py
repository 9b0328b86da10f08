"""What scopes mean and how they are granted (SMART 2.2 scopes; tests/checklist.tsv SC-1 to SC-20, AL-31 to AL-33)."""

from __future__ import annotations

import time
import uuid
from typing import Any

import httpx
import pytest

from harness import SECRET, Gate, bearer, entries, rule
from pages import Authorization, Person
from sandbox import ROOT, FhirServer
from smart import PORTAL, granted, service, token

OBSERVATION = "http://terminology.hl7.org/CodeSystem/observation-category"
CONDITION = "http://terminology.hl7.org/CodeSystem/condition-category"
LABORATORY, VITAL = f"{OBSERVATION}|laboratory", f"{OBSERVATION}|vital-signs"

# What each letter opens (SMART 2.2 scopes, "Scopes for requesting FHIR Resources"); `{new}` is an id that is not taken.
INTERACTIONS = {
    "c": [("POST", "Organization")],
    "r": [("GET", "Organization/riverside"), ("GET", "Organization/riverside/_history/1"), ("GET", "Organization/riverside/_history")],
    "u": [("PUT", "Organization/of-the-tests"), ("PUT", "Organization/{new}"), ("PATCH", "Organization/of-the-tests")],
    "d": [("DELETE", "Organization/{new}")],
    "s": [("GET", "Organization"), ("POST", "Organization/_search"), ("GET", "Organization/_history"), ("GET", "?_type=Organization"), ("GET", "_history")],
}


def service_token(gate: Gate, scope: str) -> str:
    return gate.token(scope, sub="service", client_id="service")


def ask(gate: Gate, of: str, method: str = "GET", path: str = "Patient/amy", **more: Any) -> httpx.Response:
    return httpx.request(method, f"{gate.fhir}/{path}", headers={**bearer(of), **more.pop("headers", {})}, **more)


def interact(gate: Gate, of: str, method: str, path: str) -> httpx.Response:
    name = path.removeprefix("Organization/").format(new=f"new-{uuid.uuid4()}")
    resource = {"resourceType": "Organization", "id": name, "name": "Made by the tests"}
    if method == "PATCH":
        patch = b'[{"op": "replace", "path": "/name", "value": "Patched by the tests"}]'
        return ask(gate, of, method, path, content=patch, headers={"Content-Type": "application/json-patch+json"})
    if path.endswith("_search"):
        return ask(gate, of, method, path, data={"name": "x"})
    if method == "POST":
        return ask(gate, of, method, path, json={"resourceType": "Organization", "name": "Made by the tests"})
    body = {"json": resource} if method == "PUT" else {}
    return ask(gate, of, method, f"Organization/{name}" if path.startswith("Organization/{") or method == "PUT" else path, **body)


def test_SC_1_each_interaction_needs_its_letter(smart: Gate) -> None:
    for letter, method, path in [(letter, *it) for letter, all_of in INTERACTIONS.items() for it in all_of]:
        of = "*" if path in ("_history", "?_type=Organization") else "Organization"
        refused = interact(smart, service_token(smart, f"system/{of}.{'cruds'.replace(letter, '')}"), method, path)
        assert (refused.status_code, rule(refused)) == (403, "scope-missing"), (letter, method, path)
        answer = interact(smart, service_token(smart, f"system/{of}.{letter}"), method, path)
        assert smart.audit(answer.headers["x-request-id"])["decision"] == "permit", (letter, method, path)


@pytest.mark.parametrize("rights", ["sr", "srudc", "rr", "x", "rsx", "", "Rs", "read.rs", "r?", "rs?category", "*s"])
def test_SC_2_SC_5_SC_11_what_is_almost_a_scope_is_none(smart: Gate, rights: str) -> None:
    assert granted(smart, f"openid patient/Observation.{rights}")["scope"] == "openid"
    assert ask(smart, smart.token(f"patient/Observation.{rights}", patient="amy"), path="Observation").status_code == 403


@pytest.mark.parametrize("rights", ["c", "rs", "cud", "cruds", "read", "write", "*"])
def test_SC_2_SC_3_SC_11_a_scope_comes_back_as_it_was_asked(smart: Gate, rights: str) -> None:
    scope = f"patient/Observation.{rights}"
    assert granted(smart, scope)["scope"] == scope


@pytest.mark.parametrize(("rights", "opens"), [("read", "rs"), ("write", "cud"), ("*", "cruds")])
def test_SC_4_older_scopes_open_what_their_letters_open(smart: Gate, rights: str, opens: str) -> None:
    of = service_token(smart, f"system/Organization.{rights}")
    for letter, interactions in INTERACTIONS.items():
        answer = interact(smart, of, *interactions[0])
        assert (answer.status_code != 403) == (letter in opens), letter


def test_SC_6_a_batch_is_checked_by_its_entries(smart: Gate) -> None:
    requests = ["Organization/riverside", "Patient/amy", "Organization?name=Riverside", "Observation"]
    batch = {"resourceType": "Bundle", "type": "batch", "entry": [{"request": {"method": "GET", "url": it}} for it in requests]}
    for scope, expected in (("system/Organization.rs", ["200", "403", "200", "403"]), ("system/*.rs", ["200"] * 4)):
        answer = ask(smart, service_token(smart, scope), "POST", "", json=batch)
        assert [entry["response"]["status"][:3] for entry in answer.json()["entry"]] == expected


def test_SC_6_one_entry_refuses_a_transaction(smart: Gate) -> None:
    for name, url in (("allowed", "Organization/riverside"), ("refused", "Patient/amy")):
        bundle = {"resourceType": "Bundle", "type": "transaction", "entry": [{"request": {"method": "GET", "url": url}}]}
        answer = ask(smart, service_token(smart, "system/Organization.rs"), "POST", "", json=bundle)
        assert answer.status_code == (200 if name == "allowed" else 403), answer.text


def test_SC_7_scopes_add_up(smart: Gate) -> None:
    for scope in ("system/Organization.rs", "system/Organization.r system/Organization.s", "system/Organization.s system/*.r"):
        of = service_token(smart, scope)
        assert [ask(smart, of, path=path).status_code for path in ("Organization/riverside", "Organization?name=x")] == [200, 200], scope
        assert ask(smart, of, "DELETE", "Organization/no-such-thing").status_code == 403


def categories(bundle: dict[str, Any]) -> set[str]:
    return {coding["code"] for it in entries(bundle) for category in it["category"] for coding in category["coding"]}


def test_SC_8_RF_15_a_constraint_is_granted_and_holds(smart: Gate) -> None:
    scope = f"patient/Observation.rs?category={LABORATORY}"
    found = granted(smart, f"launch/patient {scope}")
    assert found["scope"] == f"launch/patient {scope}"
    of = found["access_token"]
    assert categories(ask(smart, of, path="Observation?_count=100").json()) == {"laboratory"}
    assert [ask(smart, of, path=f"Observation/amy-{it}").status_code for it in ("hba1c-1", "weight-1")] == [200, 404]
    both = granted(smart, f"{scope} patient/Observation.rs?category={VITAL}")["access_token"]
    assert categories(ask(smart, both, path="Observation?_count=100").json()) == {"laboratory", "vital-signs"}


@pytest.mark.parametrize(("of", "constraint"), [
    ("Observation", "code=4548-4"), ("Observation", f"category={LABORATORY},{VITAL}"), ("Observation", "status=final&category=http://x|"),
    ("Observation", "_id=1"), ("Observation", "_tag=urn:x|y"), ("Observation", "_security=R"), ("Patient", "identifier=|1"), ("Patient", "active=true"),
    ("Observation", "performer=Practitioner/carter"), ("Observation", "specimen=1"), ("Observation", "_profile=http://example.org/p"),
    ("ServiceRequest", "instantiates-uri=http://example.org/i"), ("*", "_tag=x"),
    *[("Condition", f"category={CONDITION}|{it}") for it in ("problem-list-item", "encounter-diagnosis")],
    *[("Observation", f"category={OBSERVATION}|{it}") for it in ("laboratory", "vital-signs", "social-history", "survey")],
])
def test_SC_8_RF_15_every_documented_kind_of_parameter_is_granted(smart: Gate, of: str, constraint: str) -> None:
    """docs/apps.md, "Granular scopes"."""
    scope = f"patient/{of}.rs?{constraint}"
    assert granted(smart, scope)["scope"] == scope


@pytest.mark.parametrize("constraint", ["category:in=x", "subject.name=x", "_filter=x", "date=2020", "_has:Observation:patient:code=x"])
def test_SC_9_what_is_experimental_is_not_granted(smart: Gate, constraint: str) -> None:
    assert granted(smart, f"openid patient/Observation.rs?{constraint}")["scope"] == "openid"


def test_SC_10_many_scopes_fit_into_a_header(smart: Gate) -> None:
    asked = " ".join(f"patient/Observation.rs?category=urn:example:category|{number:02}" for number in range(65))
    assert 3500 < len(asked) <= 4096
    authorization = Authorization(smart, "app", scope=asked)
    person = Person(smart)
    person._follow(person.http.post(f"{smart.url}/auth/authorize", data=authorization.parameters()))
    found = token(smart, authorization, person.log_in("amy").landed()["code"]).json()
    assert found["scope"] == asked
    assert len(found["access_token"]) < 8192
    assert ask(smart, found["access_token"], path="Observation").status_code == 200
    too_long = Person(smart).open(Authorization(smart, "app", scope=f"{asked} {asked}").url())
    assert too_long.landed()["error"] == "invalid_request"


def test_SC_12_SC_13_SC_24_patient_scopes_are_for_the_patient_in_context(smart: Gate) -> None:
    found = granted(smart, "patient/*.rs", username="carter")
    assert found["patient"] == "ben", "a patient was chosen although only the scope asked for one"
    of = found["access_token"]
    bundle = ask(smart, of, path="Observation?_count=100").json()
    assert {it["subject"]["reference"] for it in entries(bundle)} == {"Patient/ben"}
    assert [ask(smart, of, path=f"Patient/{it}").status_code for it in ("ben", "amy")] == [200, 404]
    assert ask(smart, of, path="Practitioner/carter").status_code == 200, "of shared types"


def test_SC_12_a_scope_is_no_permission_that_the_person_lacks(smart: Gate) -> None:
    of = granted(smart, "user/*.cruds")["access_token"]
    other = {"resourceType": "Observation", "status": "final", "code": {"text": "x"}, "subject": {"reference": "Patient/ben"}}
    assert ask(smart, of, "POST", "Observation", json=other, headers={"Content-Type": "application/fhir+json"}).status_code == 403


def test_SC_14_what_patient_link_does_is_documented(smart: Gate, upstream: FhirServer) -> None:
    assert "`Patient.link` is **not followed**." in (ROOT / "docs" / "security.md").read_text()
    assert "`Patient.link` is not followed" in (ROOT / "docs" / "apps.md").read_text()
    older, newer = (f"linked-{uuid.uuid4()}" for _ in range(2))
    put(upstream, {"resourceType": "Patient", "id": older, "link": [{"other": {"reference": f"Patient/{newer}"}, "type": "replaced-by"}]},
        {"resourceType": "Patient", "id": newer, "link": [{"other": {"reference": f"Patient/{older}"}, "type": "replaces"}]})
    of = smart.token("patient/*.rs", patient=newer)
    assert [ask(smart, of, path=f"Patient/{it}").status_code for it in (newer, older)] == [200, 404]


def test_TL_1_a_task_that_launches_an_app_passes(smart: Gate, upstream: FhirServer) -> None:
    patient, task = (f"launched-{uuid.uuid4()}" for _ in range(2))
    system = "http://hl7.org/fhir/smart-app-launch/CodeSystem/smart-codes"
    said = {
        "resourceType": "Task", "id": task, "status": "requested", "intent": "proposal", "for": {"reference": f"Patient/{patient}"},
        "code": {"coding": [{"system": system, "code": "launch-app-standalone"}]},
        "input": [{"type": {"coding": [{"system": system, "code": "smartonfhir-application"}]}, "valueUrl": "https://app.example.org/launch"}],
    }
    put(upstream, {"resourceType": "Patient", "id": patient}, said)
    found = ask(smart, smart.token("patient/Task.rs", patient=patient), path=f"Task/{task}").json()
    assert {name: found[name] for name in ("code", "input", "for")} == {name: said[name] for name in ("code", "input", "for")}
    assert ask(smart, smart.token("patient/Task.rs", patient="amy"), path=f"Task/{task}").status_code == 404


def put(upstream: FhirServer, *resources: dict[str, Any]) -> None:
    for resource in resources:
        httpx.put(f"{upstream.base}/{resource['resourceType']}/{resource['id']}", json=resource).raise_for_status()


def test_SC_15_user_scopes_are_for_what_the_person_may_see(smart: Gate) -> None:
    clinician, patient = (granted(smart, "user/Patient.rs", username=who)["access_token"] for who in ("carter", "amy"))
    assert [ask(smart, clinician, path=f"Patient/{it}").status_code for it in ("amy", "ben")] == [200, 200]
    assert [ask(smart, patient, path=f"Patient/{it}").status_code for it in ("amy", "ben")] == [200, 404]
    assert ask(smart, clinician, path="Observation").status_code == 403


def test_SC_16_BS_4_BS_9_BS_11_system_scopes_are_the_clients_own(smart: Gate) -> None:
    answer = service(smart, "system/Patient.rs")
    assert answer.json()["scope"] == "system/Patient.rs", "no more than it asked for"
    of = answer.json()["access_token"]
    assert [ask(smart, of, path=f"Patient/{it}").status_code for it in ("amy", "ben")] == [200, 200]
    for outside in ("Observation", "Observation/amy-weight-1", "Patient?_revinclude=Observation:subject", "Patient?_has:Observation:patient:code=x"):
        assert ask(smart, of, path=outside).status_code == 403, outside


def test_SC_16_BS_3_a_client_that_may_have_both_gets_each_in_its_place(smart: Gate) -> None:
    asked = "patient/Patient.rs system/Patient.rs"
    authorization = Authorization(smart, "portal", redirect_uri=f"{PORTAL}/callback", scope=asked)
    landed = Person(smart).open(authorization.url()).log_in("amy").landed()
    answer = token(smart, authorization, landed["code"], form={"client_id": None}, auth=("portal", SECRET))
    assert answer.json()["scope"] == "patient/Patient.rs"
    found = service(smart, asked, auth=("portal", SECRET)).json()
    assert found["scope"] == "system/Patient.rs"
    assert ask(smart, found["access_token"], path="Patient/ben").status_code == 200
    assert service(smart, "patient/Patient.rs user/Patient.rs", auth=("portal", SECRET)).json()["error"] == "invalid_scope"


def test_SC_17_BP_4_all_data_is_told_as_all_data(smart: Gate) -> None:
    def consent(scope: str) -> str:
        person = Person(smart).open(Authorization(smart, "asking-app", scope=scope).url()).log_in("amy")
        assert any(("do", "allow") in form.buttons for form in person.page.forms)
        return person.page.text

    assert "See all data in your record, also kinds of data added in future" in consent("patient/*.rs")
    assert "future" not in consent("patient/Observation.rs")


def test_SC_18_writing_does_not_mean_reading(smart: Gate) -> None:
    of = smart.token("patient/Observation.c", patient="amy")
    made = {"resourceType": "Observation", "status": "final", "code": {"text": "x"}, "subject": {"reference": "Patient/amy"}}
    answer = ask(smart, of, "POST", "Observation", json=made, headers={"Content-Type": "application/fhir+json"})
    assert (answer.status_code, answer.content) == (201, b""), answer.text
    location = answer.headers["location"].split("/_history")[0]
    assert httpx.get(location, headers=bearer(of)).status_code == 403
    assert ask(smart, smart.token("patient/Observation.d", patient="amy"), "DELETE", location.removeprefix(f"{smart.fhir}/")).status_code != 401


def test_AL_31_SC_18_the_scope_covers_what_is_asked(smart: Gate) -> None:
    of = granted(smart, "launch/patient patient/Patient.r")["access_token"]
    assert ask(smart, of).status_code == 200
    for method, path in (("GET", "Patient"), ("GET", "Observation"), ("PUT", "Patient/amy"), ("DELETE", "Patient/amy")):
        refused = ask(smart, of, method, path, **({"json": {"resourceType": "Patient", "id": "amy"}} if method == "PUT" else {}))
        assert refused.status_code == 403, (method, path)
        assert 'error="insufficient_scope"' in refused.headers["www-authenticate"]


def test_AL_25_AL_31_BS_11_a_token_that_has_expired_is_none(smart: Gate) -> None:
    for seconds, status in ((-1, 401), (60, 200)):
        assert ask(smart, smart.token("patient/Patient.r", patient="amy", exp=int(time.time()) + seconds)).status_code == status


def test_AL_32_a_token_for_another_base_is_none(smart: Gate, gate: Gate) -> None:
    """Two gates before one FHIR server: what one of them issued opens nothing at the other."""
    theirs = granted(smart, "launch/patient patient/Patient.r")["access_token"]
    assert ask(smart, theirs).status_code == 200
    assert ask(gate, theirs).status_code == 401
    for aud, status in ((smart.fhir, 200), (gate.fhir, 401), (smart.url, 401), (f"{smart.fhir}/", 401)):
        assert ask(smart, smart.token("patient/Patient.r", patient="amy", aud=aud)).status_code == status, aud


def test_AL_33_RF_5_the_token_comes_as_a_bearer(smart: Gate) -> None:
    of = granted(smart, "launch/patient patient/Patient.r")["access_token"]
    for headers, status, error in (
        (bearer(of), 200, None), ({}, 401, None), ({"Authorization": f"Basic {of}"}, 401, None),
        (bearer("garbage"), 401, "invalid_token"), (bearer(f"{of} {of}"), 400, "invalid_request"),
    ):
        answer = httpx.get(f"{smart.fhir}/Patient/amy", headers=headers)
        assert answer.status_code == status, headers
        challenge = answer.headers.get("www-authenticate", "")
        assert challenge.startswith("Bearer") == (status != 200)
        assert ("error=" in challenge) == (error is not None) and (error or "") in challenge
    assert httpx.get(f"{smart.fhir}/Patient/amy", params={"access_token": of}).status_code == 401


def test_RF_13_head_post_search_and_outcomes(smart: Gate) -> None:
    of = granted(smart, "launch/patient patient/Patient.rs patient/Observation.rs")["access_token"]
    got, head = ask(smart, of), ask(smart, of, "HEAD")
    assert (head.status_code, head.content) == (200, b"") and head.headers["content-type"] == got.headers["content-type"]
    by_get = ask(smart, of, path="Observation?category=laboratory&_count=100").json()
    by_post = ask(smart, of, "POST", "Observation/_search", data={"category": "laboratory", "_count": "100"}).json()
    assert {it["id"] for it in entries(by_get)} == {it["id"] for it in entries(by_post)} != set()
    for path, status in (("Patient/ben", 404), ("Patient/no-such-one", 404), ("Condition", 403), ("NoType", 404)):
        answer = ask(smart, of, path=path)
        assert (answer.status_code, answer.json()["resourceType"]) == (status, "OperationOutcome"), path
    assert ask(smart, of, path="Patient/ben").content == ask(smart, of, path="Patient/no-such-one").content


def test_RF_15_a_person_gives_a_part_and_takes_it_back(smart: Gate) -> None:
    """Limited access, in both generations of scopes, and a revocation that takes effect at once."""
    for asked, kept in (("patient/Patient.read patient/Observation.read", "patient/Patient.read"), ("user/Patient.rs user/Observation.rs", "user/Patient.rs")):
        authorization = Authorization(smart, "asking-app", scope=f"openid {asked}")
        person = Person(smart).open(authorization.url()).log_in("amy")
        form = next(form for form in person.page.forms if ("do", "allow") in form.buttons)
        form.fields = {name: value for name, value in form.fields.items() if "Observation" not in value}
        found = token(smart, authorization, person.submit(form, do="allow").landed()["code"]).json()
        assert found["scope"] == f"openid {kept}"
        of = found["access_token"]
        assert [ask(smart, of, path=path).status_code for path in ("Patient/amy", "Observation")] == [200, 403]
        httpx.post(f"{smart.url}/auth/revoke", data={"token": of, "client_id": "asking-app"}).raise_for_status()
        assert ask(smart, of).status_code == 401
