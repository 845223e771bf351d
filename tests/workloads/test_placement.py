"""Placement: all replicas or none, in the order in which they came, never a chip twice."""

import shutil
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.db import SEALER
from tests.support.factories import node_report
from tests.support.lanes import examples
from tests.support.scenario import Scenario
from utcloud.db import Database
from utcloud.protocol import Phase
from utcloud.workloads import placement
from utcloud.workloads.schemas import State

pytestmark = pytest.mark.postgres


async def test_three_tasks_get_three_chips_on_their_nodes(world: Scenario) -> None:
    ident = await world.create(tasks=3)
    desired = (await world.desired()).replicas
    assert [one.workload_id for one in desired] == [ident] * 3
    assert sorted(one.devices[0] for one in desired) == ["node-a-chip-0", "node-a-chip-1", "node-b-chip-0"]
    assert all(one.devices[0].startswith(one.node) for one in desired)
    assert len(set((await world.claims()).values())) == 3


async def test_all_replicas_or_none(world: Scenario) -> None:
    first = await world.create("first")
    gang = await world.create("gang", tasks=3)
    assert await world.states(gang) == [State.PENDING] * 3
    assert len(await world.claims()) == 1, "a gang that waits holds nothing"
    reason = (await world.workload(gang)).reason
    assert "needs 1 TPU1684X on one node for each of 3 replicas at once; pool 'lab' has 2 free of 3" in reason
    assert "first in line" in reason
    (attempt,) = await world.run(first)
    await world.stop(first)
    await world.end(attempt)
    await world.place_waiting()
    assert await world.states(gang) == [State.ASSIGNED] * 3


async def test_a_fourth_waits_with_numbers_and_its_place_in_line(world: Scenario) -> None:
    for name in ("a", "b", "c"):
        await world.create(name)
    world.later(1)
    fourth = await world.create("d")
    world.later(1)
    fifth = await world.create("e", actor=world.other)
    assert "needs 1 TPU1684X on one node; pool 'lab' has 0 free of 3" in (await world.workload(fourth)).reason
    assert "first in line" in (await world.workload(fourth)).reason
    assert "1 waiting before you" in (await world.workload(fifth)).reason


async def test_first_come_first_served(world: Scenario) -> None:
    running = [await world.create(name) for name in ("a", "b", "c")]
    waiting = []
    for name in ("z", "m", "b2"):
        world.later(1)
        waiting.append(await world.create(name))
    for ident, expected in zip(running, waiting, strict=True):
        (attempt,) = await world.run(ident)
        await world.stop(ident)
        await world.end(attempt)
        await world.place_waiting()
        assert await world.states(expected) == [State.ASSIGNED]
        behind = waiting[waiting.index(expected) + 1 :]
        assert all([await world.states(one) == [State.PENDING] for one in behind])


async def test_a_node_that_is_not_ready_gets_nothing(world: Scenario) -> None:
    world.nodes = [node_report("node-a", 2, ready=False), node_report("node-b", 1)]
    await world.report()
    await world.create("one")
    assert [one.node for one in (await world.desired()).replicas] == ["node-b"]
    ident = await world.create("two")
    assert "of its 2 nodes 1 is not ready" in (await world.workload(ident)).reason
    world.nodes[0] = node_report("node-a", 2)
    await world.report()
    await world.place_waiting()
    assert await world.states(ident) == [State.ASSIGNED]


async def test_a_silent_site_gets_nothing_until_it_is_heard(world: Scenario) -> None:
    world.later(31)
    ident = await world.create()
    assert await world.states(ident) == [State.PENDING]
    assert "ready" in (await world.workload(ident)).reason
    await world.report()
    await world.place_waiting()
    assert await world.states(ident) == [State.ASSIGNED]


async def test_a_wallet_that_became_too_low_is_said_and_nothing_is_reserved(world: Scenario) -> None:
    running = await world.create("gang", tasks=3)
    waiting = await world.create("poor", actor=world.other)
    async with world.db.write() as tx:
        await world.recharge(tx, world.other, -100_000_000)
    for attempt in await world.run(running):
        await world.end(attempt)
    await world.place_waiting()
    assert await world.states(waiting) == [State.PENDING]
    assert "UNC available" in (await world.workload(waiting)).reason
    assert await world.claims() == {}
    async with world.db.write() as tx:
        await world.recharge(tx, world.other, 1_000_000)
    await world.place_waiting()
    assert await world.states(waiting) == [State.ASSIGNED]


async def test_a_restart_goes_where_its_files_are(world: Scenario) -> None:
    """Its volume lies on its site: when that site has no room, it waits, whatever else is free."""
    ident = await world.create()
    (first,) = await world.run(ident)
    await world.stop(ident)
    await world.end(first)
    world.later(60)
    await world.report()
    await world.start(ident)
    (replica,) = await world.replicas(ident)
    (again,) = (await world.desired()).replicas
    assert again.attempt_id != first
    assert again.replica_id == replica.id
    assert replica.site_id == world.site_id
    assert replica.attempts == 2
    assert [mount.volume for mount in again.mounts] == [replica.id], "the same volume as before"


