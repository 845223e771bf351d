"""A site's word against what the server itself saw: no start in the past, no pay for silence, none past the guards."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from tests.billing.test_orders import cap, look
from tests.support.clock import FakeClock
from tests.support.factories import PRICE
from tests.support.scenario import Scenario, add_site, add_user
from utcloud.billing import loops, service, uptime
from utcloud.billing.models import Cap, Order, Uptime
from utcloud.billing.schemas import CapUpdate
from utcloud.billing.solvency import elapsed_ms
from utcloud.billing.verify import verified
from utcloud.common.money import MICRO, amount_for
from utcloud.protocol import SILENT_AFTER_S, Phase
from utcloud.workloads import loops as workloads
from utcloud.workloads.models import Attempt, Workload
from utcloud.workloads.schemas import State

pytestmark = pytest.mark.postgres


async def without_page(world: Scenario, notebook: str) -> None:
    """It becomes a kind of work that is billed from when its container starts."""
    async with world.db.write() as tx:
        (await tx.get_one(Workload, notebook)).kind = "task"


async def listen(world: Scenario, seconds: float, *, beat: float = 5) -> None:
    """A server listens for so long, and hears nothing."""
    until = world.now + timedelta(seconds=seconds)
    async with world.db.write() as tx:
        await uptime.beat(tx, world.now)
        while world.now < until:
            world.now = min(world.now + timedelta(seconds=beat), until)
            await uptime.beat(tx, world.now)


async def attempt_of(world: Scenario) -> str:
    (desired,) = (await world.desired()).replicas
    return desired.attempt_id


# Starts


@pytest.mark.parametrize("page", [True, False])
async def test_a_site_cannot_bill_hours_that_it_did_not_report(world: Scenario, page: bool) -> None:
    """Twenty hours of "starting", then one end with a start of long ago: past the renter's cap and maximum."""
    await cap(world, world.renter.id, daily=MICRO)
    notebook = await world.create(max_hours=1)
    attempt = await attempt_of(world)
    if not page:
        await without_page(world, notebook)
    for _ in range(24):
        await world.see(attempt, Phase.STARTING, reason="copying the files")
        world.later(3000)
        await look(world)
    long_ago = world.now - timedelta(days=3)
    await world.end(attempt, started_at=long_ago, ready_at=long_ago, cause="exited", exit_code=1)
    meter = await world.meter(attempt)
    assert elapsed_ms(meter) <= 3_000_000, "at most since it last said that it had not begun"
    assert meter.settled <= MICRO
    assert "later than its site said" in meter.note
    assert (await verified(world.db)).fault is None


async def test_no_start_before_the_last_report_without_it(world: Scenario) -> None:
    notebook = await world.create()
    await without_page(world, notebook)
    attempt = await attempt_of(world)
    world.later(100)
    await world.report()
    told = world.now
    world.later(7)
    await world.see(attempt, Phase.RUNNING, started_at=told - timedelta(seconds=50))
    assert (await world.meter(attempt)).started_at == told
    assert (await world.meter(attempt)).note == (
        "it is counted 50 s later than its site said: it was not seen to run before; "
    )


async def test_an_honest_start_between_two_reports_is_believed_to_the_millisecond(world: Scenario) -> None:
    await world.create()
    attempt = await attempt_of(world)
    world.later(7)
    ready = world.now - timedelta(seconds=1.234)
    await world.see(attempt, Phase.RUNNING, started_at=world.now - timedelta(seconds=6), ready_at=ready)
    meter = await world.meter(attempt)
    assert (meter.started_at, meter.note) == (ready, "")


async def test_a_page_is_billed_from_when_it_answers(world: Scenario) -> None:
    notebook = await world.create()
    attempt = await attempt_of(world)
    begun = world.later(1)
    await world.see(attempt, Phase.STARTING, started_at=begun, endpoint="10.89.0.2:8888")
    world.later(60)
    await world.report()
    assert (await world.meter(attempt)).started_at is None
    answers = world.later(20)
    await world.see(attempt, Phase.RUNNING)
    assert await world.states(notebook) == [State.RUNNING]
    world.later(10)
    await world.end(attempt)
    meter = await world.meter(attempt)
    assert (meter.started_at, meter.ended_at) == (answers, world.now)
    assert meter.settled == amount_for(PRICE, 10_000)


