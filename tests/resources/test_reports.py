"""What agents report: cheap when nothing changed, harmless when it is nonsense."""

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from sqlalchemy import event, select

from tests.support.factories import CHIP, chip_report, node_report
from tests.support.lanes import examples
from tests.support.scenario import Scenario, add_site, add_spec, heard
from utcloud.accounts.auth import Actor
from utcloud.db import Database
from utcloud.protocol import SiteReport
from utcloud.resources import capacity, reports, service
from utcloud.resources.models import Chip, Node, NodeResource, Pool, Site
from utcloud.resources.schemas import Attention, AttentionKind, NodeDetail, NodeStatus, SiteCreate
from utcloud.resources.service.attention import attention

pytestmark = pytest.mark.postgres

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)


async def details(db: Database, world: Scenario, now: datetime = NOW) -> dict[str, NodeDetail]:
    async with db.read() as tx:
        nodes, _ = await service.list_nodes(tx, now, world.miner, service.NodeFilter(), limit=100)
        return {one.name: await service.get_node(tx, now, world.miner, one.id) for one in nodes}


async def test_a_node_is_found_by_itself_in_an_open_default_pool(db: Database) -> None:
    world = await Scenario.bare(db, NOW, node_report(chips=3, simulated=True, ip="192.0.2.7", labels={"rack": "4"}))
    one = (await details(db, world))["node-1"]
    assert (one.status, one.pool_name, one.ip, one.labels) == (NodeStatus.READY, "default", "192.0.2.7", {"rack": "4"})
    assert one.simulated
    assert one.since == NOW
    assert [use.resource for use in one.resources] == ["cpu", "memory", CHIP]
    assert [(chip.index, chip.simulated, chip.in_use) for chip in one.chips] == [(n, True, False) for n in range(3)]
    async with db.read() as tx:
        pool = await tx.get_one(Pool, world.pool_id)
    assert pool.is_default
    assert pool.open_to_all


async def test_an_unchanged_report_writes_one_row(db: Database) -> None:
    world = await Scenario.bare(db, NOW, node_report(chips=3))
    statements: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        statements.append(statement)

    later = NOW + timedelta(seconds=10)
    async with db.write() as tx:
        site = await tx.get_one(Site, world.site_id)
        event.listen(db.engine.sync_engine, "before_cursor_execute", note)
        assert not await heard(tx, later, site.id, node_report(chips=3))
        event.remove(db.engine.sync_engine, "before_cursor_execute", note)
        assert site.last_seen_at == later
    assert len(statements) == 1
    assert statements[0].startswith("UPDATE sites")
    async with db.write() as tx:
        assert await heard(tx, later, world.site_id, node_report(chips=2))
        assert not await heard(tx, later, world.site_id, node_report(chips=2))


async def test_silence_makes_nodes_not_ready_and_a_word_ready_again(db: Database) -> None:
    world = await Scenario.bare(db, NOW, node_report())
    silent = NOW + timedelta(seconds=31)
    one = (await details(db, world, silent))["node-1"]
    assert one.status == NodeStatus.NOT_READY
    assert one.reason
    assert one.since == NOW + timedelta(seconds=30)
    async with db.write() as tx:
        assert await heard(tx, silent, world.site_id, node_report())
    one = (await details(db, world, silent))["node-1"]
    assert (one.status, one.since) == (NodeStatus.READY, silent)


async def test_not_ready_and_gone_are_told_with_since(db: Database) -> None:
    world = await Scenario.bare(db, NOW, node_report(), node_report("node-2"))
    later = NOW + timedelta(seconds=5)
    async with db.write() as tx:
        await heard(tx, later, world.site_id, node_report(ready=False, reason="the engine does not answer"))
    found = await details(db, world, later)
    assert (found["node-1"].status, found["node-1"].reason) == (NodeStatus.NOT_READY, "the engine does not answer")
    assert found["node-1"].since == later
    assert (found["node-2"].status, found["node-2"].since) == (NodeStatus.GONE, later)
    async with db.read() as tx:
        counts = await service.count_nodes(tx, later, world.miner)
        gone, _ = await service.list_nodes(tx, later, world.miner, service.NodeFilter(status=NodeStatus.GONE), limit=9)
    assert {status: count for status, count in counts.items() if count} == {NodeStatus.NOT_READY: 1, NodeStatus.GONE: 1}
    assert [one.name for one in gone] == ["node-2"]