async def test_what_is_large_waits_long_but_not_for_ever(world: Scenario) -> None:
    """Singles take what comes free past a pair, until it has waited long: then two chips come together for it."""
    async with world.db.write() as tx:
        pair = await world.add_spec(tx, "pair", {"cpu": 500, "TPU1684X": 2})
        plain = await world.add_spec(tx, "plain", {"cpu": 500})
    running = [await world.create(f"single-{number}") for number in range(3)]
    large = await world.create("large", spec_id=pair)
    overtaken = 0
    for turn in range(40):
        world.later(60)
        await world.report()
        waits = await world.create(f"small-{turn}")
        done = running.pop(0)
        for attempt in await world.run(done):
            await world.end(attempt)
        await world.place_waiting()
        if await world.states(large) == [State.ASSIGNED]:
            break
        if await world.states(waits) == [State.ASSIGNED]:
            overtaken += 1
            running.append(waits)
        else:
            assert "kept for one that has waited longer" in (await world.workload(waits)).reason
            other = await world.create(f"plain-{turn}", spec_id=plain)
            assert await world.states(other) == [State.ASSIGNED], "it takes nothing of what is kept"
            await world.stop(waits)
    else:
        raise AssertionError("it waits for ever")
    assert overtaken >= 9, "for ten minutes nobody waits for what is too large"
    assert world.now - (await world.replicas(large))[0].queued_at <= placement.PATIENCE + timedelta(minutes=5)


async def test_who_cannot_pay_holds_nobody_up(world: Scenario) -> None:
    """A poor one that waits keeps nothing; what was taken for him in thought is the next one's in the same round."""
    async with world.db.write() as tx:
        pair = await world.add_spec(tx, "pair", {"cpu": 500, "TPU1684X": 2})
    first = await world.create("first", tasks=3)
    poor = await world.create("poor", actor=world.other, spec_id=pair)
    world.later(1)
    next_one = await world.create("next", tasks=2)
    async with world.db.write() as tx:
        await world.recharge(tx, world.other, -100_000_000)
    world.later(3600)
    await world.report()
    for attempt in await world.run(first):
        await world.end(attempt)
    await world.place_waiting()
    assert await world.states(next_one) == [State.ASSIGNED] * 2
    assert await world.states(poor) == [State.PENDING]
    assert "UNC available" in (await world.workload(poor)).reason


async def test_a_long_line_is_placed_in_batches_in_its_order(world: Scenario, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each transaction places a batch's worth, a gang always as a whole; nobody is forgotten between two."""
    monkeypatch.setattr(placement, "BATCH", 2)
    monkeypatch.setattr(placement, "RENEWALS", 2)
    blocker = await world.create("blocker", tasks=3)
    made = []
    for number in range(5):
        world.later(1)
        made.append(await world.create(f"n{number}", tasks=1 + 2 * (number == 1)))
    world.nodes = [node_report("node-a", 2), node_report("node-b", 5)]
    await world.report()
    await world.place_waiting()
    placed = [ident for ident in made if set(await world.states(ident)) == {State.ASSIGNED}]
    assert placed == [made[0], made[1]], "one chip for the first, three for the gang"
    reasons = [(await world.workload(ident)).reason for ident in made[2:]]
    assert ["first in line" in reasons[0], *(f"{n} waiting before you" in reasons[n] for n in (1, 2))] == [True] * 3
    for attempt in await world.run(blocker):
        await world.end(attempt)
    await world.place_waiting()
    assert all([set(await world.states(ident)) == {State.ASSIGNED} for ident in made])


@pytest.mark.parametrize(
    ("ahead", "text"),
    [
        (0, "you are first in line"),
        (20, "20 waiting before you"),
        (21, "more than 20 waiting before you"),
        (100, "more than 90 waiting before you"),
        (101, "more than 100 waiting before you"),
        (4321, "more than 4000 waiting before you"),
    ],
)
def test_a_place_far_back_in_the_line_is_said_roughly(ahead: int, text: str) -> None:
    assert placement.place_in_line(ahead) == f"; {text}"


@st.composite
def stories(draw: st.DrawFn) -> list[tuple[str, int]]:
    """What renters and the site do, one after the other."""
    step = st.tuples(st.sampled_from(["create", "create", "run", "stop", "end", "start", "place"]), st.integers(1, 3))
    return draw(st.lists(step, min_size=1, max_size=25))


@settings(max_examples=examples(25), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(story=stories())
async def test_no_chip_is_held_twice_or_forgotten(
    sqlite_template: Path, tmp_path: Path, story: list[tuple[str, int]]
) -> None:
    """Whatever happens in whatever order, the chips held are exactly those of attempts that have not ended."""
    path = tmp_path / "story.db"
    for leftover in tmp_path.glob("story.db*"):
        leftover.unlink()
    shutil.copyfile(sqlite_template, path)
    db = Database(f"sqlite+aiosqlite:///{path}", SEALER)
    try:
        world = await Scenario.build(db)
        made: list[str] = []
        for number, (action, size) in enumerate(story):
            world.later(1)
            ident = made[(number * size) % len(made)] if made else ""
            if action == "create":
                made.append(await world.create(f"n{number}", tasks=size))
            elif not ident:
                continue
            elif action == "run":
                if State.ASSIGNED in await world.states(ident):
                    await world.run(ident)
            elif action == "stop":
                await world.stop(ident)
            elif action == "end":
                for wish in (await world.desired()).replicas:
                    if wish.workload_id == ident:
                        await world.end(wish.attempt_id)
            elif action == "start":
                if all(state in (State.STOPPED, State.FAILED) for state in await world.states(ident)):
                    await world.start(ident)
            else:
                await world.place_waiting()
            desired = (await world.desired()).replicas
            claims = await world.claims()
            assert sorted(claims.values()) == sorted(one.attempt_id for one in desired)
            assert len(claims) <= 3
            for notebook in made:
                states = await world.states(notebook)
                pending = states.count(State.PENDING)
                assert pending in (0, len(states)), f"a gang was torn apart: {states}"
        for left in (await world.desired()).replicas:
            await world.see(left.attempt_id, Phase.ENDED, ended_at=world.now, exit_code=1)
        assert await world.claims() == {}
    finally:
        await db.close()
