"""Rows that may be there already: the same statements on SQLite and PostgreSQL, and no error in a race."""

from collections.abc import Sequence
from typing import Any, cast

from sqlalchemy import CursorResult, Table
from sqlalchemy.dialects import postgresql, sqlite

from utcloud.db.base import Base
from utcloud.db.database import Tx


async def insert_if_absent(tx: Tx, model: type[Base], *rows: dict[str, Any]) -> int:
    """Insert those of ``rows`` that break no unique constraint; their number. Python-side column defaults apply."""
    if not rows:
        return 0
    make = sqlite.insert if tx.get_bind().dialect.name == "sqlite" else postgresql.insert
    done = await tx.execute(make(model).values(list(rows)).on_conflict_do_nothing())
    return cast(CursorResult[Any], done).rowcount


async def put_rows(tx: Tx, model: type[Base], rows: Sequence[dict[str, Any]]) -> None:
    """Insert ``rows``, which all have the same keys; where the primary key is there already, set what they say."""
    if not rows:
        return
    make = sqlite.insert if tx.get_bind().dialect.name == "sqlite" else postgresql.insert
    table = cast(Table, model.__table__)
    keys = [column.name for column in table.primary_key]
    new = make(table)
    changes = {name: new.excluded[name] for name in rows[0] if name not in keys}
    statement = new.on_conflict_do_update(index_elements=keys, set_=changes)
    await (await tx.connection()).execute(statement, list(rows))
