"""How much a miner and a site may have, and what a site's agent is believed."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import func, select

from tests.support.factories import SiteReportFactory, node_report
from tests.support.scenario import Scenario, heard
from utcloud.accounts.auth import Actor
from utcloud.common.errors import Conflict
from utcloud.db import Database
from utcloud.protocol import ChipTelemetry, NodeReport
from utcloud.resources import capacity, reports, service
from utcloud.resources.models import Chip, Node, Site, Telemetry
from utcloud.resources.reports import store
from utcloud.resources.schemas import Attention, AttentionKind, Severity, SiteCreate
from utcloud.resources.service import sites
from utcloud.resources.service.attention import attention
from utcloud.server.wiring import wire

pytestmark = pytest.mark.postgres
NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)


async def _counted(db: Database, model: type[Node] | type[Chip]) -> int:
    async with db.read() as tx:
        return await tx.scalar(select(func.count()).select_from(model)) or 0


async def _hear(world: Scenario, *nodes: NodeReport) -> None:
    async with world.db.write() as tx:
        await heard(tx, NOW, world.site_id, *nodes)


def test_the_bounds_are_the_documented_ones() -> None:
    assert (sites.MOST_SITES, store.MOST_NODES) == (100, 2000)


async def test_a_miner_has_a_hundred_sites_at_most(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sites, "MOST_SITES", 3)
    world = await Scenario.bare(db, NOW)
    async with db.write() as tx:
        made = [await service.create_site(tx, NOW, world.miner, SiteCreate(name=f"more-{n}")) for n in range(2)]
    with pytest.raises(Conflict) as refused:
        async with db.write() as tx:
            await service.create_site(tx, NOW, world.miner, SiteCreate(name="one-too-many"))
    assert (refused.value.code, refused.value.detail) == ("too_many_sites", "You have 3 sites: there can be no more.")
    async with db.write() as tx:
        await service.delete_site(tx, NOW, world.miner, made[0].id)
        await service.create_site(tx, NOW, world.miner, SiteCreate(name="in-its-place"))


async def test_new_names_in_each_report_make_no_more_nodes_than_a_site_may_have(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    wire()
    monkeypatch.setattr(store, "MOST_NODES", 10)
    world = await Scenario.bare(db, NOW)
    for number in range(5):
        await _hear(world, *(node_report(f"n{number}-{place}") for place in range(8)))
        assert await _counted(db, Node) <= 10
    async with db.read() as tx:
        there = set(await tx.scalars(select(Node.name).where(Node.gone.is_(False))))
    assert there == {f"n4-{place}" for place in range(8)}
    await _hear(world, *(node_report(f"all-{place:02}") for place in range(13)))
    async with db.read() as tx:
        named = {node.name: node.flags for node in await tx.scalars(select(Node).where(Node.gone.is_(False)))}
    assert set(named) == {f"all-{place:02}" for place in range(10)}
    assert named["all-00"] == ["3 nodes were left out: a site has 10 at most, with those of old"]


async def test_a_node_with_history_is_not_forgotten(world: Scenario, monkeypatch: pytest.MonkeyPatch) -> None:
    wire()
    (attempt_id,) = await world.run(await world.create())
    await world.end(attempt_id)
    used = (await world.attempt(attempt_id)).node_id
    monkeypatch.setattr(store, "MOST_NODES", 3)
    await _hear(world, node_report("new-1"), node_report("new-2"))
    async with world.db.read() as tx:
        names = {node.id: node.name for node in await tx.scalars(select(Node))}
    assert used in names
    assert set(names.values()) == {names[used], "new-1", "new-2"}


async def test_new_chips_in_each_report_are_forgotten_again(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "MOST_CHIPS", 10)
    world = await Scenario.bare(db, NOW)
    for number in range(5):
        await _hear(world, node_report("a", chips=6, uid=f"x{number}"))
        assert await _counted(db, Chip) <= 10
    async with db.read() as tx:
        there = set(await tx.scalars(select(Chip.uid).where(Chip.present.is_(True))))
    assert there == {f"x4-{place}" for place in range(6)}


async def test_only_measurements_of_known_chips_are_kept(db: Database) -> None:
    world = await Scenario.bare(db, NOW, node_report("a", chips=1, uid="x"))
    hot = {"telemetry": ChipTelemetry(temperature_c=40)}
    x, y = (node_report("b", chips=1, uid=uid).chips[0].model_copy(update=hot) for uid in ("x", "y"))
    async with db.write() as tx:
        made = await service.create_site(tx, NOW, world.miner, SiteCreate(name="second"))
        second = await tx.get_one(Site, made.id)
        for chips, kept in (([x, y], {"y-0"}), ([x], set()), ([y], {"y-0"})):
            node = node_report("b").model_copy(update={"chips": chips})
            await reports.apply(tx, NOW, second, SiteReportFactory.build(sent_at=NOW, nodes=[node]))
            row = await tx.get_one(Telemetry, made.id, populate_existing=True)
            assert set(row.chips) == kept, "a chip that stands on another site, or is none, is measured by nobody"


async def test_the_networks_of_an_agent_are_believed_on_the_servers_own_host_alone(db: Database) -> None:
    world = await Scenario.bare(db, NOW)
    said = SiteReportFactory.build(sent_at=NOW, networks=["10.77.0.0/16", "127.0.0.0/8", "nonsense"])
    for local, believed in ((False, ["10.89.0.0/16"]), (True, ["10.89.0.0/16", "10.77.0.0/16"])):
        async with db.write() as tx:
            site = await tx.get_one(Site, world.site_id)
            site.local = local
            await reports.apply(tx, NOW, site, said)
        async with db.read() as tx:
            assert (await service.get_site(tx, NOW, world.miner, world.site_id)).page_networks == believed
    async with db.write() as tx:  # nor does what it said once come back when it is no longer there
        (await tx.get_one(Site, world.site_id)).local = False
    async with db.read() as tx:
        assert (await service.get_site(tx, NOW, world.miner, world.site_id)).page_networks == ["10.89.0.0/16"]


async def test_a_token_that_was_replaced_is_good_for_ten_minutes(db: Database) -> None:
    world = await Scenario.bare(db, NOW)

    async def opens(token: str, at: datetime) -> bool:
        async with db.read() as tx:
            return await service.site_for_token(tx, token, now=at) is not None

    async def rotate() -> str:
        async with db.write() as tx:
            return (await service.rotate_site_token(tx, NOW, world.miner, world.site_id)).token

    first, second = await rotate(), await rotate()
    assert first != second
    assert await opens(second, NOW + timedelta(days=1))
    assert await opens(first, NOW + timedelta(seconds=599))
    assert not await opens(first, NOW + timedelta(seconds=600))
    third = await rotate()
    assert not await opens(first, NOW), "only the one before is good still"
    assert await opens(third, NOW)


async def test_advice_is_one_line_behind_all_faults_and_no_flag(db: Database) -> None:
    old = "runc 1.1.4 may have a way out"
    world = await Scenario.bare(
        db, NOW, node_report("a", warnings=[old]), node_report("b", warnings=[old]), node_report("c", ready=False)
    )

    async def told(actor: Actor) -> list[Attention]:
        async with db.read() as tx:
            nodes = [node for node in await capacity.load(tx, NOW) if node.miner_id == actor.id]
            return await attention(tx, NOW, actor, nodes)

    found = await told(world.miner)
    assert [one.kind for one in found].count(AttentionKind.NODE_ADVISED) == 1
    last = found[-1]
    assert (last.kind, last.severity, last.count, last.object_name) == ("node_advised", Severity.INFO, 2, "a, b")
    assert last.detail == old
    assert found[0].kind == AttentionKind.NODE_NOT_READY
    assert not [one for one in found if one.kind == AttentionKind.NODE_FLAGGED]
    async with db.read() as tx:
        wanted = service.NodeFilter(advised=True)
        nodes, _ = await service.list_nodes(tx, NOW, world.miner, wanted, limit=10)
    assert [(node.name, node.advice, node.flags) for node in nodes] == [("a", [old], []), ("b", [old], [])]
    await _hear(world, node_report("a"), node_report("b"), node_report("c"))
    assert not [one for one in await told(world.miner) if one.kind == AttentionKind.NODE_ADVISED]
