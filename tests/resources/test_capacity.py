"""The one rule of allocation."""

import asyncio
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import func, select

from tests.support.factories import CHIP, CustomResourceFactory, chip_report, node_report
from tests.support.scenario import Scenario, add_spec
from utcloud.common.ids import new_id
from utcloud.db import Database
from utcloud.resources.capacity import Demand, Grant, Room, Shortage, can_ever_fit, release, reserve
from utcloud.resources.models import Allocation, ChipClaim, Node

pytestmark = pytest.mark.postgres

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)


def demand(world: Scenario, spec_id: str, **more: Any) -> Demand:
    return Demand(attempt_id=new_id("at"), spec_id=spec_id, pool_id=world.pool_id, **more)


async def test_chips_are_given_singly_lowest_first_and_never_twice(db: Database) -> None:
    world = await Scenario.bare(db, NOW, node_report(chips=3, simulated=True))
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
        assert uids == ["node-1-chip-0", "node-1-chip-1", "node-1-chip-2"]
        fourth = await reserve(tx, NOW, [demand(world, spec)])
    assert fourth == Shortage(f"needs 1 {CHIP} on one node; pool 'default' has 0 free of 3", "waiting")


async def test_release_gives_back_all_and_twice_does_no_harm(db: Database) -> None:
    world = await Scenario.bare(db, NOW, node_report(chips=1))
    async with db.write() as tx:
        spec = await add_spec(tx, world.miner, {"cpu": 500, CHIP: 1})
        first = demand(world, spec)
        assert isinstance(await reserve(tx, NOW, [first]), list)
        await release(tx, first.attempt_id)
        await release(tx, first.attempt_id)
        again = await reserve(tx, NOW, [demand(world, spec)])
        assert isinstance(again, list)
        assert again[0].chip_uids == ["node-1-chip-0"]


async def test_all_or_none(db: Database) -> None:
    world = await Scenario.bare(db, NOW, node_report(chips=3))
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
    world = await Scenario.bare(db, NOW, node_report(chips=2))
    async with db.write() as tx:
        for name in ("TPU", "OTHER"):
            tx.add(CustomResourceFactory.build(miner_id=world.miner.id, name=name, system_resource=CHIP))
        one = await add_spec(tx, world.miner, {"TPU": 1})
        both = await add_spec(tx, world.miner, {"TPU": 1, "OTHER": 1})
        three = await add_spec(tx, world.miner, {"TPU": 1, "OTHER": 2})
        assert isinstance(await reserve(tx, NOW, [demand(world, one)]), list)
        outcome = await reserve(tx, NOW, [demand(world, both)])
        assert isinstance(outcome, Shortage)
        shortage = await can_ever_fit(tx, world.pool_id, three)
        assert shortage
        assert shortage.code == "never_fits"
        assert await can_ever_fit(tx, world.pool_id, both) is None


async def test_a_custom_name_holds_only_on_its_nodes(db: Database) -> None:
    world = await Scenario.bare(db, NOW, node_report("a", chips=1), node_report("b", chips=1))
    async with db.write() as tx:
        b = await tx.scalar(select(Node.id).where(Node.name == "b"))
        tx.add(CustomResourceFactory.build(miner_id=world.miner.id, name="TPU", system_resource=CHIP, node_ids=[b]))
        spec = await add_spec(tx, world.miner, {"TPU": 1})
        grants = await reserve(tx, NOW, [demand(world, spec)])
        assert isinstance(grants, list)
        assert grants[0].node_name == "b"
        outcome = await reserve(tx, NOW, [demand(world, spec)])
        assert outcome == Shortage("needs 1 TPU on one node; pool 'default' has 0 free of 1", "waiting")


async def test_what_needs_no_chip_leaves_chip_nodes_free(db: Database) -> None:
    world = await Scenario.bare(
        db, NOW, node_report("a-chips", chips=2), node_report("b-plain", cpu=1000), node_report("c-chips", chips=2)
    )
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
    chips = [chip_report("x-0", 0, healthy=False), chip_report("x-1", 1)]
    world = await Scenario.bare(
        db, NOW, node_report("x").model_copy(update={"chips": chips}), node_report("y", chips=1, ready=False)
    )
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
    world = await Scenario.bare(db, NOW, node_report(chips=1))
    async with db.write() as tx:
        spec = await add_spec(tx, world.miner, {CHIP: 1})
        here = await reserve(tx, NOW, [demand(world, spec, site_id=world.site_id)])
        assert isinstance(here, list)
        there = await reserve(tx, NOW, [demand(world, spec, site_id="site_other")])
        assert there == Shortage("its files lie on a site that has no node in pool 'default' now", "waiting")


async def test_a_combination_that_no_node_has_is_told(db: Database) -> None:
    world = await Scenario.bare(db, NOW, node_report("a", cpu=1000, chips=1), node_report("b", cpu=8000))
    async with db.write() as tx:
        spec = await add_spec(tx, world.miner, {"cpu": 4000, CHIP: 1})
        outcome = await reserve(tx, NOW, [demand(world, spec)])
        assert outcome == Shortage(
            f"needs 4 CPU and 1 {CHIP} on one node; no node of pool 'default' has all of it free", "waiting"
        )
        assert await can_ever_fit(tx, world.pool_id, spec) == Shortage(
            f"needs 4 CPU and 1 {CHIP} on one node; no node of pool 'default' has all of it together", "never_fits"
        )


