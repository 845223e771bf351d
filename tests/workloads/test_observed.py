"""Desired and observed state: what a site is told, what it says, what that moves. Repeats and reorders do no harm."""

from datetime import timedelta
from urllib.parse import urlsplit

import pytest
from sqlalchemy import func, select

from tests.support.factories import PRICE, ObservedReplicaFactory
from tests.support.scenario import Scenario
from utcloud.billing.models import Entry, Posting
from utcloud.common.errors import Conflict
from utcloud.common.money import amount_for
from utcloud.common.settings import Settings
from utcloud.edge import service as edge
from utcloud.edge.models import Route
from utcloud.protocol import Phase
from utcloud.server.wiring import wire
from utcloud.workloads import notebooks
from utcloud.workloads.models import Attempt, DroppedVolume, TimelineEvent
from utcloud.workloads.schemas import State

pytestmark = pytest.mark.postgres


async def snapshot(world: Scenario) -> dict[str, object]:
    """All that a report may change."""
    async with world.db.read() as tx:
        attempts = (await tx.scalars(select(Attempt).order_by(Attempt.id))).all()
        return {
            "attempts": [
                (one.id, one.desired, one.endpoint, one.started_at, one.ended_at, one.exit_code, one.done)
                for one in attempts
            ],
            "events": (await tx.scalars(select(TimelineEvent.id).order_by(TimelineEvent.id))).all(),
            "postings": (
                await tx.execute(
                    select(Posting.entry_id, Posting.account_id, Posting.amount).order_by(Posting.entry_id)
                )
            ).all(),
            "routes": [(one.replica_id, one.upstream) for one in await edge.all_routes(tx)],
            "claims": sorted((await world.claims()).items()),
        }


async def test_from_wish_to_running_to_bill(world: Scenario) -> None:
    """The whole way: times are the engine's, the bill is the formula."""
    ident = await world.create()
    (wish,) = (await world.desired()).replicas
    assert wish.desired == Phase.RUNNING
    assert (wish.limits.cpu_millicores, wish.limits.memory_bytes) == (500, 10**9)
    assert len(wish.devices) == 1
    world.later(2)
    await world.see(wish.attempt_id, Phase.STARTING, reason="unpacking the algorithm")
    assert await world.states(ident) == [State.STARTING]
    assert (await world.workload(ident)).reason == "unpacking the algorithm"
    started = world.later(1.234)
    await world.see(wish.attempt_id, Phase.RUNNING, started_at=started, endpoint="10.89.0.9:8888")
    assert await world.states(ident) == [State.RUNNING]
    world.later(1000)
    await world.report()
    await world.stop(ident)
    assert await world.states(ident) == [State.STOPPING]
    assert [one.desired for one in (await world.desired()).replicas] == [Phase.STOPPED]
    ended = world.later(2.5)
    world.later(3)
    await world.end(wish.attempt_id, ended_at=ended)
    assert await world.states(ident) == [State.STOPPED]
    assert (await world.desired()).replicas == []
    assert await world.claims() == {}
    meter = await world.meter(wish.attempt_id)
    assert (meter.started_at, meter.ended_at, meter.closed) == (started, ended, True)
    expected = PRICE * 1_002_500 // 3_600_000
    assert meter.settled == expected == amount_for(PRICE, 1_002_500)
    fee = expected * 5 // 100
    assert await world.balance("wallet", world.renter.id) == 100_000_000 - expected
    assert await world.balance("fee", "platform") == fee
    assert await world.balance("earnings", world.miner.id) == expected - fee
    async with world.db.read() as tx:
        assert await tx.scalar(select(func.sum(Posting.amount))) == 0


async def test_the_same_report_twice_changes_nothing(world: Scenario) -> None:
    ident = await world.create(tasks=2)
    first, second = await world.run(ident)
    world.later(100)
    await world.end(first, exit_code=1)
    before = await snapshot(world)
    for _ in range(3):
        await world.report()
        assert await snapshot(world) == before
    await world.end(second)
    after = await snapshot(world)
    await world.report()
    assert await snapshot(world) == after


