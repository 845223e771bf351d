"""Work on nodes that are lost, drained, moved or removed: told in time, stopped gracefully, billed as it was seen."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from tests.support.factories import PRICE, PoolFactory
from tests.support.scenario import Scenario
from utcloud.accounts.models import AuditEvent
from utcloud.billing.models import BillingEvent
from utcloud.common.errors import Conflict
from utcloud.common.money import amount_for
from utcloud.edge import service as edge
from utcloud.protocol import Phase
from utcloud.resources import service
from utcloud.resources.models import Allocation, Node
from utcloud.resources.schemas import Cordon, Drain, NodeDetail, NodeMove, NodeStatus, WhenBusy
from utcloud.server.wiring import wire
from utcloud.workloads import nodes
from utcloud.workloads.schemas import State

pytestmark = pytest.mark.postgres


@pytest.fixture(autouse=True)
def _wired() -> None:
    wire()


@pytest.fixture
async def watch(world: Scenario) -> nodes.Watch:
    """One that has been there for long."""
    watch = nodes.Watch(world.now - timedelta(minutes=10))
    for seconds in range(600, -1, -30):
        watch.tick(world.now - timedelta(seconds=seconds))
    return watch


async def passes(world: Scenario, watch: nodes.Watch, seconds: int, *, heard: bool = False) -> None:
    """Time goes by; the server looks every 20 seconds, and ``heard`` sites report."""
    for _ in range(seconds // 20):
        world.later(20)
        if heard:
            await world.report()
        await nodes.look(world.db, world.now, watch)


async def node(world: Scenario, name: str) -> Node:
    async with world.db.read() as tx:
        return (await tx.scalars(select(Node).where(Node.name == name))).one()


async def turn(world: Scenario, what: Any, name: str, *body: Any) -> NodeDetail:
    """What a miner does with a node, and the server's look after it."""
    ident = (await node(world, name)).id
    async with world.db.write() as tx:
        shown: NodeDetail = await what(tx, world.now, world.miner, ident, *body)
    await nodes.look(world.db, world.now, nodes.Watch(world.now))
    return shown


async def place_of(world: Scenario, ident: str) -> str:
    """The name of the node that a notebook was given."""
    (replica,) = await world.replicas(ident)
    async with world.db.read() as tx:
        return (await tx.get_one(Node, replica.node_id)).name


async def routes(world: Scenario) -> int:
    async with world.db.read() as tx:
        return len(await edge.all_routes(tx))


async def test_a_silent_node_is_lost_after_five_minutes(world: Scenario, watch: nodes.Watch) -> None:
    ident = await world.create()
    (attempt,) = await world.run(ident)
    await passes(world, watch, 100, heard=True)
    last_sign = world.now
    await passes(world, watch, 280)
    assert await world.states(ident) == [State.RUNNING], "not ready is not lost"
    await passes(world, watch, 20)
    assert await world.states(ident) == [State.FAILED]
    reason = (await world.workload(ident)).reason
    assert (
        reason == f"node lost: {await place_of(world, ident)} has not been heard since {last_sign:%Y-%m-%d %H:%M} UTC"
    )
    ended = await world.attempt(attempt)
    assert (ended.cause, ended.ended_at, ended.done) == ("node_lost", last_sign, False)
    meter = await world.meter(attempt)
    assert (meter.closed, meter.ended_at) == (True, last_sign), "what nobody saw costs nothing"
    assert await world.claims(), "the chip may still be in use there"
    assert await routes(world) == 0
    assert [one.desired for one in (await world.desired()).replicas] == [Phase.STOPPED]


async def test_a_node_that_returns_in_time_goes_on(world: Scenario, watch: nodes.Watch) -> None:
    ident = await world.create()
    (attempt,) = await world.run(ident)
    before = await world.attempt(attempt)
    await passes(world, watch, 280)
    await world.report()
    await passes(world, watch, 40, heard=True)
    assert await world.states(ident) == [State.RUNNING]
    assert (await world.attempt(attempt)).endpoint == before.endpoint
    assert (await world.meter(attempt)).witnessed_until == world.now, "it ran all the while, as the site says"


async def test_a_node_that_returns_after_an_hour_ends_what_was_failed(world: Scenario, watch: nodes.Watch) -> None:
    ident = await world.create()
    (attempt,) = await world.run(ident)
    last_sign = world.now
    await passes(world, watch, 320)
    world.later(3600)
    await world.report()  # it still says that the container runs
    assert await world.states(ident) == [State.FAILED]
    assert (await world.meter(attempt)).ended_at == last_sign
    assert await routes(world) == 0
    assert [one.desired for one in (await world.desired()).replicas] == [Phase.STOPPED]
    await world.end(attempt, exit_code=143)
    assert await world.claims() == {}
    assert (await world.desired()).replicas == [], "the site may remove the container"
    ended = await world.attempt(attempt)
    assert (ended.cause, ended.ended_at, ended.done) == ("node_lost", last_sign, True)
    assert (await world.meter(attempt)).settled == amount_for(PRICE, 0)
    assert await world.states(ident) == [State.FAILED]


