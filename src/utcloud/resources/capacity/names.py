"""What the resource names in specifications mean, and how quantities of them are said."""

from collections import defaultdict
from collections.abc import Iterable
from typing import Any, Protocol

from sqlalchemy import Select, select

from utcloud.common.quantity import CPU, DISK, MEMORY, SHARED_MEMORY, format_quantity
from utcloud.db import Tx
from utcloud.resources.capacity.state import NodeState
from utcloud.resources.models import CustomResource, SpecItem


class Custom(Protocol):
    """A row of ``CustomResource``."""

    miner_id: Any
    name: Any
    system_resource: Any
    node_ids: Any


class Names:
    """What the resource names in a miner's specs mean on his nodes."""

    def __init__(self, customs: Iterable[Custom]) -> None:
        self._systems: dict[tuple[str, str], str] = {}
        self._chosen: dict[tuple[str, str], frozenset[str]] = {}
        marks: dict[str, set[str]] = defaultdict(set)
        for custom in customs:
            self._systems[custom.miner_id, custom.name] = custom.system_resource
            self._chosen[custom.miner_id, custom.name] = frozenset(custom.node_ids)
            for node_id in custom.node_ids:
                marks[node_id].add(custom.name)
        self._marks = {node_id: frozenset(names) for node_id, names in marks.items()}

    def system(self, miner_id: str, name: str) -> str:
        """The system resource behind ``name``; ``name`` itself when it is one."""
        return self._systems.get((miner_id, name), name)

    def marks(self, node_id: str) -> frozenset[str]:
        """The names that were given to chosen nodes, this one among them."""
        return self._marks.get(node_id, frozenset())

    def on(self, node: NodeState, items: dict[str, int]) -> dict[str, int] | None:
        """What ``items`` take of the node's system resources; None when one of the names does not hold there."""
        needs: dict[str, int] = defaultdict(int)
        for name, quantity in items.items():
            chosen = self._chosen.get((node.miner_id, name))
            if chosen and node.id not in chosen:
                return None
            needs[self._systems.get((node.miner_id, name), name)] += quantity
        return dict(needs)

    def amount_of(self, node: NodeState, name: str, there: dict[str, int]) -> int:
        """How much of the resource called ``name`` is in ``there``, a node's capacity or what is free of it."""
        needs = self.on(node, {name: 1})
        return sum(there.get(system, 0) for system in needs) if needs else 0


_customs, _items = CustomResource.__table__.c, SpecItem.__table__.c
_CUSTOMS: Select[*tuple[Any, ...]] = select(
    _customs.miner_id, _customs.name, _customs.system_resource, _customs.node_ids
)
_ITEMS: Select[*tuple[Any, ...]] = select(_items.spec_id, _items.resource, _items.quantity)


async def names_of(tx: Tx, miner_ids: Iterable[str]) -> Names:
    """The custom names of some miners."""
    await tx.flush()
    return Names(await tx.execute(_CUSTOMS.where(_customs.miner_id.in_(list(miner_ids)))))


async def items_of(tx: Tx, spec_ids: Iterable[str]) -> dict[str, dict[str, int]]:
    """Resource → quantity of some specs: what they take of a node. Shared memory lies within memory."""
    shown = await contents_of(tx, spec_ids)
    return defaultdict(dict, {spec_id: takes(items) for spec_id, items in shown.items()})


def takes(items: dict[str, int]) -> dict[str, int]:
    """What a bundle takes of a node: all but its shared memory, which lies within its memory."""
    return {name: quantity for name, quantity in items.items() if name != SHARED_MEMORY}


async def contents_of(tx: Tx, spec_ids: Iterable[str]) -> dict[str, dict[str, int]]:
    """Resource → quantity of some specs, in the order in which they are shown."""
    await tx.flush()
    items: dict[str, list[tuple[int, str, int]]] = defaultdict(list)
    for spec_id, resource, quantity in await tx.execute(_ITEMS.where(_items.spec_id.in_(list(spec_ids)))):
        items[spec_id].append((rank(resource), resource, quantity))
    found: dict[str, dict[str, int]] = defaultdict(dict)
    for spec_id, own in items.items():
        found[spec_id] = {resource: quantity for _, resource, quantity in sorted(own)}
    return found


def rank(resource: str) -> int:
    """The place of a resource in a list: CPU, memory and disk first."""
    return _ORDER.get(resource, len(_ORDER))


_ORDER = {name: place for place, name in enumerate((CPU, MEMORY, SHARED_MEMORY, DISK))}


def amount(system: str, name: str, quantity: int) -> str:
    """``2 TPU1684X``, where ``system`` stands behind ``name`` and decides its unit."""
    return f"{format_quantity(system, quantity)} {'CPU' if name == CPU else name}"


def describe(names: Names, miner_id: str, items: dict[str, int]) -> str:
    """``0.5 CPU, 1GB memory and 1 TPU1684X``."""
    parts = [amount(names.system(miner_id, name), name, quantity) for name, quantity in items.items()]
    return " and ".join([", ".join(parts[:-1]), parts[-1]]) if len(parts) > 1 else parts[0]
