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


async def _main() -> None:
    db = Database(context.config.attributes["url"])
    async with db.engine.begin() as connection:
        await connection.run_sync(_run)
    await db.close()


asyncio.run(_main())
