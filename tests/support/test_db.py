"""The databases that other tests stand on."""

import pytest
from sqlalchemy import func, select

from tests.support.factories import GroupFactory
from utcloud.accounts.models import Group
from utcloud.db import Database, emit

pytestmark = pytest.mark.postgres


async def _count(db: Database) -> int:
    async with db.read() as tx:
        return await tx.scalar(select(func.count()).select_from(Group)) or 0


async def test_a_database_is_fresh_and_keeps_what_is_committed(db: Database) -> None:
    assert await _count(db) == 0
    async with db.write() as tx:
        tx.add(GroupFactory.build(name="lab"))
    assert await _count(db) == 1


async def test_the_next_test_sees_nothing_of_it(db: Database) -> None:
    assert await _count(db) == 0


async def test_a_signal_arrives_after_the_commit(db: Database) -> None:
    with db.listening("lab") as woken:
        async with db.write() as tx:
            emit(tx, "lab")
            assert not woken.is_set()
        assert woken.is_set()
