"""Insert a row unless it is there already: the same statement on SQLite and PostgreSQL, and no error in a race."""

from typing import Any

from sqlalchemy.dialects import postgresql, sqlite

from utcloud.db.base import Base
from utcloud.db.database import Tx


async def insert_if_absent(tx: Tx, model: type[Base], *rows: dict[str, Any]) -> None:
    """Insert those of ``rows`` that break no unique constraint. Python-side column defaults apply."""
    if not rows:
        return
    make = sqlite.insert if tx.get_bind().dialect.name == "sqlite" else postgresql.insert
    await tx.execute(make(model).values(list(rows)).on_conflict_do_nothing())
