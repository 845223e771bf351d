"""What nodes have, what of it is free, and what is asked of them and given."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Row,
    Select,
    Subquery,
    and_,
    case,
    cast,
    func,
    or_,
    select,
    type_coerce,
)

from utcloud.common.clock import to_ms
from utcloud.db import Tx
from utcloud.db.pairs import amounts, packed
from utcloud.protocol import LOST_AFTER_S, SILENT_AFTER_S
from utcloud.resources.models import Allocation, Chip, ChipClaim, Node, NodeResource, Site

CAPACITY_SIGNAL = "capacity"
"""Sent when something may have become free or ready: those who wait may try again."""


@dataclass(frozen=True, slots=True)
class Demand:
    """One attempt that needs a place. ``site_id``: only there, its volume lies there. ``node_id``: only there."""

    attempt_id: str
    spec_id: str
    pool_id: str
    purpose: str = "notebook"
    site_id: str | None = None
    node_id: str | None = None


@dataclass(frozen=True, slots=True)
class Grant:
    """What an attempt was given: ``chip_uids`` in the order it shall see them in, ``resources`` by system name."""

    attempt_id: str
    site_id: str
    node_id: str
    node_name: str
    chip_uids: list[str]
    resources: dict[str, int]
    simulated: bool
    price: int
    """micro-UNC per hour, as the spec says now."""
    miner_id: str


class FreeChip(NamedTuple):
    """A chip that can be given; they sort in the order in which they are."""

    position: int
    uid: str
    id: str
    simulated: bool


@dataclass(slots=True)
class NodeState:
    """What a node has and what of it is free, by system resource, in base units."""

    id: str
    name: str
    site_id: str
    pool_id: str
    miner_id: str
    ready: bool
    """It takes new work."""
    cordoned: bool = False
    """It is cordoned, drains or moves."""
    resting: str = ""
    """Why it takes no new work, for a person: ``not ready``, ``lost``, ``cordoned``, ``being drained``, …"""
    capacity: dict[str, int] = field(default_factory=dict)
    free: dict[str, int] = field(default_factory=dict)
    allocated: dict[str, int] = field(default_factory=dict)
    simulated: set[str] = field(default_factory=set)
    usable: dict[str, int] = field(default_factory=dict)
    """What can be given when nothing runs: the capacity without chips that are not healthy."""
    chips: dict[str, list[FreeChip]] = field(default_factory=dict)
    """A resource is here when the node has, or had, chips of it: the free and healthy ones, when loaded ``singly``."""
    attempts: int = 0

    @property
    def chips_total(self) -> int:
        return sum(self.capacity[name] for name in self.chips)

    @property
    def chips_free(self) -> int:
        return sum(self.free[name] for name in self.chips)

    def room_for(self, needs: dict[str, int] | None) -> int:
        """How many of ``needs`` fit into what is free."""
        return times(needs, self.free)

    def at_best(self, needs: dict[str, int] | None) -> int:
        """How many of ``needs`` fit when the node is empty."""
        return times(needs, self.capacity)


def times(needs: dict[str, int] | None, there: dict[str, int]) -> int:
    """How many of ``needs`` are in what is ``there``."""
    if not needs:
        return 0
    return min(max(there.get(name, 0), 0) // quantity for name, quantity in needs.items())


def is_heard(last_seen_at: datetime | None, now: datetime) -> bool:
    """Whether a site that was last heard at ``last_seen_at`` counts as connected."""
    return last_seen_at is not None and now - last_seen_at <= timedelta(seconds=SILENT_AFTER_S)


def is_lost(last_seen_at: datetime | None, now: datetime) -> bool:
    """Whether a site that was last heard at ``last_seen_at`` counts as lost."""
    return last_seen_at is not None and now - last_seen_at >= timedelta(seconds=LOST_AFTER_S)


async def load(tx: Tx, now: datetime, *where: ColumnElement[bool], singly: bool = False) -> list[NodeState]:
    """The state of the nodes for which ``where`` (on ``Node``) holds and that are not gone, by name.

    The database counts their chips; ``singly`` names those that are free.
    """
    await tx.flush()
    chosen = select(Node.id).where(Node.gone.is_(False), *where)
    now_ms = to_ms(now)
    nodes: dict[str, NodeState] = {}
    for capacity, usable, free, allocated, simulated, chips, attempts, *row in await _rows(tx, _states(chosen)):
        state = nodes[row[0]] = _node(now_ms, *row)
        state.capacity, state.usable = dict(amounts(capacity)), dict(amounts(usable))
        state.free, state.allocated = dict(amounts(free)), dict(amounts(allocated))
        state.simulated = set(simulated.split("\n")) if simulated else set()
        state.chips = {name: [] for name in chips.split("\n")} if chips else {}
        state.attempts = attempts or 0
    if singly:
        for node_id, name, *chip in await _rows(tx, _FREE_CHIPS.where(_chips.node_id.in_(chosen))):
            if node := nodes.get(node_id):
                node.chips[name].append(FreeChip(*chip))
    return list(nodes.values())


def amounts_on(nodes: Select[str]) -> Subquery:
    """How much of each resource there is on some nodes, a row for each: what they have of it (``capacity``), what of
    that is not broken (``usable``), what is ``free`` and ``allocated``, by how many ``attempts``.

    Chips (``singly`` is not NULL then) are counted one by one: what the node says it has in sum does not matter.
    """
    held = _ALLOCATED.where(_allocations.node_id.in_(nodes)).subquery()
    chips = _CHIPS.where(_chips.node_id.in_(nodes)).subquery()
    allocated = func.coalesce(held.c.quantity, 0)
    left = case((_resources.capacity > allocated, _resources.capacity - allocated), else_=0)
    return (
        select(
            _resources.node_id,
            _resources.name,
            func.coalesce(chips.c.there, _resources.capacity).label("capacity"),
            func.coalesce(chips.c.healthy, _resources.capacity).label("usable"),
            func.coalesce(chips.c.free, left).label("free"),
            allocated.label("allocated"),
            held.c.attempts,
            or_(_resources.simulated, func.coalesce(chips.c.simulated, 0) > 0).label("simulated"),
            chips.c.there.label("singly"),
        )
        .outerjoin_from(
            NodeResource.__table__,
            held,
            and_(held.c.node_id == _resources.node_id, held.c.resource == _resources.name),
        )
        .outerjoin(chips, and_(chips.c.node_id == _resources.node_id, chips.c.resource == _resources.name))
        .where(_resources.node_id.in_(nodes))
        .subquery()
    )


def _states(chosen: Select[str]) -> Select[*tuple[Any, ...]]:
    """A row for each node, its resources as texts."""
    there = amounts_on(chosen).c
    names = func.aggregate_strings(there.name, "\n")
    texts = (
        select(
            there.node_id,
            packed(there.name, there.capacity).label("capacity"),
            packed(there.name, there.usable).label("usable"),
            packed(there.name, there.free).label("free"),
            packed(there.name, there.allocated).label("allocated"),
            names.filter(there.simulated).label("simulated"),
            names.filter(there.singly.is_not(None)).label("chips"),
            func.max(there.attempts).label("attempts"),
        )
        .group_by(there.node_id)
        .subquery()
    )
    return (
        select(*(column for column in texts.c if column is not texts.c.node_id), *_NODE)
        .join_from(Node.__table__, Site.__table__, _sites.id == _nodes.site_id)
        .outerjoin(texts, texts.c.node_id == _nodes.id)
        .where(_nodes.id.in_(chosen))
        .order_by(_nodes.name, _nodes.id)
    )


async def _rows(tx: Tx, query: Select[*tuple[Any, ...]]) -> Sequence[Row[*tuple[Any, ...]]]:
    """Past the ORM's loading, which takes as long as the database."""
    return (await (await tx.connection()).execute(query)).all()


