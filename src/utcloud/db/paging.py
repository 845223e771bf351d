"""Keyset paging: a page begins where the last one ended, however many rows came or went between."""

from typing import Any

from sqlalchemy import Select, tuple_
from sqlalchemy.orm import InstrumentedAttribute

from utcloud.common.paging import decode_cursor, encode_cursor, not_ours
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
        after = decode_cursor(cursor, len(keys))
        if not all(isinstance(part, key.type.python_type) for part, key in zip(after, keys, strict=True)):
            raise not_ours()
        left, right = tuple_(*keys), tuple_(*after)
        query = query.where(left < right if descending else left > right)
    query = query.order_by(*(key.desc() if descending else key.asc() for key in keys)).limit(limit + 1)
    rows = list((await tx.scalars(query)).all())
    if len(rows) <= limit:
        return rows, None
    rows = rows[:limit]
    last = [getattr(rows[-1], key.key) for key in keys]
    return rows, encode_cursor(*last)
