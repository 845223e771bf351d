"""Nodes as pages show them."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Select, and_, func, not_, or_, select

from utcloud.accounts.auth import Actor
from utcloud.common.clock import from_ms
from utcloud.common.errors import NotFound
from utcloud.db import Tx, paginate
from utcloud.protocol import SILENT_AFTER_S
from utcloud.resources import capacity
from utcloud.resources.models import Chip, ChipClaim, Node, Pool, Site
from utcloud.resources.schemas import ChipOut, NodeDetail, NodeOut, NodeSort, NodeStatus, Usage
from utcloud.resources.service.common import usages, visible_nodes


def status_is(status: NodeStatus, now: datetime) -> ColumnElement[bool]:
    """The condition, on ``Node``, that a node is shown as ``status``."""
    if status is NodeStatus.GONE:
        return Node.gone.is_(True)
    heard = select(Site.id).where(Site.last_seen_at >= now - timedelta(seconds=SILENT_AFTER_S))
    ready = and_(Node.ready.is_(True), Node.site_id.in_(heard))
    return and_(Node.gone.is_(False), ready if status is NodeStatus.READY else not_(ready))


async def list_nodes(
    tx: Tx,
    now: datetime,
    actor: Actor,
    *,
    limit: int,
    cursor: str | None = None,
    search: str | None = None,
    status: NodeStatus | None = None,
    pool_id: str | None = None,
    site_id: str | None = None,
    sort: NodeSort = NodeSort.NAME,
) -> tuple[list[NodeOut], str | None]:
    """One page of nodes. Nodes of sites that were removed are not shown."""
    query = _listed(actor)
    if search:
        columns = (Node.name, Node.ip, Node.os)
        query = query.where(or_(*(column.icontains(search, autoescape=True) for column in columns)))
    if status:
        query = query.where(status_is(status, now))
    if pool_id:
        query = query.where(Node.pool_id == pool_id)
    if site_id:
        query = query.where(Node.site_id == site_id)
    nodes, after = await paginate(
        tx,
        query,
        Node.id,
        limit=limit,
        cursor=cursor,
        order_by=None if sort is NodeSort.NEWEST else Node.name,
        descending=sort is not NodeSort.NAME,
    )
    return await _nodes_out(tx, now, nodes), after


def _listed(actor: Actor) -> Select[Node]:
    return select(Node).where(visible_nodes(actor), Node.site_id.in_(select(Site.id).where(Site.removed_at.is_(None))))


async def get_node(tx: Tx, now: datetime, actor: Actor, node_id: str) -> NodeDetail:
    """A node with its chips."""
    node = await tx.scalar(_listed(actor).where(Node.id == node_id))
    if node is None:
        raise NotFound.of("node", node_id)
    (out,) = await _nodes_out(tx, now, [node])
    chips = await tx.execute(
        select(Chip, ChipClaim.attempt_id)
        .outerjoin(ChipClaim, ChipClaim.chip_id == Chip.id)
        .where(Chip.node_id == node.id, Chip.present.is_(True))
        .order_by(Chip.resource, Chip.index, Chip.uid)
    )
    return NodeDetail(
        **out.model_dump(),
        chips=[
            ChipOut(
                id=chip.id,
                uid=chip.uid,
                resource=chip.resource,
                index=chip.index,
                model=chip.model,
                card=chip.card,
                serial=chip.serial,
                bus_id=chip.bus_id,
                memory_bytes=chip.memory_bytes,
                device_paths=chip.device_paths,
                healthy=chip.healthy,
                simulated=chip.simulated,
                in_use=attempt_id is not None,
            )
            for chip, attempt_id in chips
        ],
    )


async def count_nodes(tx: Tx, now: datetime, actor: Actor) -> dict[NodeStatus, int]:
    """How many of the actor's nodes there are in each status."""
    listed = _listed(actor).with_only_columns(func.count())
    return {status: (await tx.scalar(listed.where(status_is(status, now)))) or 0 for status in NodeStatus}


async def usage_in_sum(tx: Tx, actor: Actor) -> list[Usage]:
    """The use of every system resource over all of the actor's nodes."""
    return usages(await capacity.load(tx, from_ms(0), visible_nodes(actor)))


async def _nodes_out(tx: Tx, now: datetime, nodes: Sequence[Node]) -> list[NodeOut]:
    sites = {
        site.id: site for site in await tx.scalars(select(Site).where(Site.id.in_({node.site_id for node in nodes})))
    }
    pools = {
        row.id: row.name
        for row in await tx.execute(select(Pool.id, Pool.name).where(Pool.id.in_({node.pool_id for node in nodes})))
    }
    states = {state.id: state for state in await capacity.load(tx, now, Node.id.in_([node.id for node in nodes]))}
    return [_node_out(node, sites[node.site_id], pools[node.pool_id], states.get(node.id), now) for node in nodes]


def _node_out(node: Node, site: Site, pool: str, state: capacity.NodeState | None, now: datetime) -> NodeOut:
    status, reason, since = _status(node, site, now)
    return NodeOut(
        id=node.id,
        name=node.name,
        site_id=node.site_id,
        site_name=site.name,
        pool_id=node.pool_id,
        pool_name=pool,
        ip=node.ip,
        os=node.os,
        kernel=node.kernel,
        architecture=node.architecture,
        engine=node.engine,
        labels=node.labels,
        status=status,
        reason=reason,
        since=since,
        resources=usages([state]) if state else [],
        simulated=bool(state and state.simulated),
        created_at=node.created_at,
    )


def _status(node: Node, site: Site, now: datetime) -> tuple[NodeStatus, str, datetime | None]:
    if node.gone:
        return NodeStatus.GONE, node.reason, node.ready_since
    if not capacity.is_heard(site.last_seen_at, now):
        silent_since = site.last_seen_at and site.last_seen_at + timedelta(seconds=SILENT_AFTER_S)
        return NodeStatus.NOT_READY, "its agent has not been heard of late", silent_since
    return NodeStatus.READY if node.ready else NodeStatus.NOT_READY, node.reason, node.ready_since
