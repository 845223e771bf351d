"""Mutated reports: whatever a site says of one replica or of its nodes, another replica's part is taken."""

import copy
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.clock import FakeClock
from tests.support.lanes import amount
from tests.support.scenario import Scenario
from utcloud.billing.verify import verified
from utcloud.common.money import MICRO
from utcloud.protocol import Phase
from utcloud.workloads.schemas import State
from utcloud.workloads.states import FINAL

Json = dict[str, Any]
TEXTS = st.one_of(
    st.text(alphabet=st.characters(codec=None), max_size=40),
    st.sampled_from(
        [
            *("\x00", "\ud800", "\x00" * 300, "x" * 3000, "\u202e"),
            *("127.0.0.1:1", "10.89.0.9:8888", "[::1%a]@10.89.0.2:1", "ended", "running", "{}"),
            *("0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "1969-12-31T00:00:00Z"),
        ]
    ),
)
NUMBERS = st.one_of(
    st.integers(),
    st.sampled_from([2**31, 2**32, 2**53, 2**63, 2**64, -(2**63) - 1, 10**40]),
    st.floats(allow_nan=False, allow_infinity=False),
)
PLAIN = st.one_of(st.none(), st.booleans(), NUMBERS, TEXTS)
VALUES = st.one_of(PLAIN, st.lists(PLAIN, max_size=3), st.dictionaries(TEXTS, PLAIN, max_size=3))
FIELDS = (
    *("replica_id", "phase", "reason", "cause", "container_id", "endpoint"),
    *("started_at", "ended_at", "exit_code", "log_tail", "more"),
)
REPLICA = st.dictionaries(st.sampled_from(FIELDS), VALUES, max_size=4)
ENDED = st.fixed_dictionaries({"phase": st.just("ended")}, optional={"exit_code": VALUES, "log_tail": VALUES})
PLACES = st.lists(st.integers(0, 200), min_size=1, max_size=4)
MUTATIONS = st.lists(st.tuples(PLACES, st.sampled_from(["set", "delete", "twice"]), VALUES), max_size=4)


def mutate(nodes: list[Any], where: list[int], how: str, value: Any) -> None:
    """Change something within the nodes."""
    found: Any = nodes
    for step in where[:-1]:
        keys = list(found) if isinstance(found, dict) else range(len(found)) if isinstance(found, list) else []
        inner = [key for key in keys if isinstance(found[key], list | dict) and found[key]]
        if not inner:
            break
        found = found[inner[step % len(inner)]]
    if not found:
        return
    if isinstance(found, list):
        place = where[-1] % len(found)
        if how == "set":
            found[place] = value
        elif how == "twice":
            found.append(copy.deepcopy(found[place]))
        else:
            del found[place]
        return
    key = list(found)[where[-1] % len(found)]
    if how == "delete":
        del found[key]
    else:
        found[key if how == "set" else f"{key}\x00"] = value


class _Site:
    """A replica that is lied about, one that is not, and a new one for the first whenever that has ended."""

    known: dict[int, "_Site"] = {}

    def __init__(self, world: Scenario, other: str) -> None:
        self.other, self._world, self._made, self._first, self._ident = other, world, 0, "", ""

    @classmethod
    async def of(cls, world: Scenario) -> "_Site":
        if id(world) not in cls.known:
            ident = await world.create("other", actor=world.other)
            (wish,) = [one for one in (await world.desired()).replicas if one.workload_id == ident]
            await world.see(wish.attempt_id, Phase.RUNNING, started_at=world.now)  # and its page answers
            world.seen.clear()
            cls.known = {id(world): cls(world, wish.attempt_id)}
        return cls.known[id(world)]

    async def first(self) -> str:
        world = self._world
        states = await world.states(self._ident) if self._ident else [State.FAILED]
        if states[0] in FINAL or states[0] == State.PENDING:
            if self._first and not (await world.attempt(self._first)).done:
                await world.report()  # the nodes as they are
                await world.end(self._first)
                world.seen.clear()
            await world.report()
            if states[0] == State.PENDING:
                await world.place_waiting()
            else:
                self._made += 1
                self._ident = await world.create(f"n{self._made}")
            found = [one.attempt_id for one in (await world.desired()).replicas if one.workload_id == self._ident]
            self._first = found[0] if found else "at_none"
        return self._first


@pytest.fixture
async def books(world: Scenario) -> AsyncIterator[None]:
    """The renters have enough for all that comes, and the books are right at the end."""
    async with world.db.write() as tx:
        await world.recharge(tx, world.other, 10**6 * MICRO)
        await world.recharge(tx, world.renter, 10**6 * MICRO)
    yield
    fault = (await verified(world.db)).fault
    assert fault is None, fault


@pytest.mark.parametrize("part", range(amount(1, 2)), ids="part{}".format)  # one for each core: -k part0
@pytest.mark.usefixtures("may_report_always", "books")
@pytest.mark.postgres
@pytest.mark.slow
@pytest.mark.timeout(amount(300, 0))
@settings(
    max_examples=amount(25, 12_500),  # of four reports each
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(rounds=st.lists(st.tuples(st.one_of(REPLICA, REPLICA, REPLICA, ENDED), MUTATIONS), min_size=4, max_size=4))
async def test_what_is_said_of_one_replica_costs_no_other_its_part(
    world: Scenario, clock: FakeClock, agent: httpx.AsyncClient, part: int, rounds: list[tuple[Json, Any]]
) -> None:
    site = await _Site.of(world)
    for said, mutations in rounds:
        first = {"replica_id": "r", "attempt_id": await site.first(), "phase": "running"} | said
        world.later(1)
        clock.advance(seconds=1)
        nodes = [node.model_dump(mode="json") for node in world.nodes]
        for where, how, value in mutations:
            mutate(nodes, where, how, value)
        other = {"replica_id": "r", "attempt_id": site.other, "phase": "running", "started_at": world.now.isoformat()}
        report = {"sent_at": world.now.isoformat(), "nodes": nodes, "replicas": [first, other]}
        body, headers = json.dumps(report), {"Content-Type": "application/json"}
        answer = await agent.post("agent/reports", content=body, headers=headers)
        assert answer.status_code == 200, (answer.status_code, answer.text, report)
        assert (await world.meter(site.other)).witnessed_until == world.now, report
