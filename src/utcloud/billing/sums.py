"""The one formula in SQL, so that thousands of meters are summed up where they lie.

Everything stays within 64 bits: ``price × ms // 3 600 000`` is computed as ``q × ms + r × ms // 3 600 000`` where
``q, r = divmod(price, 3 600 000)``.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, and_, case, func, literal, select, type_coerce

from utcloud.billing.models import Meter
from utcloud.billing.solvency import MS_PER_HOUR, Use
from utcloud.common.clock import to_ms
from utcloud.db import Tx
from utcloud.protocol import SILENT_AFTER_S

_MILLION = 1_000_000
Int = ColumnElement[int]
_started, _witnessed, _heard, _ended = (
    type_coerce(column, BigInteger)
    for column in (Meter.started_at, Meter.witnessed_until, Meter.heard_at, Meter.ended_at)
)
_price: Int = Meter.price.expression


def cost(ms: Int) -> Int:
    """What ``ms`` milliseconds (not negative) cost at the meter's price, rounded down."""
    return (_price // MS_PER_HOUR) * ms + (_price % MS_PER_HOUR) * ms // MS_PER_HOUR


def _positive(span: Int) -> Int:
    return case((span > 0, span), else_=literal(0))


def runs(now: datetime) -> ColumnElement[bool]:
    """``solvency.runs`` in SQL."""
    return and_(
        Meter.closed.is_(False),
        _ended.is_(None),
        _started.is_not(None),
        _heard >= to_ms(now) - SILENT_AFTER_S * 1000,
    )


_SPAN = _positive(func.coalesce(_ended, _witnessed) - _started)
_silent: Int = Meter.silent_ms.expression
ELAPSED = _positive(_SPAN - _silent)
"""``solvency.elapsed_ms``: the milliseconds that a meter has counted."""
AMOUNT = cost(ELAPSED)
PAID = AMOUNT - Meter.waived - Meter.credited
"""What it costs its payer, so far or in the end."""
OUTSTANDING = AMOUNT - Meter.settled - Meter.waived
"""What of it is not in the journal yet."""


def share(amount: Int, ppm: Int) -> Int:
    """``ppm`` millionths of an amount that is not negative, rounded down."""
    return (amount // _MILLION) * ppm + (amount % _MILLION) * ppm // _MILLION


_FEE = share(PAID, Meter.fee_ppm.expression)
OUTSTANDING_SHARE = PAID - _FEE - (Meter.settled - Meter.credited - Meter.settled_fee)
"""The miner's part of ``OUTSTANDING``; not a share of it, because the fee is cumulative."""


def elapsed_by(now: datetime) -> Int:
    """``solvency.elapsed_by`` in SQL."""
    return ELAPSED + _unheard(now)


def _unheard(now: datetime) -> Int:
    return case((runs(now), _positive(literal(to_ms(now)) - _heard)), else_=literal(0))


def elapsed_at(moment: datetime) -> Int:
    """What of ``ELAPSED`` lay before ``moment``; silence counts as its last part."""
    return least(ELAPSED, _positive(literal(to_ms(moment)) - _started))


def least(one: Int, other: Int) -> Int:
    return case((one < other, one), else_=other)


def cost_since(moment: datetime, now: datetime) -> Int:
    """What a meter costs its payer from ``moment`` until ``now``, by the formula at both ends.

    What was waived or credited lay at its end; so far as it lay before ``moment``, it gives no room after it. Nobody
    knows which side of ``moment`` silence lay on, so it gives room only to what began after.
    """
    before = _positive(literal(to_ms(moment)) - _started)
    whole = case((before > 0, _SPAN + _unheard(now)), else_=elapsed_by(now))
    since = cost(whole) - cost(least(before, whole))
    return _positive(since - Meter.waived - Meter.credited)


async def outstanding_share(tx: Tx, miner_id: str | None) -> int:
    """What a miner earned that is not in the journal yet; ``miner_id`` None: all miners together."""
    query = select(func.sum(OUTSTANDING_SHARE)).where(Meter.closed.is_(False))
    if miner_id is not None:
        query = query.where(Meter.payee_id == miner_id)
    return int(await tx.scalar(query) or 0)


def columns(now: datetime) -> list[ColumnElement[Any]]:
    """The sums that ``use`` makes a ``Use`` of."""
    running, by_now = runs(now), elapsed_by(now)
    owed = cost(by_now) - Meter.settled - Meter.waived
    rest = (_price % MS_PER_HOUR) * by_now % MS_PER_HOUR
    return [
        func.count(),
        func.sum(OUTSTANDING),
        func.sum(Meter.hold),
        func.sum(case((running, _price), else_=0)),
        func.sum(owed),
        func.sum(case((running, rest), else_=0)),
    ]


def use(row: Iterable[Any]) -> Use:
    """Turn the ``columns`` of a group of open meters into a ``Use``; all null is none."""
    return Use(*(int(value or 0) for value in row))


async def use_of(tx: Tx, wallet_ids: Iterable[str], now: datetime) -> dict[str, Use]:
    """The use of some wallets, in one statement; a wallet with no open meter is not in it."""
    query = (
        select(Meter.wallet_id, *columns(now))
        .where(Meter.wallet_id.in_(list(wallet_ids)), Meter.closed.is_(False))
        .group_by(Meter.wallet_id)
    )
    return {wallet_id: use(rest) for wallet_id, *rest in await tx.execute(query)}
