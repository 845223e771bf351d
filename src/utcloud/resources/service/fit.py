"""How often bundles fit. Nodes that are alike are looked at once: a page of specifications over a thousand nodes."""

from collections import defaultdict
from collections.abc import Iterable, Mapping

from utcloud.resources.capacity import Amounts, Names, NodeState, tally
from utcloud.resources.schemas import SpecFit

Counts = list[tuple[Amounts, int]]
"""Amounts, and how many nodes have just these."""


class Fits:
    """Answers for groups of nodes: the nodes of each miner, or those of each pool."""

    def __init__(self, groups: Mapping[str, Iterable[NodeState]], names: Names) -> None:
        self._names = names
        self._size: dict[str, int] = {}
        self._groups: dict[str, list[tuple[NodeState, Counts, Counts]]] = {}
        for group, nodes in groups.items():
            alike: dict[frozenset[str], list[NodeState]] = defaultdict(list)
            for node in nodes:
                alike[names.marks(node.id)].append(node)
            self._size[group] = sum(map(len, alike.values()))
            self._groups[group] = [
                (some[0], tally(node.free for node in some if node.ready), tally(node.capacity for node in some))
                for some in alike.values()
            ]

    def nodes(self, group: str, items: dict[str, int]) -> SpecFit:
        """On how many nodes of the group ``items`` fit."""
        now = at_best = 0
        for needs, free, capacity in self._needs(group, items):
            now += sum(count for there, count in free if _fits(needs, there))
            at_best += sum(count for there, count in capacity if _fits(needs, there))
        return SpecFit(now=now, at_best=at_best, never=self._size.get(group, 0) - at_best)

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


def _fits(needs: dict[str, int], there: dict[str, int]) -> bool:
    for name, quantity in needs.items():  # noqa: SIM110 - it is most of what a page of specifications costs
        if there.get(name, 0) < quantity:
            return False
    return True


def _times(needs: dict[str, int], there: dict[str, int]) -> int:
    most = -1
    for name, quantity in needs.items():
        times = there.get(name, 0) // quantity
        if times == 0:
            return 0
        if most < 0 or times < most:
            most = times
    return most
