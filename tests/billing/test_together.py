"""Placing, reporting, settling and recharging at the same time: on PostgreSQL these really run side by side."""

import asyncio
from datetime import timedelta

import pytest

from tests.support.factories import CHIP, NOW, node_report
from tests.support.money import UNC, balances, begin, fund
from tests.support.scenario import Scenario, add_spec, heard
from utcloud.billing import loops, meters
from utcloud.common.ids import new_id
from utcloud.db import Database
from utcloud.resources import capacity, service

pytestmark = pytest.mark.postgres


async def test_nothing_blocks_for_ever_and_every_micro_unc_is_there(db: Database) -> None:
    world = await Scenario.bare(db, NOW, node_report(chips=6))
    async with db.write() as tx:
        spec = await add_spec(tx, world.miner, {CHIP: 1})
        for renter in range(3):
            await fund(tx, f"r{renter}", 100 * UNC)
    running: list[str] = []
    ended = 0

    async def place(number: int) -> None:
        attempt = new_id("at")
        async with db.write() as tx:
            demand = capacity.Demand(attempt, spec, world.pool_id)
            outcome = await capacity.reserve(tx, NOW, [demand])
            if isinstance(outcome, capacity.Shortage):
                return
            await meters.open(tx, meters.Opening(attempt, f"r{number % 3}", world.miner.id, UNC, 50_000, {}))
            await service.bump(tx, world.site_id)
        running.append(attempt)

    async def report(second: int) -> None:
        nonlocal ended
        now = NOW + timedelta(seconds=second)
        done = [running.pop(0) for _ in range(min(2, len(running)))]
        async with db.write() as tx:
            await heard(tx, now, world.site_id, node_report(chips=6))
            await meters.witness(tx, running, now)
            for attempt in done:
                await meters.start(tx, attempt, NOW)
                await meters.close(tx, attempt, NOW + timedelta(seconds=36))
                await capacity.release(tx, attempt)
            await service.bump(tx, world.site_id)
        ended += len(done)

    async def rest(number: int) -> None:
        async with db.write() as tx:
            await fund(tx, f"r{number % 3}", UNC)
        await loops.settle_due(db, NOW + timedelta(hours=number))

    for step in range(10):
        async with asyncio.timeout(20):
            await asyncio.gather(
                *(place(number) for number in range(4)), *(report(step) for _ in range(2)), *(rest(n) for n in range(2))
            )
    while running:
        await report(20)
    async with db.read() as tx:
        found = await balances(tx)
        (state,) = await capacity.load(tx, NOW)
    assert state.free[CHIP] == 6
    assert ended >= 10
    assert found[f"earnings:{world.miner.id}"] == ended * 9500
    assert found["fee:platform"] == ended * 500


async def test_two_starts_at_once_cannot_both_take_the_last_hold(db: Database) -> None:
    async with db.write() as tx:
        await fund(tx, "rita", UNC // 60)

    async def one() -> bool:
        async with db.write() as tx:
            await begin(tx, "rita", at=None)
        return True

    outcomes = await asyncio.gather(*(one() for _ in range(5)), return_exceptions=True)
    assert [outcome for outcome in outcomes if outcome is True] == [True]
