"""The one formula in SQL, so that thousands of meters are summed up where they lie.

Everything stays within 64 bits: ``price × ms // 3 600 000`` is computed as ``q × ms + r × ms // 3 600 000`` where
``q, r = divmod(price, 3 600 000)``.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, case, func, literal, select, type_coerce

from utcloud.billing.models import Meter
from utcloud.db import Tx

MS_PER_HOUR = 3_600_000
_started, _witnessed, _ended = (
    type_coerce(column, BigInteger) for column in (Meter.started_at, Meter.witnessed_until, Meter.ended_at)
)


def cost(price: ColumnElement[int], ms: ColumnElement[int]) -> ColumnElement[int]:
    """What ``ms`` milliseconds (not negative) cost at ``price`` per hour, rounded down."""
    return (price // MS_PER_HOUR) * ms + (price % MS_PER_HOUR) * ms // MS_PER_HOUR


def elapsed(until: ColumnElement[int] | None = None) -> ColumnElement[int]:
    """``solvency.elapsed_ms``: the milliseconds that a meter has counted, or has by ``until``."""
    end = func.coalesce(_ended, _witnessed) if until is None else until
    span = end - _started
    return case((span > 0, span), else_=literal(0))


AMOUNT = cost(Meter.price.expression, elapsed())
OUTSTANDING = AMOUNT - Meter.settled - Meter.waived


@dataclass(frozen=True, slots=True)
class Use:
    """What the open meters of a wallet come to, in micro-UNC."""

    meters: int = 0
    accrued: int = 0
    """Used and witnessed, not in the journal yet."""
    held: int = 0


async def use_of(tx: Tx, wallet_ids: Iterable[str]) -> dict[str, Use]:
    """The use of some wallets, in one statement; a wallet with no open meter is not in it."""
    query = (
        select(Meter.wallet_id, func.count(), func.sum(OUTSTANDING), func.sum(Meter.hold))
        .where(Meter.wallet_id.in_(list(wallet_ids)), Meter.closed.is_(False))
        .group_by(Meter.wallet_id)
    )
    rows: Iterable[Any] = await tx.execute(query)
    return {wallet_id: Use(count, int(accrued), int(held)) for wallet_id, count, accrued, held in rows}
