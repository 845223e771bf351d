"""What nodes have, what of it is free, and what is asked of them and given."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import BigInteger, ColumnElement, Select, select, type_coerce

from utcloud.accounts.models import User
from utcloud.accounts.service import in_standing
from utcloud.common.clock import to_ms
from utcloud.db import Tx
from utcloud.protocol import LOST_AFTER_S, SILENT_AFTER_S
from utcloud.resources.capacity.holdings import FREE_CHIPS, Holdings, holdings_of, rows
from utcloud.resources.models import Chip, Node, Site

CAPACITY_SIGNAL = "capacity"
"""Sent when something may have become free or ready: those who wait may try again."""


SUSPENDED = "suspended: its miner may not have work"


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
    simulated: frozenset[str] = frozenset()
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

    @property
    def chips_busy(self) -> int:
        """Of the chips that are there, how many work holds."""
        return sum(min(self.allocated.get(name, 0), self.capacity[name]) for name in self.chips)

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

    The amounts are shared and not to be changed, but what is free when it is asked for ``singly``: then the free chips
    are named.
    """
    await tx.flush()
    chosen = select(Node.id).where(Node.gone.is_(False), *where)
    seen = await rows(tx, _SEEN.where(_nodes.id.in_(chosen)))
    held = await holdings_of(tx, chosen, {ident: (revision, digest) for revision, digest, ident, *_ in seen})
    now_ms = to_ms(now)
    nodes = {row[2]: _node(now_ms, held[row[2]], *row[2:]) for row in seen}
    if singly:
        for node in nodes.values():
            node.free, node.chips = dict(node.free), {name: [] for name in node.chips}
        for node_id, name, *chip in await rows(tx, FREE_CHIPS.where(Chip.node_id.in_(chosen))):
            if node_id in nodes:
                nodes[node_id].chips[name].append(FreeChip(*chip))
    return list(nodes.values())


def _node(
    now_ms: int,
    held: Holdings,
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
    good: bool,
) -> NodeState:
    cordon = resting = ""
    if cordoned or drain_at is not None or moving_to:
        draining = "being drained" if drain_at is not None else "cordoned"
        cordon = resting = "about to move to another pool" if moving_to else draining
    if not ready or seen_ms is None or now_ms - seen_ms > _SILENT_MS:
        resting = "lost" if seen_ms is not None and now_ms - seen_ms >= _LOST_MS else "not ready"
    if not good:
        resting = SUSPENDED
    state = NodeState(ident, name, site_id, pool_id, miner_id, not resting, bool(cordon), resting)
    state.capacity, state.usable, state.free, state.allocated = held.capacity, held.usable, held.free, held.allocated
    state.simulated, state.attempts = held.simulated, held.attempts
    state.chips = {name: [] for name in held.chips}
    return state


_SILENT_MS, _LOST_MS = SILENT_AFTER_S * 1000, LOST_AFTER_S * 1000
_nodes, _sites = Node.__table__.c, Site.__table__.c
_SEEN: Select[*tuple[Any, ...]] = (
    select(
        _sites.revision,
        _sites.report_digest,
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
        in_standing(),
    )
    .join_from(Node.__table__, Site.__table__, _sites.id == _nodes.site_id)
    .join(User.__table__, User.id == _sites.miner_id)
    .order_by(_nodes.name, _nodes.id)
)