async def test_a_page_that_never_answers_costs_nothing(world: Scenario) -> None:
    await world.create()
    attempt = await attempt_of(world)
    await world.see(attempt, Phase.STARTING, started_at=world.later(1))
    world.later(120)
    await world.end(attempt, cause="ready_timeout", exit_code=1)
    meter = await world.meter(attempt)
    assert (meter.started_at, meter.settled, meter.closed) == (None, 0, True)


async def test_a_page_that_answered_and_ended_between_two_reports_is_billed(world: Scenario) -> None:
    await world.create()
    attempt = await attempt_of(world)
    await world.see(attempt, Phase.STARTING, started_at=world.later(1))
    world.later(9)
    await world.end(attempt, ready_at=world.now - timedelta(seconds=4), cause="exited", exit_code=1)
    assert elapsed_ms(await world.meter(attempt)) == 4000


async def test_a_start_in_a_long_silence_is_believed_as_far_as_silence_is_billed(world: Scenario) -> None:
    notebook = await world.create()
    await without_page(world, notebook)
    attempt = await attempt_of(world)
    began = world.now + timedelta(seconds=1)
    await listen(world, 200)
    await world.see(attempt, Phase.RUNNING, started_at=began)
    assert (await world.meter(attempt)).started_at == world.now - timedelta(seconds=SILENT_AFTER_S)


# Silence


async def test_a_sites_own_silence_is_billed_for_half_a_minute(world: Scenario) -> None:
    notebook = await world.create()
    (attempt,) = await world.run(notebook)
    await listen(world, 200)
    await world.report()
    meter = await world.meter(attempt)
    assert elapsed_ms(meter) == SILENT_AFTER_S * 1000
    assert "170 s of its site's silence until" in meter.note
    world.later(10)
    await world.end(attempt)
    meter = await world.meter(attempt)
    assert elapsed_ms(meter) == (SILENT_AFTER_S + 10) * 1000
    assert meter.settled == amount_for(PRICE, 40_000)
    assert (await verified(world.db)).fault is None


async def test_an_end_told_after_a_silence_is_billed_no_further(world: Scenario) -> None:
    notebook = await world.create()
    (attempt,) = await world.run(notebook)
    await listen(world, 200)
    await world.end(attempt)
    meter = await world.meter(attempt)
    assert elapsed_ms(meter) == SILENT_AFTER_S * 1000
    assert "silence" in meter.note
    assert (await verified(world.db)).fault is None


async def test_the_end_within_a_silence_is_the_end(world: Scenario) -> None:
    notebook = await world.create()
    (attempt,) = await world.run(notebook)
    ended = world.now + timedelta(seconds=20)
    await listen(world, 200)
    await world.end(attempt, ended_at=ended)
    assert elapsed_ms(await world.meter(attempt)) == 20_000


async def test_leaving_one_attempt_out_of_the_reports_is_silence_too(world: Scenario) -> None:
    notebook = await world.create()
    (attempt,) = await world.run(notebook)
    kept = world.seen.pop(attempt)
    for _ in range(20):
        await listen(world, 10)
        await world.report()
    world.seen[attempt] = kept
    await world.report()
    assert elapsed_ms(await world.meter(attempt)) == SILENT_AFTER_S * 1000


async def test_what_the_server_did_not_hear_is_billed_on_the_sites_word_and_said(world: Scenario) -> None:
    notebook = await world.create()
    (attempt,) = await world.run(notebook)
    await listen(world, 10)
    await world.report()
    world.later(3600)  # nobody listened
    await listen(world, 5)
    await world.report()
    meter = await world.meter(attempt)
    assert elapsed_ms(meter) == 3_615_000
    assert "were witnessed late" in meter.note


