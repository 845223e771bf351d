"""How much there is of each system resource in sum, counted by the database."""

from sqlalchemy import ColumnElement, Integer, and_, case, cast, func, select

from utcloud.common.quantity import BASIC
from utcloud.db import Tx
from utcloud.resources.models import Allocation, Chip, ChipClaim, Node, NodeResource
from utcloud.resources.schemas import Usage
from utcloud.resources.service.common import usage


async def totals(tx: Tx, *where: ColumnElement[bool]) -> list[Usage]:
    """The use of each system resource over the nodes for which ``where`` holds; CPU, memory and disk first.

    Counts as ``capacity.load`` does: chips one by one, whatever a node says that it has of them in sum.
    """
    nodes = select(Node.id).where(Node.gone.is_(False), *where)
    held = (
        select(Allocation.node_id, Allocation.resource, func.sum(Allocation.quantity).label("quantity"))
        .where(Allocation.node_id.in_(nodes))
        .group_by(Allocation.node_id, Allocation.resource)
        .subquery()
    )
    given = and_(Chip.present.is_(True), Chip.healthy.is_(True), ChipClaim.attempt_id.is_(None))
    chips = (
        select(
            Chip.node_id,
            Chip.resource,
            func.sum(cast(Chip.present, Integer)).label("there"),
            func.sum(case((given, 1), else_=0)).label("free"),
            func.max(case((Chip.present.is_(True), cast(Chip.simulated, Integer)), else_=0)).label("simulated"),
        )
        .outerjoin(ChipClaim, ChipClaim.chip_id == Chip.id)
        .where(Chip.node_id.in_(nodes))
        .group_by(Chip.node_id, Chip.resource)
        .subquery()
    )
    taken = func.coalesce(held.c.quantity, 0)
    there = func.coalesce(chips.c.there, NodeResource.capacity)
    left = case((NodeResource.capacity > taken, NodeResource.capacity - taken), else_=0)
    simulated = cast(NodeResource.simulated, Integer) + func.coalesce(chips.c.simulated, 0)
    rows = await tx.execute(
        select(
            NodeResource.name,
            func.sum(there),
            func.sum(taken),
            func.sum(func.coalesce(chips.c.free, left)),
            func.max(simulated),
        )
        .outerjoin(held, and_(held.c.node_id == NodeResource.node_id, held.c.resource == NodeResource.name))
        .outerjoin(chips, and_(chips.c.node_id == NodeResource.node_id, chips.c.resource == NodeResource.name))
        .where(NodeResource.node_id.in_(nodes))
        .group_by(NodeResource.name)
    )
    order = {name: rank for rank, name in enumerate(BASIC)}
    return [
        usage(name, name, int(capacity), int(allocated), int(free), simulated=bool(pretended))
        for name, capacity, allocated, free, pretended in sorted(
            rows, key=lambda row: (order.get(row[0], len(order)), row[0])
        )
    ]


async def count_chips(tx: Tx, *where: ColumnElement[bool]) -> tuple[int, int]:
    """How many chips there are on the nodes for which ``where`` holds, and how many of them work holds."""
    query = (
        select(func.count(), func.count(ChipClaim.attempt_id))
        .select_from(Chip)
        .join(Node, Node.id == Chip.node_id)
        .outerjoin(ChipClaim, ChipClaim.chip_id == Chip.id)
        .where(Chip.present.is_(True), Node.gone.is_(False), *where)
    )
    total, busy = (await tx.execute(query)).one()
    return total, busy
