"""Two gates on one PostgreSQL do together what one alone does (design.md §4), also when one of them or the database fails."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlencode

import httpx
import pytest

from crashes import APP
from harness import BINARY, PASSWORD, Keys
from postgres import Cluster
from replicas import PATIENCE, Replica, database
from sandbox import ROOT, FhirServer, free_port, wait_until

CODES = int(os.environ.get("SMARTGATE_CODES") or 1000)
# Requests under way at each gate.
AT_ONCE = 50
# Without a refresh token there is nothing that the second showing of a code could take away before the first is answered.
NO_REFRESH = "launch openid user/Patient.r"


@pytest.fixture(scope="module")
def postgres() -> Iterator[Cluster]:
    cluster = Cluster()
    try:
        yield cluster
    finally:
        cluster.close()


@pytest.fixture
def own_postgres() -> Iterator[Cluster]:
    """One to be stopped and broken."""
    cluster = Cluster()
    try:
        yield cluster
    finally:
        cluster.resume()
        cluster.close()


def started(upstream: FhirServer, keys: Keys, folder: Path, url: str) -> Iterator[tuple[Replica, Replica]]:
    one = Replica(folder / "one", upstream.base, keys, url)
    two = Replica(folder / "two", upstream.base, keys, url, one)
    try:
        # Together: one makes the tables and the keys, the other waits and takes them.
        for gate in (one, two):
            gate.launch()
        for gate in (one, two):
            assert gate.process
            gate.process.wait_for(f"{gate.admin}/readyz")
        yield one, two
    finally:
        one.stop()
        two.stop()


@pytest.fixture
def pair(postgres: Cluster, upstream: FhirServer, keys: Keys, tmp_path: Path) -> Iterator[tuple[Replica, Replica]]:
    yield from started(upstream, keys, tmp_path, database(postgres))


@pytest.fixture
def own_pair(own_postgres: Cluster, upstream: FhirServer, keys: Keys, tmp_path: Path) -> Iterator[tuple[Replica, Replica]]:
    yield from started(upstream, keys, tmp_path, database(own_postgres))


def redeem_everywhere(gates: tuple[Replica, Replica], codes: list[dict[str, str]]) -> list[tuple[int, ...]]:
    """Each code sent to both at once, by as many clients at each; the statuses."""

    def client(gate: Replica) -> Callable[[dict[str, str]], int]:
        own = threading.local()

        def redeem(form: dict[str, str]) -> int:
            if not hasattr(own, "wire"):
                own.wire = HTTPConnection("127.0.0.1", gate.port, timeout=PATIENCE)
            own.wire.request("POST", "/auth/token", urlencode(form), {"Content-Type": "application/x-www-form-urlencoded"})
            answer = own.wire.getresponse()
            answer.read()
            return answer.status

        return redeem

    with ExitStack() as stack:
        pools = [stack.enter_context(ThreadPoolExecutor(AT_ONCE)) for _ in gates]
        clients = [client(gate) for gate in gates]
        under_way = [[pool.submit(redeem, form) for pool, redeem in zip(pools, clients, strict=True)] for form in codes]
        return [tuple(it.result() for it in both) for both in under_way]


def test_each_of_a_thousand_codes_sent_to_both_succeeds_exactly_once(pair: tuple[Replica, Replica]) -> None:
    one, two = pair
    with ThreadPoolExecutor(8) as pool:
        codes = list(pool.map(lambda number: pair[number % 2].code(NO_REFRESH), range(CODES)))
    began = time.monotonic()
    statuses = redeem_everywhere(pair, codes)
    took = time.monotonic() - began
    print(f"\n{CODES} codes to both: {2 * CODES / took:.0f} redemptions a second; won at one and two: {Counter(statuses)}")
    assert Counter(map(tuple, map(sorted, statuses))) == {(200, 400): CODES}
    assert {(200, 400), (400, 200)} == set(statuses) or CODES < 100, "both have won some"
    for gate in (one, two):
        assert not [name for name, it in gate.metrics().items() if name.startswith("smartgate_store_errors_total") and it]


def test_a_refresh_raced_on_both_has_one_successor(pair: tuple[Replica, Replica]) -> None:
    one, two = pair
    token = one.tokens()["refresh_token"]
    with ThreadPoolExecutor(8) as pool:
        for _ in range(20):
            answers = list(pool.map(lambda gate: gate.refresh(token), [one, two] * 4))
            assert [answer.status_code for answer in answers] == [200] * 8
            successors = {answer.json()["refresh_token"] for answer in answers}
            assert len(successors) == 1
            [token] = successors
    assert one.is_active(token) and two.is_active(token)


def refused_after(gate: Replica, token: str) -> float:
    """Seconds until a token that was just revoked elsewhere is refused here."""
    began = time.monotonic()
    wait_until(lambda: gate.read(token).status_code == 401, PATIENCE, "the refusal of a revoked token")
    return time.monotonic() - began


def test_a_revocation_at_one_is_refused_at_the_other_within_a_second(pair: tuple[Replica, Replica]) -> None:
    one, two = pair
    took = []
    for revoked in range(5):
        tokens = one.tokens()
        assert two.read(tokens["access_token"]).status_code == 200
        assert one.post("revoke", {"token": tokens["refresh_token" if revoked % 2 else "access_token"], "client_id": APP}).status_code == 200
        took.append(refused_after(two, tokens["access_token"]))
    print(f"\nrefused at the other after {', '.join(f'{it * 1000:.0f} ms' for it in took)}")
    assert max(took) < 1


def test_a_revocation_is_refused_at_the_other_within_a_second_also_without_notify(
    postgres: Cluster, upstream: FhirServer, keys: Keys, tmp_path: Path
) -> None:
    """A function in front of PostgreSQL's own takes the notifications away."""
    url = database(postgres)
    name = url.split("?")[0].rsplit("/", 1)[1]
    postgres.sql(f"CREATE FUNCTION {name}.pg_notify(text, text) RETURNS void LANGUAGE sql AS 'SELECT'", name)
    for one, two in started(upstream, keys, tmp_path, f"{url}&options=-c%20search_path%3D{name}%2Cpg_catalog"):
        took = []
        for _ in range(5):
            access = one.tokens()["access_token"]
            assert two.read(access).status_code == 200
            assert one.post("revoke", {"token": access, "client_id": APP}).status_code == 200
            took.append(refused_after(two, access))
        print(f"\nrefused at the other after {', '.join(f'{it * 1000:.0f} ms' for it in took)}")
        # The other looks twice a second.
        assert max(took) < 1