async def test_what_can_never_fit_is_told_with_numbers(db: Database) -> None:
    world = await Scenario.bare(db, NOW, node_report(chips=3))
    async with db.write() as tx:
        four = await add_spec(tx, world.miner, {CHIP: 4})
        one = await add_spec(tx, world.miner, {CHIP: 1})
        assert await can_ever_fit(tx, world.pool_id, four) == Shortage(
            f"needs 4 {CHIP} on one node; the largest node of pool 'default' has 3", "never_fits"
        )
        assert await can_ever_fit(tx, world.pool_id, one, 3) is None
        assert await can_ever_fit(tx, world.pool_id, one, 4) == Shortage(
            "needs a place for 4 at once; pool 'default' holds 3 at most, when it is empty", "never_fits"
        )


async def test_racing_for_one_chip_one_wins(db: Database) -> None:
    """Two transactions at the same time: on PostgreSQL they really run side by side."""
    world = await Scenario.bare(db, NOW, node_report(chips=1))
    async with db.write() as tx:
        spec = await add_spec(tx, world.miner, {CHIP: 1})

    async def one() -> list[Grant] | Shortage:
        async with db.write() as tx:
            outcome = await reserve(tx, NOW, [demand(world, spec)])
            await asyncio.sleep(0.02)
            return outcome

    outcomes = await asyncio.gather(*(one() for _ in range(8)))
    assert Counter(type(outcome) for outcome in outcomes) == {list: 1, Shortage: 7}


async def test_what_is_kept_for_one_is_left_by_others(db: Database) -> None:
    """Two chips of the node where the most is free: nobody takes them, and what takes none of them may stand there."""
    world = await Scenario.bare(
        db, NOW, node_report("a", chips=2), node_report("b", chips=3), node_report("c", chips=1)
    )
    async with db.write() as tx:
        one, pair = await add_spec(tx, world.miner, {CHIP: 1}), await add_spec(tx, world.miner, {CHIP: 3})
        plain, both = await add_spec(tx, world.miner, {"cpu": 1000}), await add_spec(tx, world.miner, {CHIP: 2})
        b = await tx.scalar(select(Node.id).where(Node.name == "b"))
        assert isinstance(await reserve(tx, NOW, [demand(world, one, node_id=b)]), list)
        room = await Room.open(tx, NOW, [world.pool_id], [one, pair, plain, both])
        large = [demand(world, pair)]
        assert isinstance(room.take(large), Shortage)
        assert not room.keeps(world.pool_id)
        assert room.keep_for(large)
        assert room.keeps(world.pool_id)
        names = []
        for _ in range(3):
            grants = room.take([demand(world, one)])
            assert isinstance(grants, list)
            names.append(grants[0].node_name)
        assert sorted(names) == ["a", "a", "c"]
        refused = room.take([demand(world, one)])
        assert isinstance(refused, Shortage)
        assert "what is free on node b of pool 'default' is kept for one that has waited longer" in refused.detail
        beside = room.take([demand(world, plain, node_id=b)])
        assert isinstance(beside, list), "it takes no chip"


async def test_nothing_is_kept_for_what_would_not_fit_when_all_has_ended(db: Database) -> None:
    """Unhealthy chips and cordoned nodes do not come free by waiting."""
    chips = [chip_report("x-0", 0, healthy=False), chip_report("x-1", 1)]
    world = await Scenario.bare(
        db, NOW, node_report("x").model_copy(update={"chips": chips}), node_report("y", chips=2)
    )
    async with db.write() as tx:
        (await tx.scalars(select(Node).where(Node.name == "y"))).one().cordoned = True
        pair, one = await add_spec(tx, world.miner, {CHIP: 2}), await add_spec(tx, world.miner, {CHIP: 1})
        room = await Room.open(tx, NOW, [world.pool_id], [pair, one])
        assert not room.keep_for([demand(world, pair)])
        assert not room.keep_for([demand(world, one), demand(world, one)])
        assert isinstance(room.take([demand(world, one)]), list)


async def test_cordoned_and_draining_nodes_are_told(db: Database) -> None:
    world = await Scenario.bare(db, NOW, *(node_report(name, chips=1) for name in "abc"))
    async with db.write() as tx:
        a, b, c = await tx.scalars(select(Node).order_by(Node.name))
        a.cordoned = b.cordoned = True
        spec = await add_spec(tx, world.miner, {CHIP: 1})
        assert isinstance(await reserve(tx, NOW, [demand(world, spec)]), list)
        assert await reserve(tx, NOW, [demand(world, spec)]) == Shortage(
            f"needs 1 {CHIP} on one node; pool 'default' has 0 free of 1; of its 3 nodes 2 are cordoned", "waiting"
        )
        b.drain_at, c.ready = NOW, False
        assert await reserve(tx, NOW, [demand(world, spec)]) == Shortage(
            "none of the 3 nodes of pool 'default' takes new work: 1 is cordoned, 1 is being drained, 1 is not ready",
            "waiting",
        )


@pytest.mark.parametrize("demands", [1, 40])
async def test_the_number_of_queries_does_not_grow(db: Database, demands: int) -> None:
    from sqlalchemy import event

    world = await Scenario.bare(db, NOW, *(node_report(f"n{number}", chips=4) for number in range(20)))
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


async def test_a_specification_that_is_gone_finds_no_place(db: Database) -> None:
    world = await Scenario.bare(db, NOW, node_report(chips=1))
    async with db.write() as tx:
        outcome = await reserve(tx, NOW, [demand(world, "spec_none")])
    assert outcome == Shortage("its pool or its specification is no longer there", "never_fits")
