"""Paths that read in two ways, sent byte for byte to the built binary: `attacks.md` C, by number."""

from __future__ import annotations

import pytest

from harness import Gate
from raw import RawAnswer, get

SCOPE = "patient/Patient.r patient/Observation.rs"


def ask(gate: Gate, target: str, method: str = "GET") -> RawAnswer:
    token = gate.token(SCOPE, patient="amy")
    answer = get(gate.port, target, f"Authorization: Bearer {token}", method=method)
    assert b"Okafor" not in answer.body, "this is Ben"
    return answer


def test_26_an_id_is_decoded_once_and_then_compared(gate: Gate) -> None:
    assert ask(gate, "/fhir/Patient/%61my").status == 200
    plain = ask(gate, "/fhir/Patient/ben")
    for target in ("/fhir/Patient/b%65n", "/fhir/Pati%65nt/ben"):
        answer = ask(gate, target)
        assert (answer.status, answer.body) == (plain.status, plain.body)
    assert ask(gate, "/fhir/Patient/b%2565n").status in (400, 404)


@pytest.mark.parametrize("target", [
    "/fhir/Patient/amy%2F..%2Fben", "/fhir/Patient/amy/..%2fben", "/fhir/Patient/amy/../ben", "/fhir/Patient/./ben",
    "/fhir/x/../Patient/ben", "/fhir/Patient/%2e%2e/Patient/ben", "/fhir/Patient/.%2e/ben", "/fhir/../fhir/Patient/ben",
])
def test_28_dot_segments_and_encoded_slashes(gate: Gate, target: str) -> None:
    assert ask(gate, target).status == 400


@pytest.mark.parametrize("target", ["//fhir//Patient/ben", "/fhir//Patient/ben", "//127.0.0.1:1/fhir/Patient/ben", "/fhir/Patient//ben"])
def test_29_empty_segments(gate: Gate, target: str) -> None:
    assert ask(gate, target).status == 400


@pytest.mark.parametrize("target", ["/fhir/Patient;x=1/ben", "/fhir/Patient/ben;jsessionid=1", "/fhir/Patient/amy;/../ben", "/fhir/Patient/ben%3Bx"])
def test_30_matrix_parameters(gate: Gate, target: str) -> None:
    assert ask(gate, target).status == 400


@pytest.mark.parametrize("target", [
    "/fhir\\Patient\\ben", "/fhir/Patient/ben%5c", "/fhir/Patient/ben%00.json", "/fhir/Patient/ben%0d%0aX:%20y", "/fhir/Patient/%c0%afben",
    "/fhir/Patient%ef%bc%8fben", "/fhir/Patient/ben%c2%a0", "/fhir/Patient/ben%09", "/fhir/Patient/ben%7f", "/fhir/Patient/%ff",
])
def test_31_backslashes_controls_and_odd_characters(gate: Gate, target: str) -> None:
    assert ask(gate, target).status in (400, 404)


@pytest.mark.parametrize("target", ["/fhir/Patient/ben%", "/fhir/Patient/ben%4", "/fhir/Patient/ben%zz"])
def test_31_percent_signs_that_encode_nothing(gate: Gate, target: str) -> None:
    assert ask(gate, target).status == 400


def test_32_a_trailing_slash(gate: Gate) -> None:
    assert ask(gate, "/fhir/Patient/ben/").status in (400, 404)
    assert ask(gate, "/fhir/Patient/").status in (400, 403, 404)


@pytest.mark.parametrize("target", [
    "/fhir/Patient/ben?x=/metadata", "/fhir/Patient/ben?_x=.well-known/smart-configuration", "/fhir/Patient/ben#/metadata",
    "/fhir/Patient/ben?/metadata",
])
def test_33_endings_that_look_public(gate: Gate, target: str) -> None:
    assert ask(gate, target).status in (400, 404)
    assert get(gate.port, target).status in (400, 401)


@pytest.mark.parametrize("target", ["/fhir/metadata/../Patient/ben", "/fhir/metadata%2f..%2fPatient%2fben", "/fhir/Patient/metadata",
                                    "/fhir/metadata?patient=ben", "/fhir/.well-known/smart-configuration/../../Patient/ben"])
def test_34_only_metadata_itself_is_public(gate: Gate, target: str) -> None:
    assert get(gate.port, target).status in (400, 401, 404)
    assert ask(gate, target).status in (400, 401, 403, 404)


def test_34_metadata_is_public(gate: Gate) -> None:
    for target in ("/fhir/metadata", "/fhir/metadata?_format=json", "/fhir/metadata?_summary=true&_pretty=true"):
        assert get(gate.port, target).status == 200


@pytest.mark.parametrize("target", ["/FHIR/Patient/amy", "/fhir/patient/amy", "/fhir/PATIENT/amy", "/Fhir/Patient/amy"])
def test_35_case_matters(gate: Gate, target: str) -> None:
    assert ask(gate, target).status in (400, 404)


@pytest.mark.parametrize("target", ["/fhir/DEFAULT/Patient/ben", "/fhir/TENANT2/Patient/amy", "/fhir/r5/Patient/ben", "/fhir/v1/Patient/amy"])
def test_37_prefixes_of_other_servers(gate: Gate, target: str) -> None:
    assert ask(gate, target).status == 404


@pytest.mark.parametrize("target", ["/actuator", "/swagger-ui/", "/fhir/swagger-ui/index.html", "/fhir/api-docs", "/metrics", "/healthz", "/readyz", "/", "/ui", "/console"])
def test_38_what_is_no_fhir_is_not_there(gate: Gate, target: str) -> None:
    assert ask(gate, target).status == 404


@pytest.mark.parametrize("target", ["/fhir/$get-resource-counts", "/fhir/$graphql", "/fhir/$ai", "/fhir/$reindex", "/fhir/Patient/$nothing"])
def test_38_operations_that_are_not_listed(gate: Gate, target: str) -> None:
    assert ask(gate, target).status in (403, 404)


def test_39_an_absolute_target_elsewhere(gate: Gate) -> None:
    assert ask(gate, "http://127.0.0.1:1/fhir/Patient/ben").status == 400
    assert ask(gate, f"http://127.0.0.1:{gate.port}/fhir/Patient/ben").status in (400, 404)


def test_40_dots_behind_a_compartment(gate: Gate) -> None:
    assert ask(gate, "/fhir/Patient/amy/Observation/../../ben").status == 400


def test_256_methods(gate: Gate) -> None:
    for method in ("TRACE", "CONNECT", "PROPFIND", "get"):
        assert ask(gate, "/fhir/Patient/amy", method).status in (400, 404, 405)


def test_and_the_good_path_still_passes(gate: Gate) -> None:
    assert ask(gate, "/fhir/Patient/amy").status == 200
