"""What of a miner's hardware and offers needs his attention: a few statements, however much he has."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Row, func, or_, select

from utcloud.accounts.auth import Actor
from utcloud.db import Tx
from utcloud.resources import capacity
from utcloud.resources.capacity import NodeState, is_heard
from utcloud.resources.models import Chip, Node, Pool, PoolGroup, PoolSpec, Site, Spec
from utcloud.resources.schemas import Attention, AttentionKind, NodeStatus, Severity
from utcloud.resources.service.agents import TWICE_FOR, site_flags
from utcloud.resources.service.common import some, visible, visible_nodes
from utcloud.resources.service.fit import Fits
from utcloud.resources.service.nodes import is_advised, is_flagged, status_of

MOST_CLOCK_OFFSET_MS = 5000
Named = list[tuple[str, str]]
"""Ids and names."""


def item(kind: AttentionKind, severity: Severity, noun: str, objects: Named, detail: str) -> list[Attention]:
    """One line for all ``objects`` together; none when there are none."""
    if not objects:
        return []
    return [
        Attention(
            kind=kind,
            severity=severity,
            object_type=noun,
            object_id=objects[0][0] if len(objects) == 1 else "",
            object_name=some([name for _, name in objects]),
            detail=detail,
            count=len(objects),
        )
    ]


async def attention(tx: Tx, now: datetime, actor: Actor, nodes: Sequence[NodeState]) -> list[Attention]:
    """What needs attention; ``nodes`` are the actor's."""
    inside: dict[str, list[NodeState]] = defaultdict(list)
    for node in nodes:
        inside[node.pool_id].append(node)
    if inside:
        found = [*await _of_nodes(tx, now, actor), *await _of_chips(tx, actor)]
    else:
        found = [_nothing(AttentionKind.NO_NODES, "No server has joined yet. Make a site and start its agent.")]
    found += await _of_chips_twice(tx, actor)
    found += [*await _of_sites(tx, now, actor), *await _of_offers(tx, actor, inside)]
    return [*found, *await _advice(tx, actor)]


def _nothing(kind: AttentionKind, detail: str) -> Attention:
    return Attention(
        kind=kind, severity=Severity.WARNING, object_type="", object_id="", object_name="", detail=detail, count=0
    )


async def _of_nodes(tx: Tx, now: datetime, actor: Actor) -> list[Attention]:
    status = status_of(now)
    rows = (
        await tx.execute(
            select(Node.id, Node.name, Node.reason, Node.flags, Node.work_flags, status.label("status"))
            .join(Site, Site.id == Node.site_id)
            .where(visible_nodes(actor), Node.gone.is_(False), or_(status != NodeStatus.READY.value, is_flagged()))
            .order_by(Node.name, Node.id)
        )
    ).all()
    by_status: dict[str, Named] = defaultdict(list)
    for row in rows:
        by_status[row.status].append((row.id, row.name))
    lost, away = by_status[NodeStatus.LOST], by_status[NodeStatus.NOT_READY]
    flagged = [row for row in rows if row.flags or row.work_flags]
    reasons = {row.reason or "Not heard for half a minute." for row in rows if row.status == NodeStatus.NOT_READY}
    why = reasons.pop() if len(reasons) == 1 else "Each node's page says why."
    return [
        *item(AttentionKind.NODE_LOST, Severity.ERROR, "node", lost, "Silent for five minutes: its work has failed."),
        *item(AttentionKind.NODE_NOT_READY, Severity.WARNING, "node", away, why),
        *item(
            AttentionKind.NODE_FLAGGED,
            Severity.WARNING,
            "node",
            [(row.id, row.name) for row in flagged],
            str([*flagged[0].flags, *flagged[0].work_flags][0]) if flagged else "",
        ),
    ]


async def _advice(tx: Tx, actor: Actor) -> list[Attention]:
    """One line for all of it, behind all that is a fault."""
    query = (
        select(Node.id, Node.name, Node.advice)
        .join(Site, Site.id == Node.site_id)
        .where(visible_nodes(actor), Node.removed_at.is_(None), is_advised())
        .order_by(Node.name, Node.id)
    )
    rows = (await tx.execute(query)).all()
    nodes = [(row.id, row.name) for row in rows]
    return item(AttentionKind.NODE_ADVISED, Severity.INFO, "node", nodes, str(rows[0].advice[0]) if rows else "")


async def _of_chips(tx: Tx, actor: Actor) -> list[Attention]:
    query = (
        select(Node.id, Node.name, func.count())
        .join(Chip, Chip.node_id == Node.id)
        .where(visible_nodes(actor), Node.gone.is_(False), Chip.present.is_(True), Chip.healthy.is_(False))
        .group_by(Node.id, Node.name)
        .order_by(Node.name, Node.id)
    )
    rows = (await tx.execute(query)).all()
    chips = sum(count for _, _, count in rows)
    detail = f"{chips} chip{'s are' if chips > 1 else ' is'} not healthy and given to nobody."
    nodes = [(ident, name) for ident, name, _ in rows]
    return item(AttentionKind.CHIP_UNHEALTHY, Severity.ERROR, "node", nodes, detail)


