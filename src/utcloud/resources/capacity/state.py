"""What nodes have, what of it is free, and what is asked of them and given."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Row, Select, and_, case, func, select

from utcloud.db import Tx
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
    chosen = select(Node.id).where(Node.gone.is_(False), *where)
    nodes = {row.id: _node(row, now) for row in await tx.execute(_NODES.where(*where))}
    if not nodes:
        return []
    for node_id, name, capacity, simulated in await tx.execute(_RESOURCES.where(NodeResource.node_id.in_(chosen))):
        if node := nodes.get(node_id):
            node.capacity[name] = node.usable[name] = node.free[name] = capacity
            if simulated:
                node.simulated.add(name)
    for node_id, name, allocated, attempts in await tx.execute(_ALLOCATED.where(Allocation.node_id.in_(chosen))):
        if node := nodes.get(node_id):
            quantity = int(allocated)
            node.allocated[name] = quantity
            node.free[name] = max(node.free.get(name, 0) - quantity, 0)
            node.attempts = max(node.attempts, attempts)
    # Chips are counted one by one: what the node says it has in sum does not matter then.
    for node_id, name, there, healthy, free, simulated in await tx.execute(_CHIPS.where(Chip.node_id.in_(chosen))):
        if node := nodes.get(node_id):
            node.chips[name] = []
            node.capacity[name], node.usable[name], node.free[name] = there, healthy, free
            if simulated:
                node.simulated.add(name)
    if singly:
        for node_id, name, *chip in await tx.execute(_FREE_CHIPS.where(Chip.node_id.in_(chosen))):
            if node := nodes.get(node_id):
                node.chips[name].append(FreeChip(*chip))
    return list(nodes.values())


def _node(row: Row[*tuple[Any, ...]], now: datetime) -> NodeState:
    cordon = _cordon(row)
    resting = _silence(row, now) or cordon
    return NodeState(row.id, row.name, row.site_id, row.pool_id, row.miner_id, not resting, bool(cordon), resting)


def _silence(row: Row[*tuple[Any, ...]], now: datetime) -> str:
    if is_lost(row.last_seen_at, now):
        return "lost"
    return "" if row.ready and is_heard(row.last_seen_at, now) else "not ready"


def _cordon(row: Row[*tuple[Any, ...]]) -> str:
    if row.moving_to_pool_id:
        return "about to move to another pool"
    if row.drain_at:
        return "being drained"
    return "cordoned" if row.cordoned else ""


_NODES: Select[*tuple[Any, ...]] = (
    select(
        Node.id,
        Node.name,
        Node.site_id,
        Node.pool_id,
        Node.ready,
        Node.cordoned,
        Node.drain_at,
        Node.moving_to_pool_id,
        Site.miner_id,
        Site.last_seen_at,
    )
    .join(Site, Site.id == Node.site_id)
    .where(Node.gone.is_(False))
    .order_by(Node.name, Node.id)
)
_RESOURCES: Select[*tuple[Any, ...]] = select(
    NodeResource.node_id, NodeResource.name, NodeResource.capacity, NodeResource.simulated
)
_ALLOCATED: Select[*tuple[Any, ...]] = select(
    Allocation.node_id, Allocation.resource, func.sum(Allocation.quantity), func.count()
).group_by(Allocation.node_id, Allocation.resource)
_unclaimed = and_(Chip.present, Chip.healthy, ChipClaim.attempt_id.is_(None))
_CHIPS: Select[*tuple[Any, ...]] = (
    select(
        Chip.node_id,
        Chip.resource,
        *(
            func.sum(case((condition, 1), else_=0))
            for condition in (Chip.present, and_(Chip.present, Chip.healthy), _unclaimed)
        ),
        func.max(case((and_(Chip.present, Chip.simulated), 1), else_=0)),
    )
    .outerjoin(ChipClaim, ChipClaim.chip_id == Chip.id)
    .group_by(Chip.node_id, Chip.resource)
)
_FREE_CHIPS: Select[*tuple[Any, ...]] = (
    select(Chip.node_id, Chip.resource, Chip.index, Chip.uid, Chip.id, Chip.simulated)
    .outerjoin(ChipClaim, ChipClaim.chip_id == Chip.id)
    .where(_unclaimed)
    .order_by(Chip.index, Chip.uid)
)
