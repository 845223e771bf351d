"""The one rule of allocation."""

import asyncio
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, func, select

from tests.resources.support import CHIP, World, add_spec, chip, node
from utcloud.common.ids import new_id
from utcloud.db import Database
from utcloud.resources.capacity import Demand, Grant, Shortage, can_ever_fit, load, release, reserve
from utcloud.resources.models import Allocation, Chip, ChipClaim, CustomResource, Node, NodeResource

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)


def demand(world: World, spec_id: str, **more: Any) -> Demand:
    return Demand(attempt_id=new_id("at"), spec_id=spec_id, pool_id=world.pool.id, **more)


async def test_chips_are_given_singly_lowest_first_and_never_twice(db: Database) -> None:
    world = await World.make(db, NOW, node(chips=3, simulated=True))
    async with db.write() as tx:
        spec = await add_spec(tx, world.miner, {"cpu": 500, "memory": 10**9, CHIP: 1})
        uids = []
        for _ in range(3):
            grants = await reserve(tx, NOW, [demand(world, spec)])
            assert isinstance(grants, list)
            uids += grants[0].chip_uids
            assert grants[0].simulated
            assert grants[0].price == 1_500_000
            assert grants[0].miner_id == world.miner.id
            assert grants[0].resources == {"cpu": 500, "memory": 10**9, CHIP: 1}
        assert uids == ["node-1-0", "node-1-1", "node-1-2"]
        fourth = await reserve(tx, NOW, [demand(world, spec)])
    assert fourth == Shortage(f"needs 1 {CHIP} on one node; pool 'default' has 0 free of 3", "waiting")


async def test_release_gives_back_all_and_twice_does_no_harm(db: Database) -> None:
    world = await World.make(db, NOW, node(chips=1))
    async with db.write() as tx:
        spec = await add_spec(tx, world.miner, {"cpu": 500, CHIP: 1})
        first = demand(world, spec)
        assert isinstance(await reserve(tx, NOW, [first]), list)
        await release(tx, first.attempt_id)
        await release(tx, first.attempt_id)
        again = await reserve(tx, NOW, [demand(world, spec)])
        assert isinstance(again, list)
        assert again[0].chip_uids == ["node-1-0"]


async def test_all_or_none(db: Database) -> None:
    world = await World.make(db, NOW, node(chips=3))
    async with db.write() as tx:
        spec = await add_spec(tx, world.miner, {CHIP: 1})
        outcome = await reserve(tx, NOW, [demand(world, spec) for _ in range(4)])
        assert outcome == Shortage(
            f"needs 1 {CHIP} on one node for each of 4 replicas at once; pool 'default' has 3 free of 3", "waiting"
        )
        assert not await tx.scalar(select(func.count()).select_from(Allocation))
        assert not await tx.scalar(select(func.count()).select_from(ChipClaim))
        assert isinstance(await reserve(tx, NOW, [demand(world, spec) for _ in range(3)]), list)


async def test_two_names_share_one_capacity(db: Database) -> None:
    world = await World.make(db, NOW, node(chips=2))
    async with db.write() as tx:
        for name in ("TPU", "OTHER"):
            tx.add(CustomResource(id=new_id("cr"), miner_id=world.miner.id, name=name, system_resource=CHIP))
        one = await add_spec(tx, world.miner, {"TPU": 1})
        both = await add_spec(tx, world.miner, {"TPU": 1, "OTHER": 1})
        three = await add_spec(tx, world.miner, {"TPU": 1, "OTHER": 2})
        assert isinstance(await reserve(tx, NOW, [demand(world, one)]), list)
        outcome = await reserve(tx, NOW, [demand(world, both)])
        assert isinstance(outcome, Shortage)
        shortage = await can_ever_fit(tx, world.pool.id, three)
        assert shortage
        assert shortage.code == "never_fits"
        assert await can_ever_fit(tx, world.pool.id, both) is None


async def test_a_custom_name_holds_only_on_its_nodes(db: Database) -> None:
    world = await World.make(db, NOW, node("a", chips=1), node("b", chips=1))
    async with db.write() as tx:
        b = await tx.scalar(select(Node.id).where(Node.name == "b"))
        tx.add(CustomResource(id=new_id("cr"), miner_id=world.miner.id, name="TPU", system_resource=CHIP, node_ids=[b]))
        spec = await add_spec(tx, world.miner, {"TPU": 1})
        grants = await reserve(tx, NOW, [demand(world, spec)])
        assert isinstance(grants, list)
        assert grants[0].node_name == "b"
        outcome = await reserve(tx, NOW, [demand(world, spec)])
        assert outcome == Shortage("needs 1 TPU on one node; pool 'default' has 0 free of 1", "waiting")


