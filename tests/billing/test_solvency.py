"""A wallet that runs dry: foreseen to the millisecond, and stopped in time."""

import asyncio
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.clock import FakeClock
from tests.support.factories import NOW, MeterFactory
from tests.support.money import UNC, balances, begin, fund, meter_of
from utcloud.billing import journal, loops, meters
from utcloud.billing.models import Meter
from utcloud.billing.solvency import Use, outlook
from utcloud.billing.watch import Watch
from utcloud.common.clock import to_ms
from utcloud.common.money import amount_for
from utcloud.db import Database, emit

pytestmark = pytest.mark.postgres


def running(price: int, since_ms: int, settled: int = 0) -> Meter:
    started = NOW - timedelta(milliseconds=since_ms)
    heard = max(NOW - timedelta(seconds=5), started)
    return MeterFactory.build(
        wallet_id="acc", price=price, started_at=started, witnessed_until=heard, heard_at=heard, settled=settled
    )


@given(
    balance=st.integers(0, 10**9),
    meters_=st.lists(st.tuples(st.integers(1_000, 10**8), st.integers(0, 10**7)), min_size=1, max_size=5),
)
def test_runs_out_at_is_where_use_and_balance_meet(balance: int, meters_: list[tuple[int, int]]) -> None:
    open_meters = [running(price, since) for price, since in meters_]
    state = outlook(balance, Use.of(open_meters, NOW), NOW)
    assert state.runs_out_at
    assert state.burn_per_hour == sum(price for price, _ in meters_)

    def cost_at(offset_ms: int) -> int:
        return sum(amount_for(price, since + offset_ms) for price, since in meters_)

    offset = to_ms(state.runs_out_at) - to_ms(NOW)
    if offset > 0:
        assert cost_at(offset) <= balance
    # Each meter is rounded down by itself, so a micro-UNC of each may be left then, and no more.
    assert cost_at(offset + 1) > balance - len(meters_)


def test_a_silent_site_burns_nothing() -> None:
    meter = running(UNC, 120_000)
    meter.witnessed_until = meter.heard_at = NOW - timedelta(seconds=31)
    state = outlook(UNC, Use.of([meter], NOW), NOW)
    assert (state.burn_per_hour, state.runs_out_at) == (0, None)
    assert state.accrued == amount_for(UNC, 89_000)


def test_holds_count_against_what_is_available_and_not_against_the_time() -> None:
    meter = running(UNC, 0)
    meter.hold = 16_666
    state = outlook(UNC, Use.of([meter], NOW), NOW)
    assert (state.available, state.held) == (UNC - 16_666, 16_666)
    assert state.runs_out_at == NOW + timedelta(hours=1)
    assert outlook(5, Use.of([meter], NOW), NOW).available == 0


class Stops:
    """What the watch asked to stop."""

    def __init__(self) -> None:
        self.calls: list[tuple[list[str], str]] = []

    async def __call__(self, attempts: list[str], reason: str) -> None:
        self.calls.append((sorted(attempts), reason))


async def test_work_is_stopped_a_lead_before_the_wallet_is_empty(db: Database) -> None:
    clock, stops = FakeClock(NOW), Stops()
    watch = Watch(db, clock, stops, lead_s=15)
    async with db.write() as tx:
        await fund(tx, "rita", UNC // 30)  # two minutes at 1 UNC per hour
        await fund(tx, "rich", 100 * UNC)
        attempt = await begin(tx, "rita")
        await begin(tx, "rich")
    assert await watch.look() == 30
    clock.advance(seconds=100)
    async with db.write() as tx:
        await meters.witness(tx, [attempt], clock.now())
    assert 4.9 <= await watch.look() <= 5.1
    assert not stops.calls
    clock.advance(seconds=5.1)
    await watch.look()
    ((attempts, reason),) = stops.calls
    assert attempts == [attempt]
    assert "ran dry" in reason
    assert "1 UNC per hour" in reason
    await watch.look()
    assert len(stops.calls) == 1, "not again and again"
    async with db.write() as tx:
        await meters.close(tx, attempt, clock.now() + timedelta(seconds=11))
        left = (await balances(tx))["wallet:rita"]
        assert 0 < left < UNC // 900
        assert (await meter_of(tx, attempt)).waived == 0
    await watch.look()
    assert len(stops.calls) == 1


async def test_what_does_not_stop_is_told_again(db: Database) -> None:
    clock, stops = FakeClock(NOW), Stops()
    watch = Watch(db, clock, stops)
    async with db.write() as tx:
        await fund(tx, "rita", UNC // 60)
        attempt = await begin(tx, "rita")
    for _ in range(4):  # it stops at 60 s; at 80 s that is too fresh to say again
        clock.advance(seconds=20)
        async with db.write() as tx:
            await meters.witness(tx, [attempt], clock.now())
        await watch.look()
    assert len(stops.calls) == 1
    clock.advance(seconds=20)
    async with db.write() as tx:
        await meters.witness(tx, [attempt], clock.now())
    await watch.look()
    assert len(stops.calls) == 2


async def test_a_deduction_wakes_the_watch(db: Database) -> None:
    clock, stops = FakeClock(NOW), Stops()
    async with db.write() as tx:
        wallet = await fund(tx, "rita", UNC)
        attempt = await begin(tx, "rita")
    task = asyncio.create_task(loops.watch_solvency(db, clock, stops))
    try:
        await asyncio.sleep(0.5)
        assert not stops.calls
        async with db.write() as tx:
            issuance = await journal.account(tx, "issuance", journal.PLATFORM)
            await journal.post(tx, "deduct", "k", [(wallet.id, 1000 - UNC), (issuance.id, UNC - 1000)], at=NOW)
            emit(tx, "billing")
        for _ in range(50):
            if stops.calls:
                break
            await asyncio.sleep(0.1)
        assert [attempts for attempts, _ in stops.calls] == [[attempt]]
    finally:
        task.cancel()
