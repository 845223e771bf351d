"""Run by Alembic."""

import asyncio

from alembic import context
from sqlalchemy import Connection

from utcloud.db import Database


def _run(connection: Connection) -> None:
    context.configure(
        connection=connection, target_metadata=context.config.attributes["metadata"], render_as_batch=True
    )
    with context.begin_transaction():
        context.run_migrations()


def _run_on_sqlite(connection: Connection) -> None:
    """All or nothing, and references unwatched: a table that is made anew is dropped first, rows cascading."""
    connection.exec_driver_sql("PRAGMA foreign_keys=OFF")
    connection.exec_driver_sql("BEGIN IMMEDIATE")
    try:
        _run(connection)
        broken = connection.exec_driver_sql("PRAGMA foreign_key_check").first()
        if broken:
            raise RuntimeError(f"the migration would leave a broken reference: {tuple(broken)}")
    except BaseException:
        connection.exec_driver_sql("ROLLBACK")
        raise
    connection.exec_driver_sql("COMMIT")
    connection.exec_driver_sql("PRAGMA foreign_keys=ON")


async def _main() -> None:
    db = Database(context.config.attributes["url"])
    async with db.engine.begin() as connection:
        await connection.run_sync(_run_on_sqlite if db.is_sqlite else _run)
    await db.close()


asyncio.run(_main())
