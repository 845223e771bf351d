"""``kill -9`` the server, the agent or both in the middle of create, run and stop, again and again at random moments.

Afterwards every notebook is as its user wished, no container is lost or left over, no interval is billed twice or not
at all, and every chip is free. UTCLOUD_TEST_SEED repeats a run.
"""

import os
import random
import secrets
import sqlite3
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from itertools import pairwise

import httpx
import pytest

from tests.e2e.cloud import Cloud, expected_amount, micro
from tests.support.api import Api, Json, Refused, wait_for
from tests.support.lanes import amount
from tests.support.stack import Stack

pytestmark = [pytest.mark.containers, pytest.mark.slow, pytest.mark.timeout(600)]

ROUNDS = amount(6, 20)
LONGEST_MOMENT_S = 2.5
SETTLED_S = 90
CLOCK_S = 0.05
"""The engine's own rounding, and that of milliseconds."""


@dataclass
class Witness:
    """Watches the engine past utcloud all the time, and remembers each container's own start and end."""

    stack: Stack
    seen: dict[str, Json] = field(default_factory=dict)
    """By attempt id: started_at and, when it was still there to be asked, ended_at."""
    most_at_once: dict[str, int] = field(default_factory=dict)
    """By replica id: how many of its containers ran at the same time, at most."""

    @contextmanager
    def watching(self) -> Iterator[None]:
        stop = threading.Event()
        thread = threading.Thread(target=self._watch, args=(stop,), daemon=True)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()

    def _watch(self, stop: threading.Event) -> None:
        while not stop.wait(0.1):
            running: dict[str, int] = {}
            for row in self.stack.containers():
                try:
                    state = self.stack.inspect(row["Id"])["State"]
                except httpx.HTTPStatusError:
                    continue  # removed in between
                attempt, replica = row["Labels"]["utcloud.attempt"], row["Labels"]["utcloud.replica"]
                running[replica] = running.get(replica, 0) + bool(state["Running"])
                known = self.seen.setdefault(attempt, {})
                if not state["StartedAt"].startswith("0001"):
                    known["started_at"] = datetime.fromisoformat(state["StartedAt"])
                if not state["Running"] and not state["FinishedAt"].startswith("0001"):
                    known["ended_at"] = datetime.fromisoformat(state["FinishedAt"])
            for replica, count in running.items():
                self.most_at_once[replica] = max(self.most_at_once.get(replica, 0), count)


@dataclass
class Person:
    """A renter who does one thing after the other and never gives up; ``wish`` is the last that was taken."""

    cloud: Cloud
    api: Api
    rng: random.Random
    wishes: dict[str, str] = field(default_factory=dict)
    """Notebook id → running, stopped or deleted."""

    def insist(self, method: str, path: str, body: Json | None = None) -> Json | None:
        """Call until there is an answer: the same key makes it happen once. None when it was refused."""
        key = {"Idempotency-Key": secrets.token_hex(8)}
        deadline = time.monotonic() + 60
        while True:
            try:
                return self.api.call(method, path, body, headers=key) or {}
            except Refused as refused:
                if refused.status < 500 and refused.problem.get("code") != "conflict":
                    return None
                problem: Exception = refused
            except (httpx.TransportError, AssertionError) as error:  # the edge's own words while nobody is behind it
                problem = error
            assert time.monotonic() < deadline, problem
            time.sleep(0.1)

    def act(self) -> None:
        """Create, start, stop or delete."""
        running = [ident for ident, wish in self.wishes.items() if wish == "running"]
        stopped = [ident for ident, wish in self.wishes.items() if wish == "stopped"]
        if len(running) < 3 and (not stopped or self.rng.random() < 0.5):
            body = self.cloud.wish(f"kill-{secrets.token_hex(4)}")
            made = self.insist("POST", "/notebooks", body)
            if made:
                self.wishes[made["id"]] = "running"
            return
        if stopped and len(running) < 3 and self.rng.random() < 0.5:
            ident = self.rng.choice(stopped)
            if self.rng.random() < 0.3:
                if self.insist("DELETE", f"/notebooks/{ident}") is not None:
                    self.wishes[ident] = "deleted"
            elif self.insist("POST", f"/notebooks/{ident}/start") is not None:
                self.wishes[ident] = "running"
            return
        if running:
            ident = self.rng.choice(running)
            if self.insist("POST", f"/notebooks/{ident}/stop") is not None:
                self.wishes[ident] = "stopped"

    def unmet(self) -> str:
        """Which notebook is not yet as wished; empty when all are."""
        there = {one["id"]: one for one in self.api.all("/notebooks")}
        for ident, wish in self.wishes.items():
            state = there[ident]["state"] if ident in there else "deleted"
            if state != wish:
                return f"{ident} shall be {wish}, is {state}: {there.get(ident, {}).get('reason')}"
        return ""


def kill_at_a_random_moment(stack: Stack, rng: random.Random) -> str:
    victims = rng.choice([["server"], ["agent"], ["server", "agent"]])
    time.sleep(rng.uniform(0, LONGEST_MOMENT_S))  # the moment is what is being tried
    for victim in victims:
        stack.kill(victim)
    return "+".join(victims)


