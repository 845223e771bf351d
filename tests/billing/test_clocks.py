"""Clocks that are moved, or off: what is billed stays bounded and is flagged, and work still stops in time."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from tests.billing.test_orders import cap, look
from tests.support.factories import PRICE, ObservedReplicaFactory
from tests.support.scenario import Scenario
from utcloud.billing import service
from utcloud.billing.verify import verified
from utcloud.common.money import MICRO, amount_for, format_unc
from utcloud.protocol import HEARTBEAT_S, SILENT_AFTER_S, Phase
from utcloud.resources import capacity
from utcloud.resources.service import attention
from utcloud.workloads.schemas import State

pytestmark = pytest.mark.postgres

MINUTES = 4
"""What each of the limits below allows."""
LIMIT = PRICE * MINUTES // 60


class OffSite:
    """A site whose clock is ``off``. Its containers start and end by that clock, its reports are written by it."""

    def __init__(self, world: Scenario, off: timedelta) -> None:
        self.world = world
        self.off = off

    @property
    def time(self) -> datetime:
        return self.world.now + self.off

    async def run(self) -> list[str]:
        """Start what it shall have."""
        for one in (await self.world.desired()).replicas:
            self.world.seen.setdefault(
                one.attempt_id,
                ObservedReplicaFactory.build(
                    replica_id=one.replica_id, attempt_id=one.attempt_id, phase=Phase.RUNNING, started_at=self.time
                ),
            )
        await self.world.report(at=self.time)
        return list(self.world.seen)

    async def work(self, seconds: int) -> None:
        """Report every ten seconds, while the server watches."""
        for _ in range(seconds // 10):
            self.world.later(10)
            await self.world.report(at=self.time)
            await look(self.world)

    async def end(self, attempt: str) -> None:
        ended = {"phase": Phase.ENDED, "ended_at": self.time, "exit_code": 0, "cause": "stopped"}
        self.world.seen[attempt] = self.world.seen[attempt].model_copy(update=ended)
        await self.world.report(at=self.time)


@pytest.mark.parametrize("limit", ["wallet", "max_cost", "cap"])
@pytest.mark.parametrize("minutes", [-4, -0.4, 240])
async def test_an_agent_whose_clock_is_off_is_stopped_in_time(world: Scenario, limit: str, minutes: float) -> None:
    if limit == "wallet":
        async with world.db.write() as tx:
            await world.recharge(tx, world.renter, LIMIT - 100 * MICRO)
    if limit == "cap":
        await cap(world, world.renter.id, daily=LIMIT)
    notebook = await world.create(max_cost=format_unc(LIMIT) if limit == "max_cost" else None)
    site = OffSite(world, timedelta(minutes=minutes))
    (attempt,) = await site.run()
    began = world.now
    unseen = max(0, -minutes) * 60  # so much of its life lies before its start, by the server's clock
    await site.work(MINUTES * 60 - 40)
    assert await world.states(notebook) == [State.RUNNING]
    await site.work(int(unseen) + 40)
    assert await world.states(notebook) == [State.STOPPING]
    await site.end(attempt)
    meter = await world.meter(attempt)
    ran = round((world.now - began).total_seconds() * 1000)
    assert amount_for(PRICE, ran) - amount_for(PRICE, int(unseen * 1000)) - 1 <= meter.settled <= LIMIT
    assert meter.waived == 0
    assert (await verified(world.db)).fault is None


async def test_a_clock_that_is_off_is_shown_to_the_miner(world: Scenario) -> None:
    site = OffSite(world, timedelta(minutes=-4))
    await site.run()
    async with world.db.read() as tx:
        found = await attention.attention(tx, world.now, world.miner, await capacity.load(tx, world.now))
    assert "clock_off" in [one.kind for one in found]


async def test_what_is_shown_lags_a_heartbeat_and_nothing_more(world: Scenario) -> None:
    """The platform in the report lagged half an hour."""
    assert HEARTBEAT_S + SILENT_AFTER_S < 60
    await world.run(await world.create())
    began = world.now
    for second in range(0, 65, 5):
        if second % HEARTBEAT_S == 0:
            await world.report()
        async with world.db.read() as tx:
            (charge,), _ = await service.list_charges(tx, world.renter, service.ChargeFilter(), limit=9)
            wallet = await service.wallet_of(tx, world.now, world.renter.id)
        ran = (world.now - began).total_seconds()
        assert ran - HEARTBEAT_S < charge.seconds <= ran
        assert charge.amount == wallet.accrued == amount_for(PRICE, round(charge.seconds * 1000))
        world.later(5)


@pytest.mark.parametrize("hours", [-1, 1])
async def test_a_servers_clock_that_is_moved_charges_an_hour_at_most_and_stops_nobody(
    world: Scenario, hours: int
) -> None:
    notebook = await world.create(max_cost="2")
    (attempt,) = await world.run(notebook)
    site = OffSite(world, timedelta())
    await site.work(600)
    world.now += timedelta(hours=hours)
    await look(world)
    assert await world.states(notebook) == [State.RUNNING]
    site.off = timedelta(hours=-hours)
    await site.work(600)
    assert await world.states(notebook) == [State.RUNNING]
    meter = await world.meter(attempt)
    assert 0 <= meter.settled <= amount_for(PRICE, 1_200_000 + 3_600_000)
    await site.end(attempt)
    meter = await world.meter(attempt)
    assert 0 <= meter.settled <= amount_for(PRICE, 1_200_000)


async def test_a_leap_of_summer_time_changes_nothing(world: Scenario) -> None:
    """An engine may write times of its own zone; the hour that comes twice is counted once."""
    berlin = ZoneInfo("Europe/Berlin")
    world.now = datetime(2026, 10, 25, 0, 30, tzinfo=UTC)
    await world.report()
    notebook = await world.create()
    (attempt,) = [one.attempt_id for one in (await world.desired()).replicas]
    await world.see(attempt, Phase.RUNNING, started_at=world.now.astimezone(berlin))
    world.later(3600)
    await world.see(attempt, Phase.ENDED, ended_at=world.now.astimezone(berlin), exit_code=0, cause="stopped")
    meter = await world.meter(attempt)
    assert (await world.states(notebook), meter.settled) == ([State.STOPPED], PRICE)


async def test_an_end_that_nobody_can_date_is_the_last_sign_of_life(world: Scenario) -> None:
    (attempt,) = await world.run(await world.create())
    world.later(60)
    await world.report()
    world.later(200)  # silent, but not lost
    await world.see(attempt, Phase.ENDED, cause="vanished", exit_code=1)
    assert (await world.meter(attempt)).settled == amount_for(PRICE, 60_000)
    assert (await world.attempt(attempt)).ended_at == world.now - timedelta(seconds=200)
