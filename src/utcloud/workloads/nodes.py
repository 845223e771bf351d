"""What becomes of work on nodes that are lost, drained, moved or removed.

Level-triggered: each look compares what is with what should be, so that nothing depends on who was told when.
"""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, and_, or_, select

from utcloud.accounts import audit
from utcloud.accounts.auth import SYSTEM
from utcloud.billing import meters, orders
from utcloud.db import Database, Tx, take_turns
from utcloud.edge import service as edge
from utcloud.protocol import LOST_AFTER_S, SILENT_AFTER_S, Phase
from utcloud.resources import capacity
from utcloud.resources import service as resources
from utcloud.resources.models import Node, Site
from utcloud.workloads import suspension
from utcloud.workloads.models import Attempt, Replica, Workload
from utcloud.workloads.notebooks import stop_replica
from utcloud.workloads.observed import NODE_LOST
from utcloud.workloads.schemas import State
from utcloud.workloads.states import ACTIVE, TURNS, move, move_many

_PLACED = ACTIVE - {State.PENDING}
_BATCH = 200


class Watch:
    """Knows since when sites could be heard at all: a server that was away must not take their work for lost."""

    def __init__(self, now: datetime) -> None:
        self._since = self._last = now

    def tick(self, now: datetime) -> bool:
        """Whether a site that is silent at ``now`` has only itself to blame. Call it every few seconds."""
        if not timedelta(0) <= now - self._last <= timedelta(seconds=SILENT_AFTER_S):
            self._since = now
        self._last = now
        return now - self._since >= timedelta(seconds=LOST_AFTER_S)


async def look(db: Database, now: datetime, watch: Watch) -> None:
    """Do all that is due."""
    async with db.read() as tx:
        concerned = await to_drain(tx)
        moving = await resources.waiting_to_move(tx)
    await suspension.look(db, now)
    if watch.tick(now):  # here: while the database was away, sites could not be heard either
        await _lose_silent(db, now)
    for start in range(0, len(concerned), _BATCH):
        async with db.write(TURNS) as tx:
            await drain(tx, now, concerned[start : start + _BATCH])
    for node_id in moving:
        async with db.write(TURNS) as tx:
            await resources.arrive(tx, node_id)


async def _lose_silent(db: Database, now: datetime) -> None:
    async with db.read() as tx:
        silent = await _silent_sites(tx, now)
    for site_id in silent:
        more = True
        while more:
            async with db.write(TURNS) as tx:
                more = await fail_lost(tx, now, site_id)


async def _silent_sites(tx: Tx, now: datetime) -> Sequence[str]:
    """The sites that are lost and on which work counts as placed."""
    lost = list(await tx.scalars(select(Site.id).where(Site.last_seen_at <= now - timedelta(seconds=LOST_AFTER_S))))
    placed = select(Replica.site_id).where(Replica.site_id.in_(lost), Replica.state.in_(_PLACED)).distinct()
    return [site_id for site_id in await tx.scalars(placed) if site_id] if lost else []


async def fail_lost(tx: Tx, now: datetime, site_id: str) -> bool:
    """Fail the work of a lost site, a batch at a time; True when there may be more.

    Nothing accrues past its last sign of life. What it holds stays held, and nobody is placed there, until the site
    says that it has ended, or its miner removes the node.
    """
    site = await tx.get_one(Site, site_id, populate_existing=True)
    if site.last_seen_at is None or not capacity.is_lost(site.last_seen_at, now):
        return False
    rows = await _held(tx, Attempt.site_id == site_id, Replica.attempt_id == Attempt.id, Replica.state.in_(_PLACED))
    for attempt, replica, node in rows:
        why = f"node lost: {node} has not been heard since {site.last_seen_at:%Y-%m-%d %H:%M} UTC"
        await _lose(tx, now, attempt, replica, why)
    if rows:
        await resources.bump(tx, site_id)
    return len(rows) == _BATCH


async def free(tx: Tx, now: datetime, node_ids: Sequence[str], why: str) -> None:
    """Fail all work on nodes that were taken away, and free what it holds: nobody will ever witness its end."""
    await take_turns(tx, TURNS)
    while rows := await _held(tx, Attempt.node_id.in_(node_ids)):
        for attempt, replica, _ in rows:
            if replica.attempt_id == attempt.id and State(replica.state) in _PLACED:
                await _lose(tx, now, attempt, replica, why)
            attempt.done = True
            await capacity.release(tx, attempt.id)
        await tx.flush()