async def test_what_needs_no_chip_leaves_chip_nodes_free(db: Database) -> None:
    world = await World.make(db, NOW, node("a-chips", chips=2), node("b-plain", cpu=1000), node("c-chips", chips=2))
    async with db.write() as tx:
        plain = await add_spec(tx, world.miner, {"cpu": 1000})
        with_chip = await add_spec(tx, world.miner, {"cpu": 1000, CHIP: 1})
        order = []
        for spec in (with_chip, plain, with_chip, plain, with_chip):
            grants = await reserve(tx, NOW, [demand(world, spec)])
            assert isinstance(grants, list)
            order.append(grants[0].node_name)
    assert order == ["a-chips", "b-plain", "a-chips", "a-chips", "c-chips"]


async def test_unhealthy_absent_and_unready_are_not_given(db: Database) -> None:
    chips = [chip("x-0", 0, healthy=False), chip("x-1", 1)]
    world = await World.make(db, NOW, node("x").model_copy(update={"chips": chips}), node("y", chips=1, ready=False))
    async with db.write() as tx:
        spec = await add_spec(tx, world.miner, {CHIP: 1})
        grants = await reserve(tx, NOW, [demand(world, spec)])
        assert isinstance(grants, list)
        assert grants[0].chip_uids == ["x-1"]
        outcome = await reserve(tx, NOW, [demand(world, spec)])
        assert isinstance(outcome, Shortage)
        assert outcome.detail == (
            f"needs 1 {CHIP} on one node; pool 'default' has 0 free of 2; of its 2 nodes 1 is not ready"
        )
        silent = await reserve(tx, NOW + timedelta(seconds=31), [demand(world, spec)])
        assert silent == Shortage("none of the 2 nodes of pool 'default' takes new work: 2 are not ready", "waiting")


async def test_a_demand_goes_where_its_files_lie(db: Database) -> None:
    world = await World.make(db, NOW, node(chips=1))
    async with db.write() as tx:
        spec = await add_spec(tx, world.miner, {CHIP: 1})
        here = await reserve(tx, NOW, [demand(world, spec, site_id=world.site_id)])
        assert isinstance(here, list)
        there = await reserve(tx, NOW, [demand(world, spec, site_id="site_other")])
        assert there == Shortage("its files lie on a site that has no node in pool 'default' now", "waiting")


async def test_a_combination_that_no_node_has_is_told(db: Database) -> None:
    world = await World.make(db, NOW, node("a", cpu=1000, chips=1), node("b", cpu=8000))
    async with db.write() as tx:
        spec = await add_spec(tx, world.miner, {"cpu": 4000, CHIP: 1})
        outcome = await reserve(tx, NOW, [demand(world, spec)])
        assert outcome == Shortage(
            f"needs 4 CPU and 1 {CHIP} on one node; no node of pool 'default' has all of it free", "waiting"
        )
        assert await can_ever_fit(tx, world.pool.id, spec) == Shortage(
            f"needs 4 CPU and 1 {CHIP} on one node; no node of pool 'default' has all of it together", "never_fits"
        )


async def test_what_can_never_fit_is_told_with_numbers(db: Database) -> None:
    world = await World.make(db, NOW, node(chips=3))
    async with db.write() as tx:
        four = await add_spec(tx, world.miner, {CHIP: 4})
        one = await add_spec(tx, world.miner, {CHIP: 1})
        assert await can_ever_fit(tx, world.pool.id, four) == Shortage(
            f"needs 4 {CHIP} on one node; the largest node of pool 'default' has 3", "never_fits"
        )
        assert await can_ever_fit(tx, world.pool.id, one, 3) is None
        assert await can_ever_fit(tx, world.pool.id, one, 4) == Shortage(
            "needs a place for 4 at once; pool 'default' holds 3 at most, when it is empty", "never_fits"
        )


async def test_racing_for_one_chip_one_wins(db: Database) -> None:
    """Two transactions at the same time: on PostgreSQL they really run side by side."""
    world = await World.make(db, NOW, node(chips=1))
    async with db.write() as tx:
        spec = await add_spec(tx, world.miner, {CHIP: 1})

    async def one() -> list[Grant] | Shortage:
        async with db.write() as tx:
            outcome = await reserve(tx, NOW, [demand(world, spec)])
            await asyncio.sleep(0.02)
            return outcome

    outcomes = await asyncio.gather(*(one() for _ in range(8)))
    assert Counter(type(outcome) for outcome in outcomes) == {list: 1, Shortage: 7}


