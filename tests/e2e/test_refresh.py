"""Access that goes on: refresh tokens with libraries that nobody here wrote (SMART 2.2 App Launch; RFC 9700 §4.14)."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from authlib.integrations.base_client.errors import OAuthError
from authlib.integrations.httpx_client import OAuth2Client

from harness import REDIRECT, SECRET, Gate, bearer
from pages import Authorization, Person, app_tells
from sandbox import wait_until

SCOPE = "openid fhirUser launch/patient patient/Patient.rs offline_access"


@pytest.fixture
def lasting(own_gate: Gate) -> Iterator[Gate]:
    """A gate with apps that may go on, without and with a secret."""
    asked = {"redirect_uris": [REDIRECT], "scopes": SCOPE.split()}
    secret_hash = own_gate.client("backend-secret")["secret_hash"]
    own_gate.config["clients"] += [
        {"id": "diary", "name": "Diary", "kind": "public", **asked},
        {"id": "portal", "name": "Portal", "kind": "confidential-symmetric", "secret_hash": secret_hash, **asked},
    ]
    own_gate.write()
    yield own_gate.start()


def launched(gate: Gate) -> dict[str, object]:
    authorization = Authorization(gate, client_id="diary", scope=SCOPE)
    person = Person(gate).open(authorization.url()).log_in("amy")
    assert "while you are away" in person.page.text
    answer = authorization.redeem(person.decide(allow=True).landed()["code"])
    assert answer.status_code == 200, answer.text
    return answer.json()


def refresh(gate: Gate, token: object, **more: str) -> httpx.Response:
    form = {"grant_type": "refresh_token", "refresh_token": str(token), "client_id": "diary", **more}
    return httpx.post(f"{gate.url}/auth/token", data=form)


def status(gate: Gate, tokens: dict[str, object]) -> int:
    return httpx.get(f"{gate.fhir}/Patient/amy", headers=bearer(str(tokens["access_token"]))).status_code


def test_authlib_refreshes_and_gives_it_back(lasting: Gate) -> None:
    with OAuth2Client(client_id="diary", token_endpoint_auth_method="none", redirect_uri=REDIRECT, scope=SCOPE,
                      code_challenge_method="S256", token_endpoint=f"{lasting.url}/auth/token",
                      revocation_endpoint_auth_method="none") as client:
        verifier = "v" * 64
        url, _ = client.create_authorization_url(f"{lasting.url}/auth/authorize", code_verifier=verifier, aud=lasting.fhir)
        person = Person(lasting).open(url).log_in("amy").decide(allow=True)
        first = client.fetch_token(authorization_response=person.answer.headers["location"], code_verifier=verifier)
        assert client.get(f"{lasting.fhir}/Patient/amy").status_code == 200

        client.refresh_token(f"{lasting.url}/auth/token", refresh_token=first["refresh_token"])
        assert client.get(f"{lasting.fhir}/Patient/amy").status_code == 200
        second = dict(client.token)
        assert second["refresh_token"] != first["refresh_token"]
        assert second["access_token"] != first["access_token"]
        assert (second["patient"], second["scope"]) == ("amy", SCOPE)
        person_info = client.get(f"{lasting.url}/auth/userinfo").json()
        assert person_info == {"sub": "amy", "fhirUser": f"{lasting.fhir}/Patient/amy"}

        answer = client.revoke_token(f"{lasting.url}/auth/revoke", token=second["refresh_token"], token_type_hint="refresh_token")
        assert answer.status_code == 200
        assert status(lasting, second) == 401, "the access token went with it"
        with pytest.raises(OAuthError, match="invalid_grant"):
            client.refresh_token(f"{lasting.url}/auth/token", refresh_token=second["refresh_token"])


def test_openid_client_with_a_secret_in_the_form(lasting: Gate) -> None:
    got = app_tells(lasting, "refresh.mjs", lasting.url, lasting.fhir, "portal", SECRET, REDIRECT, SCOPE)
    assert got["scopes"] == [SCOPE, SCOPE, "openid patient/Patient.r"]
    assert (got["patient"], got["different"], got["subjects"]) == ("amy", 3, ["amy", "amy"])
    assert got["person"]["sub"] == "amy"
    assert got["told"] == {"active": True, "token_type": "refresh_token"}
    assert got["refused"] == "invalid_grant"
    assert status(lasting, {"access_token": got["access"]}) == 401


def test_bp_2_a_token_used_twice_ends_everything(lasting: Gate) -> None:
    first = launched(lasting)
    second = refresh(lasting, first["refresh_token"]).json()
    third = refresh(lasting, second["refresh_token"]).json()
    stolen = refresh(lasting, first["refresh_token"])
    assert (stolen.status_code, stolen.json()["error"]) == (400, "invalid_grant")
    assert refresh(lasting, third["refresh_token"]).status_code == 400
    assert [status(lasting, tokens) for tokens in (first, second, third)] == [401, 401, 401]


def test_many_at_once_get_one_successor(lasting: Gate) -> None:
    token = launched(lasting)["refresh_token"]
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda _: refresh(lasting, token), range(16)))
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.json()["refresh_token"] for answer in answers}) == 1


def test_a_grant_outlives_the_process(lasting: Gate) -> None:
    first = launched(lasting)
    second = refresh(lasting, first["refresh_token"]).json()
    assert lasting.process
    lasting.process.child.kill()
    lasting.process.child.wait()
    lasting.start()
    again = refresh(lasting, first["refresh_token"]).json()
    assert again["refresh_token"] == second["refresh_token"], "the answer was lost with the process"
    assert refresh(lasting, second["refresh_token"]).status_code == 200


def test_after_rotate_now_everybody_logs_in_again_without_a_restart(lasting: Gate) -> None:
    before = launched(lasting)
    assert status(lasting, before) == 200
    help_text = lasting.run("keys", "rotate", "--help").stdout
    assert "Everybody logs in again" in help_text
    old = httpx.get(f"{lasting.url}/.well-known/jwks.json").json()["keys"]
    done = lasting.run("keys", "rotate", "--now")
    assert done.returncode == 0, done.stderr
    assert refresh(lasting, before["refresh_token"]).json()["error"] == "invalid_grant", "its end is in the store"
    wait_until(lambda: status(lasting, before) == 401, 60, "the gate to notice the keys")
    new = httpx.get(f"{lasting.url}/.well-known/jwks.json").json()["keys"]
    assert len(new) == len(old) and not {key["kid"] for key in new} & {key["kid"] for key in old}
    after = launched(lasting)
    assert status(lasting, after) == 200
    assert refresh(lasting, after["refresh_token"]).status_code == 200