async def test_an_old_report_that_comes_late_changes_nothing(world: Scenario) -> None:
    """A report of the time before the end, delivered after it, neither wakes the dead nor bills again."""
    ident = await world.create()
    (attempt,) = await world.run(ident)
    old = world.seen[attempt]
    world.later(100)
    await world.stop(ident)
    await world.end(attempt)
    before = await snapshot(world)
    await world.report(old, at=world.now - timedelta(seconds=50))
    assert await snapshot(world) == before
    meter = await world.meter(attempt)
    await world.report(
        ObservedReplicaFactory.build(**old.model_dump() | {"phase": Phase.ENDED, "ended_at": world.later(500)})
    )
    assert (await world.meter(attempt)).ended_at == meter.ended_at


async def test_running_after_starting_after_running_again(world: Scenario) -> None:
    """Reordered words about a living container: it does not go back."""
    ident = await world.create()
    (attempt,) = await world.run(ident)
    started = world.seen[attempt].started_at
    await world.see(attempt, Phase.STARTING, reason="late news")
    assert await world.states(ident) == [State.RUNNING]
    await world.see(attempt, Phase.RUNNING, started_at=started + timedelta(seconds=40) if started else None)
    assert (await world.attempt(attempt)).started_at == started, "the first word about the start holds"


async def test_unknown_attempts_are_ignored(world: Scenario) -> None:
    await world.create()
    before = await snapshot(world)
    stranger = ObservedReplicaFactory.build(
        replica_id="rp_x", attempt_id="at_x", phase=Phase.RUNNING, started_at=world.now, endpoint="10.0.0.9:1"
    )
    await world.report(stranger)
    assert await snapshot(world) == before


async def test_an_end_before_the_start_costs_nothing(world: Scenario) -> None:
    """A clock that went backwards on the site never makes a negative bill."""
    ident = await world.create()
    (attempt,) = await world.run(ident)
    world.later(10)
    await world.end(attempt, ended_at=world.now - timedelta(hours=1))
    meter = await world.meter(attempt)
    assert meter.ended_at == meter.started_at
    assert meter.settled == 0
    assert await world.balance("wallet", world.renter.id) == 100_000_000


async def test_an_end_in_the_future_is_not_believed(world: Scenario) -> None:
    ident = await world.create()
    (attempt,) = await world.run(ident)
    now = world.later(10)
    await world.end(attempt, ended_at=now + timedelta(hours=9))
    assert (await world.meter(attempt)).ended_at == now


async def test_what_could_never_start_costs_nothing_and_says_why(world: Scenario) -> None:
    ident = await world.create()
    (wish,) = (await world.desired()).replicas
    await world.see(wish.attempt_id, Phase.ENDED, cause="image", reason="the image is not there")
    assert await world.states(ident) == [State.FAILED]
    assert (await world.workload(ident)).reason == "the image is not there"
    meter = await world.meter(wish.attempt_id)
    assert meter.closed
    assert meter.hold == meter.settled == 0
    assert await world.claims() == {}


async def test_a_crash_is_failed_and_a_shutdown_from_inside_is_stopped(world: Scenario) -> None:
    ident = await world.create(tasks=2)
    first, second = await world.run(ident)
    await world.end(first, exit_code=137, cause="oom", reason="killed: out of memory (limit 1 GB)")
    await world.end(second, exit_code=0, cause="exited")
    assert sorted(await world.states(ident)) == [State.FAILED, State.STOPPED]
    workload = await world.workload(ident)
    assert (workload.state, workload.reason) == (State.FAILED, "killed: out of memory (limit 1 GB)")


async def test_a_site_that_was_shut_down_says_so(world: Scenario) -> None:
    ident = await world.create()
    (attempt,) = await world.run(ident)
    await world.end(attempt, exit_code=0, cause="stopped", reason="the site was shut down")
    assert await world.states(ident) == [State.STOPPED]
    assert (await world.workload(ident)).reason == "the site was shut down"


