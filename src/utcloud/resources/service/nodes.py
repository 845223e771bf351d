"""Nodes as pages show them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Select, Text, and_, case, cast, func, literal, or_, select

from utcloud.accounts.auth import Actor
from utcloud.common.errors import NotFound
from utcloud.db import Tx, paginate
from utcloud.protocol import LOST_AFTER_S, SILENT_AFTER_S
from utcloud.resources import capacity
from utcloud.resources.models import Chip, ChipClaim, Node, Pool, Site, Telemetry
from utcloud.resources.schemas import ChipOut, NodeDetail, NodeOut, NodeSort, NodeStatus, PoolRef
from utcloud.resources.service.common import usages, visible_nodes


@dataclass(frozen=True, slots=True)
class NodeFilter:
    """Which nodes are wanted. Removed ones are shown only where ``status`` asks for them."""

    search: str | None = None
    status: NodeStatus | None = None
    pool_id: str | None = None
    site_id: str | None = None
    cordoned: bool | None = None
    flagged: bool | None = None
    advised: bool | None = None
    unhealthy: bool | None = None
    sort: NodeSort = NodeSort.NAME


def status_of(now: datetime) -> ColumnElement[str]:
    """A node's status, on ``Node`` joined with its ``Site``."""
    return case(
        (Node.removed_at.is_not(None), literal(NodeStatus.REMOVED.value)),
        (Node.gone.is_(True), literal(NodeStatus.GONE.value)),
        (Site.last_seen_at <= now - timedelta(seconds=LOST_AFTER_S), literal(NodeStatus.LOST.value)),
        (
            and_(Node.ready.is_(True), Site.last_seen_at >= now - timedelta(seconds=SILENT_AFTER_S)),
            literal(NodeStatus.READY.value),
        ),
        else_=literal(NodeStatus.NOT_READY.value),
    )


def is_cordoned() -> ColumnElement[bool]:
    """That a node takes no new work because its miner wants none there: cordoned, draining or moving."""
    return or_(Node.cordoned.is_(True), Node.drain_at.is_not(None), Node.moving_to_pool_id.is_not(None))


def is_flagged() -> ColumnElement[bool]:
    """That something of its last report made no sense; nobody minds what a node that is gone said."""
    own, work = cast(Node.flags, Text) != "[]", cast(Node.work_flags, Text) != "[]"
    return and_(or_(own, work), Node.gone.is_(False))


def is_advised() -> ColumnElement[bool]:
    """That its miner had better change something there."""
    return and_(cast(Node.advice, Text) != "[]", Node.gone.is_(False))


def is_unhealthy() -> ColumnElement[bool]:
    """That one of its chips is not healthy."""
    sick = select(Chip.node_id).where(Chip.present.is_(True), Chip.healthy.is_(False))
    return and_(Node.id.in_(sick), Node.gone.is_(False))


async def list_nodes(
    tx: Tx, now: datetime, actor: Actor, wanted: NodeFilter, *, limit: int, cursor: str | None = None
) -> tuple[list[NodeOut], str | None]:
    """One page of nodes. Nodes of sites that were removed are not shown."""
    query = _listed(actor)
    if wanted.search:
        columns = (Node.name, Node.hostname, Node.ip, Node.os)
        query = query.where(or_(*(column.icontains(wanted.search, autoescape=True) for column in columns)))
    if wanted.status:
        query = query.where(status_of(now) == wanted.status.value)
    else:
        query = query.where(Node.removed_at.is_(None))
    if wanted.pool_id:
        query = query.where(Node.pool_id == wanted.pool_id)
    if wanted.site_id:
        query = query.where(Node.site_id == wanted.site_id)
    if wanted.cordoned is not None:
        query = query.where(is_cordoned() if wanted.cordoned else ~is_cordoned())
    if wanted.flagged is not None:
        query = query.where(is_flagged() if wanted.flagged else ~is_flagged())
    if wanted.advised is not None:
        query = query.where(is_advised() if wanted.advised else ~is_advised())
    if wanted.unhealthy is not None:
        query = query.where(is_unhealthy() if wanted.unhealthy else ~is_unhealthy())
    by = {"name": Node.name, "ip": Node.ip}
    nodes, after = await paginate(tx, query, Node.id, limit=limit, cursor=cursor, sort=wanted.sort, columns=by)
    return await _nodes_out(tx, now, nodes), after


def _listed(actor: Actor) -> Select[Node]:
    return select(Node).join(Site, Site.id == Node.site_id).where(visible_nodes(actor), Site.removed_at.is_(None))


