"""access.json forgets the first password as soon as it is another."""

import asyncio
import json
import stat
from pathlib import Path

import pytest

from tests.support.factories import NOW, UserFactory
from utcloud.accounts import service
from utcloud.accounts.auth import Actor
from utcloud.accounts.passwords import hash_password
from utcloud.cli.up import access
from utcloud.common.settings import Settings
from utcloud.db import Database
from utcloud.server import first_password

pytestmark = pytest.mark.postgres


async def test_the_first_password_goes_when_it_is_changed_and_not_before(db: Database, tmp_path: Path) -> None:
    async with db.write() as tx:
        hashed = await hash_password("the first password")
        admin = await UserFactory.insert(tx, username="admin", password_hash=hashed, is_operator=True)
        await UserFactory.insert(tx, username="alice", password_hash=hashed)
    path = tmp_path / "access.json"
    access.write(path, access.of("http://localhost:8080", "admin", "the first password"))
    loop = asyncio.create_task(first_password.drop_when_changed(db, Settings(home=tmp_path)))
    actors = {name: Actor(ident, name) for name, ident in (("admin", admin.id), ("alice", ""))}
    await asyncio.sleep(0.2)
    await service.change_password(db, NOW, actors["alice"], "the first password", "alice has another")
    await asyncio.sleep(0.2)
    known = access.read(path)
    assert known is not None
    assert known.password == "the first password", "it is still the operator's"
    await service.change_password(db, NOW, actors["admin"], "the first password", "one of my own choice")
    async with asyncio.timeout(5):
        while json.loads(path.read_text())["password"]:
            await asyncio.sleep(0.01)
    loop.cancel()
    await asyncio.gather(loop, return_exceptions=True)
    known = access.read(path)
    assert known == access.of("http://localhost:8080", "admin", "")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert "password" in path.read_text()
    assert "the first" not in path.read_text()


@pytest.mark.parametrize("content", ["", "[]", "{}", "not json", '{"username": "admin", "password": ""}'])
async def test_a_file_of_another_kind_is_left_alone(db: Database, tmp_path: Path, content: str) -> None:
    path = tmp_path / "access.json"
    path.write_text(content)
    await first_password.drop(db, path)
    await first_password.drop(db, tmp_path / "none.json")
    assert path.read_text() == content