def _node(
    now_ms: int,
    ident: str,
    name: str,
    site_id: str,
    pool_id: str,
    miner_id: str,
    ready: bool,
    seen_ms: int | None,
    cordoned: bool,
    drain_at: int | None,
    moving_to: str | None,
) -> NodeState:
    cordon = resting = ""
    if cordoned or drain_at is not None or moving_to:
        draining = "being drained" if drain_at is not None else "cordoned"
        cordon = resting = "about to move to another pool" if moving_to else draining
    if not ready or seen_ms is None or now_ms - seen_ms > _SILENT_MS:
        resting = "lost" if seen_ms is not None and now_ms - seen_ms >= _LOST_MS else "not ready"
    return NodeState(ident, name, site_id, pool_id, miner_id, not resting, bool(cordon), resting)


_SILENT_MS, _LOST_MS = SILENT_AFTER_S * 1000, LOST_AFTER_S * 1000
_nodes, _sites, _resources, _allocations, _chips, _claims = (
    model.__table__.c for model in (Node, Site, NodeResource, Allocation, Chip, ChipClaim)
)
_NODE = (
    _nodes.id,
    _nodes.name,
    _nodes.site_id,
    _nodes.pool_id,
    _sites.miner_id,
    _nodes.ready,
    type_coerce(_sites.last_seen_at, BigInteger),
    _nodes.cordoned,
    type_coerce(_nodes.drain_at, BigInteger),
    _nodes.moving_to_pool_id,
)
_ALLOCATED: Select[*tuple[Any, ...]] = select(
    _allocations.node_id,
    _allocations.resource,
    cast(func.sum(_allocations.quantity), BigInteger).label("quantity"),
    func.count().label("attempts"),
).group_by(_allocations.node_id, _allocations.resource)
_healthy = and_(_chips.present, _chips.healthy)
_unclaimed = and_(_healthy, _claims.attempt_id.is_(None))
_CHIPS: Select[*tuple[Any, ...]] = (
    select(
        _chips.node_id,
        _chips.resource,
        func.count().filter(_chips.present).label("there"),
        func.count().filter(_healthy).label("healthy"),
        func.count().filter(_unclaimed).label("free"),
        func.count().filter(_chips.present, _chips.simulated).label("simulated"),
    )
    .outerjoin(ChipClaim.__table__, _claims.chip_id == _chips.id)
    .group_by(_chips.node_id, _chips.resource)
)
_FREE_CHIPS: Select[*tuple[Any, ...]] = (
    select(_chips.node_id, _chips.resource, _chips.index, _chips.uid, _chips.id, _chips.simulated)
    .outerjoin(ChipClaim.__table__, _claims.chip_id == _chips.id)
    .where(_unclaimed)
    .order_by(_chips.index, _chips.uid)
)