async def get_node(tx: Tx, now: datetime, actor: Actor, node_id: str) -> NodeDetail:
    """A node with its chips."""
    node = await tx.scalar(_listed(actor).where(Node.id == node_id))
    if node is None:
        raise NotFound.of("node", node_id)
    (out,) = await _nodes_out(tx, now, [node])
    telemetry = await tx.get(Telemetry, node.site_id, populate_existing=True)
    chips = await tx.execute(
        select(Chip, ChipClaim.attempt_id)
        .outerjoin(ChipClaim, ChipClaim.chip_id == Chip.id)
        .where(Chip.node_id == node.id, Chip.present.is_(True))
        .order_by(Chip.resource, Chip.index, Chip.uid)
    )
    return NodeDetail(**out.model_dump(), chips=[_chip_out(chip, claim, telemetry) for chip, claim in chips])


def _chip_out(chip: Chip, attempt_id: str | None, telemetry: Telemetry | None) -> ChipOut:
    measured: dict[str, Any] | None = telemetry.chips.get(chip.uid) if telemetry else None
    values = {name: (measured or {}).get(name) for name in _MEASURED}
    return ChipOut(
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
        attempt_id=attempt_id,
        measured_at=telemetry.measured_at if telemetry and measured else None,
        **values,
    )


_MEASURED = ("temperature_c", "power_w", "power_limit_w", "utilization_percent", "memory_used_bytes")


async def count_nodes(tx: Tx, now: datetime, actor: Actor) -> dict[NodeStatus, int]:
    """How many of the actor's nodes there are in each status."""
    status = status_of(now)
    counts = await tx.execute(_listed(actor).with_only_columns(status, func.count()).group_by(status))
    return dict.fromkeys(NodeStatus, 0) | {NodeStatus(name): count for name, count in counts}


async def _nodes_out(tx: Tx, now: datetime, nodes: Sequence[Node]) -> list[NodeOut]:
    sites = {
        site.id: site for site in await tx.scalars(select(Site).where(Site.id.in_({node.site_id for node in nodes})))
    }
    pool_ids = {node.pool_id for node in nodes} | {node.moving_to_pool_id for node in nodes if node.moving_to_pool_id}
    pools = {
        row.id: PoolRef(id=row.id, name=row.name)
        for row in await tx.execute(select(Pool.id, Pool.name).where(Pool.id.in_(pool_ids)))
    }
    states = {state.id: state for state in await capacity.load(tx, now, Node.id.in_([node.id for node in nodes]))}
    return [_node_out(node, sites[node.site_id], pools, states.get(node.id), now) for node in nodes]


def _node_out(
    node: Node, site: Site, pools: dict[str, PoolRef], state: capacity.NodeState | None, now: datetime
) -> NodeOut:
    status, reason, since = _status(node, site, now)
    return NodeOut(
        id=node.id,
        name=node.name,
        hostname=node.hostname or node.name,
        site_id=node.site_id,
        site_name=site.name,
        pool_id=node.pool_id,
        pool_name=pools[node.pool_id].name,
        ip=node.ip,
        os=node.os,
        kernel=node.kernel,
        architecture=node.architecture,
        engine=node.engine,
        agent_version=site.agent_version,
        labels=node.labels,
        own_labels=node.own_labels,
        status=status,
        reason=reason,
        since=since,
        flags=[*node.flags, *node.work_flags],
        advice=node.advice,
        cordoned=bool(node.cordoned or node.drain_at or node.moving_to_pool_id),
        cordon_reason=node.cordon_reason,
        drain_at=node.drain_at,
        drain_reason=node.drain_reason,
        moving_to=pools[node.moving_to_pool_id] if node.moving_to_pool_id else None,
        replicas=state.attempts if state else 0,
        resources=usages([state]) if state else [],
        simulated=bool(state and state.simulated),
        created_at=node.created_at,
    )


def _status(node: Node, site: Site, now: datetime) -> tuple[NodeStatus, str, datetime | None]:
    if node.removed_at:
        return NodeStatus.REMOVED, node.reason, node.removed_at
    if node.gone:
        return NodeStatus.GONE, node.reason, node.ready_since
    seen = site.last_seen_at
    if seen is None or not capacity.is_heard(seen, now):
        reason = f"its agent has not been heard since {seen:%Y-%m-%d %H:%M:%S} UTC" if seen else "never heard"
        if seen and capacity.is_lost(seen, now):
            return NodeStatus.LOST, reason, seen + timedelta(seconds=LOST_AFTER_S)
        return NodeStatus.NOT_READY, reason, seen and seen + timedelta(seconds=SILENT_AFTER_S)
    return NodeStatus.READY if node.ready else NodeStatus.NOT_READY, node.reason, node.ready_since