@pytest.mark.parametrize("demands", [1, 40])
async def test_the_number_of_queries_does_not_grow(db: Database, demands: int) -> None:
    from sqlalchemy import event

    world = await World.make(db, NOW, *(node(f"n{number}", chips=4) for number in range(20)))
    async with db.write() as tx:
        spec = await add_spec(tx, world.miner, {"cpu": 100, CHIP: 1})
    count = 0

    def note(*_: Any) -> None:
        nonlocal count
        count += 1

    async with db.write() as tx:
        event.listen(db.engine.sync_engine, "before_cursor_execute", note)
        outcome = await reserve(tx, NOW, [demand(world, spec) for _ in range(demands)])
        event.remove(db.engine.sync_engine, "before_cursor_execute", note)
    assert isinstance(outcome, list)
    assert count <= 12


SHAPES = st.tuples(st.integers(0, 4), st.integers(1, 8))
NEEDS = st.tuples(st.integers(0, 3), st.integers(1, 5))
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("take"), st.lists(st.integers(0, 3), min_size=1, max_size=4)),
        st.tuples(st.just("give"), st.integers(0, 30)),
    ),
    max_size=14,
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(shapes=st.lists(SHAPES, min_size=1, max_size=4), needs=st.lists(NEEDS, min_size=4, max_size=4), steps=STEPS)
async def test_never_over_allocated_whatever_comes(
    db: Database, shapes: list[tuple[int, int]], needs: list[tuple[int, int]], steps: list[tuple[str, Any]]
) -> None:
    """Against a model that only counts: nothing is given twice, sums stay within what is there, gangs are whole."""
    world = await World.make(
        db,
        NOW,
        *(node(f"n{number}", cpu=cpu * 1000, chips=chips) for number, (chips, cpu) in enumerate(shapes)),
        miner=new_id("m"),
    )
    async with db.write() as tx:
        specs = [
            await add_spec(tx, world.miner, {"cpu": cpu * 1000} | ({CHIP: chips} if chips else {}))
            for chips, cpu in needs
        ]
    held: dict[str, tuple[Grant, int]] = {}
    for what, value in steps:
        async with db.write() as tx:
            if what == "give":
                if held:
                    ident = sorted(held)[value % len(held)]
                    await release(tx, ident)
                    del held[ident]
            else:
                wanted = [demand(world, specs[number]) for number in value]
                outcome = await reserve(tx, NOW, wanted)
                if isinstance(outcome, list):
                    assert [grant.attempt_id for grant in outcome] == [one.attempt_id for one in wanted]
                    held |= {grant.attempt_id: (grant, number) for grant, number in zip(outcome, value, strict=True)}
                else:
                    fits = [chips >= needs[value[0]][0] and cpu >= needs[value[0]][1] for chips, cpu in shapes]
                    assert held or len(value) > 1 or not any(fits), "one alone is never refused what is free"
        await _check(db, world, held, needs, shapes)
    async with db.write() as tx:
        await _forget(tx)


async def _check(
    db: Database,
    world: World,
    held: dict[str, tuple[Grant, int]],
    needs: list[tuple[int, int]],
    shapes: list[tuple[int, int]],
) -> None:
    uids = [uid for grant, _ in held.values() for uid in grant.chip_uids]
    assert len(uids) == len(set(uids))
    for grant, number in held.values():
        assert len(grant.chip_uids) == needs[number][0]
        assert all(uid.startswith(f"{grant.node_name}-") for uid in grant.chip_uids)
    async with db.read() as tx:
        states = {state.name: state for state in await load(tx, NOW, Node.pool_id == world.pool.id)}
        claims = await tx.scalar(select(func.count()).select_from(ChipClaim))
    for index, (chips, cpu) in enumerate(shapes):
        mine = [number for grant, number in held.values() if grant.node_name == f"n{index}"]
        state = states[f"n{index}"]
        assert state.free["cpu"] == cpu * 1000 - sum(needs[number][1] for number in mine) * 1000 >= 0
        assert state.free.get(CHIP, 0) == chips - sum(needs[number][0] for number in mine) >= 0
    assert claims == len(uids)


async def _forget(tx: Any) -> None:
    for model in (ChipClaim, Allocation, Chip, NodeResource):
        await tx.execute(delete(model))


async def test_a_specification_that_is_gone_finds_no_place(db: Database) -> None:
    world = await World.make(db, NOW, node(chips=1))
    async with db.write() as tx:
        outcome = await reserve(tx, NOW, [demand(world, "spec_none")])
    assert outcome == Shortage("its pool or its specification is no longer there", "never_fits")
