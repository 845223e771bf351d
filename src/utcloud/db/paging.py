"""Keyset paging: a page begins where the last one ended, however many rows came or went between."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Row, Select, literal, tuple_
from sqlalchemy.orm import InstrumentedAttribute

from utcloud.common.clock import from_ms, to_ms
from utcloud.common.paging import decode_cursor, encode_cursor, not_ours
from utcloud.db.base import Timestamp
from utcloud.db.database import Tx

Key = ColumnElement[Any] | InstrumentedAttribute[Any]


async def paginate(
    tx: Tx,
    query: Select[Any],
    ident: InstrumentedAttribute[str],
    *,
    limit: int,
    cursor: str | None,
    sort: str = "-created_at",
    columns: Mapping[str, Key] | None = None,
) -> tuple[list[Any], str | None]:
    """``page_of`` a select of one entity: the entities of one page, and the next page's cursor, or None."""
    rows, after = await page_of(tx, query, ident, limit=limit, cursor=cursor, sort=sort, columns=columns)
    return [row[0] for row in rows], after


async def page_of(
    tx: Tx,
    query: Select[Any],
    ident: InstrumentedAttribute[str],
    *,
    limit: int,
    cursor: str | None,
    sort: str = "-created_at",
    columns: Mapping[str, Key] | None = None,
) -> tuple[Sequence[Row[Any]], str | None]:
    """Run ``query`` for one page; return its rows, followed by what they are sorted by, and the next page's cursor.

    ``sort`` names one of ``columns``, of which none may be null; ``-`` before it begins with the greatest. Any other
    name, such as ``created_at``, goes by ``ident``: ids are given out in the order of time. ``ident`` breaks ties.
    """
    by = (columns or {}).get(sort.removeprefix("-"))
    keys: list[Key] = [ident] if by is None else [by, ident]
    descending = sort.startswith("-")
    if cursor is not None:
        parts = decode_cursor(cursor, len(keys))
        after = [literal(_value(part, key), key.type) for part, key in zip(parts, keys, strict=True)]
        left, right = tuple_(*keys), tuple_(*after)
        query = query.where(left < right if descending else left > right)
    query = query.order_by(*(key.desc() if descending else key.asc() for key in keys)).limit(limit + 1)
    rows = (await tx.execute(query.add_columns(*keys))).all()
    if len(rows) <= limit:
        return rows, None
    last = rows[limit - 1][-len(keys) :]
    return rows[:limit], encode_cursor(*(to_ms(value) if isinstance(value, datetime) else value for value in last))


def _value(part: str | int | None, key: Key) -> Any:
    """What a cursor's part stands for in the column ``key``; moments are packed as milliseconds."""
    moment = isinstance(key.type, Timestamp)
    if not isinstance(part, int if moment else key.type.python_type):
        raise not_ours()
    try:
        return from_ms(part) if moment and isinstance(part, int) else part
    except (ValueError, OverflowError, OSError):
        raise not_ours() from None
