"""What a miner does with his nodes: label, cordon, drain, move, remove and take back."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta

from sqlalchemy import select

from utcloud.accounts import audit
from utcloud.accounts.auth import Actor
from utcloud.common.errors import Conflict, NotFound
from utcloud.db import Tx, emit
from utcloud.resources import capacity
from utcloud.resources.capacity import CAPACITY_SIGNAL
from utcloud.resources.models import Node, Pool, Site
from utcloud.resources.revisions import not_heard
from utcloud.resources.schemas import Cordon, Drain, NodeDetail, NodeMove, NodeUpdate
from utcloud.resources.service.common import changed, visible_nodes
from utcloud.resources.service.moves import NODES_SIGNAL, busy, move_nodes
from utcloud.resources.service.nodes import get_node

WorkLost = Callable[[Tx, datetime, Sequence[str], str], Awaitable[None]]
"""Takes ids of nodes that nobody hears any more, and why: fails the work on them and frees what it holds."""

on_nodes_removed: list[WorkLost] = []
"""Called first in the transaction that removes nodes which are lost or gone. Rooms above add theirs."""


async def _own(tx: Tx, actor: Actor, node_id: str) -> Node:
    node = await tx.scalar(
        select(Node)
        .join(Site, Site.id == Node.site_id)
        .where(visible_nodes(actor), Node.id == node_id, Site.removed_at.is_(None))
        .execution_options(populate_existing=True)
    )
    if node is None:
        raise NotFound.of("node", node_id)
    return node


async def _standing(tx: Tx, actor: Actor, node_id: str) -> Node:
    """One that was not removed."""
    node = await _own(tx, actor, node_id)
    if node.removed_at:
        raise Conflict(f"Node {node.name!r} was removed.", cure="Take it back first: restore it.", code="removed")
    return node


async def update_node(tx: Tx, now: datetime, actor: Actor, node_id: str, body: NodeUpdate) -> NodeDetail:
    """Change the miner's own labels."""
    node = await _own(tx, actor, node_id)
    if body.own_labels is not None and body.own_labels != node.own_labels:
        detail = {"before": node.own_labels, "own_labels": body.own_labels}
        node.own_labels = body.own_labels
        audit.record(tx, actor, "node.update", "node", node.id, node.name, detail)
        changed(tx)
    return await _shown(tx, now, actor, node)


async def cordon_node(tx: Tx, now: datetime, actor: Actor, node_id: str, body: Cordon) -> NodeDetail:
    """No new work comes to the node; what runs there goes on."""
    node = await _standing(tx, actor, node_id)
    node.cordoned, node.cordon_reason = True, body.reason.strip()
    audit.record(tx, actor, "node.cordon", "node", node.id, node.name, {"reason": node.cordon_reason})
    return await _turned(tx, now, actor, node)


async def uncordon_node(tx: Tx, now: datetime, actor: Actor, node_id: str) -> NodeDetail:
    """The node takes new work again; a drain or a move that waits is called off."""
    node = await _standing(tx, actor, node_id)
    detail = {"drain": node.drain_at is not None, "move": node.moving_to_pool_id is not None}
    _release(node)
    audit.record(
        tx, actor, "node.uncordon", "node", node.id, node.name, {"called_off": [k for k in detail if detail[k]]}
    )
    return await _turned(tx, now, actor, node)


def _release(node: Node) -> None:
    node.cordoned, node.cordon_reason = False, ""
    node.drain_at, node.drain_reason = None, ""
    node.moving_to_pool_id = None


async def drain_node(tx: Tx, now: datetime, actor: Actor, node_id: str, body: Drain) -> NodeDetail:
    """Tell the renters now, and stop what still runs on the node when the grace is over. It stays cordoned."""
    node = await _standing(tx, actor, node_id)
    node.cordoned, node.cordon_reason = True, node.cordon_reason or body.reason
    node.drain_at, node.drain_reason = now + timedelta(minutes=body.grace_minutes), body.reason
    detail = {"reason": body.reason, "drain_at": node.drain_at.isoformat(timespec="seconds")}
    audit.record(tx, actor, "node.drain", "node", node.id, node.name, detail)
    return await _turned(tx, now, actor, node)


