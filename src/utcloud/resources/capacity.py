"""The one rule of allocation: what is free on which node, and who gets it.

CPU, memory and disk are counted; chips are given singly. A custom resource is only a name: whatever is called by two
names is still taken once. ``load`` sees the state of many nodes in four queries; everything else is arithmetic on it.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Row, delete, func, insert, select

from utcloud.common.clock import from_ms
from utcloud.common.quantity import CPU, DISK, MEMORY, SHARED_MEMORY, format_quantity
from utcloud.db import Tx, emit
from utcloud.protocol import LOST_AFTER_S, SILENT_AFTER_S
from utcloud.resources.models import (
    Allocation,
    Chip,
    ChipClaim,
    CustomResource,
    Node,
    NodeResource,
    Pool,
    Site,
    Spec,
    SpecItem,
)

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


@dataclass(frozen=True, slots=True)
class Shortage:
    """Why there is no place, with numbers, for a person. ``code``: ``waiting`` or ``never_fits``."""

    detail: str
    code: str


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
    chips: dict[str, list[Chip]] = field(default_factory=dict)
    """Free and healthy ones, by index. A resource is here when the node has, or had, chips of it."""
    attempts: int = 0

    @property
    def chips_total(self) -> int:
        return sum(self.capacity[name] for name in self.chips)

    @property
    def chips_free(self) -> int:
        return sum(self.free[name] for name in self.chips)

    def room_for(self, needs: dict[str, int] | None) -> int:
        """How many of ``needs`` fit into what is free."""
        return _times(needs, self.free)

    def at_best(self, needs: dict[str, int] | None) -> int:
        """How many of ``needs`` fit when the node is empty."""
        return _times(needs, self.capacity)


def _times(needs: dict[str, int] | None, there: dict[str, int]) -> int:
    if not needs:
        return 0
    return min(max(there.get(name, 0), 0) // quantity for name, quantity in needs.items())


class Names:
    """What the resource names in a miner's specs mean on his nodes."""

    def __init__(self, customs: Iterable[CustomResource]) -> None:
        self._customs = {(custom.miner_id, custom.name): custom for custom in customs}
        self._marks: dict[str, frozenset[str]] = defaultdict(frozenset)
        for custom in self._customs.values():
            for node_id in custom.node_ids:
                self._marks[node_id] |= {custom.name}

    def system(self, miner_id: str, name: str) -> str:
        """The system resource behind ``name``; ``name`` itself when it is one."""
        custom = self._customs.get((miner_id, name))
        return custom.system_resource if custom else name

    def marks(self, node_id: str) -> frozenset[str]:
        """The names that were given to chosen nodes, this one among them."""
        return self._marks.get(node_id, frozenset())

    def on(self, node: NodeState, items: dict[str, int]) -> dict[str, int] | None:
        """What ``items`` take of the node's system resources; None when one of the names does not hold there."""
        needs: dict[str, int] = defaultdict(int)
        for name, quantity in items.items():
            custom = self._customs.get((node.miner_id, name))
            if custom and custom.node_ids and node.id not in custom.node_ids:
                return None
            needs[custom.system_resource if custom else name] += quantity
        return dict(needs)


async def names_of(tx: Tx, miner_ids: Iterable[str]) -> Names:
    """The custom names of some miners."""
    return Names(await tx.scalars(select(CustomResource).where(CustomResource.miner_id.in_(list(miner_ids)))))


async def items_of(tx: Tx, spec_ids: Iterable[str]) -> dict[str, dict[str, int]]:
    """Resource → quantity of some specs: what they take of a node. Shared memory lies within memory."""
    shown = await contents_of(tx, spec_ids)
    return defaultdict(dict, {spec_id: takes(items) for spec_id, items in shown.items()})


def takes(items: dict[str, int]) -> dict[str, int]:
    """What a bundle takes of a node: all but its shared memory, which lies within its memory."""
    return {name: quantity for name, quantity in items.items() if name != SHARED_MEMORY}


async def contents_of(tx: Tx, spec_ids: Iterable[str]) -> dict[str, dict[str, int]]:
    """Resource → quantity of some specs, in the order in which they are shown."""
    rows = await tx.execute(
        select(SpecItem.spec_id, SpecItem.resource, SpecItem.quantity).where(SpecItem.spec_id.in_(list(spec_ids)))
    )
    found: dict[str, dict[str, int]] = defaultdict(dict)
    for row in sorted(rows, key=lambda row: (_rank(row.resource), row.resource)):
        found[row.spec_id][row.resource] = row.quantity
    return found


def _rank(resource: str) -> int:
    order = (CPU, MEMORY, SHARED_MEMORY, DISK)
    return order.index(resource) if resource in order else len(order)


