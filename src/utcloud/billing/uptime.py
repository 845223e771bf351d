"""When a server was there and listened: what tells a site's silence from the platform's own."""

from datetime import datetime, timedelta

from sqlalchemy import BigInteger, ColumnElement, case, cast, delete, func, literal, select, type_coerce

from utcloud.billing.models import Uptime
from utcloud.common.clock import to_ms
from utcloud.common.ids import new_id
from utcloud.db import Tx

BEAT_S = 5.0
KEEPS = timedelta(seconds=20)
"""A server that was not heard of for longer than this was away."""
_REMEMBERED = timedelta(days=30)

_began, _until = (type_coerce(column, BigInteger) for column in (Uptime.began_at, Uptime.until))


async def beat(tx: Tx, now: datetime) -> None:
    """Note that a server listens at ``now``: prolong the present time, or begin one after a pause or a leap."""
    near = Uptime.until.between(now - KEEPS, now + KEEPS)
    known = await tx.scalar(select(Uptime).where(near).order_by(Uptime.until.desc()).limit(1).with_for_update())
    if known is None:
        tx.add(Uptime(id=new_id("up"), began_at=now, until=now))
        await tx.execute(delete(Uptime).where(Uptime.until < now - _REMEMBERED))
    else:
        known.until = max(known.until, now)
    await tx.flush()


async def covered_ms(tx: Tx, since: datetime, now: datetime) -> int:
    """How many milliseconds of the time from ``since`` to ``now`` a server listened."""
    moments = (literal(to_ms(moment), BigInteger) for moment in (since, now))
    return int(await tx.scalar(select(covered(*moments))) or 0)


async def listened_ms(tx: Tx, since: datetime, now: datetime) -> int:
    """``covered_ms`` for a server that listens at ``now``, whose last beat was a few seconds ago."""
    last = await tx.scalar(select(func.max(Uptime.until)).where(Uptime.until.between(now - KEEPS, now)))
    beaten = await covered_ms(tx, since, now)
    return beaten if last is None else beaten + max(to_ms(now) - to_ms(max(last, since)), 0)


def covered(since: ColumnElement[int], now: ColumnElement[int]) -> ColumnElement[int]:
    """``covered_ms`` in SQL, for statements about many rows."""
    begin = case((_began > since, _began), else_=since)
    end = case((_until < now, _until), else_=now)
    spans = select(cast(func.sum(end - begin), BigInteger)).select_from(Uptime).where(_until > since, _began < now)
    return func.coalesce(spans.correlate_except(Uptime).scalar_subquery(), 0)