async def test_stop_while_it_waits_is_at_once(world: Scenario) -> None:
    for name in ("a", "b", "c"):
        await world.create(name)
    ident = await world.create("d")
    await world.stop(ident)
    assert await world.states(ident) == [State.STOPPED]
    await world.place_waiting()
    assert await world.states(ident) == [State.STOPPED]


@pytest.mark.parametrize("phase", [None, Phase.STARTING, Phase.RUNNING])
async def test_stop_while_it_comes_up(world: Scenario, phase: Phase | None) -> None:
    """Stopped at any point on the way: it ends, late words about its rise do not wake it, everything is free again."""
    ident = await world.create()
    (wish,) = (await world.desired()).replicas
    if phase:
        started = world.now if phase == Phase.RUNNING else None
        await world.see(wish.attempt_id, phase, started_at=started)
    await world.stop(ident)
    assert await world.states(ident) == [State.STOPPING]
    await world.stop(ident)
    world.later(1)
    await world.see(wish.attempt_id, Phase.RUNNING, started_at=world.now, endpoint="10.89.0.3:8888")
    assert await world.states(ident) == [State.STOPPING]
    async with world.db.read() as tx:
        assert await edge.all_routes(tx) == [], "no page opens any more"
    await world.end(wish.attempt_id)
    assert await world.states(ident) == [State.STOPPED]
    assert await world.claims() == {}
    assert (await world.meter(wish.attempt_id)).closed


async def test_each_restart_is_billed_for_itself(world: Scenario) -> None:
    """Peers billed every replica from the job's start and lost what ran before a restart. Not here."""
    ident = await world.create()
    total = 0
    for seconds in (100, 0.001, 77.7):
        (attempt,) = await world.run(ident)
        world.later(seconds)
        await world.stop(ident)
        await world.end(attempt)
        total += amount_for(PRICE, round(seconds * 1000))
        world.later(500)
        await world.report()
        await world.start(ident)
    assert await world.balance("wallet", world.renter.id) == 100_000_000 - total
    (replica,) = await world.replicas(ident)
    assert replica.attempts == 4


async def test_the_price_is_the_one_of_the_start(world: Scenario) -> None:
    from utcloud.resources.models import Spec

    ident = await world.create()
    async with world.db.write() as tx:
        (await tx.get_one(Spec, world.spec_id)).price = 999_000_000
    (attempt,) = await world.run(ident)
    world.later(3600)
    await world.end(attempt)
    assert (await world.meter(attempt)).settled == PRICE


async def test_only_witnessed_time_is_billed(world: Scenario) -> None:
    """Nothing accrues while a site is silent; when it is heard again, what it witnessed counts."""
    ident = await world.create()
    (attempt,) = await world.run(ident)
    started = world.now
    world.later(20)
    await world.report()
    world.later(5000)
    assert (await world.meter(attempt)).witnessed_until == started + timedelta(seconds=20)
    await world.report()
    assert (await world.meter(attempt)).witnessed_until == world.now


async def test_a_report_from_the_future_witnesses_only_until_now(world: Scenario) -> None:
    ident = await world.create()
    (attempt,) = await world.run(ident)
    world.later(5)
    await world.report(at=world.now + timedelta(days=1))
    assert (await world.meter(attempt)).witnessed_until == world.now


async def test_a_route_lives_as_long_as_its_page(world: Scenario) -> None:
    ident = await world.create()
    (attempt,) = await world.run(ident)
    (replica,) = await world.replicas(ident)

    async def routes() -> list[tuple[str, str]]:
        async with world.db.read() as tx:
            return [(one.replica_id, one.upstream) for one in await edge.all_routes(tx)]

    assert await routes() == [(replica.id, world.seen[attempt].endpoint)]
    await world.see(attempt, Phase.RUNNING, endpoint="10.89.0.77:8888")
    assert await routes() == [(replica.id, "10.89.0.77:8888")]
    await world.end(attempt)
    assert await routes() == []