def is_heard(last_seen_at: datetime | None, now: datetime) -> bool:
    """Whether a site that was last heard at ``last_seen_at`` counts as connected."""
    return last_seen_at is not None and now - last_seen_at <= timedelta(seconds=SILENT_AFTER_S)


def is_lost(last_seen_at: datetime | None, now: datetime) -> bool:
    """Whether a site that was last heard at ``last_seen_at`` counts as lost."""
    return last_seen_at is not None and now - last_seen_at >= timedelta(seconds=LOST_AFTER_S)


async def load(tx: Tx, now: datetime, *where: ColumnElement[bool]) -> list[NodeState]:
    """The state of the nodes for which ``where`` (on ``Node``) holds and that are not gone, by name."""
    chosen = select(Node.id).where(Node.gone.is_(False), *where)
    nodes: dict[str, NodeState] = {}
    rows = await tx.execute(
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
        .where(Node.gone.is_(False), *where)
        .order_by(Node.name, Node.id)
    )
    for row in rows:
        cordon = _cordon(row)
        resting = _silence(row, now) or cordon
        nodes[row.id] = NodeState(
            row.id, row.name, row.site_id, row.pool_id, row.miner_id, not resting, bool(cordon), resting
        )
    if not nodes:
        return []
    for node_id, name, capacity, simulated in await tx.execute(
        select(NodeResource.node_id, NodeResource.name, NodeResource.capacity, NodeResource.simulated).where(
            NodeResource.node_id.in_(chosen)
        )
    ):
        if node := nodes.get(node_id):
            node.capacity[name] = node.free[name] = capacity
            if simulated:
                node.simulated.add(name)
    for node_id, name, quantity, attempts in await tx.execute(
        select(
            Allocation.node_id,
            Allocation.resource,
            func.sum(Allocation.quantity),
            func.count(Allocation.attempt_id),
        )
        .where(Allocation.node_id.in_(chosen))
        .group_by(Allocation.node_id, Allocation.resource)
    ):
        if node := nodes.get(node_id):
            node.allocated[name] = int(quantity)
            node.free[name] = max(node.free.get(name, 0) - int(quantity), 0)
            node.attempts = max(node.attempts, attempts)
    chips = await tx.execute(
        select(Chip, ChipClaim.attempt_id)
        .outerjoin(ChipClaim, ChipClaim.chip_id == Chip.id)
        .where(Chip.node_id.in_(chosen))
        .order_by(Chip.index, Chip.uid)
        .execution_options(populate_existing=True)
    )
    for chip, attempt_id in chips:
        if node := nodes.get(chip.node_id):
            _count_chip(node, chip, taken=attempt_id is not None)
    return list(nodes.values())


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


def _count_chip(node: NodeState, chip: Chip, *, taken: bool) -> None:
    """Chips are counted one by one: what the node says it has in sum does not matter then."""
    name = chip.resource
    if name not in node.chips:
        node.chips[name] = []
        node.capacity[name] = node.free[name] = 0
    if not chip.present:
        return
    node.capacity[name] += 1
    if chip.simulated:
        node.simulated.add(name)
    if chip.healthy and not taken:
        node.free[name] += 1
        node.chips[name].append(chip)


async def reserve(tx: Tx, now: datetime, demands: Sequence[Demand]) -> list[Grant] | Shortage:
    """Give every demand a place, or none: grants in the order of ``demands``.

    Others who reserve in the same pools wait until the transaction ends.
    """
    pools = await lock_pools(tx, {demand.pool_id for demand in demands})
    specs = {
        row.id: row
        for row in await tx.execute(
            select(Spec.id, Spec.price).where(Spec.id.in_({demand.spec_id for demand in demands}))
        )
    }
    items = await items_of(tx, specs)
    for demand in demands:
        if demand.pool_id not in pools or demand.spec_id not in specs:
            return Shortage("its pool or its specification is no longer there", "never_fits")
    names = await names_of(tx, {pool.miner_id for pool in pools.values()})
    nodes = await load(tx, now, Node.pool_id.in_(list(pools)))
    before = {node.id: dict(node.free) for node in nodes}
    order = sorted(demands, key=lambda demand: _difficulty(demand, items[demand.spec_id]))
    placed: dict[str, tuple[NodeState, dict[str, int], list[Chip]]] = {}
    for demand in order:
        place = _choose(nodes, names, demand, items[demand.spec_id])
        if place is None:
            for node in nodes:
                node.free = before[node.id]
            same = [other for other in demands if _kind(other) == _kind(demand)]
            return _explain(nodes, names, demand, items[demand.spec_id], len(same), pools[demand.pool_id].name)
        node, needs = place
        placed[demand.attempt_id] = (node, needs, _take(node, needs))
    grants = []
    allocations, claims = [], []
    for demand in demands:
        node, needs, chips = placed[demand.attempt_id]
        simulated = any(chip.simulated for chip in chips) or any(name in node.simulated for name in needs)
        uids = [chip.uid for chip in chips]
        price = specs[demand.spec_id].price
        grants.append(
            Grant(demand.attempt_id, node.site_id, node.id, node.name, uids, needs, simulated, price, node.miner_id)
        )
        allocations += [
            {"attempt_id": demand.attempt_id, "resource": name, "node_id": node.id, "quantity": quantity}
            for name, quantity in needs.items()
        ]
        claims += [{"chip_id": chip.id, "attempt_id": demand.attempt_id} for chip in chips]
    site_ids = {grant.site_id for grant in grants}
    # Their revision will be raised: locked now, so that all transactions lock pools, sites and money in this order.
    await tx.execute(select(Site.id).where(Site.id.in_(site_ids)).order_by(Site.id).with_for_update(key_share=True))
    if allocations:
        await tx.execute(insert(Allocation), allocations)
    if claims:
        await tx.execute(insert(ChipClaim), claims)
    emit(tx, "ui:miners")
    return grants