async def test_it_ended_by_itself_while_nobody_heard(world: Scenario, watch: nodes.Watch) -> None:
    """An end that lies before the last sign of life is believed later, and the difference goes back."""
    ident = await world.create()
    (attempt,) = await world.run(ident)
    await passes(world, watch, 100, heard=True)
    truth = world.now - timedelta(seconds=50)
    await passes(world, watch, 320)
    await world.end(attempt, ended_at=truth, exit_code=0)
    assert (await world.attempt(attempt)).ended_at == truth


async def test_a_server_that_was_away_takes_nothing_for_lost(world: Scenario, watch: nodes.Watch) -> None:
    ident = await world.create()
    await world.run(ident)
    world.later(3600)  # nobody ran the loop
    await nodes.look(world.db, world.now, watch)
    await passes(world, watch, 280)
    assert await world.states(ident) == [State.RUNNING]
    await passes(world, watch, 40)
    assert await world.states(ident) == [State.FAILED], "it had its five minutes"


async def test_what_was_asked_to_stop_has_stopped_when_its_node_is_lost(world: Scenario, watch: nodes.Watch) -> None:
    ident = await world.create()
    await world.run(ident)
    await world.stop(ident)
    await passes(world, watch, 320)
    assert await world.states(ident) == [State.STOPPED]
    assert "node lost" in (await world.workload(ident)).reason


async def test_a_lost_notebook_starts_again_once_its_last_run_has_ended(world: Scenario, watch: nodes.Watch) -> None:
    ident = await world.create()
    (attempt,) = await world.run(ident)
    await passes(world, watch, 320)
    await world.start(ident)
    assert await world.states(ident) == [State.PENDING]
    await world.place_waiting()
    assert "has not ended" in (await world.workload(ident)).reason
    await world.report()
    await world.place_waiting()
    assert await world.states(ident) == [State.PENDING], "two containers must not share its files"
    await world.end(attempt, exit_code=143)
    await world.place_waiting()
    assert await world.states(ident) == [State.ASSIGNED]


async def test_a_lost_notebook_is_deleted_only_once_its_container_is_gone(world: Scenario, watch: nodes.Watch) -> None:
    ident = await world.create()
    (attempt,) = await world.run(ident)
    await passes(world, watch, 320)
    with pytest.raises(Conflict, match="has not been heard"):
        await world.remove(ident)
    await world.end(attempt, exit_code=143)
    await world.remove(ident)


async def test_removing_a_lost_node_frees_what_it_held(world: Scenario, watch: nodes.Watch) -> None:
    ident = await world.create()
    await world.run(ident)
    name = await place_of(world, ident)
    with pytest.raises(Conflict, match="Work holds something"):
        await turn(world, service.remove_node, name)
    await passes(world, watch, 300)
    await turn(world, service.remove_node, name)
    assert await world.states(ident) == [State.FAILED]
    assert await world.claims() == {}
    async with world.db.read() as tx:
        assert (await tx.scalars(select(Allocation))).all() == []
    await world.report()  # its agent is back, with the container
    gone = await node(world, name)
    assert gone.removed_at
    assert gone.gone, "what is said of it is ignored"
    assert (await world.desired()).replicas == []
    await turn(world, service.restore_node, name)
    await world.report()
    async with world.db.read() as tx:
        shown = await service.get_node(tx, world.now, world.miner, gone.id)
    assert shown.status is NodeStatus.READY


async def test_removing_a_lost_site_frees_what_it_held(world: Scenario, watch: nodes.Watch) -> None:
    ident = await world.create()
    await world.run(ident)
    await passes(world, watch, 300)
    async with world.db.write() as tx:
        await service.delete_site(tx, world.now, world.miner, world.site_id)
    assert await world.states(ident) == [State.FAILED]
    assert await world.claims() == {}


async def test_a_drain_is_told_and_then_stops(world: Scenario, watch: nodes.Watch) -> None:
    ident = await world.create()
    (attempt,) = await world.run(ident)
    name = await place_of(world, ident)
    at = world.now + timedelta(minutes=10)
    shown = await turn(world, service.drain_node, name, Drain(reason="new cooling"))
    assert (shown.cordoned, shown.drain_at, shown.drain_reason, shown.replicas) == (True, at, "new cooling", 1)
    notice = f"{name} is drained at {at:%Y-%m-%d %H:%M} UTC: new cooling; save your work"
    assert (await world.workload(ident)).reason == notice
    await passes(world, watch, 580, heard=True)
    assert await world.states(ident) == [State.RUNNING]
    async with world.db.read() as tx:
        told = (await tx.scalars(select(AuditEvent).where(AuditEvent.action == "replica.notice"))).all()
    assert [one.detail["notice"] for one in told] == [notice], "once, not each time"
    await passes(world, watch, 20, heard=True)
    assert await world.states(ident) == [State.STOPPING]
    await world.end(attempt)
    assert (await world.workload(ident)).reason == f"{name} was drained by its miner: new cooling"
    async with world.db.read() as tx:
        events = list(await tx.scalars(select(BillingEvent).order_by(BillingEvent.id)))
    assert [one.kind for one in events] == ["stop_announced", "workload_stopped", "order_settled"]
    assert (events[0].user_id, events[0].object_id) == (world.renter.id, ident)
    assert (events[0].detail["reason"], events[0].detail["stops_at"]) == (
        f"{name} is drained: new cooling",
        at.isoformat(),
    )
    assert events[1].detail["reason"] == f"{name} was drained by its miner: new cooling"
    await world.start(ident)
    await world.place_waiting()
    assert await world.states(ident) in ([State.PENDING], [State.ASSIGNED])
    assert await place_of(world, ident) != name or (await world.replicas(ident))[0].state == State.PENDING


