"""How often bundles fit. Nodes that are alike are looked at once: a page of specifications over a thousand nodes."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from utcloud.resources.capacity import Names, NodeState
from utcloud.resources.schemas import SpecFit

Amounts = frozenset[tuple[str, int]]
Counts = list[tuple[dict[str, int], int]]
"""Amounts, and how many nodes have just these."""


@dataclass(slots=True)
class _Alike:
    """Nodes on which every name means the same: how many have so much, how many of the ready have so much free."""

    any: NodeState
    capacity: Counter[Amounts] = field(default_factory=Counter)
    free: Counter[Amounts] = field(default_factory=Counter)


class Fits:
    """Answers for groups of nodes: the nodes of each miner, or those of each pool."""

    def __init__(self, groups: Mapping[str, Iterable[NodeState]], names: Names) -> None:
        self._names = names
        self._size: Counter[str] = Counter()
        self._groups: dict[str, list[tuple[NodeState, Counts, Counts]]] = {}
        for group, nodes in groups.items():
            alike: dict[frozenset[str], _Alike] = {}
            for node in nodes:
                self._size[group] += 1
                marks = names.marks(node.id)
                kind = alike.get(marks) or alike.setdefault(marks, _Alike(node))
                kind.capacity[frozenset(node.capacity.items())] += 1
                if node.ready:
                    kind.free[frozenset(node.free.items())] += 1
            self._groups[group] = [
                (kind.any, _unpacked(kind.free), _unpacked(kind.capacity)) for kind in alike.values()
            ]

    def nodes(self, group: str, items: dict[str, int]) -> SpecFit:
        """On how many nodes of the group ``items`` fit."""
        now = at_best = 0
        for needs, free, capacity in self._needs(group, items):
            now += sum(count for there, count in free if _fits(needs, there))
            at_best += sum(count for there, count in capacity if _fits(needs, there))
        return SpecFit(now=now, at_best=at_best, never=self._size[group] - at_best)

    def times(self, group: str, items: dict[str, int]) -> tuple[int, int]:
        """How many of ``items`` the group has room for: now, and when it is empty."""
        now = at_best = 0
        for needs, free, capacity in self._needs(group, items):
            now += sum(count * _times(needs, there) for there, count in free)
            at_best += sum(count * _times(needs, there) for there, count in capacity)
        return now, at_best

    def ever(self, group: str, items: dict[str, int]) -> bool:
        """Whether a node of the group holds ``items`` when it is empty."""
        return any(_fits(needs, there) for needs, _, capacity in self._needs(group, items) for there, _ in capacity)

    def _needs(self, group: str, items: dict[str, int]) -> Iterable[tuple[dict[str, int], Counts, Counts]]:
        for node, free, capacity in self._groups.get(group, ()):
            needs = self._names.on(node, items)
            if needs:
                yield needs, free, capacity


def _unpacked(counts: Counter[Amounts]) -> Counts:
    return [(dict(amounts), count) for amounts, count in counts.items()]


def _fits(needs: dict[str, int], there: dict[str, int]) -> bool:
    return all(there.get(name, 0) >= quantity for name, quantity in needs.items())


def _times(needs: dict[str, int], there: dict[str, int]) -> int:
    most = -1  # a loop: it is most of what a page of pools costs
    for name, quantity in needs.items():
        times = there.get(name, 0) // quantity
        if times == 0:
            return 0
        if most < 0 or times < most:
            most = times
    return most
