"""What another account of the server's machine reads of it: nothing that is worth something."""

import asyncio
import os
import stat
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from utcloud.assets.store import open_store
from utcloud.cli.up.instance import Instance
from utcloud.common.settings import Settings
from utcloud.db import Database
from utcloud.server import bootstrap

OPEN_TO_OTHERS = 0o077


def test_the_home_gives_nothing_away_to_other_accounts(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        settings = Settings(home=tmp_path / "h")
        Instance(settings).make_folders()
        open_store(str(settings.store))
        (settings.home / "store").chmod(0o755)  # as an older version left it
        (settings.home / "logs").chmod(0o755)
        Instance(settings).make_folders()
        bootstrap.prepare(settings)
        asyncio.run(_write(settings))
    finally:
        os.umask(before)
    closed = {"utcloud.db", "secret.key", "store", "logs", "run"}
    found = {path.name: stat.S_IMODE(path.stat().st_mode) for path in settings.home.iterdir()}
    assert closed <= found.keys()
    assert not {name: oct(found[name]) for name in closed if found[name] & OPEN_TO_OTHERS}
    assert not settings.token_file.stat().st_mode & OPEN_TO_OTHERS


async def _write(settings: Settings) -> None:
    """The write-ahead log is as closed as the file itself."""
    db = Database(settings.database)
    async with db.write() as tx:
        await tx.execute(text("UPDATE users SET username = username"))
    wal = settings.home / "utcloud.db-wal"
    assert wal.exists() and not wal.stat().st_mode & OPEN_TO_OTHERS
    await db.close()


async def test_a_statement_that_failed_does_not_say_its_values(db: Database) -> None:
    with pytest.raises(DBAPIError) as refused:
        async with db.write() as tx:
            await tx.execute(text("INSERT INTO nowhere VALUES (:token)"), {"token": "utc_a-secret"})
    assert "utc_a-secret" not in str(refused.value)