def test_keys_that_are_rotated_at_one_sign_and_count_at_the_other(pair: tuple[Replica, Replica]) -> None:
    one, two = pair
    for gate in pair:
        gate.config["tokens"] = {"key_overlap": "0s"}
        gate.write()
    old = one.tokens()["access_token"]
    known = {key["kid"] for key in two.http.get("/.well-known/jwks.json").json()["keys"]}
    assert one.run("keys", "rotate").returncode == 0
    for gate in pair:
        wait_until(lambda gate=gate: {key["kid"] for key in gate.http.get("/.well-known/jwks.json").json()["keys"]} > known, PATIENCE, "new keys")
    new = two.tokens()["access_token"]
    assert {gate.read(token).status_code for gate in pair for token in (old, new)} == {200}


def test_row_232_a_lockout_at_one_holds_at_the_other_and_after_a_restart(pair: tuple[Replica, Replica]) -> None:
    one, two = pair
    with ThreadPoolExecutor(12) as pool:
        assert not any(pool.map(lambda number: pair[number % 2].logs_in("wrong"), range(12)))
    assert not two.logs_in(PASSWORD) and not one.logs_in(PASSWORD)
    counted = [gate.metrics()['smartgate_logins_total{outcome="failure"}'] for gate in pair]
    assert sum(counted) == 10, "of twelve at once ten were looked at, whichever gate they came to"
    assert one.logs_in(PASSWORD, "carter"), "another name is not held back"

    assert two.service().status_code == 200
    assert [one.service("wrong").status_code for _ in range(11)] == [401] * 10 + [429]
    began = time.monotonic()
    wait_until(lambda: two.service().status_code == 429, PATIENCE, "the pause")
    took = time.monotonic() - began
    print(f"\nheld back at the other after {took * 1000:.0f} ms")
    assert took < 1
    assert two.stop() == 0
    two.start()
    assert two.service().status_code == 429 and not two.logs_in(PASSWORD)


def test_what_one_answered_before_it_was_killed_counts_at_the_other(pair: tuple[Replica, Replica]) -> None:
    one, two = pair
    answered: list[str] = []
    latest = one.tokens()["refresh_token"]

    def go_on() -> None:
        nonlocal latest
        try:
            while True:
                latest = one.refresh(latest).raise_for_status().json()["refresh_token"]
                answered.append(latest)
        except httpx.TransportError:
            pass

    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(go_on)
        wait_until(lambda: len(answered) > 20, PATIENCE, "refreshes")
        assert one.process
        one.process.child.kill()
        running.result()
    answer = two.refresh(latest)
    assert answer.status_code == 200 and answer.json()["refresh_token"] != latest
    assert not two.is_active(answered[-2]), "and what was exchanged stays so"