async def release(tx: Tx, attempt_id: str) -> None:
    """The attempt has ended: what it held is free again. Harmless when it held nothing."""
    await tx.execute(delete(ChipClaim).where(ChipClaim.attempt_id == attempt_id))
    await tx.execute(delete(Allocation).where(Allocation.attempt_id == attempt_id))
    emit(tx, CAPACITY_SIGNAL)
    emit(tx, "ui:miners")


async def can_ever_fit(tx: Tx, pool_id: str, spec_id: str, count: int = 1) -> Shortage | None:
    """None when ``count`` replicas of the spec would fit into the pool if all its nodes were empty and ready."""
    pool = (await tx.execute(select(Pool.name, Pool.miner_id).where(Pool.id == pool_id))).one_or_none()
    items = (await items_of(tx, [spec_id])).get(spec_id)
    if pool is None or items is None:
        return Shortage("its pool or its specification is no longer there", "never_fits")
    names = await names_of(tx, [pool.miner_id])
    nodes = await load(tx, from_ms(0), Node.pool_id == pool_id)
    return never_fits(nodes, names, items, count, f"pool '{pool.name}'")


def never_fits(
    nodes: Sequence[NodeState], names: Names, items: dict[str, int], count: int, where: str
) -> Shortage | None:
    """None when ``nodes``, empty and ready, hold ``items`` ``count`` times; ``where`` names them in the answer."""
    fit = sum(node.at_best(names.on(node, items)) for node in nodes)
    if fit >= count:
        return None
    if not nodes:
        return Shortage(f"{where} has no nodes", "never_fits")
    if fit:
        return Shortage(
            f"needs a place for {count} at once; {where} holds {fit} at most, when it is empty", "never_fits"
        )
    for name, quantity in items.items():
        most = max(_has(names, node, name, node.capacity) for node in nodes)
        if most < quantity:
            system = names.system(nodes[0].miner_id, name)
            largest = f"the largest node of {where} has {format_quantity(system, most)}"
            return Shortage(f"needs {_amount(system, name, quantity)} on one node; {largest}", "never_fits")
    wish = describe(names, nodes[0].miner_id, items)
    return Shortage(f"needs {wish} on one node; no node of {where} has all of it together", "never_fits")


async def lock_pools(tx: Tx, pool_ids: Iterable[str]) -> dict[str, Pool]:
    """Lock the pools' rows, always in the same order. (SQLite has one writer anyway.)"""
    query = select(Pool).where(Pool.id.in_(list(pool_ids))).order_by(Pool.id).with_for_update(key_share=True)
    return {pool.id: pool for pool in await tx.scalars(query.execution_options(populate_existing=True))}


def _kind(demand: Demand) -> tuple[str | None, ...]:
    return demand.pool_id, demand.spec_id, demand.site_id, demand.node_id


def _difficulty(demand: Demand, items: dict[str, int]) -> tuple[object, ...]:
    """Those with the least choice go first."""
    pieces = sum(quantity for name, quantity in items.items() if name not in (CPU, MEMORY, DISK))
    return demand.node_id is None, demand.site_id is None, -pieces, -items.get(CPU, 0), -items.get(MEMORY, 0)


def _may_stand(node: NodeState, demand: Demand) -> bool:
    """Whether the node is one that the demand names, ready or not, full or not."""
    if node.pool_id != demand.pool_id or demand.node_id not in (None, node.id):
        return False
    return demand.site_id in (None, node.site_id)