async def test_a_drain_that_is_called_off_is_untold(world: Scenario) -> None:
    ident = await world.create()
    await world.run(ident)
    name = await place_of(world, ident)
    await turn(world, service.drain_node, name, Drain(reason="new cooling"))
    shown = await turn(world, service.uncordon_node, name)
    assert (shown.cordoned, shown.drain_at, shown.drain_reason) == (False, None, "")
    assert (await world.workload(ident)).reason == ""
    assert (await world.replicas(ident))[0].notice is None


async def test_a_drain_without_grace_stops_at_once(world: Scenario) -> None:
    ident = await world.create()
    await world.run(ident)
    await turn(world, service.drain_node, await place_of(world, ident), Drain(reason="fire", grace_minutes=0))
    assert await world.states(ident) == [State.STOPPING]


async def test_what_waits_for_a_cordoned_node_says_so(world: Scenario) -> None:
    ident = await world.create()
    (attempt,) = await world.run(ident)
    await world.stop(ident)
    await world.end(attempt)
    for name in ("node-a", "node-b"):
        await turn(world, service.cordon_node, name, Cordon(reason="a test"))
    await world.start(ident)
    assert await world.states(ident) == [State.PENDING]
    assert "2 are cordoned" in (await world.workload(ident)).reason
    for name in ("node-a", "node-b"):
        await turn(world, service.uncordon_node, name)
    await world.place_waiting()
    assert await world.states(ident) == [State.ASSIGNED]


async def other_pool(world: Scenario) -> str:
    async with world.db.write() as tx:
        tx.add(PoolFactory.build(id="pool_2", miner_id=world.miner.id, name="second"))
    return "pool_2"


async def test_a_move_waits_until_nothing_is_held(world: Scenario) -> None:
    pool = await other_pool(world)
    ident = await world.create()
    (attempt,) = await world.run(ident)
    name = await place_of(world, ident)
    with pytest.raises(Conflict, match="Work runs on nodes") as refused:
        await turn(world, service.move_node, name, NodeMove(pool_id=pool))
    assert refused.value.code == "node_busy"
    shown = await turn(world, service.move_node, name, NodeMove(pool_id=pool, when_busy=WhenBusy.WAIT))
    assert shown.moving_to
    assert (shown.moving_to.id, shown.cordoned, shown.pool_id) == (pool, True, world.pool_id)
    assert await world.states(ident) == [State.RUNNING]
    await world.stop(ident)
    await world.end(attempt)
    await nodes.look(world.db, world.now, nodes.Watch(world.now))
    moved = await node(world, name)
    assert (moved.pool_id, moved.moving_to_pool_id, moved.cordoned) == (pool, None, False)


async def test_a_move_may_drain_and_ends_the_drain(world: Scenario, watch: nodes.Watch) -> None:
    pool = await other_pool(world)
    ident = await world.create()
    (attempt,) = await world.run(ident)
    name = await place_of(world, ident)
    how = NodeMove(pool_id=pool, when_busy=WhenBusy.DRAIN, reason="for the lab", grace_minutes=1)
    await turn(world, service.move_node, name, how)
    assert "for the lab" in (await world.workload(ident)).reason
    await passes(world, watch, 60, heard=True)
    assert await world.states(ident) == [State.STOPPING]
    await world.end(attempt)
    await nodes.look(world.db, world.now, watch)
    moved = await node(world, name)
    assert (moved.pool_id, moved.drain_at, moved.drain_reason) == (pool, None, "")


async def test_a_move_is_called_off(world: Scenario) -> None:
    pool = await other_pool(world)
    ident = await world.create()
    await world.run(ident)
    name = await place_of(world, ident)
    await turn(world, service.move_node, name, NodeMove(pool_id=pool, when_busy=WhenBusy.WAIT))
    shown = await turn(world, service.uncordon_node, name)
    assert (shown.moving_to, shown.cordoned, shown.pool_id) == (None, False, world.pool_id)


async def test_an_idle_node_moves_at_once(world: Scenario) -> None:
    pool = await other_pool(world)
    shown = await turn(world, service.move_node, "node-b", NodeMove(pool_id=pool))
    assert (shown.pool_id, shown.moving_to, shown.cordoned) == (pool, None, False)
