"""Sites that speak at the same time and say nothing new are heard in one transaction, each for itself."""

import asyncio
from datetime import timedelta

import pytest
from sqlalchemy import select

from tests.support.clock import FakeClock
from tests.support.factories import ChipFactory, NodeFactory, SiteReportFactory, node_report
from tests.support.scenario import Scenario
from utcloud.protocol import ChipTelemetry
from utcloud.resources import service
from utcloud.resources.models import Site, Telemetry
from utcloud.resources.reports import Heard, Incoming
from utcloud.workloads import heartbeats
from utcloud.workloads.heartbeats import Heartbeats

pytestmark = pytest.mark.postgres


class Sites:
    """The world's own site, which runs a notebook, and two more. Each said what ``report`` makes."""

    def __init__(self, world: Scenario) -> None:
        self.world, self.clock = world, FakeClock(world.now)
        self.tokens: list[str] = []
        self.ids: list[str] = []

    @classmethod
    async def make(cls, world: Scenario) -> "Sites":
        sites = cls(world)
        for number in range(3):
            async with world.db.write() as tx:
                site = await tx.get_one(Site, world.site_id)
                if number:
                    site, _ = await service.ensure_site(tx, world.miner.id, f"site-{number}")
                node = await NodeFactory.insert(tx, site_id=site.id, pool_id=world.pool_id)
                await ChipFactory.insert(tx, node_id=node.id, uid=f"node-{number}-chip-0")
                site.token_hash = f"token-{number}"
                sites.ids.append(site.id)
                sites.tokens.append(site.token_hash)
                site.report_digest = "".join(sites.report(number).digest())
                site.last_seen_at = world.now
        return sites

    def report(self, number: int, *, temperature: float = 40, late_s: float = 0, chips: int = 1) -> Incoming:
        nodes = [node_report(f"node-{number}", chips)]
        nodes[0].chips[0].telemetry = ChipTelemetry(temperature_c=temperature)
        seen = [] if number else list(self.world.seen.values())
        sent_at = self.clock.now() - timedelta(seconds=late_s)
        return Incoming(SiteReportFactory.build(sent_at=sent_at, nodes=nodes, replicas=seen))

    async def temperatures(self) -> dict[str, float]:
        async with self.world.db.read() as tx:
            rows = await tx.scalars(select(Telemetry).where(Telemetry.site_id.in_(self.ids)))
            return {row.site_id: next(iter(row.chips.values()))["temperature_c"] for row in rows}


async def test_sites_that_say_nothing_new_are_heard_together(world: Scenario, monkeypatch: pytest.MonkeyPatch) -> None:
    (attempt,) = await world.run(await world.create())
    sites = await Sites.make(world)
    together = Heartbeats(world.db, sites.clock)
    stored: list[int] = []
    store = together._store

    async def counted(said: dict[str, heartbeats._Said]) -> dict[str, Heard]:
        stored.append(len(said))
        return await store(said)

    monkeypatch.setattr(together, "_store", counted)
    sites.clock.advance(seconds=10)
    reports = [sites.report(0, late_s=0.25), sites.report(1, temperature=41), sites.report(2, temperature=42, late_s=4)]
    heard = await asyncio.gather(*map(together.hear, sites.tokens, reports))
    assert stored == [3]
    assert [one and one.site_id for one in heard] == sites.ids
    assert await sites.temperatures() == dict(zip(sites.ids, (40, 41, 42), strict=True))
    assert (await world.meter(attempt)).witnessed_until == sites.clock.now() - timedelta(seconds=0.25)
    async with world.db.read() as tx:
        for ident, offset in zip(sites.ids, (-250, 0, -4000), strict=True):
            site = await tx.get_one(Site, ident)
            assert (site.last_seen_at, site.clock_offset_ms) == (sites.clock.now(), offset)


async def test_news_and_strangers_are_told_apart(world: Scenario) -> None:
    sites = await Sites.make(world)
    together = Heartbeats(world.db, sites.clock)
    said = [sites.report(0), sites.report(1, chips=2), sites.report(2)]
    heard = await asyncio.gather(*map(together.hear, [*sites.tokens[:2], "stranger"], said))
    assert [one is not None for one in heard] == [True, False, False]
    assert set(together._marks) == {sites.tokens[0]}, "nothing is remembered of strangers"
    assert sites.ids[1] not in await sites.temperatures(), "what is new is taken in elsewhere"
    news = asyncio.wait_for(together.hear(sites.tokens[0], sites.report(0, chips=2)), heartbeats.TOGETHER_S / 2)
    assert await news is None, "what is plainly new waits for nobody"


async def test_a_failure_is_told_to_all_and_ends_nothing(world: Scenario, monkeypatch: pytest.MonkeyPatch) -> None:
    sites = await Sites.make(world)
    together = Heartbeats(world.db, sites.clock)
    with monkeypatch.context() as patch:
        patch.setattr("utcloud.workloads.observed.witness", lambda *_: 1 / 0)
        said = [together.hear(sites.tokens[number], sites.report(number)) for number in (0, 1)]
        errors = await asyncio.gather(*said, return_exceptions=True)
    assert [type(error) for error in errors] == [ZeroDivisionError] * 2
    assert await together.hear(sites.tokens[0], sites.report(0)) is not None