def _choose(
    nodes: Sequence[NodeState], names: Names, demand: Demand, items: dict[str, int]
) -> tuple[NodeState, dict[str, int]] | None:
    """The node where it fits best, and what it takes there."""
    best: tuple[tuple[object, ...], NodeState, dict[str, int]] | None = None
    for node in nodes:
        if not node.ready or not _may_stand(node, demand):
            continue
        needs = names.on(node, items)
        if needs is None or not node.room_for(needs):
            continue
        rank = _preference(node, needs)
        if best is None or rank < best[0]:
            best = rank, node, needs
    return best and best[1:]


def _preference(node: NodeState, needs: dict[str, int]) -> tuple[int, int, int, str, str]:
    """Smaller is better: fill nodes whose chips are in use; keep chips free of what needs none."""
    cpu_left = node.free.get(CPU, 0) - needs.get(CPU, 0)
    if any(name in node.chips for name in needs):
        return int(node.chips_free == node.chips_total), node.chips_free, cpu_left, node.name, node.id
    return int(node.chips_total > 0), node.chips_free, cpu_left, node.name, node.id


def _take(node: NodeState, needs: dict[str, int]) -> list[Chip]:
    """Take ``needs`` from what is free on ``node``; return the chips, lowest index first within each resource."""
    taken: list[Chip] = []
    for name, quantity in needs.items():
        node.free[name] -= quantity
        if name in node.chips:
            taken += node.chips[name][:quantity]
            node.chips[name] = node.chips[name][quantity:]
    return taken


def _has(names: Names, node: NodeState, name: str, there: dict[str, int]) -> int:
    """How much of the resource called ``name`` is in ``there``, a node's capacity or what is free of it."""
    needs = names.on(node, {name: 1})
    return sum(there.get(system, 0) for system in needs) if needs else 0


def _amount(system: str, name: str, quantity: int) -> str:
    return f"{format_quantity(system, quantity)} {'CPU' if name == CPU else name}"


def describe(names: Names, miner_id: str, items: dict[str, int]) -> str:
    """``0.5 CPU, 1GB memory and 1 TPU1684X``."""
    parts = [_amount(names.system(miner_id, name), name, quantity) for name, quantity in items.items()]
    return " and ".join([", ".join(parts[:-1]), parts[-1]]) if len(parts) > 1 else parts[0]


def _tally(words: list[str]) -> str:
    """``2 are lost, 1 is cordoned``."""
    counts = Counter(words).most_common()
    return ", ".join(f"{count} {'is' if count == 1 else 'are'} {word}" for word, count in counts)


def _explain(
    nodes: Sequence[NodeState], names: Names, demand: Demand, items: dict[str, int], count: int, pool: str
) -> Shortage:
    """Say why ``count`` demands alike find no place, with what is free of what is lacking."""
    in_pool = [node for node in nodes if node.pool_id == demand.pool_id]
    here = [node for node in in_pool if _may_stand(node, demand)]
    if not in_pool:
        return Shortage(f"pool '{pool}' has no nodes", "waiting")
    if not here:
        return Shortage(f"its files lie on a site that has no node in pool '{pool}' now", "waiting")
    ready = [node for node in here if node.ready]
    place = f"pool '{pool}'" if len(here) == len(in_pool) else f"its site in pool '{pool}'"
    resting = [node.resting for node in here if not node.ready]
    if not ready and len(here) == 1:
        return Shortage(f"node {here[0].name} of {place} is {resting[0]}", "waiting")
    if not ready:
        return Shortage(f"none of the {len(here)} nodes of {place} takes new work: {_tally(resting)}", "waiting")
    suffix = f"; of its {len(here)} nodes {_tally(resting)}" if resting else ""
    each = f" for each of {count} replicas at once" if count > 1 else ""
    for name, quantity in sorted(items.items(), key=lambda item: -_rank(item[0])):
        free = [_has(names, node, name, node.free) for node in ready]
        if sum(amount // quantity for amount in free) >= count:
            continue
        system = names.system(ready[0].miner_id, name)
        total = sum(_has(names, node, name, node.capacity) for node in ready)
        text = (
            f"needs {_amount(system, name, quantity)} on one node{each}; {place} has "
            f"{format_quantity(system, sum(free)) if sum(free) else 0} free of {format_quantity(system, total)}"
        )
        if sum(free) >= quantity and max(free) < quantity:
            text += f", at most {format_quantity(system, max(free))} on one node"
        return Shortage(text + suffix, "waiting")
    wish = describe(names, ready[0].miner_id, items)
    return Shortage(f"needs {wish} on one node{each}; no node of {place} has all of it free{suffix}", "waiting")
