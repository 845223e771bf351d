"""How often bundles fit. Nodes that are alike are looked at once: a page of specifications over a thousand nodes."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from utcloud.resources.capacity import Names, NodeState
from utcloud.resources.schemas import SpecFit

Amounts = frozenset[tuple[str, int]]


@dataclass(slots=True)
class _Alike:
    """Nodes on which every name means the same: how many have so much, how many of the ready have so much free."""

    any: NodeState
    capacity: Counter[Amounts] = field(default_factory=Counter)
    free: Counter[Amounts] = field(default_factory=Counter)


class Fits:
    """Answers for groups of nodes: the nodes of each miner, or those of each pool."""

    def __init__(self, nodes: Iterable[NodeState], names: Names, group: Callable[[NodeState], str]) -> None:
        self._names = names
        alike: dict[str, dict[frozenset[str], _Alike]] = defaultdict(dict)
        self._size: Counter[str] = Counter()
        for node in nodes:
            key = group(node)
            self._size[key] += 1
            kind = alike[key].setdefault(names.marks(node.id), _Alike(node))
            kind.capacity[frozenset(node.capacity.items())] += 1
            if node.ready:
                kind.free[frozenset(node.free.items())] += 1
        self._groups = {
            key: [(kind.any, _unpacked(kind.free), _unpacked(kind.capacity)) for kind in kinds.values()]
            for key, kinds in alike.items()
        }

    def nodes(self, group: str, items: dict[str, int]) -> SpecFit:
        """On how many nodes of the group ``items`` fit."""
        now = at_best = 0
        for needs, free, capacity in self._needs(group, items):
            now += sum(count for there, count in free if _times(needs, there))
            at_best += sum(count for there, count in capacity if _times(needs, there))
        return SpecFit(now=now, at_best=at_best, never=self._size[group] - at_best)

    def times(self, group: str, items: dict[str, int]) -> tuple[int, int]:
        """How many of ``items`` the group has room for: now, and when it is empty."""
        now = at_best = 0
        for needs, free, capacity in self._needs(group, items):
            now += sum(count * _times(needs, there) for there, count in free)
            at_best += sum(count * _times(needs, there) for there, count in capacity)
        return now, at_best

    def _needs(
        self, group: str, items: dict[str, int]
    ) -> Iterable[tuple[dict[str, int], list[tuple[dict[str, int], int]], list[tuple[dict[str, int], int]]]]:
        for node, free, capacity in self._groups.get(group, ()):
            needs = self._names.on(node, items)
            if needs:
                yield needs, free, capacity


def _unpacked(counts: Counter[Amounts]) -> list[tuple[dict[str, int], int]]:
    return [(dict(amounts), count) for amounts, count in counts.items()]


def _times(needs: dict[str, int], there: dict[str, int]) -> int:
    return min(there.get(name, 0) // quantity for name, quantity in needs.items())
