"""What a miner sees first: sums that are right, and what needs attention."""

from datetime import UTC, date, datetime
from typing import Any

import pytest
from sqlalchemy import event

from tests.support.factories import (
    CHIP,
    FEE_PPM,
    GB,
    PRICE,
    GroupFactory,
    PoolFactory,
    PoolSpecFactory,
    ResourceReportFactory,
    SiteFactory,
    SiteReportFactory,
    UserFactory,
    node_report,
)
from tests.support.scenario import Scenario
from utcloud.accounts.auth import Actor
from utcloud.accounts.models import Application
from utcloud.billing import by_day, facts, journal
from utcloud.billing import service as billing
from utcloud.common.ids import new_id
from utcloud.common.money import MICRO
from utcloud.db import Database
from utcloud.resources import reports
from utcloud.resources import service as resources
from utcloud.resources.models import PoolGroup, PoolSpec
from utcloud.resources.schemas import Attention, AttentionKind, NodeStatus, PoolLack, SpecSort
from utcloud.workloads.overview import miner_overview
from utcloud.workloads.schemas import MinerOverviewOut

pytestmark = pytest.mark.postgres

SHARE = PRICE - PRICE * FEE_PPM // 1_000_000


async def home(world: Scenario, actor: Actor | None = None) -> MinerOverviewOut:
    return await miner_overview(world.db, world.now, actor or world.miner)


async def attention(world: Scenario, actor: Actor | None = None) -> dict[str, Attention]:
    return {one.kind.value: one for one in (await home(world, actor)).attention}


LISTS: dict[str, Any] = {
    "node_not_ready": (resources.list_nodes, resources.NodeFilter(status=NodeStatus.NOT_READY)),
    "node_lost": (resources.list_nodes, resources.NodeFilter(status=NodeStatus.LOST)),
    "node_flagged": (resources.list_nodes, resources.NodeFilter(flagged=True)),
    "chip_unhealthy": (resources.list_nodes, resources.NodeFilter(unhealthy=True)),
    "pool_without_nodes": (resources.list_pools, resources.PoolFilter(without=PoolLack.NODES)),
    "pool_without_groups": (resources.list_pools, resources.PoolFilter(without=PoolLack.GROUPS)),
    "spec_never_fits": (resources.list_specs, resources.SpecFilter(never_fits=True, sort=SpecSort.NAME)),
}
"""What the page shows to whom a line has led."""


async def listed(world: Scenario, kind: str) -> list[str]:
    async with world.db.read() as tx:
        if kind == "clock_off":
            items, _ = await resources.list_sites(tx, world.now, world.miner, limit=100, clock_off=True)
        else:
            show, wanted = LISTS[kind]
            items, _ = await show(tx, world.now, world.miner, wanted, limit=100)
    return [one.name for one in items]


async def each_leads_to_what_it_counts(world: Scenario) -> None:
    found = await attention(world)
    for kind in (*LISTS, "clock_off"):
        assert ", ".join(await listed(world, kind)) == (found[kind].object_name if kind in found else "")


async def test_sums_are_of_what_runs_and_waits(world: Scenario) -> None:
    assert (await home(world)).attention == []
    first = await world.create("first", tasks=2)
    await world.run(first)
    await world.create("second", tasks=2, actor=world.other)
    shown = await home(world)
    assert (shown.sites, shown.nodes_ready, shown.nodes_total) == (1, 2, 2)
    assert (shown.chips_total, shown.chips_busy, shown.simulated) == (3, 2, True)
    assert (shown.running_replicas, shown.waiting_replicas, shown.users) == (2, 2, 3)
    chips = next(one for one in shown.usage if one.resource == CHIP)
    assert (chips.capacity, chips.allocated, chips.capacity_text) == (3, 2, "3")
    (waiting,) = shown.attention
    assert (waiting.kind, waiting.severity, waiting.count) == (AttentionKind.WORK_WAITING, "info", 2)
    assert (waiting.object_type, waiting.object_id, waiting.object_name) == ("pool", world.pool_id, "lab")
    assert "1 free of 3" in waiting.detail


