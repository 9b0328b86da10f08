"""What is sent to the token endpoint and what it answers (SMART 2.2 app-launch; tests/checklist.tsv AL-20 to AL-38)."""

from __future__ import annotations

import base64
from typing import Any
from urllib.parse import quote_plus

import httpx
import jwt
import pytest

from harness import REDIRECT, SECRET, Gate, bearer
from pages import Authorization, Person
from smart import PORTAL, assertion, granted, launch, post, quick_user, service, token

SCOPE = "openid fhirUser launch/patient patient/Patient.rs offline_access"


def code_of(gate: Gate, client: str = "app", scope: str = SCOPE, verifier: str | None = None) -> tuple[Authorization, str]:
    redirect = f"{PORTAL}/callback" if client == "portal" else REDIRECT
    more = {"verifier": verifier} if verifier else {}
    authorization = Authorization(gate, client, redirect_uri=redirect, scope=scope, **more)
    return authorization, Person(gate).open(authorization.url()).log_in("amy").landed()["code"]


def credentials(gate: Gate, client: str) -> dict[str, Any]:
    """How each kind of client authenticates; `client_id` is for public ones."""
    return {
        "app": {},
        "portal": {"form": {"client_id": None}, "auth": ("portal", SECRET)},
        "signing-app": {"form": {"client_id": None, **assertion(gate, gate.keys.ec, "signing-app")}},
    }[client]


@pytest.mark.parametrize("client", ["app", "portal", "signing-app"])
def test_AL_20_AL_22_every_kind_of_client_shows_its_verifier(smart: Gate, client: str) -> None:
    for verifier, expected in ((None, "invalid_request"), ("x" * 43, "invalid_grant"), ("the right one", None)):
        authorization, code = code_of(smart, client)
        how = credentials(smart, client)
        if expected:
            how["form"] = {**how.get("form", {}), "code_verifier": verifier}
        answer = token(smart, authorization, code, **how)
        assert answer.json().get("error") == expected, answer.text


@pytest.mark.parametrize("client", ["portal", "signing-app"])
def test_AL_22_a_confidential_client_is_not_taken_by_its_name(smart: Gate, client: str) -> None:
    authorization, code = code_of(smart, client)
    answer = token(smart, authorization, code)
    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")
    assert token(smart, authorization, code, **credentials(smart, client)).status_code == 200, "and the code is not spent"


@pytest.mark.parametrize(("changed", "status", "error"), [
    ({"grant_type": None}, 400, "invalid_request"), ({"code": None}, 400, "invalid_request"), ({"redirect_uri": None}, 400, "invalid_request"),
    ({"redirect_uri": "org.example.app:/callback"}, 400, "invalid_grant"), ({"client_id": None}, 401, "invalid_client"),
    ({"client_id": "growth-chart"}, 400, "invalid_grant"), ({"code": "x"}, 400, "invalid_grant"),
])
def test_AL_21_AL_23_BS_7_what_is_wrong_is_told_as_json(smart: Gate, changed: dict[str, str | None], status: int, error: str) -> None:
    authorization, code = code_of(smart)
    answer = token(smart, authorization, code, form=changed)
    assert (answer.status_code, answer.json()["error"]) == (status, error)
    assert answer.headers["content-type"] == "application/json"
    assert set(answer.json()) == {"error", "error_description"} and answer.json()["error_description"]


def test_AL_21_AL_23_AL_24_AL_26_AL_27_the_answer(smart: Gate) -> None:
    authorization, code = code_of(smart)
    answer = token(smart, authorization, code)
    assert answer.headers["content-type"] == "application/json"
    assert (answer.headers["cache-control"], answer.headers["pragma"]) == ("no-store", "no-cache")
    found = answer.json()
    assert (found["token_type"], found["scope"], found["patient"]) == ("Bearer", SCOPE, "amy")
    assert all(isinstance(found[name], str) for name in ("access_token", "refresh_token", "id_token"))


def test_AL_24_the_scope_is_told_when_it_is_another_one(smart: Gate) -> None:
    found = granted(smart, "launch/patient patient/Patient.rs system/*.rs unknown")
    assert found["scope"] == "launch/patient patient/Patient.rs"


@pytest.mark.parametrize(("lifetime", "warned"), [("1h", False), ("2h", True)])
def test_AL_28_an_operator_is_warned_of_more_than_an_hour(own_gate: Gate, lifetime: str, warned: bool) -> None:
    own_gate.config["tokens"] = {"access_lifetime": lifetime}
    own_gate.write()
    done = own_gate.run("check")
    assert (done.returncode, "access_lifetime" in done.stderr) == (0, warned)


@pytest.mark.parametrize("grant", ["authorization_code", "refresh_token", "client_credentials", "nothing"])
def test_AL_27_no_cache_keeps_an_answer(smart: Gate, grant: str) -> None:
    form = {"grant_type": grant, "client_id": "app", "code": "x", "redirect_uri": REDIRECT, "code_verifier": "x", "refresh_token": "x"}
    answer = service(smart) if grant == "client_credentials" else post(smart, "token", form)
    assert answer.status_code == (200 if grant == "client_credentials" else 400)
    assert (answer.headers["cache-control"], answer.headers["pragma"]) == ("no-store", "no-cache")


def test_AL_25_AL_28_how_long_it_lives_is_told_and_true(smart: Gate) -> None:
    found = granted(smart, SCOPE)
    claims = jwt.decode(found["access_token"], options={"verify_signature": False})
    assert found["expires_in"] == claims["exp"] - claims["iat"]
    assert 0 < found["expires_in"] <= 3600