async def test_of_a_gap_that_is_both_the_servers_part_is_billed(world: Scenario) -> None:
    notebook = await world.create()
    (attempt,) = await world.run(notebook)
    await listen(world, 100)
    world.later(400)
    await listen(world, 100)
    await world.report()
    assert elapsed_ms(await world.meter(attempt)) == (400 + SILENT_AFTER_S) * 1000


async def test_silence_gives_no_room_under_a_cap_of_another_day(world: Scenario) -> None:
    """A site that was silent yesterday must not bill more today than the cap of today."""
    await cap(world, world.renter.id, daily=10 * MICRO)
    world.later(86_400 - 1000)
    await world.report()
    notebook = await world.create()
    (attempt,) = await world.run(notebook)
    await listen(world, 900)
    await world.report()
    world.later(3700)
    await world.report()
    async with world.db.read() as tx:
        wallet = await service.wallet_of(tx, world.now, world.renter.id)
        (shown,) = await service.list_caps(tx, world.now, world.renter, wallet.id)
    assert shown.daily
    assert shown.daily.spent == amount_for(PRICE, 3_600_000), "all of today, though yesterday had a silence"
    assert (await world.meter(attempt)).silent_ms == 870_000


# The server's own time


async def test_beats_make_one_time_and_a_pause_another(world: Scenario) -> None:
    await listen(world, 60)
    world.later(3600)
    await listen(world, 60)
    async with world.db.read() as tx:
        times = list(await tx.scalars(select(Uptime).order_by(Uptime.began_at)))
        assert [(one.until - one.began_at).total_seconds() for one in times] == [60, 60]
        assert await uptime.covered_ms(tx, world.now - timedelta(seconds=90), world.now) == 60_000
        assert await uptime.covered_ms(tx, world.now - timedelta(days=1), world.now) == 120_000


async def test_a_clock_that_leaps_is_no_time_in_which_anybody_listened(world: Scenario) -> None:
    start = world.now
    await listen(world, 20)
    for leap in (3600, -7200):
        world.later(leap)
        await listen(world, 20)
    async with world.db.read() as tx:
        since, until = start - timedelta(days=1), start + timedelta(days=1)
        assert await uptime.covered_ms(tx, since, until) == 60_000


# Guards, when nobody was there to stop in time


async def gone(world: Scenario, hours: float, **fields: Any) -> str:
    """Work that went on while no server was there; its end was told when one came back. Its attempt."""
    notebook = await world.create(**fields)
    (attempt,) = await world.run(notebook)
    world.later(hours * 3600)
    await world.end(attempt)
    return attempt


async def test_a_maximum_duration_is_never_paid_beyond(world: Scenario) -> None:
    attempt = await gone(world, 10, max_hours=1)
    meter = await world.meter(attempt)
    assert meter.settled == amount_for(PRICE, 3_660_000), "the hour and what a stop may take"
    assert meter.waived == amount_for(PRICE, 36_000_000) - meter.settled
    assert meter.note.endswith("UNC are waived: its maximum duration of 1 h was over")
    assert (await verified(world.db)).fault is None


async def test_a_maximum_duration_counts_from_the_orders_first_start(world: Scenario) -> None:
    notebook = await world.create(max_hours=1, tasks=2)
    first, second = (one.attempt_id for one in (await world.desired()).replicas)
    await world.see(first, Phase.RUNNING, started_at=world.now)
    world.later(1800)
    await world.see(second, Phase.RUNNING, started_at=world.now)
    world.later(36_000)
    for attempt in (first, second):
        await world.end(attempt)
    assert (await world.meter(second)).settled == amount_for(PRICE, 1_860_000)
    async with world.db.read() as tx:
        order = (await tx.scalars(select(Order).where(Order.workload_id == notebook))).one()
    assert order.cost == amount_for(PRICE, 3_660_000) + amount_for(PRICE, 1_860_000)


