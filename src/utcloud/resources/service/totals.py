"""How much there is of each system resource in sum, counted by the database."""

from sqlalchemy import ColumnElement, Integer, cast, func, select

from utcloud.db import Tx
from utcloud.resources import capacity
from utcloud.resources.models import Chip, ChipClaim, Node
from utcloud.resources.schemas import Usage
from utcloud.resources.service.common import basic_first, usage


async def totals(tx: Tx, *where: ColumnElement[bool]) -> list[Usage]:
    """The use of each system resource over the nodes for which ``where`` holds; CPU, memory and disk first."""
    nodes = select(Node.id).where(Node.gone.is_(False), *where)
    there = capacity.amounts_on(nodes).c
    rows = await tx.execute(
        select(
            there.name,
            func.sum(there.capacity),
            func.sum(there.allocated),
            func.sum(there.free),
            func.max(cast(there.simulated, Integer)),
        ).group_by(there.name)
    )
    return [
        usage(name, name, int(total), int(allocated), int(free), simulated=bool(pretended))
        for name, total, allocated, free, pretended in sorted(rows, key=lambda row: basic_first(row[0]))
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