def test_AL_36_AL_27_a_refresh_answers_alike(smart: Gate) -> None:
    first = granted(smart, SCOPE)
    answer = post(smart, "token", {"grant_type": "refresh_token", "refresh_token": first["refresh_token"], "client_id": "app"})
    assert (answer.headers["cache-control"], answer.headers["pragma"]) == ("no-store", "no-cache")
    again = answer.json()
    assert set(again) == set(first)
    for name in ("token_type", "expires_in", "scope", "patient"):
        assert again[name] == first[name], name
    assert httpx.get(f"{smart.fhir}/Patient/amy", headers=bearer(again["access_token"])).status_code == 200


def test_BP_5_AL_37_a_public_app_may_go_on_where_it_is_registered_for_it(smart: Gate) -> None:
    assert "refresh_token" in granted(smart, "launch/patient patient/Patient.rs offline_access")
    assert "refresh_token" in granted(smart, "launch/patient patient/Patient.rs online_access")
    assert "refresh_token" not in granted(smart, "launch/patient patient/Patient.rs")


@pytest.mark.parametrize(("verifier", "fits"), [("x" * 42, False), ("x" * 43, True), ("-._~" * 32, True), ("x" * 129, False), ("ü" * 43, False)])
def test_RF_7_a_verifier_has_43_to_128_characters(smart: Gate, verifier: str, fits: bool) -> None:
    """Its challenge fits in each case."""
    authorization, code = code_of(smart, verifier=verifier)
    answer = token(smart, authorization, code)
    assert answer.json().get("error") == (None if fits else "invalid_grant")


def test_RF_3_row_219_tokens_by_post_of_a_form_only(smart: Gate) -> None:
    form = {"grant_type": "client_credentials", "scope": "system/Patient.rs"}
    for method in ("GET", "PUT", "DELETE", "HEAD"):
        answer = httpx.request(method, f"{smart.url}/auth/token", params=form, auth=("backend", SECRET))
        assert (answer.status_code, answer.headers["allow"]) == (405, "POST, OPTIONS")
    refused = [
        httpx.post(f"{smart.url}/auth/token", json=form, auth=("backend", SECRET)),
        httpx.post(f"{smart.url}/auth/token", params=form, auth=("backend", SECRET)),
        httpx.post(f"{smart.url}/auth/token", content="grant_type=client_credentials&scope=a&scope=b", auth=("backend", SECRET),
                   headers={"Content-Type": "application/x-www-form-urlencoded"}),
    ]
    assert [(it.status_code, it.json()["error"]) for it in refused] == [(400, "invalid_request")] * 3
    assert post(smart, "token", {**form, "unknown": "1"}, auth=("backend", SECRET)).status_code == 200


def test_RF_4_row_219_one_client_in_one_way(smart: Gate) -> None:
    form = {"grant_type": "client_credentials", "scope": "system/Patient.rs"}
    basic = ("backend", SECRET)
    for more, auth, status, error in (
        ({"client_id": "backend"}, basic, 200, None),
        ({"client_id": "portal"}, basic, 400, "invalid_request"),
        ({"client_secret": SECRET}, basic, 400, "invalid_request"),
        ({"client_id": "backend", "client_secret": SECRET}, basic, 400, "invalid_request"),
        (assertion(smart, smart.keys.rsa, "backend-rsa"), basic, 400, "invalid_request"),
        ({}, ("backend", "wrong"), 401, "invalid_client"),
    ):
        answer = post(smart, "token", {**form, **more}, auth=auth)
        assert (answer.status_code, answer.json().get("error")) == (status, error), more
        assert answer.headers.get("www-authenticate", "").startswith("Basic") == (status == 401)


def test_row_232_passwords_are_not_guessed(own_gate: Gate) -> None:
    own_gate.config["users"] = [quick_user("amy"), quick_user("ben")]
    own_gate.write()
    own_gate.start()
    person = Person(own_gate).open(Authorization(own_gate).url())
    wrong = [person.log_in("amy", f"guess {number}").page.text for number in range(10)]
    assert person.log_in("amy").page.text == wrong[-1], "nor is it told that the right one would have been right"
    assert any(("do", "allow") in form.buttons for form in person.log_in("ben").page.forms), "somebody else is not held back"


def test_RF_4_row_232_what_cannot_be_guessed(smart: Gate) -> None:
    first, second = (granted(smart, SCOPE) for _ in range(2))
    codes = [code_of(smart)[1] for _ in range(2)]
    launches = [launch(smart).json()["launch"] for _ in range(2)]
    for one, other in ((first["refresh_token"], second["refresh_token"]), codes, launches):
        assert one != other
        assert len(base64.urlsafe_b64decode(f"{one}==")) >= 32


def test_RF_4_row_219_basic_is_form_decoded(own_gate: Gate) -> None:
    """RFC 6749 §2.3.1 has id and secret encoded as in a form before they are joined."""
    secret = "a secret: of 32 characters, or + more % than that"
    hashed = own_gate.run("hash-password", "--secret", stdin=secret).stdout.strip()
    own_gate.config["clients"].append({"id": "a:client", "kind": "confidential-symmetric", "secret_hash": hashed,
                                       "grant_types": ["client_credentials"], "scopes": ["system/Patient.rs"]})
    own_gate.write()
    own_gate.start()
    form = {"grant_type": "client_credentials", "scope": "system/Patient.rs"}
    assert post(own_gate, "token", form, auth=(quote_plus("a:client"), quote_plus(secret))).status_code == 200
    assert post(own_gate, "token", form, auth=("a:client", secret)).status_code == 401, "where does the id end?"