async def test_a_daily_cap_is_never_paid_beyond_on_any_day(world: Scenario) -> None:
    await cap(world, world.renter.id, daily=3 * MICRO)
    world.later(22 * 3600)
    await world.report()
    attempt = await gone(world, 26)  # 2 h on the first day, all of the second, and two hours of none
    meter = await world.meter(attempt)
    assert meter.settled == 3 * MICRO + 3 * MICRO
    assert meter.note.endswith("waived: the wallet's daily cap of 3 UNC was reached")
    assert (await verified(world.db)).fault is None


async def test_two_that_ran_together_keep_one_cap(world: Scenario) -> None:
    await cap(world, world.renter.id, total=5 * MICRO)
    notebook = await world.create(tasks=2)
    attempts = await world.run(notebook)
    world.later(3 * 3600)
    await world.report()
    await loops.settle_due(world.db, world.now)
    paid = [(await world.meter(one)).settled for one in attempts]
    assert sum(paid) == 5 * MICRO
    world.later(3600)
    for one in attempts:
        await world.end(one)
    assert sum([(await world.meter(one)).settled for one in attempts]) == 5 * MICRO
    assert await world.balance("wallet", world.renter.id) == 95 * MICRO
    assert (await verified(world.db)).fault is None


async def test_a_cap_does_not_undo_what_was_used_before_it_was_set(world: Scenario) -> None:
    """Else a renter would let work run for 59 minutes, and then cap it at nothing."""
    notebook = await world.create()
    (attempt,) = await world.run(notebook)
    world.later(3000)
    await world.report()
    async with world.db.write() as tx:
        wallet = await service.wallet_of(tx, world.now, world.renter.id)
        await service.put_cap(tx, world.now, world.renter, wallet.id, CapUpdate(daily="0"))
        assert (await tx.scalars(select(Cap))).one().changed_at == world.now
    await look(world)
    assert await world.states(notebook) == [State.STOPPING]
    world.later(10)
    await world.end(attempt)
    assert (await world.meter(attempt)).settled == amount_for(PRICE, 3_010_000)


async def test_a_maximum_cost_says_why_it_was_waived(world: Scenario) -> None:
    attempt = await gone(world, 10, max_cost="2")
    meter = await world.meter(attempt)
    assert (meter.settled, meter.waived) == (2 * MICRO, 13 * MICRO)
    assert meter.note.endswith("13 UNC are waived: its maximum cost of 2 UNC was reached")


# Pages


