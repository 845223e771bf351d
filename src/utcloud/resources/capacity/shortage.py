"""Why there is no place, in words and numbers that a person understands."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import select

from utcloud.common.clock import from_ms
from utcloud.common.quantity import format_quantity
from utcloud.db import Tx
from utcloud.resources.capacity.names import Names, amount, describe, items_of, names_of, rank
from utcloud.resources.capacity.state import Demand, NodeState, load
from utcloud.resources.models import Node, Pool


@dataclass(frozen=True, slots=True)
class Shortage:
    """Why there is no place, with numbers, for a person. ``code``: ``waiting`` or ``never_fits``."""

    detail: str
    code: str


NO_LONGER_THERE = Shortage("its pool or its specification is no longer there", "never_fits")


async def can_ever_fit(tx: Tx, pool_id: str, spec_id: str, count: int = 1) -> Shortage | None:
    """None when ``count`` replicas of the spec would fit into the pool if all its nodes were empty and ready."""
    pool = (await tx.execute(select(Pool.name, Pool.miner_id).where(Pool.id == pool_id))).one_or_none()
    items = (await items_of(tx, [spec_id])).get(spec_id)
    if pool is None or items is None:
        return NO_LONGER_THERE
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
        most = max(names.amount_of(node, name, node.capacity) for node in nodes)
        if most < quantity:
            system = names.system(nodes[0].miner_id, name)
            largest = f"the largest node of {where} has {format_quantity(system, most)}"
            return Shortage(f"needs {amount(system, name, quantity)} on one node; {largest}", "never_fits")
    wish = describe(names, nodes[0].miner_id, items)
    return Shortage(f"needs {wish} on one node; no node of {where} has all of it together", "never_fits")


def may_stand(node: NodeState, demand: Demand) -> bool:
    """Whether the node is one that the demand names, ready or not, full or not."""
    if node.pool_id != demand.pool_id or demand.node_id not in (None, node.id):
        return False
    return demand.site_id in (None, node.site_id)


def explain(
    nodes: Sequence[NodeState],
    names: Names,
    demand: Demand,
    items: dict[str, int],
    count: int,
    pool: str,
    kept: Sequence[str] = (),
) -> Shortage:
    """Say why ``count`` demands alike find no place, with what is free of what is lacking.

    ``kept``: names of nodes on which something free is kept for another.
    """
    in_pool = [node for node in nodes if node.pool_id == demand.pool_id]
    here = [node for node in in_pool if may_stand(node, demand)]
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
    for name, quantity in sorted(items.items(), key=lambda item: -rank(item[0])):
        free = [names.amount_of(node, name, node.free) for node in ready]
        if sum(there // quantity for there in free) >= count:
            continue
        system = names.system(ready[0].miner_id, name)
        total = sum(names.amount_of(node, name, node.capacity) for node in ready)
        text = (
            f"needs {amount(system, name, quantity)} on one node{each}; {place} has "
            f"{format_quantity(system, sum(free)) if sum(free) else 0} free of {format_quantity(system, total)}"
        )
        if sum(free) >= quantity and max(free) < quantity:
            text += f", at most {format_quantity(system, max(free))} on one node"
        return Shortage(text + suffix, "waiting")
    if kept:
        which = f"node {kept[0]}" if len(kept) == 1 else f"{len(kept)} nodes"
        wish = describe(names, ready[0].miner_id, items)
        return Shortage(
            f"needs {wish} on one node{each}; what is free on {which} of {place} is kept for one that has waited "
            f"longer{suffix}",
            "waiting",
        )
    wish = describe(names, ready[0].miner_id, items)
    return Shortage(f"needs {wish} on one node{each}; no node of {place} has all of it free{suffix}", "waiting")


def _tally(words: list[str]) -> str:
    """``2 are lost, 1 is cordoned``."""
    counts = Counter(words).most_common()
    return ", ".join(f"{count} {'is' if count == 1 else 'are'} {word}" for word, count in counts)