async def test_a_chip_of_another_site_is_flagged_and_not_taken(db: Database) -> None:
    one = await Scenario.bare(db, NOW, node_report("a", chips=2, uid="x"))
    async with db.write() as tx:
        made = await service.create_site(tx, NOW, one.miner, SiteCreate(name="second"))
        await heard(tx, NOW, made.id, node_report("b", chips=2, uid="x"))
    theirs = (await details(db, one))["b"]
    assert theirs.chips == []
    why = "stands on node a of another site already; if it was moved here, remove that node"
    assert theirs.flags == [f"chip x-{number} left out: it {why}" for number in (0, 1)]
    assert (await details(db, one))["a"].flags == []
    assert len((await details(db, one))["a"].chips) == 2
    async with db.write() as tx:
        # Once its first site no longer names it, it may stand elsewhere, without a change of the report.
        await heard(tx, NOW, one.site_id, node_report("a", chips=1, uid="x"))
        await heard(tx, NOW, made.id, node_report("b", chips=2, uid="x"))
    assert [chip.uid for chip in (await details(db, one))["b"].chips] == ["x-1"]
    assert [chip.uid for chip in (await details(db, one))["a"].chips] == ["x-0"]


async def test_another_miners_chip_is_taken_from_nobody_and_told_to_operators(db: Database) -> None:
    """Any renter can read a chip's uid, and a driver may lose the chip for a moment: then another reports it."""
    one = await Scenario.bare(db, NOW, node_report("a", chips=2, uid="x", simulated=False))
    async with db.write() as tx:
        await heard(tx, NOW, one.site_id, node_report("a", chips=0))
    other = await Scenario.bare(db, NOW, node_report("b", chips=2, uid="x", simulated=False), miner="boris")
    async with db.write() as tx:
        await heard(tx, NOW, one.site_id, node_report("a", chips=2, uid="x", simulated=False))
    for world, name in ((one, "a"), (other, "b")):
        shown = (await details(db, world))[name]
        assert [chip.uid for chip in shown.chips] == ["x-0", "x-1"]
        assert shown.flags == []

    async def told(actor: Actor) -> list[Attention]:
        async with db.read() as tx:
            nodes = await capacity.load(tx, NOW)
            return [one for one in await attention(tx, NOW, actor, nodes) if one.kind == AttentionKind.CHIP_TWICE]

    (twice,) = await told(Actor("us_op", "op", is_operator=True))
    assert (twice.object_name, twice.count) == ("a, b", 2)
    assert await told(one.miner) == []


async def test_a_serial_number_on_two_sites_is_flagged_where_it_comes_second(db: Database) -> None:
    """Of one miner's sites; what another miner's node says is no trouble of his."""
    mina = await Scenario.bare(db, NOW, node_report("a", cards=["S1", ""]))
    boris = await Scenario.bare(db, NOW, node_report("b", uid="b", cards=["S1", ""]), miner="boris")
    async with db.write() as tx:
        second = await add_site(tx, mina.miner, "second")
        await heard(tx, NOW, second, node_report("c", uid="c", cards=["S1", "S2"]))
    found = await details(db, mina)
    assert (found["a"].flags, found["c"].flags) == ([], ["serial number S1 is reported of a too"])
    assert (await details(db, boris))["b"].flags == []


async def test_a_chip_in_use_does_not_move(db: Database) -> None:
    world = await Scenario.bare(db, NOW, node_report("a", chips=1, uid="x"), node_report("b"))
    async with db.write() as tx:
        spec = await add_spec(tx, world.miner, {CHIP: 1})
        demand = capacity.Demand("at_1", spec, world.pool_id)
        assert isinstance(await capacity.reserve(tx, NOW, [demand]), list)
        await heard(tx, NOW, world.site_id, node_report("a"), node_report("b", chips=1, uid="x"))
    found = await details(db, world)
    assert found["b"].chips == []
    assert found["b"].flags == ["chip x-0 left out: it is still in use on node a"]
    async with db.write() as tx:
        await capacity.release(tx, "at_1")
        await heard(tx, NOW, world.site_id, node_report("a"), node_report("b", chips=1, uid="x"))
    assert [chip.uid for chip in (await details(db, world))["b"].chips] == ["x-0"]


async def _send(db: Database, site_id: str, nodes: list[dict[str, Any]]) -> None:
    """Report ``nodes`` as JSON, which may say what no message of ours can."""
    body = json.dumps({"sent_at": NOW.isoformat(), "nodes": nodes}).encode()
    async with db.write() as tx:
        await reports.apply(tx, NOW, await tx.get_one(Site, site_id), reports.parse(body))


def _sent(uid: str, **more: Any) -> dict[str, Any]:
    """A chip as a site sends it, whatever it says."""
    return chip_report(uid).model_dump(mode="json") | more


async def test_nonsense_is_left_out_and_named(db: Database) -> None:
    silly = {
        "name": "nul\0led",
        "os": "o" * 200,
        "labels": {"k\0" * 300: "v" * 5000},
        "resources": [
            {"name": "cpu", "capacity": 1000},
            {"name": "cpu", "capacity": 9000},
            {"name": "memory", "capacity": 2**62},
        ],
        "chips": [
            _sent("one"),
            _sent("one", index=1),
            _sent("two", index=2**62),
            _sent("three", memory_bytes=2**62),
            _sent("four", device_paths=["/dev/\0x"] * 1000),
        ],
    }
    world = await Scenario.bare(db, NOW)
    same = [node_report("same", cpu=cpu).model_dump(mode="json") for cpu in (8000, 1)]
    await _send(db, world.site_id, [silly, *same])
    found = await details(db, world)
    one = found["nulled"]
    assert {use.resource: use.capacity for use in one.resources} == {"cpu": 1000, CHIP: 2}
    assert sorted(chip.uid for chip in one.chips) == ["four", "one"]
    for text in ("resource cpu was reported twice", "resource memory left out", "chip one was", "chip two left out"):
        assert any(flag.startswith(text) for flag in one.flags), one.flags
    assert found["same"].flags == ["was reported twice; the first report holds"]