class Edge:
    """Answers for the pages that it is told of, and remembers what it was asked."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.answers = True
        self.asked: list[dict[str, tuple[str, str]]] = []
        monkeypatch.setattr(workloads, "answering", self._answering)

    async def _answering(self, pages: dict[str, tuple[str, str]], path: str) -> set[str]:
        assert path == "/api"
        self.asked.append(pages)
        return set(pages) if self.answers else set()


async def ask(pages: workloads.Pages, world: Scenario, clock: FakeClock) -> bool:
    """Ask every page once; whether some do not answer."""
    return any([await pages.ask(world.db, clock, each) for each in (await pages.waiting(world.db)).values()])


@pytest.fixture
def edge(monkeypatch: pytest.MonkeyPatch, world: Scenario) -> Edge:
    world.edge_answers = False
    return Edge(monkeypatch)


async def test_a_site_cannot_claim_that_a_page_answers(world: Scenario, edge: Edge) -> None:
    edge.answers = False
    notebook = await world.create()
    (attempt,) = await world.run(notebook)
    pages, clock = workloads.Pages(), FakeClock(world.now)
    for _ in range(12):
        assert await ask(pages, world, clock), "it does not answer yet"
        world.later(10)
        clock.advance(seconds=10)
        await world.report()
    assert (await world.meter(attempt)).started_at is None
    assert await world.states(notebook) == [State.STARTING]
    assert (await world.replicas(notebook))[0].reason == "waiting for its page to answer at the edge"
    assert await ask(pages, world, clock)
    assert await world.states(notebook) == [State.STOPPING]
    assert (await world.replicas(notebook))[0].reason == "Its page did not answer at the edge within 120 seconds."
    assert not await ask(pages, world, clock), "what is to end is asked no more"
    await world.end(attempt)
    meter = await world.meter(attempt)
    assert (meter.started_at, meter.settled, meter.closed) == (None, 0, True)


async def test_a_page_is_billed_from_when_it_answers_at_the_edge(world: Scenario, edge: Edge) -> None:
    notebook = await world.create()
    (attempt,) = await world.run(notebook)
    pages, clock = workloads.Pages(), FakeClock(world.now)
    edge.answers = False
    world.later(7)
    clock.advance(seconds=7)
    assert await ask(pages, world, clock)
    edge.answers = True
    world.later(1)
    clock.advance(seconds=1)
    assert not await ask(pages, world, clock)
    assert await world.states(notebook) == [State.RUNNING]
    row = await world.attempt(attempt)
    assert edge.asked[-1] == {attempt: (row.endpoint, row.token)}
    assert (await world.meter(attempt)).started_at == world.now - timedelta(seconds=1), "when it was last asked in vain"
    assert not await ask(pages, world, clock)
    assert len(edge.asked) == 2, "once is enough"
    world.later(10)
    await world.end(attempt)
    assert (await world.meter(attempt)).settled == amount_for(PRICE, 11_000)


async def test_a_page_that_answers_at_once_loses_its_site_nothing(world: Scenario, edge: Edge) -> None:
    await world.create()
    attempt = await attempt_of(world)
    ready = world.later(5)
    await world.report()
    ready = world.now + timedelta(milliseconds=200)
    world.later(0.3)
    await world.see(attempt, Phase.RUNNING, started_at=ready, ready_at=ready, endpoint="10.89.0.2:8888")
    world.later(0.1)
    assert not await ask(workloads.Pages(), world, FakeClock(world.now))
    assert (await world.meter(attempt)).started_at == ready


async def test_pages_are_asked_at_once_when_their_site_says_that_they_answer(world: Scenario, edge: Edge) -> None:
    loop = asyncio.create_task(workloads.pages_loop(world.db, FakeClock(world.now)))
    try:
        await asyncio.sleep(0.05)  # it has looked, and waits for a signal
        notebook = await world.create()
        (attempt,) = await world.run(notebook)
        async with asyncio.timeout(2):  # less than the safety net
            while await world.states(notebook) != [State.RUNNING]:
                await asyncio.sleep(0.01)
        assert (await world.meter(attempt)).started_at == world.now
    finally:
        loop.cancel()


async def test_pages_that_never_answer_hold_up_no_other_miners(
    world: Scenario, edge: Edge, monkeypatch: pytest.MonkeyPatch
) -> None:
    dumb, good = await world.create("dumb"), await world.create("good")
    (dumbs,), _ = await world.run(dumb), await world.run(good)
    async with world.db.write() as tx:
        site = await add_site(tx, await add_user(tx, "otto", is_miner=True), "ottos")
        (await tx.get_one(Attempt, dumbs)).site_id = site

    async def answering(pages: dict[str, tuple[str, str]], path: str) -> set[str]:
        if dumbs in pages:
            await asyncio.Event().wait()
        return set(pages)

    monkeypatch.setattr(workloads, "answering", answering)
    loop = asyncio.create_task(workloads.pages_loop(world.db, FakeClock(world.now)))
    try:
        async with asyncio.timeout(2):
            while await world.states(good) != [State.RUNNING]:
                await asyncio.sleep(0.01)
        assert await world.states(dumb) == [State.STARTING]
    finally:
        loop.cancel()


async def test_a_page_that_no_server_saw_is_billed_only_while_none_was_there(world: Scenario, edge: Edge) -> None:
    for away, billed in ((0, 0), (600, 580)):  # the 20 s in which a server listened count for nothing
        await world.create(f"away-{away}")
        attempt = await attempt_of(world)
        await listen(world, 10)
        await world.see(attempt, Phase.STARTING, started_at=world.now)
        ready = world.now + timedelta(seconds=10)
        world.later(away)
        await listen(world, 20)
        await world.end(attempt, ready_at=ready, ended_at=world.now - timedelta(seconds=10 if away else 5))
        assert round(elapsed_ms(await world.meter(attempt)) / 1000) == billed, away
