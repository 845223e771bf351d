"""Who gets what: ``Room`` is what some pools have free, locked and looked at once, and given out piece by piece."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import delete, insert, select

from utcloud.common.quantity import CPU, DISK, MEMORY
from utcloud.db import Tx, emit
from utcloud.resources.capacity.holdings import Amounts
from utcloud.resources.capacity.names import Names, items_of, names_of
from utcloud.resources.capacity.shortage import NO_LONGER_THERE, Shortage, explain, may_stand
from utcloud.resources.capacity.state import CAPACITY_SIGNAL, Demand, FreeChip, Grant, NodeState, load, times
from utcloud.resources.models import Allocation, ChipClaim, Node, Pool, Site, Spec
from utcloud.resources.revisions import bump


@dataclass(frozen=True, slots=True)
class _Place:
    """What an attempt was given, and can give back."""

    node: NodeState
    needs: Amounts
    chips: dict[str, list[FreeChip]]

    @property
    def all_chips(self) -> list[FreeChip]:
        """In the order in which the attempt shall see them: lowest index first within each resource."""
        return [chip for chips in self.chips.values() for chip in chips]


class Room:
    """The room in some pools, which are locked until the transaction ends: nobody else gives anything of them.

    ``take`` and ``give_back`` are arithmetic; ``write`` puts what was taken into the tables, in two statements.
    ``prices`` are the specifications' micro-UNC per hour.
    """

    def __init__(
        self, tx: Tx, pools: dict[str, Pool], prices: dict[str, int], items: dict[str, Amounts], names: Names
    ) -> None:
        self._tx = tx
        self._pools, self.prices, self._items, self._names = pools, prices, items, names
        self._nodes: dict[str, list[NodeState]] = defaultdict(list)
        self._taken: dict[str, _Place] = {}
        self._kept: dict[str, Amounts] = {}
        self._keeping: set[str] = set()
        self._needs: dict[tuple[str, str, frozenset[str]], Amounts | None] = {}
        self._short: dict[frozenset[tuple[tuple[str | None, ...], int]], Shortage] = {}

    @classmethod
    async def open(cls, tx: Tx, now: datetime, pool_ids: Iterable[str], spec_ids: Iterable[str]) -> "Room":
        """Lock the pools and look at their nodes; ``spec_ids`` are those that will be asked for."""
        pools = await lock_pools(tx, set(pool_ids))
        rows = await tx.execute(select(Spec.id, Spec.price).where(Spec.id.in_(set(spec_ids))))
        prices = {row.id: row.price for row in rows}
        names = await names_of(tx, {pool.miner_id for pool in pools.values()})
        room = cls(tx, pools, prices, await items_of(tx, prices), names)
        for node in await load(tx, now, Node.pool_id.in_(list(pools)), singly=True):
            room._nodes[node.pool_id].append(node)
        return room

    def take(self, demands: Sequence[Demand]) -> list[Grant] | Shortage:
        """Give every demand a place, or none: grants in the order of ``demands``."""
        if any(demand.pool_id not in self._pools or demand.spec_id not in self.prices for demand in demands):
            return NO_LONGER_THERE
        alike = Counter(_kind(demand) for demand in demands)
        known = self._short.get(frozenset(alike.items()))
        if known:
            return known
        for demand in sorted(demands, key=self._difficulty):
            place = self._choose(demand)
            if place is None:
                self._undo(demands)
                shortage = self._explain(demand, alike[_kind(demand)])
                self._short[frozenset(alike.items())] = shortage
                return shortage
            node, needs = place
            self._taken[demand.attempt_id] = _Place(node, needs, _take(node, needs))
        self._short.clear()
        return [self._grant(demand) for demand in demands]

    def give_back(self, grants: Iterable[Grant]) -> None:
        """Take back what was taken, and not written yet."""
        for grant in grants:
            self._put_back(self._taken.pop(grant.attempt_id))
        self._short.clear()

    def keep_for(self, demands: Sequence[Demand]) -> bool:
        """Keep what ``demands`` need, on the nodes where it comes together soonest, from all who ask from now on.

        Others may stand there as far as they leave it. False when these demands would not fit if all work ended: then
        nothing is kept.
        """
        if any(demand.pool_id not in self._pools or demand.spec_id not in self.prices for demand in demands):
            return False
        planned: dict[str, Amounts] = {}
        left: dict[str, Amounts] = {}
        for demand in sorted(demands, key=self._difficulty):
            best: tuple[tuple[Any, ...], NodeState, Amounts] | None = None
            for node, needs in self._open_to(demand):
                if not times(needs, left.get(node.id, node.usable)):
                    continue
                rank = (_missing(node, needs, planned.get(node.id, {})), node.name, node.id)
                if best is None or rank < best[0]:
                    best = rank, node, needs
            if best is None:
                return False
            _, node, needs = best
            there, plan = left.setdefault(node.id, dict(node.usable)), planned.setdefault(node.id, {})
            for name, quantity in needs.items():
                there[name] -= quantity
                plan[name] = plan.get(name, 0) + quantity
        self._kept |= planned
        self._keeping |= {demand.pool_id for demand in demands}
        self._short.clear()
        return True

    def keeps(self, pool_id: str) -> bool:
        """Whether something of the pool is kept for somebody."""
        return pool_id in self._keeping

    def set_aside(self) -> None:
        """What was taken so far stays taken in this room, but will not be written."""
        self._taken = {}

    async def lock_sites(self) -> None:
        """Lock the sites on which something was taken: their revision will be raised.

        Before any money is looked at, so that all transactions lock pools, sites and money in this order.
        """
        site_ids = {place.node.site_id for place in self._taken.values()}
        query = select(Site.id).where(Site.id.in_(site_ids)).order_by(Site.id)
        await self._tx.execute(query.with_for_update(key_share=True))

    async def write(self) -> None:
        """Put what was taken into the tables; the sites hear that something else is desired of them."""
        if not self._taken:
            return
        allocations = [
            {"attempt_id": attempt_id, "resource": name, "node_id": place.node.id, "quantity": quantity}
            for attempt_id, place in self._taken.items()
            for name, quantity in place.needs.items()
        ]
        claims = [
            {"chip_id": chip.id, "attempt_id": attempt_id}
            for attempt_id, place in self._taken.items()
            for chip in place.all_chips
        ]
        sites = {place.node.site_id for place in self._taken.values()}
        self._taken = {}
        if allocations:
            await self._tx.execute(insert(Allocation), allocations)
        if claims:
            await self._tx.execute(insert(ChipClaim), claims)
        await bump(self._tx, *sites)
        emit(self._tx, "ui:miners")

    def _grant(self, demand: Demand) -> Grant:
        place = self._taken[demand.attempt_id]
        node, needs, chips = place.node, place.needs, place.all_chips
        return Grant(
            attempt_id=demand.attempt_id,
            site_id=node.site_id,
            node_id=node.id,
            node_name=node.name,
            chip_uids=[chip.uid for chip in chips],
            resources=needs,
            simulated=any(chip.simulated for chip in chips) or not node.simulated.isdisjoint(needs),
            price=self.prices[demand.spec_id],
            miner_id=node.miner_id,
        )

    def _undo(self, demands: Sequence[Demand]) -> None:
        for demand in demands:
            place = self._taken.pop(demand.attempt_id, None)
            if place:
                self._put_back(place)

    @staticmethod
    def _put_back(place: _Place) -> None:
        node = place.node
        for name, quantity in place.needs.items():
            node.free[name] += quantity
        for name, chips in place.chips.items():
            node.chips[name] = sorted([*node.chips[name], *chips])

    def _open_to(self, demand: Demand) -> Iterable[tuple[NodeState, Amounts]]:
        """The nodes that take new work, on which the demand may stand, and what it takes there."""
        for node in self._nodes[demand.pool_id]:
            if node.ready and may_stand(node, demand):
                needs = self._needs_on(node, demand.spec_id)
                if needs is not None:
                    yield node, needs

    def _needs_on(self, node: NodeState, spec_id: str) -> Amounts | None:
        """What the spec takes there. The names mean the same on nodes of a miner that have the same marks."""
        key = (spec_id, node.miner_id, self._names.marks(node.id))
        if key not in self._needs:
            self._needs[key] = self._names.on(node, self._items[spec_id])
        return self._needs[key]

    def _choose(self, demand: Demand) -> tuple[NodeState, Amounts] | None:
        """The node where it fits best, and what it takes there."""
        best: tuple[tuple[Any, ...], NodeState, Amounts] | None = None
        for node, needs in self._open_to(demand):
            if not times(needs, node.free) or not self._leaves_what_is_kept(node, needs):
                continue
            rank = _preference(node, needs)
            if best is None or rank < best[0]:
                best = rank, node, needs
        return best and best[1:]

    def _leaves_what_is_kept(self, node: NodeState, needs: Amounts) -> bool:
        kept = self._kept.get(node.id, {})
        return all(node.free[name] - needs[name] >= quantity for name, quantity in kept.items() if name in needs)

    def _difficulty(self, demand: Demand) -> tuple[Any, ...]:
        """Those with the least choice go first."""
        items = self._items[demand.spec_id]
        pieces = sum(quantity for name, quantity in items.items() if name not in (CPU, MEMORY, DISK))
        return demand.node_id is None, demand.site_id is None, -pieces, -items.get(CPU, 0), -items.get(MEMORY, 0)

    def _explain(self, demand: Demand, count: int) -> Shortage:
        nodes, items = self._nodes[demand.pool_id], self._items[demand.spec_id]
        kept = [
            node.name
            for node, needs in self._open_to(demand)
            if times(needs, node.free) and not self._leaves_what_is_kept(node, needs)
        ]
        return explain(nodes, self._names, demand, items, count, self._pools[demand.pool_id].name, kept)


def _missing(node: NodeState, needs: Amounts, planned: Amounts) -> float:
    """How far what is free on the node falls short of ``needs`` beside what is planned there; 0 when it does not."""
    wanted = {name: quantity + planned.get(name, 0) for name, quantity in needs.items()}
    return max(max(quantity - node.free.get(name, 0), 0) / quantity for name, quantity in wanted.items())


def _kind(demand: Demand) -> tuple[str | None, ...]:
    return demand.pool_id, demand.spec_id, demand.site_id, demand.node_id


def _preference(node: NodeState, needs: Amounts) -> tuple[int, int, int, str, str]:
    """Smaller is better: fill nodes whose chips are in use; keep chips free of what needs none."""
    cpu_left = node.free.get(CPU, 0) - needs.get(CPU, 0)
    if any(name in node.chips for name in needs):
        return int(node.chips_free == node.chips_total), node.chips_free, cpu_left, node.name, node.id
    return int(node.chips_total > 0), node.chips_free, cpu_left, node.name, node.id


def _take(node: NodeState, needs: Amounts) -> dict[str, list[FreeChip]]:
    """Take ``needs`` from what is free on ``node``; return the chips."""
    chips: dict[str, list[FreeChip]] = {}
    for name, quantity in needs.items():
        node.free[name] -= quantity
        if name in node.chips:
            chips[name], node.chips[name] = node.chips[name][:quantity], node.chips[name][quantity:]
    return chips


async def reserve(tx: Tx, now: datetime, demands: Sequence[Demand]) -> list[Grant] | Shortage:
    """Give every demand a place, or none: grants in the order of ``demands``.

    Others who reserve in the same pools wait until the transaction ends.
    """
    room = await Room.open(tx, now, {demand.pool_id for demand in demands}, {demand.spec_id for demand in demands})
    outcome = room.take(demands)
    if not isinstance(outcome, Shortage):
        await room.lock_sites()
        await room.write()
    return outcome


async def release(tx: Tx, attempt_id: str) -> None:
    """The attempt has ended: what it held is free again, and its site hears so. Harmless when it held nothing."""
    await tx.execute(delete(ChipClaim).where(ChipClaim.attempt_id == attempt_id))
    freed = delete(Allocation).where(Allocation.attempt_id == attempt_id).returning(Allocation.node_id)
    node_ids = set(await tx.scalars(freed.execution_options(synchronize_session=False)))
    await bump(tx, *await tx.scalars(select(Node.site_id).where(Node.id.in_(node_ids))))
    emit(tx, CAPACITY_SIGNAL)
    emit(tx, "ui:miners")


async def lock_pools(tx: Tx, pool_ids: Iterable[str]) -> dict[str, Pool]:
    """Lock the pools' rows, always in the same order. (SQLite has one writer anyway.)"""
    query = select(Pool).where(Pool.id.in_(list(pool_ids))).order_by(Pool.id).with_for_update(key_share=True)
    return {pool.id: pool for pool in await tx.scalars(query.execution_options(populate_existing=True))}
