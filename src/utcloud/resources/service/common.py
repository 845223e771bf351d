"""What the rules of this room share: who sees what, names that are taken, quantities and use in words."""

from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Sequence

from sqlalchemy import ColumnElement, select, true
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import InstrumentedAttribute

from utcloud.accounts.auth import Actor
from utcloud.common.errors import Conflict, Invalid
from utcloud.common.quantity import BASIC, format_quantity, unit_of
from utcloud.db import Tx, emit
from utcloud.resources.capacity import Amounts, Names, NodeState, tally
from utcloud.resources.models import Node, Site, Spec
from utcloud.resources.schemas import Quantity, Usage

InUseCheck = Callable[[Tx, str], Awaitable[str | None]]
"""Takes an id; returns what uses the object, in words (``2 notebooks (lab-1, lab-2)``), or None."""

spec_in_use_checks: list[InUseCheck] = []
pool_in_use_checks: list[InUseCheck] = []
"""Rooms above add theirs, so that a refusal to delete can name what stands in the way."""

UseCount = Callable[[Tx, Sequence[str]], Awaitable[dict[str, int]]]
"""Takes ids; returns how many things use each, without those that nothing uses."""

spec_use_counts: list[UseCount] = []
"""Rooms above add theirs, so that a specification can say how much work is made with it."""

Users = Callable[[Tx, Sequence[str]], Awaitable[dict[str, list[str]]]]
"""Takes ids of nodes; returns whose work holds something there: names of groups, or of users without one."""

node_users: list[Users] = []
"""Rooms above add theirs, so that a refusal to move a node can name who is there."""

Bound = Callable[[Tx, Actor, str, Sequence[str]], Awaitable[None]]
"""Takes who did it, the id of a pool, and the ids of the groups to which it was bound anew."""

on_groups_bound: list[Bound] = []
"""Called in the transaction that binds a pool to groups."""

PriceChange = Callable[[Tx, Actor, Spec, int], Awaitable[None]]
"""Takes who changed the price, the specification with its new price, and the old price in micro-UNC per hour."""

on_price_change: list[PriceChange] = []
"""Called in the transaction that changes the price of a specification."""


def visible(actor: Actor, miner_id: InstrumentedAttribute[str]) -> ColumnElement[bool]:
    """A miner sees what is his, an operator all; raises Forbidden for others."""
    actor.require_miner()
    return true() if actor.is_operator else miner_id == actor.id


def nodes_of(*miner_ids: str) -> ColumnElement[bool]:
    """The nodes of some miners."""
    return Node.site_id.in_(select(Site.id).where(Site.miner_id.in_(miner_ids)))


def visible_nodes(actor: Actor) -> ColumnElement[bool]:
    actor.require_miner()
    return true() if actor.is_operator else nodes_of(actor.id)


def changed(tx: Tx) -> None:
    """Pages of miners shall look again."""
    emit(tx, "ui:miners")


async def flush_name(tx: Tx, noun: str, name: str) -> None:
    """Flush; a name that is taken becomes a Conflict on the field ``name``."""
    try:
        await tx.flush()
    except IntegrityError as error:
        raise name_taken(noun, name) from error


def name_taken(noun: str, name: str) -> Conflict:
    return Conflict(
        f"There is a {noun} named {name!r} already.", field="name", cure="Choose another name.", code="name_taken"
    )


async def refuse_in_use(tx: Tx, ident: str, what: str, checks: Iterable[InUseCheck]) -> None:
    """Raise a Conflict that names what uses the object."""
    uses = [use for check in checks if (use := await check(tx, ident))]
    if uses:
        raise in_use(what, " and ".join(uses))


def in_use(what: str, by: str, cure: str | None = None) -> Conflict:
    return Conflict(f"{what} is in use by {by}.", cure=cure or "Delete or change what uses it first.", code="in_use")


def some(names: Sequence[str], most: int = 3) -> str:
    """``a, b, c and 4 more``."""
    shown = ", ".join(names[:most])
    return f"{shown} and {len(names) - most} more" if len(names) > most else shown


def check_ids(field: str, noun: str, given: Iterable[str], known: Iterable[str]) -> list[str]:
    """``given`` without repetitions; raises Invalid naming the first that is not ``known``."""
    known = set(known)
    for number, ident in enumerate(given):
        if ident not in known:
            raise Invalid(
                f"There is no {noun} {ident[:80]!r}.", field=f"{field}.{number}", cure=f"Choose one of your {noun}s."
            )
    return list(dict.fromkeys(given))


def usage(resource: str, system: str, capacity: int, allocated: int, free: int, *, simulated: bool = False) -> Usage:
    """What the API says of a resource's use; ``system`` decides its unit."""

    def text(amount: int) -> str:
        return format_quantity(system, amount) if amount else "0"

    return Usage(
        resource=resource,
        unit=unit_of(system),
        capacity=capacity,
        allocated=allocated,
        free=free,
        capacity_text=text(capacity),
        allocated_text=text(allocated),
        free_text=text(free),
        simulated=simulated,
    )


def usages(nodes: Sequence[NodeState]) -> list[Usage]:
    """The use of each system resource over some nodes; CPU, memory and disk first."""
    capacity = _sum(node.capacity for node in nodes)
    allocated, free = _sum(node.allocated for node in nodes), _sum(node.free for node in nodes)
    simulated = simulated_on(nodes)
    return [
        usage(name, name, capacity[name], allocated[name], free[name], simulated=name in simulated)
        for name in sorted(capacity, key=basic_first)
    ]


def _sum(amounts: Iterable[Amounts]) -> dict[str, int]:
    total: dict[str, int] = defaultdict(int)
    for there, count in tally(amounts):
        for name, quantity in there.items():
            total[name] += quantity * count
    return total


def basic_first(resource: str) -> tuple[int, str]:
    """Sorts CPU, memory and disk before the rest, which goes by name."""
    return BASIC.index(resource) if resource in BASIC else len(BASIC), resource


def quantities(names: Names, miner_id: str, items: dict[str, int]) -> list[Quantity]:
    """A specification's items as the API shows them."""
    return [
        Quantity(
            resource=name,
            value=value,
            unit=unit_of(names.system(miner_id, name)),
            text=format_quantity(names.system(miner_id, name), value),
        )
        for name, value in items.items()
    ]


def simulated_on(nodes: Iterable[NodeState]) -> set[str]:
    """The system resources that are simulated on one of ``nodes``."""
    return set().union(*{node.simulated for node in nodes})