async def test_earnings_of_each_day_are_the_journals(world: Scenario) -> None:
    """Days are UTC's; the sums are those of the page of earnings."""
    world.now = datetime(2026, 3, 3, 12, tzinfo=UTC)
    await world.report()
    posted = {
        datetime(2026, 2, 17, 23, 59, 59, 999_000, tzinfo=UTC): 1,  # the day before the first
        datetime(2026, 2, 18, tzinfo=UTC): 2,
        datetime(2026, 2, 28, 23, 59, 59, tzinfo=UTC): 4,
        datetime(2026, 3, 1, tzinfo=UTC): 8,
        datetime(2026, 3, 1, 23, 59, tzinfo=UTC): 16,
        datetime(2026, 3, 3, tzinfo=UTC): 32,
    }
    async with world.db.write() as tx:
        wallet = await journal.account(tx, "wallet", world.renter.id)
        own = await journal.account(tx, "earnings", world.miner.id)
        for at, amount in posted.items():
            lines = [(wallet.id, -amount * MICRO), (own.id, amount * MICRO)]
            blank = dict.fromkeys(facts.KINDS["charge", "meter"].names)  # its days are looked at, not what it is for
            await journal.post(tx, "charge", new_id("key"), lines, at=at, facts=blank, cause_type="meter")
    await world.run(await world.create("first", tasks=2))
    world.later(3600)
    await world.report()
    async with world.db.read() as tx:
        earned = await by_day.earned(tx, world.now, world.miner.id)
        page = await billing.earnings_of(tx, world.now, world.miner.id)
        of_all = await by_day.earned(tx, world.now, None)
        of_none = await by_day.earned(tx, world.now, world.renter.id)
    days = dict(earned.days)
    assert list(days) == [date(2026, 2, number) for number in range(18, 29)] + [date(2026, 3, n) for n in (1, 2, 3)]
    running = 2 * SHARE
    assert [days[date(2026, *one)] for one in ((2, 18), (2, 28), (3, 1), (3, 2), (3, 3))] == [
        2 * MICRO,
        4 * MICRO,
        24 * MICRO,
        0,
        32 * MICRO + running,
    ]
    assert (earned.today, earned.this_month) == (page.today, page.this_month)
    assert (earned.today, earned.this_month) == (32 * MICRO + running, 56 * MICRO + running)
    assert of_all == earned
    assert (of_none.today, of_none.this_month, len(of_none.days)) == (0, 0, 14)
    shown = await home(world)
    assert (shown.earnings_today, shown.earnings_month) == (earned.today, earned.this_month)
    assert [(one.day, one.amount) for one in shown.earnings_by_day] == earned.days


async def test_the_first_day(db: Database) -> None:
    world = Scenario(db)
    async with db.write() as tx:
        user = UserFactory.build(username="newcomer", is_miner=True)
        tx.add(user)
    actor = Actor(user.id, "newcomer", is_miner=True)
    shown = await home(world, actor)
    (only,) = shown.attention
    assert (only.kind, only.severity, only.count, only.object_id) == ("no_nodes", "warning", 0, "")
    assert (shown.sites, shown.chips_total, shown.usage, sum(one.amount for one in shown.earnings_by_day)) == (
        0,
        0,
        [],
        0,
    )


async def test_what_is_wrong_with_nodes(world: Scenario) -> None:
    sick = node_report("node-a", 2)
    sick.chips[1].healthy = False
    odd = node_report("node-b", 1)
    odd.chips.append(odd.chips[0])
    dull = node_report("node-c", 1, ready=False)
    dull.reason = "disk is full"
    world.nodes = [sick, odd, dull]
    await world.report(at=world.now.replace(second=30))
    found = await attention(world)
    assert found["chip_unhealthy"].model_dump(exclude={"kind"}) == {
        "severity": "error",
        "object_type": "node",
        "object_id": found["chip_unhealthy"].object_id,
        "object_name": "node-a",
        "detail": "1 chip is not healthy and given to nobody.",
        "count": 1,
    }
    assert (found["node_flagged"].object_name, "twice" in found["node_flagged"].detail) == ("node-b", True)
    assert (found["node_not_ready"].object_name, found["node_not_ready"].severity) == ("node-c", "warning")
    assert (found["clock_off"].object_type, "30 s off" in found["clock_off"].detail) == ("site", True)
    assert (await home(world)).attention[0].severity == "error", "the worst comes first"
    await each_leads_to_what_it_counts(world)
    world.later(31)
    found = await attention(world)
    assert (found["node_not_ready"].count, found["node_not_ready"].object_id) == (3, "")
    assert found["node_not_ready"].object_name == "node-a, node-b, node-c"
    assert found["node_not_ready"].detail == "Each node's page says why.", "one says so itself, two are silent"
    assert "clock_off" not in found, "of a site that is not heard nobody knows"
    world.later(300)
    found = await attention(world)
    assert (found["node_lost"].count, found["node_lost"].severity, "node_not_ready" in found) == (3, "error", False)
    await each_leads_to_what_it_counts(world)
    world.nodes = [node_report("node-d", 1)]
    await world.report()
    assert await attention(world) == {}, "nobody minds what nodes that are gone had said"
    assert await listed(world, "node_flagged") == await listed(world, "chip_unhealthy") == []


