"""The process is killed at random points under token traffic, and nothing that was answered is untrue afterwards.

`SMARTGATE_KILLS` says how often, `SMARTGATE_SEED` which dice are rolled. What a killed process has written stays with the operating
system, so this is about the process; that a machine without power loses nothing either is SQLite's `synchronous = FULL`."""

from __future__ import annotations

import os
import secrets
import sqlite3
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random

import pytest

from crashes import Client, Victim
from harness import Keys
from postgres import Cluster
from replicas import database

KILLS = int(os.environ.get("SMARTGATE_KILLS") or 200)
CLIENTS = 5
# Requests between a start and the next kill, at most.
REQUESTS = 40


@pytest.fixture
def victim(keys: Keys, tmp_path: Path) -> Iterator[Victim]:
    gate = Victim(tmp_path / "gate", keys)
    try:
        yield gate
    finally:
        gate.stop()


@pytest.fixture
def victim_on_postgres(keys: Keys, tmp_path: Path) -> Iterator[Victim]:
    postgres = Cluster()
    gate = Victim(tmp_path / "gate", keys)
    gate.config["store"] = {"url": database(postgres)}
    gate.write()
    try:
        yield gate
    finally:
        gate.stop()
        postgres.close()


def test_nothing_that_was_answered_is_lost_or_done_twice(victim: Victim) -> None:
    kill(victim, KILLS)
    with sqlite3.connect(victim.folder / "state" / "smartgate.db") as file:
        assert file.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def test_nothing_that_was_answered_is_lost_or_done_twice_on_postgresql(victim_on_postgres: Victim) -> None:
    """PostgreSQL lives on, and carries out what it was told by a process that is no more, or takes it back."""
    kill(victim_on_postgres, max(1, KILLS // 4))


def kill(victim: Victim, kills: int) -> None:
    seed = os.environ.get("SMARTGATE_SEED") or secrets.token_hex(4)
    print(f"\nSMARTGATE_SEED={seed}")
    dice = Random(seed)
    clients = [Client(victim, Random(f"{seed} {number}")) for number in range(CLIENTS)]
    victim.revive()
    with ThreadPoolExecutor(CLIENTS) as pool:
        running = [pool.submit(client.run) for client in clients]
        try:
            for _ in range(kills):
                victim.kill_after(dice.randint(1, REQUESTS))
                victim.revive()
                if victim.over:
                    break
        finally:
            victim.end()
        for client in running:
            client.result()
        for settled in [pool.submit(client.settle) for client in clients]:
            settled.result()
    seen = sum((client.seen for client in clients), Counter())
    print(f"{victim.life - 1} kills; " + ", ".join(f"{what} {count}" for what, count in sorted(seen.items())))
    assert victim.life == kills + 1
    assert all(seen[f"{what}: answer lost"] for what in ("redeem", "refresh", "service")) or kills < 100, "the kills came too late to matter"
    assert victim.stop() == 0
