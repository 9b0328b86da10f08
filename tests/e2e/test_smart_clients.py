"""SMART and OAuth libraries that nobody here wrote, with the options that they document and no others (issue 4, `upstreams.md`).

The JavaScript SMART library is in `test_browser.py`; `openid-client` in `test_standalone_launch.py`, `test_refresh.py` and
`test_backend_services.py`."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest
from authlib.integrations.base_client.errors import OAuthError
from authlib.integrations.httpx_client import OAuth2Client
from authlib.oauth2.rfc7523 import PrivateKeyJWT
from fhirclient.client import FHIRClient
from fhirclient.models.observation import Observation
from fhirclient.server import FHIRUnauthorizedException

from harness import REDIRECT, SECRET, Gate
from pages import Person, app_tells
from sandbox import answers, wait_until

SCOPE = "openid fhirUser launch/patient patient/Patient.rs patient/Observation.rs offline_access"


@pytest.fixture
def clinic(own_gate: Gate) -> Iterator[Gate]:
    """A gate with an app and service that proves who it is by a key, and a public app that an EHR launches."""
    own_gate.config["clients"] += [
        {"id": "clinic", "kind": "confidential-asymmetric", "jwks_file": "ec-jwks.json", "redirect_uris": [REDIRECT],
         "scopes": [*SCOPE.split(), "system/Patient.rs"], "grant_types": ["authorization_code", "refresh_token", "client_credentials"],
         "may_introspect": True},
        {"id": "ward", "kind": "public", "redirect_uris": [REDIRECT], "launch_uris": ["http://127.0.0.1:9000/launch"],
         "scopes": ["launch", *SCOPE.split()]},
    ]
    own_gate.write()
    own_gate.start()
    # The CapabilityStatement is fetched when the gate is up already.
    wait_until(lambda: answers(f"{own_gate.fhir}/metadata"), 30, "the CapabilityStatement")
    yield own_gate


def settings(gate: Gate, **more: str) -> dict[str, str]:
    return {"app_id": "ward", "api_base": gate.fhir, "redirect_uri": REDIRECT, **more}


def reads_amy(app: FHIRClient) -> None:
    assert (app.patient_id, app.patient.id) == ("amy", "amy")
    found = Observation.where({"_count": "100"}).perform_resources_iter(app.server)
    assert {it.subject.reference for it in found} == {"Patient/amy"}


def test_fhirclient_for_python_launches_by_itself_and_goes_on(clinic: Gate) -> None:
    app = FHIRClient(settings(clinic, scope="patient/Patient.rs patient/Observation.rs offline_access"))
    assert not app.prepare()
    app.handle_callback(Person(clinic).open(app.authorize_url).log_in("amy").decide(allow=True).answer.headers["location"])
    reads_amy(app)
    assert app.launch_context["need_patient_banner"] is True

    first, kept = app.server.auth.access_token, app.server.auth.refresh_token
    assert app.reauthorize()
    assert (app.server.auth.access_token, app.server.auth.refresh_token) != (first, kept)
    reads_amy(app)
    # The state that an app saves is enough to go on with.
    later = FHIRClient(state=app.state)
    later.server.aud = clinic.fhir
    reads_amy(later)

    ended = httpx.post(f"{clinic.url}/auth/revoke", data={"token": later.server.auth.refresh_token, "client_id": "ward"})
    assert ended.status_code == 200
    with pytest.raises(FHIRUnauthorizedException):
        next(Observation.where({}).perform_iter(later.server))


def test_fhirclient_for_python_is_launched_by_an_ehr(clinic: Gate) -> None:
    said = {"app": "ward", "user": "carter", "patient": "ben", "encounter": "ben-visit"}
    start = httpx.post(f"{clinic.url}/auth/launch", data=said, auth=("ehr", SECRET)).raise_for_status().json()["start_url"]
    person = Person(clinic).open(start)
    came = dict(parse_qsl(urlsplit(person.answer.headers["location"]).query))
    assert came["iss"] == clinic.fhir
    app = FHIRClient(settings(clinic, scope="patient/Patient.rs patient/Observation.rs", launch_token=came["launch"]))
    app.prepare()
    app.handle_callback(person.open(app.authorize_url).decide(allow=True).answer.headers["location"])
    assert (app.patient.id, app.launch_context["encounter"]) == ("ben", "ben-visit")


def test_oauth4webapi_with_a_key(clinic: Gate, tmp_path: Path) -> None:
    key = tmp_path / "key.pem"
    key.write_bytes(clinic.keys.ec.pem())
    told = app_tells(clinic, "strict.mjs", clinic.url, clinic.fhir, "clinic", clinic.keys.ec.kid, key, REDIRECT, SCOPE)
    assert told == {
        "patient": "amy", "scope": SCOPE, "person": {"sub": "amy", "fhirUser": f"{clinic.fhir}/Patient/amy"},
        "claims": {"sub": "amy", "client_id": "clinic"}, "status": 200, "before": True, "after": "invalid_grant",
        "service": {"scope": "system/Patient.rs", "refresh": False},
    }


def test_authlib_with_a_key(clinic: Gate) -> None:
    key, endpoint = clinic.keys.ec, f"{clinic.url}/auth/token"
    with OAuth2Client(client_id="clinic", client_secret=key.pem().decode(), token_endpoint_auth_method="private_key_jwt",
                      revocation_endpoint_auth_method="private_key_jwt", redirect_uri=REDIRECT, scope=SCOPE,
                      code_challenge_method="S256", token_endpoint=endpoint) as client:

        def sign() -> None:
            """Claims of one's own are used with one `jti` for ever: a method for each request."""
            claims = {"exp": int(time.time()) + 240}
            client.register_client_auth_method(PrivateKeyJWT(endpoint, claims, {"kid": key.kid, "alg": key.algorithm}, key.algorithm))

        sign()
        verifier = "v" * 64
        url, _ = client.create_authorization_url(f"{clinic.url}/auth/authorize", code_verifier=verifier, aud=clinic.fhir)
        came_back = Person(clinic).open(url).log_in("amy").decide(allow=True).answer.headers["location"]
        first = client.fetch_token(authorization_response=came_back, code_verifier=verifier)
        assert client.get(f"{clinic.fhir}/Patient/amy").json()["id"] == "amy"

        sign()
        second = client.refresh_token(endpoint, refresh_token=first["refresh_token"])
        assert (second["patient"], second["scope"]) == ("amy", SCOPE)
        assert client.get(f"{clinic.fhir}/Patient/amy").status_code == 200

        def told() -> dict[str, object]:
            sign()
            return client.introspect_token(f"{clinic.url}/auth/introspect", token=second["refresh_token"]).json()

        assert (told()["active"], told()["client_id"]) == (True, "clinic")
        sign()
        assert client.revoke_token(f"{clinic.url}/auth/revoke", token=second["refresh_token"]).status_code == 200
        assert told() == {"active": False}
        assert client.get(f"{clinic.fhir}/Patient/amy").status_code == 401
        sign()
        with pytest.raises(OAuthError, match="invalid_grant"):
            client.refresh_token(endpoint, refresh_token=second["refresh_token"])
