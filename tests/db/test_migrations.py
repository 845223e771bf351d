"""A migrated database is what the models say, triggers included."""

import asyncio

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from tests.support.db import PostgresServer, load_all_tables
from utcloud.db import Base, Database
from utcloud.db.migrations import upgrade


@pytest.fixture
async def migrated(database_kind: str, request: pytest.FixtureRequest, tmp_path):  # type: ignore[no-untyped-def]
    if database_kind == "sqlite":
        url = f"sqlite+aiosqlite:///{tmp_path / 'migrated.db'}"
        await asyncio.to_thread(upgrade, url)
        database = Database(url)
        yield database
        await database.close()
        return
    server: PostgresServer = request.getfixturevalue("postgres")
    async with server.empty() as url:
        await asyncio.to_thread(upgrade, url)
        database = Database(url)
        yield database
        await database.close()


async def test_migrations_give_what_the_models_say(migrated: Database) -> None:
    load_all_tables()

    def differences(connection: Connection) -> list[object]:
        return list(compare_metadata(MigrationContext.configure(connection), Base.metadata))

    async with migrated.engine.connect() as connection:
        assert await connection.run_sync(differences) == []


async def test_upgrading_again_changes_nothing(migrated: Database) -> None:
    await asyncio.to_thread(upgrade, migrated.url.render_as_string(hide_password=False))


@pytest.mark.parametrize("change", ["UPDATE journal_entries SET note = 'x'", "DELETE FROM journal_entries"])
async def test_the_migrated_journal_is_append_only(migrated: Database, change: str) -> None:
    entry = (
        "INSERT INTO journal_entries (id, idempotency_key, kind, cause_type, cause_id, note, actor_id, actor_name, at) "
        "VALUES ('je_1', 'k', 'recharge', '', '', '', '', '', 0)"
    )
    async with migrated.engine.begin() as connection:
        await connection.execute(text(entry))
    with pytest.raises(DBAPIError, match="append-only"):
        async with migrated.engine.begin() as connection:
            await connection.execute(text(change))