def test_killed_at_random_moments(stack: Stack, cloud: Cloud) -> None:
    seed = int(os.environ.get("UTCLOUD_TEST_SEED") or secrets.randbits(32))
    rng = random.Random(seed)
    print(f"UTCLOUD_TEST_SEED={seed}")
    cloud.recharge(cloud.user["id"], "1000")
    person, witness = Person(cloud, cloud.renter, rng), Witness(stack)
    with witness.watching():
        for number in range(ROUNDS):
            if rng.random() < 0.5:  # half of the kills hit what runs quietly, half what is still under way
                wait_for(lambda: _quietly(person), "all as wished before the next kill", SETTLED_S)
            killer = threading.Thread(target=kill_at_a_random_moment, args=(stack, random.Random(rng.random())))
            killer.start()
            person.act()
            killer.join()
            print(f"round {number}: {person.wishes}")
        for program in ("server", "agent"):
            wait_for(partial(stack.pid, program), f"{program} is up again")
        wait_for(lambda: _quietly(person), "every notebook as wished", SETTLED_S)
        _nothing_lost_or_left(stack, cloud, person)
        for ident, wish in person.wishes.items():
            if wish == "running":
                person.insist("POST", f"/notebooks/{ident}/stop")
                person.wishes[ident] = "stopped"
        wait_for(lambda: _quietly(person), "every notebook stopped", SETTLED_S)
        wait_for(lambda: not stack.containers(), "no container is left", 30)
    _every_chip_is_free(stack, cloud)
    _billed_exactly_once(stack, cloud, witness)
    assert max(witness.most_at_once.values()) == 1, "a replica never ran twice at the same time"
    assert len(witness.seen) >= ROUNDS // 4, "the test did something"


def _quietly(person: Person) -> bool:
    try:
        return not person.unmet()
    except (httpx.TransportError, Refused, AssertionError):
        return False


def _nothing_lost_or_left(stack: Stack, cloud: Cloud, person: Person) -> None:
    """The engine's containers are exactly those that the database knows to run."""

    def difference() -> set[str]:
        ours = {one["replica_id"] for one in cloud.operator.all("/replicas") if one["state"] == "running"}
        theirs = {one["Labels"]["utcloud.replica"] for one in stack.containers() if one["State"] == "running"}
        return ours ^ theirs

    wait_for(lambda: not difference(), "engine and database agree", 30)
    assert person.unmet() == ""


def _every_chip_is_free(stack: Stack, cloud: Cloud) -> None:
    node = cloud.operator.get(f"/nodes/{cloud.node['id']}")
    assert [chip["in_use"] for chip in node["chips"]] == [False] * 3
    assert all(usage["allocated"] == 0 for usage in node["resources"]), node["resources"]
    assert node["status"] == "ready"
    assert stack.bridges() == set()


def _billed_exactly_once(stack: Stack, cloud: Cloud, witness: Witness) -> None:
    """Every container that ran has one charge record of its own interval, from when its page answered; the journal
    holds just that."""
    charges = {one["attempt_id"]: one for one in cloud.renter.all("/charges")}
    for attempt, seen in witness.seen.items():
        if "started_at" not in seen:
            continue
        assert attempt in charges, f"{attempt} ran since {seen['started_at']} and was not billed"
        charge = charges[attempt]
        if charge["started_at"] is None:
            continue  # its page never answered
        clocks, began = timedelta(seconds=CLOCK_S), datetime.fromisoformat(charge["started_at"])
        assert seen["started_at"] - clocks <= began, attempt
        if "ended_at" in seen:
            ended = datetime.fromisoformat(charge["ended_at"])
            assert abs(ended - max(seen["ended_at"], began)) <= clocks, attempt
    for charge in charges.values():
        assert charge["open"] is False
        if charge["started_at"] is None:
            assert micro(charge["amount"]) == 0
            continue
        assert charge["attempt_id"] in witness.seen, "billed, but no container was ever seen"
        assert micro(charge["amount"]) == micro(charge["settled"]) == expected_amount(charge)
    _no_interval_twice(charges.values())
    spent = sum(micro(one["amount"]) for one in charges.values())
    recharged = sum(micro(one["amount"]) for one in cloud.renter.all("/recharges"))
    wallet = cloud.renter.get("/wallets/mine")
    assert micro(wallet["balance"]) == recharged - spent
    assert (wallet["held"], wallet["accrued"]) == ("0", "0")
    if not stack.settings.get("UTCLOUD_DATABASE_URL"):
        with closing(sqlite3.connect(f"file:{stack.home}/utcloud.db?mode=ro", uri=True)) as db:
            assert db.execute("select coalesce(sum(amount), 0) from postings").fetchone() == (0,)
            unbalanced = "select entry_id from postings group by entry_id having sum(amount) != 0"
            assert db.execute(unbalanced).fetchall() == []
            assert db.execute("select count(*) from chip_claims").fetchone() == (0,)
            assert db.execute("pragma integrity_check").fetchone() == ("ok",)


def _no_interval_twice(charges: Iterable[Json]) -> None:
    """One replica's intervals never overlap."""
    by_replica: dict[tuple[str, str], list[tuple[str, str]]] = {}
    for charge in charges:
        if charge["started_at"]:
            key = (charge["workload_id"], charge["replica"])
            by_replica.setdefault(key, []).append((charge["started_at"], charge["ended_at"]))
    for key, intervals in by_replica.items():
        intervals.sort()
        for (_, end), (start, _) in pairwise(intervals):
            assert datetime.fromisoformat(end) <= datetime.fromisoformat(start), f"{key} was billed twice"
