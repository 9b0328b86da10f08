"""Whose a refresh token is and what it gives, and what people and apps learn of a login that goes on (SMART 2.2 app-launch step 7)."""

from __future__ import annotations

from typing import Any

import httpx
import jwt

from harness import SECRET, Gate, bearer
from pages import Authorization, Person
from smart import PORTAL, assertion, granted, post, token

SCOPE = "openid fhirUser launch/patient patient/Patient.rs patient/Observation.rs offline_access"
URI = "http://smarthealthit.org/fhir/scopes/"


def refresh(gate: Gate, of: object, client: str | None = "app", scope: str | None = None, **more: Any) -> httpx.Response:
    form = {"grant_type": "refresh_token", "refresh_token": str(of), "client_id": client, "scope": scope, **more.pop("form", {})}
    return post(gate, "token", form, **more)


def refused(answer: httpx.Response, status: int, error: str) -> bool:
    return (answer.status_code, answer.json()["error"]) == (status, error)


def test_AL_34_row_221_a_refresh_token_is_its_clients_own(smart: Gate) -> None:
    own = granted(smart, SCOPE)["refresh_token"]
    assert refused(refresh(smart, own, "asking-app"), 400, "invalid_grant")
    assert refused(refresh(smart, own, None, auth=("portal", SECRET)), 400, "invalid_grant")
    assert refused(refresh(smart, own, "nobody"), 401, "invalid_client")
    assert refresh(smart, own).json()["scope"] == SCOPE, "and none of that spent it"


def test_AL_35_row_221_the_same_or_less_and_nothing_new(smart: Gate) -> None:
    own = granted(smart, SCOPE)["refresh_token"]
    for wider in ("patient/*.rs", "patient/Patient.cruds", "user/*.rs", "openid online_access", "system/*.rs"):
        assert refused(refresh(smart, own, scope=wider), 400, "invalid_scope"), wider
    less = refresh(smart, own, scope="patient/Patient.r").json()
    assert less["scope"] == "patient/Patient.r"
    paths = ("Patient/amy", "Patient", "Observation")
    assert [httpx.get(f"{smart.fhir}/{path}", headers=bearer(less["access_token"])).status_code for path in paths] == [200, 403, 403]
    whole = refresh(smart, less["refresh_token"]).json()
    assert whole["scope"] == SCOPE, "what is missing means the same as before"
    assert [httpx.get(f"{smart.fhir}/{path}", headers=bearer(whole["access_token"])).status_code for path in paths] == [200] * 3


def test_AL_38_confidential_clients_authenticate(smart: Gate) -> None:
    for client, redirect, how in (
        ("portal", f"{PORTAL}/callback", lambda: {"auth": ("portal", SECRET)}),
        ("signing-app", None, lambda: {"form": assertion(smart, smart.keys.ec, "signing-app")}),
    ):
        authorization = Authorization(smart, client, scope=SCOPE, **({"redirect_uri": redirect} if redirect else {}))
        landed = Person(smart).open(authorization.url()).log_in("amy").landed()
        said = how()
        first = token(smart, authorization, landed["code"], **{**said, "form": {"client_id": None, **said.get("form", {})}}).json()
        assert refused(refresh(smart, first["refresh_token"], client), 401, "invalid_client"), client
        second = refresh(smart, first["refresh_token"], None, **how()).json()
        assert second["refresh_token"] != first["refresh_token"], client


def test_SC_37_userinfo_is_the_person_of_the_token(smart: Gate) -> None:
    person = {"sub": "amy", "fhirUser": f"{smart.fhir}/Patient/amy"}
    for scope, expected in (("openid fhirUser", person), ("openid", {"sub": "amy"})):
        assert httpx.get(f"{smart.url}/auth/userinfo", headers=bearer(granted(smart, scope)["access_token"])).json() == expected
    for of, status in ((granted(smart, "launch/patient")["access_token"], 403), ("garbage", 401)):
        answer = httpx.get(f"{smart.url}/auth/userinfo", headers=bearer(of))
        assert answer.status_code == status and answer.headers["www-authenticate"].startswith("Bearer")
    url = Authorization(smart, "app", scope="openid")
    assert Person(smart).open(url.url(request="eyJ")).landed()["error"] == "request_not_supported"
    assert Person(smart).open(url.url(request_uri="https://app.example.org/r")).landed()["error"] == "request_uri_not_supported"


def test_SC_39_scopes_may_be_written_as_uris(smart: Gate) -> None:
    asked = f"http://openid.net/specs/openid-connect-core-1_0#openid {URI}launch/patient {URI}patient/Observation.rs"
    found = granted(smart, f"{asked} http://evil.example.org/fhir/scopes/patient/Patient.rs")
    assert found["scope"] == "openid launch/patient patient/Observation.rs"
    answers = [httpx.get(f"{smart.fhir}/{path}", headers=bearer(found["access_token"])).status_code for path in ("Observation", "Patient/amy")]
    assert answers == [200, 403]


def test_BP_1_people_see_what_goes_on_while_they_are_away(smart: Gate) -> None:
    """When they agree, and whenever they look; and they end it."""
    authorization = Authorization(smart, "asking-app", scope=f"{SCOPE} online_access")
    person = Person(smart).open(authorization.url()).log_in("amy")
    assert "Go on using this access while you are away" in person.page.text
    found = token(smart, authorization, person.decide(allow=True).landed()["code"]).json()
    grant = jwt.decode(found["access_token"], options={"verify_signature": False})["grant"]
    visitor = Person(smart).open(f"{smart.url}/auth/manage").log_in("amy")
    assert "Go on using this access while you are away" in visitor.page.text
    visitor.submit(next(form for form in visitor.page.forms if form.fields.get("grant") == grant), do="end")
    assert all(form.fields.get("grant") != grant for form in visitor.page.forms)
    assert refused(refresh(smart, found["refresh_token"], "asking-app"), 400, "invalid_grant")
    assert httpx.get(f"{smart.fhir}/Patient/amy", headers=bearer(found["access_token"])).status_code == 401
