"""Placement: all replicas or none, in the order in which they came, never a chip twice."""

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.db import make_sqlite_template
from tests.workloads.world import World, node_report
from utcloud.db import Database
from utcloud.protocol import Phase
from utcloud.workloads.schemas import State


async def test_three_tasks_get_three_chips_on_their_nodes(world: World) -> None:
    ident = await world.create(tasks=3)
    desired = (await world.desired()).replicas
    assert [one.workload_id for one in desired] == [ident] * 3
    assert sorted(one.devices[0] for one in desired) == ["node-a-chip-0", "node-a-chip-1", "node-b-chip-0"]
    assert all(one.devices[0].startswith(one.node) for one in desired)
    assert len(set((await world.claims()).values())) == 3


async def test_all_replicas_or_none(world: World) -> None:
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


async def test_a_fourth_waits_with_numbers_and_its_place_in_line(world: World) -> None:
    for name in ("a", "b", "c"):
        await world.create(name)
    world.later(1)
    fourth = await world.create("d")
    world.later(1)
    fifth = await world.create("e", actor=world.other)
    assert "needs 1 TPU1684X on one node; pool 'lab' has 0 free of 3" in (await world.workload(fourth)).reason
    assert "first in line" in (await world.workload(fourth)).reason
    assert "1 waiting before you" in (await world.workload(fifth)).reason


async def test_first_come_first_served(world: World) -> None:
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


async def test_a_node_that_is_not_ready_gets_nothing(world: World) -> None:
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


async def test_a_silent_site_gets_nothing_until_it_is_heard(world: World) -> None:
    world.later(31)
    ident = await world.create()
    assert await world.states(ident) == [State.PENDING]
    assert "ready" in (await world.workload(ident)).reason
    await world.report()
    await world.place_waiting()
    assert await world.states(ident) == [State.ASSIGNED]


async def test_a_wallet_that_became_too_low_is_said_and_nothing_is_reserved(world: World) -> None:
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


async def test_a_restart_goes_where_its_files_are(world: World) -> None:
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


@st.composite
def stories(draw: st.DrawFn) -> list[tuple[str, int]]:
    """What renters and the site do, one after the other."""
    step = st.tuples(st.sampled_from(["create", "create", "run", "stop", "end", "start", "place"]), st.integers(1, 3))
    return draw(st.lists(step, min_size=1, max_size=25))


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(story=stories())
async def test_no_chip_is_held_twice_or_forgotten(tmp_path_factory, story: list[tuple[str, int]]) -> None:  # type: ignore[no-untyped-def]
    """Whatever happens in whatever order, the chips held are exactly those of attempts that have not ended."""
    path = make_sqlite_template(tmp_path_factory.mktemp("story"))
    db = Database(f"sqlite+aiosqlite:///{path}")
    try:
        world = await World.build(db)
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