async def move_node(tx: Tx, now: datetime, actor: Actor, node_id: str, body: NodeMove) -> NodeDetail:
    """Bring the node into another pool of its miner; ``when_busy`` says what becomes of work on it."""
    node = await _standing(tx, actor, node_id)
    owner = select(Site.miner_id).where(Site.id == node.site_id).scalar_subquery()
    target = await tx.scalar(select(Pool).where(Pool.id == body.pool_id, Pool.miner_id == owner))
    if target is None:
        raise NotFound.of("pool", body.pool_id, field="pool_id")
    if target.id == node.pool_id and node.moving_to_pool_id is None:
        raise Conflict(
            f"Node {node.name!r} is in pool {target.name!r} already.",
            field="pool_id",
            cure="Choose another pool.",
            code="already_there",
        )
    waits = await move_nodes(tx, now, target, [node.id], body, field="when_busy") if target.id != node.pool_id else []
    await tx.refresh(node)
    if target.id == node.pool_id:
        node.moving_to_pool_id = None  # it was about to leave, and stays
    detail = {"pool": target.name, "when_busy": body.when_busy, "waits": bool(waits), "reason": body.reason}
    audit.record(tx, actor, "node.move", "node", node.id, node.name, detail)
    return await _turned(tx, now, actor, node)


async def remove_node(tx: Tx, now: datetime, actor: Actor, node_id: str) -> None:
    """Take a node away: its reports are ignored until it is restored, and its chips may stand elsewhere.

    Refused while work holds something there; but work on a node that is lost or gone is failed, and freed.
    """
    node = await _own(tx, actor, node_id)
    if node.removed_at:
        return
    site = await tx.get_one(Site, node.site_id)
    if node.gone or capacity.is_lost(site.last_seen_at, now):
        for hook in on_nodes_removed:
            await hook(tx, now, [node.id], f"node lost: {node.name} was removed by its miner")
    await capacity.lock_pools(tx, [node.pool_id])
    if held := await busy(tx, [node.id]):
        raise Conflict(f"Work holds something on the node: {held[node.id]}.", cure="Drain it first.", code="in_use")
    node.removed_at, node.ready_since = now, now
    node.gone, node.ready, node.reason = True, False, f"removed by {actor.username}"
    _release(node)
    audit.record(tx, actor, "node.remove", "node", node.id, node.name)
    await tx.flush()
    emit(tx, CAPACITY_SIGNAL)
    changed(tx)


async def restore_node(tx: Tx, now: datetime, actor: Actor, node_id: str) -> NodeDetail:
    """Take a removed node back: it is there again as soon as its agent reports it."""
    node = await _own(tx, actor, node_id)
    if node.removed_at is None:
        raise Conflict(f"Node {node.name!r} was not removed.", code="not_removed")
    node.removed_at, node.ready_since, node.reason = None, now, "its agent has not named it since it was restored"
    site = await tx.get_one(Site, node.site_id)
    site.report_digest = not_heard()
    audit.record(tx, actor, "node.restore", "node", node.id, node.name)
    return await _turned(tx, now, actor, node)


async def _turned(tx: Tx, now: datetime, actor: Actor, node: Node) -> NodeDetail:
    """The node takes work in another way than before."""
    emit(tx, NODES_SIGNAL)
    emit(tx, CAPACITY_SIGNAL)
    changed(tx)
    return await _shown(tx, now, actor, node)


async def _shown(tx: Tx, now: datetime, actor: Actor, node: Node) -> NodeDetail:
    await tx.flush()
    return await get_node(tx, now, actor, node.id)
