"""Nodes change their pool: at once when nothing is held on them, else as their miner says."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import case, func, select, update

from utcloud.accounts import audit
from utcloud.accounts.auth import SYSTEM
from utcloud.common.errors import Conflict, Invalid
from utcloud.db import Tx, emit
from utcloud.resources import capacity
from utcloud.resources.capacity import CAPACITY_SIGNAL
from utcloud.resources.models import Allocation, Node, Pool
from utcloud.resources.schemas import Moving, WhenBusy
from utcloud.resources.service.common import changed, node_users, some

NODES_SIGNAL = "nodes"
"""Sent when a node begins or ceases to drain or to move: the room above tells renters and stops what must stop."""


async def busy(tx: Tx, node_ids: Sequence[str]) -> dict[str, str]:
    """Those of the nodes on which work holds something: id → ``node-1 (2 replicas of lab, alice)``."""
    rows = (
        await tx.execute(
            select(Node.id, Node.name, func.count(func.distinct(Allocation.attempt_id)))
            .join(Node, Node.id == Allocation.node_id)
            .where(Allocation.node_id.in_(node_ids))
            .group_by(Node.id, Node.name)
            .order_by(Node.name)
        )
    ).all()
    whose: dict[str, list[str]] = defaultdict(list)
    for find in node_users if rows else ():
        for node_id, names in (await find(tx, [row[0] for row in rows])).items():
            whose[node_id] += names
    return {
        node_id: f"{name} ({count} replica{'s' if count > 1 else ''}"
        + (f" of {some(whose[node_id])})" if whose[node_id] else ")")
        for node_id, name, count in rows
    }


async def move_nodes(
    tx: Tx, now: datetime, target: Pool, node_ids: Sequence[str], how: Moving, *, field: str | None = None
) -> list[str]:
    """Move nodes into ``target``; return the ids of those that are busy and go later.

    Raises Conflict ``node_busy`` naming the busy ones, on ``field``, unless ``how`` says what becomes of them.
    """
    if not node_ids:
        return []
    sources = await tx.scalars(select(Node.pool_id).where(Node.id.in_(node_ids)).distinct())
    await capacity.lock_pools(tx, {target.id, *sources})
    held = await busy(tx, node_ids)
    if held and how.when_busy is WhenBusy.REFUSE:
        raise Conflict(
            f"Work runs on nodes that would change their pool: {some(list(held.values()))}.",
            field=field,
            cure="Let them wait until it has ended, drain them, or leave them where they are.",
            code="node_busy",
        )
    if held and how.when_busy is WhenBusy.DRAIN and not how.reason.strip():
        raise Invalid("Say why: the renters will read it.", field="reason", cure="Write a reason.")
    await _arrive(tx, [node_id for node_id in node_ids if node_id not in held], target.id)
    later: dict[str, object] = {"moving_to_pool_id": target.id}
    if how.when_busy is WhenBusy.DRAIN:
        later |= {"drain_at": now + timedelta(minutes=how.grace_minutes), "drain_reason": how.reason.strip()}
    await _set(tx, list(held), later)
    emit(tx, NODES_SIGNAL)
    emit(tx, CAPACITY_SIGNAL)
    changed(tx)
    return list(held)


async def waiting_to_move(tx: Tx) -> list[str]:
    """The ids of nodes that shall change their pool and on which nothing is held any more."""
    held = select(Allocation.node_id)
    query = select(Node.id).where(Node.moving_to_pool_id.is_not(None), Node.id.not_in(held))
    return list(await tx.scalars(query.order_by(Node.id)))


async def arrive(tx: Tx, node_id: str) -> None:
    """Bring a node that waits into its new pool, unless it was called back or taken again meanwhile."""
    node = await tx.get_one(Node, node_id, populate_existing=True)
    pools = await capacity.lock_pools(tx, {node.pool_id, node.moving_to_pool_id or ""})
    await tx.refresh(node)
    target = pools.get(node.moving_to_pool_id or "")
    if target is None or await busy(tx, [node_id]):
        return
    await _arrive(tx, [node_id], target.id)
    audit.record(tx, SYSTEM, "node.arrive", "node", node.id, node.name, {"pool": target.name})
    emit(tx, CAPACITY_SIGNAL)
    changed(tx)


async def _arrive(tx: Tx, node_ids: Sequence[str], pool_id: str) -> None:
    """A drain that was only for the move has served its end."""
    ended = {
        "drain_at": case((Node.cordoned, Node.drain_at), else_=None),
        "drain_reason": case((Node.cordoned, Node.drain_reason), else_=""),
    }
    await _set(tx, node_ids, {"pool_id": pool_id, "moving_to_pool_id": None, **ended})


async def _set(tx: Tx, node_ids: Sequence[str], values: dict[str, object]) -> None:
    if node_ids:
        chosen = update(Node).where(Node.id.in_(node_ids)).values(**values)
        await tx.execute(chosen.execution_options(synchronize_session=False))
