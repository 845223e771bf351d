"""A migrated database is what the models say, triggers included."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from tests.support.db import load_all_tables
from tests.support.money import fund
from utcloud.billing.verify import verified
from utcloud.db import Base, Database
from utcloud.db.migrations import config, upgrade

pytestmark = pytest.mark.postgres


@pytest.fixture
async def migrated(bare_url: str) -> AsyncIterator[Database]:
    await asyncio.to_thread(upgrade, bare_url)
    database = Database(bare_url)
    yield database
    await database.close()


async def test_migrations_give_what_the_models_say(migrated: Database) -> None:
    load_all_tables()

    def differences(connection: Connection) -> list[object]:
        return list(compare_metadata(MigrationContext.configure(connection), Base.metadata))

    async with migrated.engine.connect() as connection:
        assert await connection.run_sync(differences) == []


async def test_migrations_give_the_triggers_that_the_models_have(
    migrated: Database, db: Database, database_kind: str
) -> None:
    if database_kind == "sqlite":
        query = "SELECT name, sql FROM sqlite_master WHERE type = 'trigger'"
    else:
        query = (
            "SELECT tgname, pg_get_triggerdef(pg_trigger.oid) || prosrc FROM pg_trigger "
            "JOIN pg_proc ON pg_proc.oid = tgfoid WHERE NOT tgisinternal"
        )
    found = []
    for database in (migrated, db):
        async with database.engine.connect() as connection:
            rows = await connection.execute(text(query))
            found.append({name: " ".join(sql.split()) for name, sql in rows})
    assert found[0] == found[1]
    assert len(found[0]) >= 5


async def test_upgrading_again_changes_nothing(migrated: Database) -> None:
    await asyncio.to_thread(upgrade, migrated.url.render_as_string(hide_password=False))


@pytest.mark.parametrize("change", ["UPDATE journal_entries SET note = 'x'", "DELETE FROM journal_entries"])
async def test_the_migrated_journal_is_append_only(migrated: Database, change: str) -> None:
    async with migrated.write() as tx:
        await fund(tx, "u", 5)
    assert (await verified(migrated)).fault is None
    with pytest.raises(DBAPIError, match="append-only"):
        async with migrated.engine.begin() as connection:
            await connection.execute(text(change))


async def test_upgrading_loses_no_row(bare_url: str) -> None:
    """A table that is made anew takes along what refers to it."""
    await asyncio.to_thread(command.upgrade, config(bare_url), "0001")
    database = Database(bare_url)
    rows = [
        "users (id, username, display_name, email, password_hash, is_operator, is_miner, is_renter, status, created_at)"
        " VALUES ('u', 'u', '', '', '', false, true, true, 'active', 0)",
        "pools (id, miner_id, name, description, is_default, open_to_all, created_at)"
        " VALUES ('p', 'u', 'p', '', true, true, 0)",
        "specs (id, miner_id, name, description, price, created_at) VALUES ('s', 'u', 's', '', 1, 0)",
        "images (id, owner_id, name, reference, description, visibility, jupyter, created_at)"
        " VALUES ('i', 'u', 'i', 'i', '', 'preset', true, 0)",
        "workloads (id, kind, owner_id, name, description, pool_id, wanted, state, reason, image_id, facts, created_at,"
        " changed_at) VALUES ('w', 'notebook', 'u', 'w', '', 'p', 'running', 'pending', '', 'i', '{}', 0, 0)",
        "subtasks (id, workload_id, name, spec_id, image, replicas) VALUES ('t', 'w', 't', 's', 'i', 1)",
        "ledger_accounts (id, kind, owner_id, balance, created_at) VALUES ('a', 'wallet', 'u', 5, 0)",
        "ledger_accounts (id, kind, owner_id, balance, created_at) VALUES ('b', 'issuance', 'platform', -5, 0)",
        "journal_entries (id, idempotency_key, kind, cause_type, cause_id, note, actor_id, actor_name, at)"
        " VALUES ('je_2', 'k2', 'recharge', '', '', 'later', '', '', 1)",
        "journal_entries (id, idempotency_key, kind, cause_type, cause_id, note, actor_id, actor_name, at)"
        " VALUES ('je_1', 'k1', 'recharge', '', '', 'über \"x\"', '', '', 0)",
        *(
            f"postings (entry_id, account_id, amount, at) VALUES ('{entry}', '{account}', {amount}, {at})"
            for entry, at, given in (("je_1", 0, 3), ("je_2", 1, 2))
            for account, amount in (("a", given), ("b", -given))
        ),
    ]
    async with database.engine.begin() as connection:
        for row in rows:
            await connection.execute(text(f"INSERT INTO {row}"))
    await asyncio.to_thread(command.upgrade, config(bare_url), "0006")
    meter = (
        "meters (id, attempt_id, wallet_id, payer_id, payee_id, workload_id, price, fee_ppm, hold, started_at,"
        " witnessed_until, closed, settled, settled_fee, waived, settlements, labels, created_at)"
        " VALUES ('m', 'at', 'a', 'u', 'u', 'w', 1, 0, 0, 1000, 61000, false, 0, 0, 0, 0, '{}', 0)"
    )
    async with database.engine.begin() as connection:
        await connection.execute(text(f"INSERT INTO {meter}"))
    await asyncio.to_thread(upgrade, bare_url)
    expected = Counter(row.split(" ", 1)[0].replace("ledger_accounts", "journal_accounts") for row in rows)
    async with database.engine.connect() as connection:
        for table, count in expected.items():
            assert (await connection.execute(text(f"SELECT count(*) FROM {table}"))).scalar() == count, table
        prices = await connection.execute(text("SELECT spec_id, price FROM spec_prices"))
        assert [tuple(row) for row in prices] == [("s", 1)]
        heard = await connection.execute(text("SELECT heard_at FROM meters"))
        assert heard.scalar() == 61000, "what ran under an older version goes on"
    found = await verified(database)
    assert (found.fault, found.checked) == (None, 2), "old entries are numbered and chained"
    async with database.write() as tx:
        rule = await tx.execute(text("SELECT version, first_seq FROM journal_rules"))
        assert [tuple(row) for row in rule] == [(2, 3)], "from here on no entry may be without facts"
        await fund(tx, "u", 7)
    found = await verified(database)
    assert (found.fault, found.checked) == (None, 3)
    await database.close()