async def test_what_is_wrong_with_offers(world: Scenario) -> None:
    async with world.db.write() as tx:
        huge = await world.add_spec(tx, "huge", {"cpu": 1_000_000})
        wide = await world.add_spec(tx, "wide", {"TPU1684X": 3})
        for name, open_to_all in (("bare", True), ("shut", False), ("bound", False)):
            tx.add(PoolFactory.build(id=f"po_{name}", miner_id=world.miner.id, name=name, open_to_all=open_to_all))
        tx.add(GroupFactory.build(id="grp_1", name="lab"))
        await tx.flush()
        tx.add(PoolGroup(pool_id="po_bound", group_id="grp_1"))
        tx.add(PoolSpecFactory.build(pool_id="po_bare", spec_id=world.spec_id, purpose="notebook"))
    found = await attention(world)
    assert (found["spec_never_fits"].count, found["spec_never_fits"].object_name) == (2, "huge, wide")
    assert "pool lab" in found["spec_never_fits"].detail
    assert found["pool_without_nodes"].object_name == "bare, bound, shut"
    assert (found["pool_without_groups"].object_id, found["pool_without_groups"].object_name) == ("po_shut", "shut")
    assert not {"no_specs", "no_nodes"} & found.keys()
    await each_leads_to_what_it_counts(world)
    async with world.db.write() as tx:
        for spec_id in (huge, wide):
            row = await tx.get_one(PoolSpec, (world.pool_id, spec_id, "notebook"))
            await tx.delete(row)
    assert "spec_never_fits" not in await attention(world)


async def test_nothing_to_rent(world: Scenario) -> None:
    async with world.db.write() as tx:
        other = UserFactory.build(id="us_2", username="second", is_miner=True)
        tx.add(other)
        await tx.flush()
        site = SiteFactory.build(id="si_2", name="second", miner_id="us_2")
        tx.add(site)
        await tx.flush()
        await reports.apply(
            tx, world.now, site, SiteReportFactory.build(sent_at=world.now, nodes=[node_report("second", 1)])
        )
    second = Actor("us_2", "second", is_miner=True)
    assert list(await attention(world, second)) == ["no_specs"]
    assert await attention(world) == {}, "another's troubles are not one's own"
    operator = Actor("us_0", "oscar", is_operator=True)
    shown = await home(world, operator)
    assert (shown.sites, shown.nodes_ready, shown.chips_total) == (2, 3, 4)
    assert "no_specs" not in {one.kind for one in shown.attention}


async def test_applications_wait_for_an_operator(world: Scenario) -> None:
    async with world.db.write() as tx:
        for name, status in (("ann", "waiting"), ("bea", "waiting"), ("cid", "rejected")):
            tx.add(Application(id=f"app_{name}", username=name, password_hash="-", status=status))
    found = await attention(world, Actor("us_0", "oscar", is_operator=True))
    assert (found["application_waiting"].count, found["application_waiting"].object_name) == (2, "ann, bea")
    assert "application_waiting" not in await attention(world)


async def test_a_renter_has_no_such_page(world: Scenario) -> None:
    with pytest.raises(Exception, match="miner"):
        await home(world, world.renter)


async def test_as_many_statements_for_many_nodes_as_for_two(world: Scenario) -> None:
    counts = []
    for reported in (world.nodes, [node_report(f"n{number}", 2) for number in range(60)]):
        world.nodes = reported
        await world.report()
        count = 0

        def note(*_: Any) -> None:
            nonlocal count
            count += 1

        event.listen(world.db.engine.sync_engine, "before_cursor_execute", note)
        await home(world)
        event.remove(world.db.engine.sync_engine, "before_cursor_execute", note)
        counts.append(count)
    assert counts[1] <= counts[0] <= 24, counts


async def test_shared_memory_reaches_the_container(world: Scenario) -> None:
    async with world.db.write() as tx:
        spec_id = await world.add_spec(tx, "shared", {"cpu": 500, "memory": 2 * GB, "shared-memory": GB})
    first = await world.create("first", spec_id=spec_id)
    second = await world.create("second")
    limits = {one.workload_id: one.limits for one in (await world.desired()).replicas}
    assert (limits[first].shm_bytes, limits[first].memory_bytes) == (GB, 2 * GB)
    assert limits[second].shm_bytes == 64 * 2**20


async def test_the_disk_of_a_specification_is_the_size_of_its_volume(world: Scenario) -> None:
    """Without one the site gives its default (``UTCLOUD_DEFAULT_DISK``)."""
    world.nodes[0].resources.append(ResourceReportFactory.build(name="disk", capacity=100 * GB))
    await world.report()
    async with world.db.write() as tx:
        spec_id = await world.add_spec(tx, "roomy", {"cpu": 500, "memory": GB, "disk": 20 * GB})
    first = await world.create("first", spec_id=spec_id)
    second = await world.create("second")
    limits = {one.workload_id: one.limits for one in (await world.desired()).replicas}
    assert (limits[first].disk_bytes, limits[second].disk_bytes) == (20 * GB, None)