async def _held(tx: Tx, *where: ColumnElement[bool]) -> list[tuple[Attempt, Replica, str]]:
    query = (
        select(Attempt, Replica, Node.name)
        .join(Replica, Replica.id == Attempt.replica_id)
        .join(Node, Node.id == Attempt.node_id)
        .where(Attempt.done.is_(False), *where)
        .order_by(Attempt.id)
        .limit(_BATCH)
    )
    return [(row[0], row[1], row[2]) for row in await tx.execute(query.execution_options(populate_existing=True))]


async def _lose(tx: Tx, now: datetime, attempt: Attempt, replica: Replica, why: str) -> None:
    """Nobody can say any more whether it runs."""
    stopping = replica.state == State.STOPPING
    attempt.desired, attempt.cause = Phase.STOPPED, NODE_LOST
    if not stopping:
        attempt.stop_reason = why
    await meters.close(tx, attempt.id, None, now=now, cause="" if stopping else NODE_LOST)
    if attempt.started_at:
        site = await tx.get_one(Site, attempt.site_id)
        attempt.ended_at = max(attempt.started_at, min(site.last_seen_at or now, now))
    await edge.drop_route(tx, replica.id)
    workload = await tx.get_one(Workload, replica.workload_id)
    audit.record(tx, SYSTEM, "replica.lost", "replica", replica.id, workload.name, {"reason": why})
    if stopping:
        await move(tx, now, replica, State.STOPPED, f"{attempt.stop_reason}; {why}")
    else:
        await move(tx, now, replica, State.FAILED, why)


async def to_drain(tx: Tx) -> Sequence[str]:
    """Replicas on nodes that are or will be drained, and those whose owners were told so."""
    draining = select(Node.id).where(Node.drain_at.is_not(None))
    query = select(Replica.id).where(
        or_(and_(Replica.node_id.in_(draining), Replica.state.in_(_PLACED)), Replica.notice.is_not(None))
    )
    return list(await tx.scalars(query.order_by(Replica.id)))


async def drain(tx: Tx, now: datetime, replica_ids: Sequence[str]) -> None:
    """Tell the renters on nodes that will be drained, stop what runs where the time has come, and take back notices."""
    query = (
        select(Replica, Node, Workload.name)
        .join(Node, Node.id == Replica.node_id)
        .join(Workload, Workload.id == Replica.workload_id)
        .where(Replica.id.in_(replica_ids))
        .order_by(Replica.id)
        .execution_options(populate_existing=True)
    )
    notices: list[tuple[Replica, State, str]] = []
    stopped: dict[str, set[str]] = defaultdict(set)
    announced: dict[str, set[str]] = defaultdict(set)
    nodes: dict[str, Node] = {}
    for replica, node, name in (await tx.execute(query)).all():
        nodes[node.id] = node
        if node.drain_at and node.drain_at <= now and State(replica.state) in _PLACED:
            if replica.state != State.STOPPING:
                stopped[node.id].add(replica.order_id)
            await stop_replica(tx, now, replica, _drained(node))
        running = replica.state == State.RUNNING
        notice = _notice(node) if running and node.drain_at else None
        if notice == replica.notice:
            continue
        replica.notice = notice
        if running:
            notices.append((replica, State.RUNNING, notice or ""))
        if notice:
            announced[node.id].add(replica.order_id)
            audit.record(tx, SYSTEM, "replica.notice", "replica", replica.id, name, {"notice": notice})
    await tx.flush()
    await move_many(tx, now, notices)
    for node_id, order_ids in announced.items():
        node = nodes[node_id]
        await orders.told_to_stop(tx, now, order_ids, f"{node.name} is drained: {node.drain_reason}", at=node.drain_at)
    for node_id, order_ids in stopped.items():
        await orders.told_to_stop(tx, now, order_ids, _drained(nodes[node_id]))


def _drained(node: Node) -> str:
    return f"{node.name} was drained by its miner: {node.drain_reason}"


def _notice(node: Node) -> str:
    return f"{node.name} is drained at {node.drain_at:%Y-%m-%d %H:%M} UTC: {node.drain_reason}; save your work"