def test_a_database_that_crashes_is_told_at_once_and_comes_back_by_itself(own_postgres: Cluster, own_pair: tuple[Replica, Replica]) -> None:
    one, two = own_pair
    tokens, revoked = one.tokens(), one.tokens()["access_token"]
    assert one.post("revoke", {"token": revoked, "client_id": APP}).status_code == 200
    own_postgres.stop("immediate")
    for gate in own_pair:
        began = time.monotonic()
        answer = gate.refresh(tokens["refresh_token"])
        assert answer.status_code == 503 and answer.json()["error"] == "temporarily_unavailable"
        assert gate.service().status_code == 200, "what needs no store goes on"
        assert gate.read(tokens["access_token"]).status_code == 200, "for a while"
        # What the store last answered counts for a second.
        wait_until(lambda gate=gate: gate.readiness() == (503, "store"), PATIENCE, "readiness")
        assert time.monotonic() - began < 10
        assert gate.metrics()['smartgate_store_errors_total{operation="refresh"}'] >= 1
    own_postgres.start()
    for gate in own_pair:
        wait_until(lambda gate=gate: gate.readiness() == (200, None), PATIENCE, "readiness")
    assert two.refresh(tokens["refresh_token"]).status_code == 200, "nothing that was committed is gone"
    assert {gate.read(revoked).status_code for gate in own_pair} == {401}


def test_without_word_from_the_database_own_tokens_are_refused_and_others_go_on(own_postgres: Cluster, own_pair: tuple[Replica, Replica]) -> None:
    one, _ = own_pair
    access = one.tokens()["access_token"]
    foreign = one.token("user/Patient.r", fhirUser="Practitioner/carter", aud=one.audience)
    assert (one.read(access).status_code, one.read(foreign).status_code) == (200, 200)
    one.config["store"]["stale_max"] = "5s"
    one.config["registration"] = {"tokens": [], "scopes": ["patient/*.rs"]}
    one.write()
    wait_until(lambda: one.metrics()["smartgate_config_generation"] == 2, PATIENCE, "the new configuration")
    own_postgres.stop("immediate")
    wait_until(lambda: one.read(access).status_code == 503, PATIENCE, "the refusal of own tokens")
    assert one.read(access).json()["issue"][0]["details"]["coding"][0]["code"] == "token-unchecked"
    assert one.post("introspect", {"token": access}, "resource-server").status_code == 503
    assert one.read(foreign).status_code == 200
    for told in ("revocations cannot be read", "apps that registered themselves cannot be read"):
        assert one.log.read_text().count(told) == 1, "twice a second would drown what else there is"
    own_postgres.start()
    wait_until(lambda: one.read(access).status_code == 200, PATIENCE, "own tokens")


def test_a_database_that_hangs_is_waited_for_so_long_and_no_longer(own_postgres: Cluster, own_pair: tuple[Replica, Replica]) -> None:
    one, _ = own_pair
    tokens = one.tokens()
    own_postgres.pause()
    with ThreadPoolExecutor(30) as pool:
        began = time.monotonic()
        answers = list(pool.map(lambda _: one.refresh(tokens["refresh_token"]), range(30)))
        took = time.monotonic() - began
    print(f"\n30 requests before a database that hangs: {took:.1f} s")
    assert {answer.status_code for answer in answers} == {503} and took < 15
    wait_until(lambda: one.readiness() == (503, "store"), PATIENCE, "readiness")
    own_postgres.resume()
    wait_until(lambda: one.readiness() == (200, None), PATIENCE, "readiness")
    assert one.refresh(tokens["refresh_token"]).status_code == 200


def test_a_standby_that_takes_over_is_found(own_postgres: Cluster, upstream: FhirServer, keys: Keys, tmp_path: Path) -> None:
    standby = own_postgres.standby()
    try:
        url = database(own_postgres)
        both = url.replace(f":{own_postgres.port}/", f":{standby.port},127.0.0.1:{own_postgres.port}/")
        for one, two in started(upstream, keys, tmp_path, both):
            tokens = one.tokens()
            wait_until(lambda: standby.has_caught_up(own_postgres), PATIENCE, "the standby")
            own_postgres.stop("immediate")
            assert one.refresh(tokens["refresh_token"]).status_code == 503
            standby.promote()
            for gate in (one, two):
                wait_until(lambda gate=gate: gate.readiness() == (200, None), PATIENCE, "readiness")
            assert two.refresh(tokens["refresh_token"]).status_code == 200
            assert two.tokens(NO_REFRESH)
    finally:
        standby.close()


def test_a_gate_without_its_database_does_not_start_and_says_why(keys: Keys, tmp_path: Path) -> None:
    gate = Replica(tmp_path / "gate", "http://127.0.0.1:9/fhir", keys, f"postgres://gate@127.0.0.1:{free_port()}/gate?sslmode=disable")
    began = time.monotonic()
    ended = gate.run("run")
    assert ended.returncode == 1 and "[store] url: error connecting to server: Connection refused" in ended.stderr
    assert time.monotonic() - began < 20


def test_the_sample_for_replicas_is_right() -> None:
    command = [BINARY, "--config", ROOT / "conf" / "replicas" / "smartgate.toml", "check"]
    checked = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "SMARTGATE_STORE_PASSWORD": "secret"})
    assert checked.returncode == 0, checked.stderr
