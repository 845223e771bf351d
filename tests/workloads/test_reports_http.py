"""Reports as agents post them: quick when nothing is new, whole when something is, refused when they are none."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import event, select

from tests.support.clock import FakeClock
from tests.support.factories import ObservedReplicaFactory, SiteReportFactory, node_report
from tests.support.scenario import Scenario
from tests.support.web import problem
from utcloud.common import bodies
from utcloud.db import Database
from utcloud.protocol import ChipTelemetry, NodeReport, Phase
from utcloud.resources import service
from utcloud.resources.models import Node, Site
from utcloud.resources.schemas import NodeDetail, NodeStatus
from utcloud.workloads.schemas import State

pytestmark = pytest.mark.postgres


def body(world: Scenario, clock: FakeClock, *nodes: NodeReport, temperature: float | None = None) -> str:
    """What the site sees: its nodes, and all that it remembers of work."""
    named = [node.model_copy(deep=True) for node in nodes or world.nodes]
    if temperature is not None:
        named[0].chips[0].telemetry = ChipTelemetry(temperature_c=temperature, power_w=12.5)
    report = SiteReportFactory.build(sent_at=clock.now(), nodes=named, replicas=list(world.seen.values()))
    return report.model_dump_json()


async def post(agent: httpx.AsyncClient, content: str | bytes) -> httpx.Response:
    return await agent.post("agent/reports", content=content, headers={"Content-Type": "application/json"})


async def told(agent: httpx.AsyncClient, content: str | bytes) -> dict[str, Any]:
    answer = await post(agent, content)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


@contextmanager
def statements(db: Database) -> Iterator[list[str]]:
    found: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        found.append(statement)

    event.listen(db.engine.sync_engine, "before_cursor_execute", note)
    yield found
    event.remove(db.engine.sync_engine, "before_cursor_execute", note)


async def shown(world: Scenario, clock: FakeClock, name: str = "node-a") -> NodeDetail:
    async with world.db.read() as tx:
        ident = (await tx.scalars(select(Node.id).where(Node.name == name))).one()
        return await service.get_node(tx, clock.now(), world.miner, ident)


async def test_an_unchanged_report_takes_few_statements_and_no_turns(
    world: Scenario, clock: FakeClock, agent: httpx.AsyncClient
) -> None:
    ident = await world.create()
    (attempt,) = await world.run(ident)
    await told(agent, body(world, clock, temperature=40))
    clock.advance(seconds=10)
    with statements(world.db) as seen:
        await told(agent, body(world, clock, temperature=41))
    kinds = [statement.split()[0:2] for statement in seen if not statement.startswith("BEGIN")]
    assert [kind[0] for kind in kinds] == ["SELECT", "UPDATE", "INSERT", "SELECT", "UPDATE"]
    assert not any("advisory" in statement for statement in seen)
    assert (await world.meter(attempt)).witnessed_until == clock.now()
    assert (await shown(world, clock)).chips[0].temperature_c == 41


async def test_what_chips_measure_is_shown_with_its_moment(
    world: Scenario, clock: FakeClock, agent: httpx.AsyncClient
) -> None:
    await told(agent, body(world, clock, temperature=40.5))
    first, second = (await shown(world, clock)).chips
    assert (first.temperature_c, first.power_w, first.utilization_percent) == (40.5, 12.5, None)
    assert first.measured_at == clock.now()
    assert (second.temperature_c, second.measured_at) == (None, None)


async def test_nan_in_the_body_is_flagged_on_its_node_alone(
    world: Scenario, clock: FakeClock, agent: httpx.AsyncClient
) -> None:
    await told(agent, body(world, clock, temperature=1234).replace("1234.0", "NaN"))
    node = await shown(world, clock)
    assert node.flags == ["chip node-a-chip-0: temperature_c makes no sense"]
    assert (node.chips[0].temperature_c, node.chips[0].power_w) == (None, 12.5)
    assert (await shown(world, clock, "node-b")).flags == []
    await told(agent, body(world, clock, temperature=50))
    assert (await shown(world, clock)).flags == []


async def test_a_change_of_what_is_wanted_makes_the_same_words_new(
    world: Scenario, clock: FakeClock, agent: httpx.AsyncClient
) -> None:
    ident = await world.create()
    (attempt,) = await world.run(ident)
    await told(agent, body(world, clock))
    await world.stop(ident)  # the site does not know yet
    with statements(world.db) as seen:
        answer = await told(agent, body(world, clock))
    assert len(seen) > 4, "looked at anew"
    async with world.db.read() as tx:
        assert answer["revision"] == (await tx.get_one(Site, world.site_id)).revision
    assert await world.states(ident) == [State.STOPPING]
    world.seen[attempt] = world.seen[attempt].model_copy(
        update={"phase": Phase.ENDED, "ended_at": clock.now(), "exit_code": 0}
    )
    await told(agent, body(world, clock))
    assert await world.states(ident) == [State.STOPPED]


async def test_a_site_speaks_for_its_own_work_alone(
    world: Scenario, clock: FakeClock, agent: httpx.AsyncClient
) -> None:
    ident = await world.create()
    (attempt,) = await world.run(ident)
    before = (await world.meter(attempt)).witnessed_until
    async with world.db.write() as tx:
        _, token = await service.ensure_site(tx, world.miner.id, "elsewhere")
        assert token
    report = SiteReportFactory.build(
        sent_at=clock.now(),
        nodes=[node_report("node-x", 0)],
        replicas=[ObservedReplicaFactory.build(replica_id="rp", attempt_id=attempt, phase=Phase.RUNNING)],
    )
    stranger = {"Authorization": f"Bearer {token}"}
    for _ in range(3):
        clock.advance(seconds=5)
        content = report.model_copy(update={"sent_at": clock.now()}).model_dump_json()
        assert (await agent.post("agent/reports", content=content, headers=stranger)).status_code == 200
    assert (await world.meter(attempt)).witnessed_until == before


async def test_a_silent_site_is_taken_in_whole_when_it_returns(
    world: Scenario, clock: FakeClock, agent: httpx.AsyncClient
) -> None:
    await told(agent, body(world, clock))
    clock.advance(seconds=31)
    assert (await shown(world, clock)).status is NodeStatus.NOT_READY
    await told(agent, body(world, clock))
    node = await shown(world, clock)
    assert (node.status, node.since) == (NodeStatus.READY, clock.now())


async def test_a_site_that_was_removed_hears_that_nothing_is_wanted(
    world: Scenario, clock: FakeClock, agent: httpx.AsyncClient
) -> None:
    await world.run(await world.create())
    before = (await agent.get("agent/desired")).json()
    assert len(before["replicas"]) == 1
    clock.advance(seconds=301)
    async with world.db.write() as tx:
        await service.delete_site(tx, clock.now(), world.miner, world.site_id)
    after = await agent.get("agent/desired", params={"after": before["revision"]})
    assert (after.status_code, after.json()["replicas"]) == (200, [])
    problem(await post(agent, body(world, clock)), 401)


async def test_what_is_no_report_or_too_large_is_refused(
    world: Scenario, clock: FakeClock, agent: httpx.AsyncClient
) -> None:
    problem(await post(agent, "nonsense"), 422, "invalid")
    problem(await post(agent, "{}"), 422, "invalid")
    problem(await post(agent, b" " * (bodies.REPORT + 1)), 413, "too_large")
    agent.headers["Authorization"] = "Bearer utcs_wrong"
    problem(await post(agent, body(world, clock)), 401)


async def test_a_thousand_nodes_with_all_they_have_are_no_more_than_is_allowed(
    world: Scenario, clock: FakeClock, agent: httpx.AsyncClient
) -> None:
    nodes = [node_report(f"node-{number}", 8).model_copy(update={"labels": _LABELS}) for number in range(1000)]
    content = body(world, clock, *nodes)
    assert len(content) < bodies.REPORT / 2
    assert len(json.loads(content)["nodes"]) == 1000


_LABELS = {f"example.com/label-{number}": "value" * 4 for number in range(20)}


async def test_a_removed_nodes_chip_may_stand_elsewhere(
    world: Scenario, clock: FakeClock, agent: httpx.AsyncClient
) -> None:
    await told(agent, body(world, clock))
    ident = (await shown(world, clock)).id
    async with world.db.write() as tx:
        _, token = await service.ensure_site(tx, world.miner.id, "elsewhere")
    twin = node_report("node-a", 2)
    report = SiteReportFactory.build(sent_at=clock.now(), nodes=[twin])
    other = {"Authorization": f"Bearer {token}"}
    await agent.post("agent/reports", content=report.model_dump_json(), headers=other)
    async with world.db.write() as tx:
        await service.remove_node(tx, clock.now(), world.miner, ident)
    clock.advance(seconds=10)
    report = report.model_copy(update={"sent_at": clock.now() - timedelta(seconds=1)})
    await agent.post("agent/reports", content=report.model_dump_json(), headers=other)
    async with world.db.read() as tx:
        nodes, _ = await service.list_nodes(tx, clock.now(), world.miner, service.NodeFilter(search="node-a"), limit=5)
        (twin_shown,) = [await service.get_node(tx, clock.now(), world.miner, one.id) for one in nodes]
    assert (twin_shown.site_name, twin_shown.flags, len(twin_shown.chips)) == ("elsewhere", [], 2)
    await told(agent, body(world, clock))
    assert (await shown_by_id(world, clock, ident)).status is NodeStatus.REMOVED
    async with world.db.write() as tx:
        await service.restore_node(tx, clock.now(), world.miner, ident)
    await told(agent, body(world, clock))
    back = await shown_by_id(world, clock, ident)
    assert (back.status, back.chips) == (NodeStatus.READY, [])
    why = "stands on node node-a of another site already; if it was moved here, remove that node"
    assert back.flags == [f"chip node-a-chip-{index} left out: it {why}" for index in (0, 1)]


async def shown_by_id(world: Scenario, clock: FakeClock, ident: str) -> NodeDetail:
    async with world.db.read() as tx:
        return await service.get_node(tx, clock.now(), world.miner, ident)


async def test_a_resource_whose_name_has_two_lines_harms_no_page(
    world: Scenario, clock: FakeClock, agent: httpx.AsyncClient
) -> None:
    report = json.loads(body(world, clock))
    report["nodes"][0]["resources"] += [{"name": "a\nb=c", "capacity": 3}, {"name": "\n", "capacity": 4}]
    report["nodes"][0]["labels"] = {"room": "\ud800"}
    await told(agent, json.dumps(report))
    node = await shown(world, clock)
    assert {use.resource: use.capacity for use in node.resources if use.resource.startswith("a")} == {"a b=c": 3}
    assert any("blank" in flag for flag in node.flags)
    assert any("half a character" in flag for flag in node.flags)
    assert node.model_dump_json()
