"""What nodes have and what of it is given out, counted by the database and kept until their site's stamp changes."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from sqlalchemy import BigInteger, Row, Select, Subquery, and_, case, cast, func, or_, select

from utcloud.db import Tx, memory
from utcloud.db.bulk import among
from utcloud.db.pairs import packed, unpacked
from utcloud.resources.models import Allocation, Chip, ChipClaim, Node, NodeResource, Site

Amounts = dict[str, int]
Stamp = tuple[int, str]
"""A site's revision and the digest of its last report: whatever changes what its nodes hold changes one of them."""


@dataclass(frozen=True, slots=True)
class Holdings:
    """What a node has, in base units. Equal amounts are one and the same dict, which is not to be changed."""

    stamp: Stamp
    capacity: Amounts
    usable: Amounts
    free: Amounts
    allocated: Amounts
    simulated: frozenset[str]
    chips: tuple[str, ...]
    """The resources of which the node has, or had, chips."""
    attempts: int


async def holdings_of(tx: Tx, nodes: Select[str], stamps: dict[str, Stamp]) -> dict[str, Holdings]:
    """The holdings of ``nodes``, whose ids and sites' stamps are ``stamps``; only those that changed are counted."""
    kept: dict[str, Holdings] = memory(tx).setdefault("capacity.holdings", {})
    changed = [ident for ident, stamp in stamps.items() if ident not in kept or kept[ident].stamp != stamp]
    if changed:
        chosen = nodes if len(changed) == len(stamps) else select(_nodes.id).where(among(tx, _nodes.id, changed))
        for row in await rows(tx, _held(chosen)):
            kept[row.id] = _holdings(row)
    return kept


def tally(amounts: Iterable[Amounts]) -> list[tuple[Amounts, int]]:
    """Different amounts, with how many nodes have just these."""
    given = list(amounts)
    known = {id(one): one for one in given}
    return [(known[key], count) for key, count in Counter(map(id, given)).items()]


async def rows(tx: Tx, query: Select[*tuple[Any, ...]]) -> Sequence[Row[*tuple[Any, ...]]]:
    """Past the ORM's loading, which takes as long as the database."""
    return (await (await tx.connection()).execute(query)).all()


def _holdings(row: Row[*tuple[Any, ...]]) -> Holdings:
    return Holdings(
        stamp=(row.revision, row.report_digest),
        capacity=_amounts(row.capacity),
        usable=_amounts(row.usable),
        free=_amounts(row.free),
        allocated=_amounts(row.allocated),
        simulated=frozenset(row.simulated.split("\n")) if row.simulated else frozenset(),
        chips=tuple(row.chips.split("\n")) if row.chips else (),
        attempts=row.attempts or 0,
    )


def _amounts(text: str | None) -> Amounts:
    return _one(frozenset(unpacked(text)))


@lru_cache(100_000)
def _one(pairs: frozenset[tuple[str, int]]) -> Amounts:
    return dict(sorted(pairs))


def _held(nodes: Select[str]) -> Select[*tuple[Any, ...]]:
    """A row for each node, its amounts as texts."""
    there = _amounts_on(nodes).c
    names = func.aggregate_strings(there.name, "\n")
    texts = (
        select(
            there.node_id,
            packed(there.name, there.capacity).label("capacity"),
            packed(there.name, there.usable).label("usable"),
            packed(there.name, there.free).label("free"),
            packed(there.name, there.allocated).label("allocated"),
            names.filter(there.simulated).label("simulated"),
            names.filter(there.singly.is_not(None)).label("chips"),
            func.max(there.attempts).label("attempts"),
        )
        .group_by(there.node_id)
        .subquery()
    )
    return (
        select(
            _nodes.id,
            _sites.revision,
            _sites.report_digest,
            *(column for column in texts.c if column is not texts.c.node_id),
        )
        .join_from(Node.__table__, Site.__table__, _sites.id == _nodes.site_id)
        .outerjoin(texts, texts.c.node_id == _nodes.id)
        .where(_nodes.id.in_(nodes))
    )


def _amounts_on(nodes: Select[str]) -> Subquery:
    """How much of each resource there is on some nodes, a row for each: what they have of it (``capacity``), what of
    that is not broken (``usable``), what is ``free`` and ``allocated``, by how many ``attempts``.

    Chips (``singly`` is not NULL then) are counted one by one: what the node says it has in sum does not matter.
    """
    held = _ALLOCATED.where(_allocations.node_id.in_(nodes)).subquery()
    chips = _CHIPS.where(_chips.node_id.in_(nodes)).subquery()
    allocated = func.coalesce(held.c.quantity, 0)
    left = case((_resources.capacity > allocated, _resources.capacity - allocated), else_=0)
    return (
        select(
            _resources.node_id,
            _resources.name,
            func.coalesce(chips.c.there, _resources.capacity).label("capacity"),
            func.coalesce(chips.c.healthy, _resources.capacity).label("usable"),
            func.coalesce(chips.c.free, left).label("free"),
            allocated.label("allocated"),
            held.c.attempts,
            or_(_resources.simulated, func.coalesce(chips.c.simulated, 0) > 0).label("simulated"),
            chips.c.there.label("singly"),
        )
        .outerjoin_from(
            NodeResource.__table__,
            held,
            and_(held.c.node_id == _resources.node_id, held.c.resource == _resources.name),
        )
        .outerjoin(chips, and_(chips.c.node_id == _resources.node_id, chips.c.resource == _resources.name))
        .where(_resources.node_id.in_(nodes))
        .subquery()
    )


_nodes, _sites, _resources, _allocations, _chips, _claims = (
    model.__table__.c for model in (Node, Site, NodeResource, Allocation, Chip, ChipClaim)
)
_ALLOCATED: Select[*tuple[Any, ...]] = select(
    _allocations.node_id,
    _allocations.resource,
    cast(func.sum(_allocations.quantity), BigInteger).label("quantity"),
    func.count().label("attempts"),
).group_by(_allocations.node_id, _allocations.resource)
_healthy = and_(_chips.present, _chips.healthy)
_unclaimed = and_(_healthy, _claims.attempt_id.is_(None))
_CHIPS: Select[*tuple[Any, ...]] = (
    select(
        _chips.node_id,
        _chips.resource,
        func.count().filter(_chips.present).label("there"),
        func.count().filter(_healthy).label("healthy"),
        func.count().filter(_unclaimed).label("free"),
        func.count().filter(_chips.present, _chips.simulated).label("simulated"),
    )
    .outerjoin(ChipClaim.__table__, _claims.chip_id == _chips.id)
    .group_by(_chips.node_id, _chips.resource)
)
FREE_CHIPS: Select[*tuple[Any, ...]] = (
    select(_chips.node_id, _chips.resource, _chips.index, _chips.uid, _chips.id, _chips.simulated)
    .outerjoin(ChipClaim.__table__, _claims.chip_id == _chips.id)
    .where(_unclaimed)
    .order_by(_chips.index, _chips.uid)
)
