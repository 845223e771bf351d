"""How much there is of each system resource in sum, counted by the database."""

from collections import defaultdict

from sqlalchemy import ColumnElement, Integer, and_, case, cast, exists, func, literal, select

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
    taken = func.coalesce(held.c.quantity, 0)
    in_chips = exists().where(Chip.node_id == NodeResource.node_id, Chip.resource == NodeResource.name)
    counted = (
        select(
            NodeResource.name,
            func.sum(case((in_chips, 0), else_=NodeResource.capacity)),
            func.sum(case((in_chips, 0), (NodeResource.capacity > taken, NodeResource.capacity - taken), else_=0)),
            func.sum(taken),
            func.max(cast(NodeResource.simulated, Integer)),
        )
        .outerjoin(held, and_(held.c.node_id == NodeResource.node_id, held.c.resource == NodeResource.name))
        .where(NodeResource.node_id.in_(nodes))
        .group_by(NodeResource.name)
    )
    chips = (
        select(
            Chip.resource,
            func.count(),
            func.sum(case((and_(Chip.healthy.is_(True), ChipClaim.attempt_id.is_(None)), 1), else_=0)),
            literal(0),
            func.max(cast(Chip.simulated, Integer)),
        )
        .outerjoin(ChipClaim, ChipClaim.chip_id == Chip.id)
        .where(Chip.node_id.in_(nodes), Chip.present.is_(True))
        .group_by(Chip.resource)
    )
    sums: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0, 0])
    for query in (counted, chips):
        for name, *amounts in await tx.execute(query):
            sums[name] = [before + int(more) for before, more in zip(sums[name], amounts, strict=True)]
    order = {name: rank for rank, name in enumerate(BASIC)}
    return [
        usage(name, name, there, allocated, free, simulated=bool(simulated))
        for name, (there, free, allocated, simulated) in sorted(
            sums.items(), key=lambda item: (order.get(item[0], len(order)), item[0])
        )
    ]
