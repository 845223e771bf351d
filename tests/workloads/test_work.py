"""Work on a miner's hardware: whose, where, since when, at which cost, sorted and filtered page by page."""

from typing import Any

import pytest

from tests.support.factories import GB, PRICE, GroupFactory, GroupMemberFactory
from tests.support.scenario import Scenario
from utcloud.accounts.auth import Actor
from utcloud.common.errors import Forbidden, Invalid, NotFound
from utcloud.common.money import amount_for
from utcloud.workloads import notebooks
from utcloud.workloads.models import Workload
from utcloud.workloads.schemas import Kind, State, WorkOut, WorkSort
from utcloud.workloads.work import WorkFilter, list_work

pytestmark = pytest.mark.postgres


async def listed(world: Scenario, actor: Actor | None = None, *, limit: int = 50, **wanted: Any) -> list[WorkOut]:
    """All pages of a list."""
    found: list[WorkOut] = []
    cursor: str | None = None
    while True:
        async with world.db.read() as tx:
            items, cursor = await list_work(tx, actor or world.miner, WorkFilter(**wanted), limit=limit, cursor=cursor)
        found += items
        assert len(items) <= limit
        if cursor is None:
            return found


async def test_what_runs_and_what_waits(world: Scenario) -> None:
    running = await world.create("first")
    (attempt,) = await world.run(running)
    started = world.now
    await world.create("second", tasks=2)
    waiting = await world.create("third", actor=world.other)
    world.later(1800)
    await world.report()
    work = await listed(world)
    assert [one.workload_id for one in work][-1] == running, "newest first"
    assert [one.state for one in work] == [State.PENDING, State.ASSIGNED, State.ASSIGNED, State.RUNNING]
    one = work[-1]
    assert (one.attempt_id, one.kind, one.owner_name, one.group_name) == (attempt, Kind.NOTEBOOK, "renter", "")
    assert (one.pool_id, one.pool_name, one.spec) == (world.pool_id, "lab", "0.5CPU-1GB-1TPU1684X")
    assert (one.since, one.price, one.cost) == (started, PRICE, amount_for(PRICE, 1_800_000))
    assert one.node.startswith("node-")
    assert len(one.chips) == 1
    first = work[0]
    assert (first.workload_id, first.owner_name, first.node, first.node_id) == (waiting, "other", "", None)
    assert (first.attempt_id, first.cost, first.chips, first.price) == (None, 0, [], PRICE)
    assert "waiting" in first.reason or "first in line" in first.reason


async def test_the_group_in_whose_name_it_runs(world: Scenario) -> None:
    ident = await world.create()
    async with world.db.write() as tx:
        tx.add(GroupFactory.build(id="grp_1", name="vision"))
        await tx.flush()
        tx.add(GroupMemberFactory.build(group_id="grp_1", user_id=world.renter.id))
        (await tx.get_one(Workload, ident)).group_id = "grp_1"
    assert [one.group_name for one in await listed(world)] == ["vision"]
    assert len(await listed(world, search="visi")) == 1


async def test_filters(world: Scenario) -> None:
    async with world.db.write() as tx:
        plain = await world.add_spec(tx, "plain", {"cpu": 500, "memory": GB})
    one, two = await world.create("one"), await world.create("two", spec_id=plain)
    (attempt,) = await world.run(one)
    node_id = (await world.attempt(attempt)).node_id
    assert {row.workload_id for row in await listed(world, spec_id=plain)} == {two}
    assert {row.workload_id for row in await listed(world, states=[State.RUNNING])} == {one}
    assert one in {row.workload_id for row in await listed(world, node_id=node_id)}
    assert await listed(world, node_id="nd_none") == []
    assert await listed(world, pool_id="pool_none") == []
    assert len(await listed(world, pool_id=world.pool_id, kind=Kind.NOTEBOOK)) == 2
    assert await listed(world, kind=Kind.TASK) == []
    assert len(await listed(world, search="plai")) == 1
    assert len(await listed(world, search="RENTER")) == 2
    assert await listed(world, search="100%") == []
    await world.stop(one)
    await world.end(attempt)
    assert {row.workload_id for row in await listed(world)} == {two}, "what has ended is shown when asked for"
    assert [row.workload_id for row in await listed(world, states=[State.STOPPED])] == [one]


@pytest.mark.parametrize("sort", list(WorkSort))
async def test_every_order_pages_through_all_once(world: Scenario, sort: WorkSort) -> None:
    for number in range(5):
        await world.create(f"n-{number}", actor=world.other if number % 2 else world.renter)
        world.later(1)
    await world.run((await listed(world))[-1].workload_id)
    whole = await listed(world, sort=sort)
    assert len({one.replica_id for one in whole}) == 5
    assert await listed(world, sort=sort, limit=2) == whole
    key = sort.removeprefix("-")
    values = [one.replica_id if key == "created_at" else getattr(one, key) for one in whole]
    assert values == sorted(values, reverse=sort.startswith("-"))
    with pytest.raises(Invalid):
        async with world.db.read() as tx:
            await list_work(tx, world.miner, WorkFilter(sort=sort), limit=2, cursor="WzEsMiwzXQ")


async def test_another_miner_sees_and_stops_nothing(world: Scenario) -> None:
    ident = await world.create()
    (replica,) = await world.replicas(ident)
    stranger = Actor("usr_x", "boris", is_miner=True)
    assert await listed(world, stranger) == []
    assert len(await listed(world, Actor("usr_o", "oscar", is_operator=True))) == 1
    with pytest.raises(Forbidden):
        await listed(world, world.renter)
    with pytest.raises(NotFound):
        async with world.db.write() as tx:
            await notebooks.stop_on_my_hardware(tx, world.now, stranger, replica.id, "mine!")


async def test_a_miner_stops_what_only_waits(world: Scenario) -> None:
    await world.create("first", tasks=3)
    ident = await world.create("second")
    (replica,) = await world.replicas(ident)
    assert replica.state == State.PENDING
    async with world.db.write() as tx:
        await notebooks.stop_on_my_hardware(tx, world.now, world.miner, replica.id, "the pool closes")
    assert await world.states(ident) == [State.STOPPED]
    assert (await world.workload(ident)).reason == "stopped by the miner: the pool closes"