async def test_a_page_has_one_address_as_long_as_its_notebook(world: Scenario) -> None:
    """A name for each start would be a certificate for each."""
    wire()
    ident, other = await world.create(), await world.create("second")
    hosts = set()
    for _ in range(3):
        (attempt,) = await world.run(ident)
        hosts.add(await _host(world, ident))
        await world.stop(ident)
        await world.end(attempt)
        with pytest.raises(Conflict):
            await _host(world, ident)
        await world.start(ident)
    await world.run(other)
    assert len(hosts) == 1
    assert await _host(world, other) not in hosts
    await world.stop(ident)
    for attempt in [one.attempt_id for one in (await world.desired()).replicas if one.workload_id == ident]:
        await world.end(attempt)
    await world.remove(ident)
    async with world.db.read() as tx:
        left = (await tx.scalars(select(Route))).all()
    assert [f"{route.host_label}.apps.localhost" for route in left] == [await _host(world, other)]


async def _host(world: Scenario, ident: str) -> str | None:
    """Where the notebook's page opens now."""
    async with world.db.write() as tx:
        return urlsplit((await notebooks.open_page(tx, world.now, Settings(), world.renter, ident, None)).url).hostname


async def test_a_deleted_notebook_takes_its_volume_along_and_leaves_its_bill(world: Scenario) -> None:
    ident = await world.create()
    (attempt,) = await world.run(ident)
    (replica,) = await world.replicas(ident)
    world.later(60)
    await world.stop(ident)
    with pytest.raises(Conflict):
        await world.remove(ident)
    await world.end(attempt)
    revision = (await world.desired()).revision
    await world.remove(ident)
    state = await world.desired()
    assert state.drop_volumes == [replica.id]
    assert state.revision > revision, "the site is woken"
    assert (await world.meter(attempt)).settled == amount_for(PRICE, 60_000)
    world.seen.clear()
    await world.report(dropped=[replica.id])
    assert (await world.desired()).drop_volumes == []
    async with world.db.read() as tx:
        assert (await tx.scalars(select(DroppedVolume))).all() == []
        assert len((await tx.scalars(select(Entry).where(Entry.kind == "charge"))).all()) == 1


async def test_a_name_is_free_again_after_deletion(world: Scenario) -> None:
    ident = await world.create("again", start=False)
    await world.remove(ident)
    assert await world.create("again", start=False) != ident


async def test_the_revision_grows_only_when_the_wish_changes(world: Scenario) -> None:
    ident = await world.create()
    before = (await world.desired()).revision
    await world.run(ident)
    await world.report()
    await world.report()
    assert (await world.desired()).revision == before
    await world.stop(ident)
    assert (await world.desired()).revision > before


async def test_dry_wallets_stop_only_their_own(world: Scenario) -> None:
    mine, theirs = await world.create("mine"), await world.create("theirs", actor=world.other)
    (attempt,) = await world.run(mine)
    await world.run(theirs)
    async with world.db.write() as tx:
        await notebooks.stop_attempts(tx, world.now, [attempt], "the wallet is empty")
    assert await world.states(mine) == [State.STOPPING]
    assert (await world.workload(mine)).reason == "the wallet is empty"
    assert await world.states(theirs) == [State.RUNNING]
    await world.end(attempt)
    assert (await world.workload(mine)).reason == "the wallet is empty"


async def test_a_miner_stops_work_on_his_hardware_and_says_why(world: Scenario) -> None:
    ident = await world.create()
    await world.run(ident)
    (replica,) = await world.replicas(ident)
    async with world.db.write() as tx:
        await notebooks.stop_on_my_hardware(tx, world.now, world.miner, replica.id, "a fan is broken")
    assert (await world.workload(ident)).reason == "stopped by the miner: a fan is broken"
