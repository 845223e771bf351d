"""Sealed columns: what the database holds, what an older version left, and a key that is lost."""

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import StatementError

from tests.support.db import SEALER
from utcloud.common.seal import MARK, Sealer
from utcloud.common.settings import Settings
from utcloud.db import Base, Database
from utcloud.db.sealed import SealedWithAnotherKeyError, check, renew, seal_all
from utcloud.edge.models import Route

pytestmark = pytest.mark.postgres
OTHER = Sealer(Settings(secret_key="another key of at least 32 characters"))


async def put(db: Database, ident: str, secret: str = "a-secret") -> None:
    async with db.write() as tx:
        row = {"replica_id": ident, "owner_id": "usr_1", "host_label": ident, "upstream": f"10.0.0.{ident}:80"}
        tx.add(Route(**row, upstream_token="", secret=secret))


async def kept(db: Database) -> list[tuple[str, str]]:
    async with db.read() as tx:
        found = await tx.execute(text("SELECT secret, upstream_token FROM edge_routes ORDER BY replica_id"))
        return [(row[0], row[1]) for row in found]


async def opened(db: Database) -> list[tuple[str, str]]:
    async with db.read() as tx:
        return [(one.secret, one.upstream_token) for one in await tx.scalars(select(Route).order_by(Route.replica_id))]


async def test_a_secret_is_sealed_and_an_empty_text_is_none(db: Database) -> None:
    await put(db, "1")
    ((secret, token),) = await kept(db)
    assert secret.startswith(MARK) and "a-secret" not in secret
    assert token == ""
    assert await opened(db) == [("a-secret", "")]


async def test_the_longest_secret_fits(db: Database) -> None:
    await put(db, "1", "ü" * 60)
    assert await opened(db) == [("ü" * 60, "")]


async def test_what_was_sealed_for_one_column_is_nothing_in_another(db: Database) -> None:
    await put(db, "1")
    async with db.write() as tx:
        await tx.execute(text("UPDATE edge_routes SET upstream_token = secret"))
    with pytest.raises(SealedWithAnotherKeyError, match="upstream_token"):
        await opened(db)


async def test_a_database_without_a_sealer_writes_no_secret(bare_url: str) -> None:
    db = Database(bare_url)
    try:
        async with db.engine.begin() as connection:
            await connection.run_sync(Base.metadata.create_all)
        with pytest.raises(StatementError, match="Sealer"):
            await put(db, "1")
    finally:
        await db.close()


async def test_what_stands_in_clear_is_read_and_sealed_once(db: Database) -> None:
    await put(db, "1")
    await put(db, "2")
    async with db.write() as tx:
        await tx.execute(text("UPDATE edge_routes SET secret = 'clear' WHERE replica_id = '2'"))
    assert await opened(db) == [("a-secret", ""), ("clear", "")]
    (before, _), _ = await kept(db)
    async with db.write() as tx:
        assert await seal_all(tx, Base.metadata) == 1
        assert await seal_all(tx, Base.metadata) == 0
    (first, _), (second, _) = await kept(db)
    assert first == before
    assert second.startswith(MARK) and "clear" not in second
    assert await opened(db) == [("a-secret", ""), ("clear", "")]


async def test_another_key_is_refused_and_what_is_lost_renewed(db: Database) -> None:
    await put(db, "1")
    async with db.write() as tx:
        await check(tx, Base.metadata)
        assert await renew(tx, Base.metadata) == {}
    other = Database(db.url.render_as_string(hide_password=False), OTHER)
    try:
        async with other.read() as tx:
            with pytest.raises(SealedWithAnotherKeyError, match=r"edge_routes\.secret.*secret\.key.*renew-secrets"):
                await check(tx, Base.metadata)
        with pytest.raises(SealedWithAnotherKeyError):
            await opened(other)
        async with other.write() as tx:
            assert await renew(tx, Base.metadata) == {"edge_routes.secret": 1}
            await check(tx, Base.metadata)
        ((secret, token),) = await opened(other)
        assert secret != "a-secret" and len(secret) == 43
        assert token == ""
    finally:
        await other.close()
        Database(db.url.render_as_string(hide_password=False), SEALER)  # tests share one engine