async def _of_chips_twice(tx: Tx, actor: Actor) -> list[Attention]:
    """For operators: chips that more than one miner reports. One of them has read the uid somewhere."""
    if not actor.is_operator:
        return []
    there = (Node.gone.is_(False), Chip.present.is_(True), Chip.simulated.is_(False))
    twice = (
        select(Chip.uid)
        .join(Node, Node.id == Chip.node_id)
        .where(*there)
        .group_by(Chip.uid)
        .having(func.count(func.distinct(Chip.miner_id)) > 1)
    )
    query = (
        select(Node.id, Node.name)
        .join(Chip, Chip.node_id == Node.id)
        .where(*there, Chip.uid.in_(twice))
        .distinct()
        .order_by(Node.name, Node.id)
    )
    nodes = [(ident, name) for ident, name in await tx.execute(query)]
    detail = "More than one miner reports the same chip: one of them has it."
    return item(AttentionKind.CHIP_TWICE, Severity.ERROR, "node", nodes, detail)


async def _of_sites(tx: Tx, now: datetime, actor: Actor) -> list[Attention]:
    visible_sites = select(Site).where(visible(actor, Site.miner_id), Site.removed_at.is_(None)).order_by(Site.name)
    odd = or_(Site.two_agents_at >= now - TWICE_FOR, Site.suspended_at.is_not(None))
    flagged = [(site, site_flags(site, now)) for site in await tx.scalars(visible_sites.where(odd))]
    return [
        *item(
            AttentionKind.SITE_FLAGGED,
            Severity.ERROR,
            "site",
            [(site.id, site.name) for site, _ in flagged],
            flagged[0][1][0] if flagged else "",
        ),
        *await _of_clocks(tx, now, actor),
    ]


async def _of_clocks(tx: Tx, now: datetime, actor: Actor) -> list[Attention]:
    query = (
        select(Site.id, Site.name, Site.clock_offset_ms, Site.last_seen_at)
        .where(visible(actor, Site.miner_id), Site.removed_at.is_(None))
        .where(func.abs(Site.clock_offset_ms) > MOST_CLOCK_OFFSET_MS)
        .order_by(Site.name)
    )
    off = [row for row in await tx.execute(query) if is_heard(row.last_seen_at, now)]
    worst = max((abs(row.clock_offset_ms) for row in off), default=0) / 1000
    detail = f"Its clock is {worst:.0f} s off: times of its records may look wrong. Let it keep time by NTP."
    return item(AttentionKind.CLOCK_OFF, Severity.WARNING, "site", [(row.id, row.name) for row in off], detail)


async def _of_offers(tx: Tx, actor: Actor, inside: dict[str, list[NodeState]]) -> list[Attention]:
    pools = list(await tx.scalars(select(Pool).where(visible(actor, Pool.miner_id)).order_by(Pool.name, Pool.id)))
    pool_ids = [pool.id for pool in pools]
    offers = (
        await tx.execute(
            select(PoolSpec.pool_id, Spec.id, Spec.name)
            .join(Spec, Spec.id == PoolSpec.spec_id)
            .where(PoolSpec.pool_id.in_(pool_ids))
            .distinct()
            .order_by(Spec.name, Spec.id)
        )
    ).all()
    bound = set(await tx.scalars(select(PoolGroup.pool_id).where(PoolGroup.pool_id.in_(pool_ids)).distinct()))
    offering = {offer.pool_id for offer in offers}
    bare = [pool for pool in pools if pool.id not in inside and (not pool.is_default or pool.id in offering)]
    shut = [pool for pool in pools if not pool.open_to_all and pool.id not in bound]
    found = [
        *item(
            AttentionKind.POOL_WITHOUT_NODES,
            Severity.WARNING,
            "pool",
            _named(bare) if inside else [],
            "It has no nodes, so nothing can start in it.",
        ),
        *item(
            AttentionKind.POOL_WITHOUT_GROUPS,
            Severity.INFO,
            "pool",
            _named(shut),
            "It is open to nobody: bind a group to it or open it to all.",
        ),
    ]
    if inside and not await tx.scalar(select(Spec.id).where(visible(actor, Spec.miner_id)).limit(1)):
        found.append(_nothing(AttentionKind.NO_SPECS, "Nothing can be rented yet. Make a specification with a price."))
    names = {pool.id: pool.name for pool in pools}
    return [*found, *_never_fit(names, await never_fitting(tx, inside, offers))]


def _named(pools: Sequence[Pool]) -> Named:
    return [(pool.id, pool.name) for pool in pools]


async def never_fitting(
    tx: Tx, inside: dict[str, list[NodeState]], offers: Sequence[Row[*tuple[str, ...]]]
) -> list[Row[*tuple[str, ...]]]:
    """Those of ``offers`` (rows with ``pool_id`` and the spec's ``id``) that no node of their pool can hold, even when
    it is empty. Pools without nodes are passed over."""
    offers = [offer for offer in offers if offer.pool_id in inside]
    items = await capacity.items_of(tx, {offer.id for offer in offers})
    miners = {node.miner_id for nodes in inside.values() for node in nodes}
    fits = Fits(inside, await capacity.names_of(tx, miners))
    return [offer for offer in offers if not fits.ever(offer.pool_id, items[offer.id])]


def _never_fit(pools: dict[str, str], never: Sequence[Row[*tuple[str, ...]]]) -> list[Attention]:
    places = some(sorted({pools[offer.pool_id] for offer in never}))
    specs = list(dict.fromkeys((offer.id, offer.name) for offer in never))
    detail = f"It fits no node of pool {places}, not even an empty one."
    return item(AttentionKind.SPEC_NEVER_FITS, Severity.WARNING, "spec", specs, detail)
