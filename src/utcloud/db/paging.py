"""Keyset paging: a page begins where the last one ended, however many rows came or went between."""

from datetime import datetime
from typing import Any

from sqlalchemy import Select, literal, tuple_
from sqlalchemy.orm import InstrumentedAttribute

from utcloud.common.clock import from_ms, to_ms
from utcloud.common.paging import decode_cursor, encode_cursor, not_ours
from utcloud.db.base import Timestamp
from utcloud.db.database import Tx


async def paginate(
    tx: Tx,
    query: Select[Any],
    ident: InstrumentedAttribute[str],
    *,
    limit: int,
    cursor: str | None,
    order_by: InstrumentedAttribute[Any] | None = None,
    descending: bool = True,
) -> tuple[list[Any], str | None]:
    """Run ``query`` (a select of one entity) for one page; return its rows and the next page's cursor, or None.

    Newest first by ``ident`` unless ``order_by`` (a column without nulls) says otherwise; ``ident`` breaks ties.
    """
    keys = [ident] if order_by is None else [order_by, ident]
    if cursor is not None:
        parts = decode_cursor(cursor, len(keys))
        after = [literal(_value(part, key), key.type) for part, key in zip(parts, keys, strict=True)]
        left, right = tuple_(*keys), tuple_(*after)
        query = query.where(left < right if descending else left > right)
    query = query.order_by(*(key.desc() if descending else key.asc() for key in keys)).limit(limit + 1)
    rows = list((await tx.scalars(query)).all())
    if len(rows) <= limit:
        return rows, None
    rows = rows[:limit]
    last = [getattr(rows[-1], key.key) for key in keys]
    return rows, encode_cursor(*(to_ms(value) if isinstance(value, datetime) else value for value in last))


def _value(part: str | int | None, key: InstrumentedAttribute[Any]) -> Any:
    """What a cursor's part stands for in the column ``key``; moments are packed as milliseconds."""
    moment = isinstance(key.type, Timestamp)
    if not isinstance(part, int if moment else key.type.python_type):
        raise not_ours()
    try:
        return from_ms(part) if moment and isinstance(part, int) else part
    except (ValueError, OverflowError, OSError):
        raise not_ours() from None