async def test_numbers_that_no_database_holds_are_left_out_and_named(db: Database) -> None:
    """What cannot be without the number goes with it; a chip stays without a memory of its own size."""
    chips = [_sent("one"), _sent("two", index=2**70), _sent("three", memory_bytes=2**70)]
    resources = [{"name": "cpu", "capacity": 1000}, {"name": "memory", "capacity": 2**80}]
    world = await Scenario.bare(db, NOW)
    await _send(db, world.site_id, [{"name": "n", "resources": resources, "chips": chips}])
    one = (await details(db, world))["n"]
    assert {use.resource: use.capacity for use in one.resources} == {"cpu": 1000, CHIP: 2}
    assert {chip.uid: chip.memory_bytes for chip in one.chips} == {"one": None, "three": None}
    for text in ("resource memory: capacity was", "chip two: index was", "chip three: memory_bytes was"):
        assert any(flag.startswith(f"{text} left out") for flag in one.flags), one.flags


async def test_a_lying_clock_is_recorded(db: Database) -> None:
    world = await Scenario.bare(db, NOW, node_report())
    elsewhere = (NOW + timedelta(seconds=7)).astimezone(timezone(timedelta(hours=8)))
    for sent_at, offset in ((elsewhere, 7000), (datetime.max.replace(tzinfo=UTC), 10**13)):
        async with db.write() as tx:
            await heard(tx, NOW, world.site_id, node_report(), sent_at=sent_at)
            assert (await tx.get_one(Site, world.site_id)).clock_offset_ms == offset


def test_a_clock_without_a_time_zone_is_refused() -> None:
    with pytest.raises(ValidationError, match="timezone"):
        SiteReport.model_validate({"sent_at": NOW.replace(tzinfo=None)})


NAMES = st.sampled_from(["a", "b", "c"])
REPORTS = st.lists(
    st.fixed_dictionaries(
        {
            "name": NAMES,
            "ready": st.booleans(),
            "reason": st.text(max_size=20),
            "resources": st.lists(
                st.fixed_dictionaries(
                    {
                        "name": st.sampled_from(["cpu", "memory", CHIP, "x\0"]),
                        "capacity": st.one_of(st.integers(0, 10), st.integers(0, 2**100)),
                    }
                ),
                max_size=4,
            ),
            "chips": st.lists(
                st.builds(
                    _sent,
                    st.sampled_from(["u0", "u1", "u2", "u3"]),
                    index=st.one_of(st.integers(0, 3), st.integers(0, 2**100)),
                    healthy=st.booleans(),
                    resource=st.sampled_from([CHIP, "nvidia.com/gpu"]),
                ),
                max_size=4,
            ),
        }
    ),
    max_size=4,
)


@settings(max_examples=examples(30), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rounds=st.lists(st.tuples(st.integers(0, 1), REPORTS), min_size=1, max_size=6))
async def test_whatever_is_reported_the_tables_stay_sound(
    db: Database, rounds: list[tuple[int, list[dict[str, Any]]]]
) -> None:
    worlds = []
    for name in ("mina", "boris"):
        async with db.read() as tx:
            there = await tx.scalar(select(Site.id).where(Site.name == f"site-{name}"))
        if there is None:
            await Scenario.bare(db, NOW, miner=name)
        async with db.read() as tx:
            worlds.append((await tx.scalars(select(Site).where(Site.name == f"site-{name}"))).one())
    last: dict[int, list[dict[str, Any]]] = {}
    for which, nodes in rounds:
        await _send(db, worlds[which].id, nodes)
        last[which] = nodes
    async with db.read() as tx:
        for which, nodes in last.items():
            rows = (await tx.scalars(select(Node).where(Node.site_id == worlds[which].id, Node.gone.is_(False)))).all()
            assert {row.name for row in rows} == {one["name"] for one in nodes}
        chips = (await tx.scalars(select(Chip))).all()
        assert len({(one.miner_id, one.uid) for one in chips}) == len(chips)
        for state in await capacity.load(tx, NOW):
            assert all(value >= 0 for value in state.free.values())
            present = [one for one in chips if one.node_id == state.id and one.present]
            assert sum(state.capacity[name] for name in state.chips) == len(present)
        assert all(row.capacity <= 2**53 for row in await tx.scalars(select(NodeResource)))
