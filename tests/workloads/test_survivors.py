"""Rules of work that no quick test held: each of these fails for a mutation that survived (tests/mutations.toml)."""

from datetime import timedelta

import pytest
from sqlalchemy import select

from tests.support.factories import PRICE
from tests.support.scenario import Scenario
from utcloud.assets.models import Asset, AssetVersion, VersionFile
from utcloud.billing.models import Order
from utcloud.protocol import ObservedReplica, Phase, SiteReport
from utcloud.resources import service
from utcloud.resources.models import Site, Spec
from utcloud.workloads import observed, placement
from utcloud.workloads.desired import is_file_needed, is_needed
from utcloud.workloads.models import Workload
from utcloud.workloads.schemas import State


async def test_nothing_is_kept_for_who_cannot_pay(world: Scenario) -> None:
    async with world.db.write() as tx:
        pair = await world.add_spec(tx, "pair", {"cpu": 500, "TPU1684X": 2})
    for name in ("one", "two"):  # a chip of each node
        await world.create(name)
    poor = await world.create("poor", actor=world.other, spec_id=pair)
    async with world.db.write() as tx:
        await world.recharge(tx, world.other, -100_000_000)
    world.later((placement.PATIENCE + timedelta(minutes=1)).total_seconds())
    await world.report()
    assert await world.states(await world.create("third")) == [State.ASSIGNED]
    assert await world.states(poor) == [State.PENDING]


@pytest.mark.postgres
async def test_a_new_price_does_not_touch_what_waits(world: Scenario) -> None:
    first = await world.create("first", tasks=3)
    waits = await world.create("waits")
    async with world.db.write() as tx:
        (await tx.get_one(Spec, world.spec_id)).price = 2 * PRICE
    for attempt in await world.run(first):
        await world.end(attempt)
    await world.place_waiting()
    (attempt,) = await world.run(waits)
    assert (await world.meter(attempt)).price == (await world.attempt(attempt)).price == PRICE


@pytest.mark.postgres
async def test_an_order_ends_with_the_last_of_its_replicas(world: Scenario) -> None:
    async def state() -> str:
        async with world.db.read() as tx:
            return (await tx.scalars(select(Order.state))).one()

    one, other = await world.run(await world.create(tasks=2))
    await world.end(one)
    assert await state() == "open"
    await world.end(other)
    assert await state() == "settled"


async def test_a_site_cannot_speak_for_anothers_work_in_the_same_moment(world: Scenario) -> None:
    """Two sites are heard together; the one names what the other runs and no longer speaks of."""
    ours, silent = await world.run(await world.create(tasks=2))
    before = (await world.meter(silent)).witnessed_until
    now = world.later(10)

    def says(attempt: str) -> SiteReport:
        seen = ObservedReplica(replica_id="rp", attempt_id=attempt, phase=Phase.RUNNING)
        return SiteReport(sent_at=now, nodes=[], replicas=[seen])

    async with world.db.write() as tx:
        stranger, _ = await service.ensure_site(tx, world.miner.id, "elsewhere")
        await observed.witness(tx, now, {world.site_id: says(ours), stranger.id: says(silent)})
    assert (await world.meter(ours)).witnessed_until == now
    assert (await world.meter(silent)).witnessed_until == before


async def test_files_are_for_the_site_that_runs_what_needs_them(world: Scenario) -> None:
    ident = await world.create()
    async with world.db.write() as tx:
        tx.add(Asset(id="alg_1", kind="algorithm", owner_id=world.renter.id, name="net"))
        await tx.flush()
        tx.add(AssetVersion(id="ver_1", asset_id="alg_1", number=1, status="ready"))
        await tx.flush()
        tx.add(VersionFile(version_id="ver_1", path="a", size=1, sha256="0" * 64))
        (await tx.get_one(Workload, ident)).algorithm_version_id = "ver_1"
        stranger, _ = await service.ensure_site(tx, world.miner.id, "elsewhere")
    async with world.db.read() as tx:
        own = await tx.get_one(Site, world.site_id)
        for site, needed in ((own, True), (stranger, False)):
            assert await is_needed(tx, site, "ver_1") is needed
            assert await is_file_needed(tx, site, "0" * 64) is needed
