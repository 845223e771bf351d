"""Sessions: what a reader sees, and what a writer leaves."""

import pytest
from sqlalchemy import func, select, update
from sqlalchemy.exc import DBAPIError

from tests.support.money import UNC, fund
from utcloud.billing.models import Account, Posting
from utcloud.db import Database

pytestmark = pytest.mark.postgres


async def test_a_reader_sees_one_state_whatever_is_written_meanwhile(db: Database) -> None:
    """Else a wallet's balance of now was compared with the use of a moment ago, and work stopped for nothing."""
    async with db.write() as tx:
        wallet = await fund(tx, "rita", UNC)
    balance = select(Account.balance).where(Account.id == wallet.id)
    posted = select(func.sum(Posting.amount)).where(Posting.account_id == wallet.id)
    async with db.read() as tx:
        assert await tx.scalar(balance) == UNC
        if not db.is_sqlite:  # there no other task runs while one reads
            async with db.write() as other:
                await fund(other, "rita", UNC)
        assert await tx.scalar(posted) == UNC
    async with db.read() as tx:
        assert await tx.scalar(posted) == await tx.scalar(balance) == UNC * (1 if db.is_sqlite else 2)


async def test_a_writer_sees_what_was_written_before_his_turn(db: Database) -> None:
    async with db.write() as tx:
        wallet = await fund(tx, "rita", UNC)
    async with db.read() as tx:  # leaves its connection to others as it was
        await tx.scalar(select(Account.balance))
    async with db.write() as tx:
        assert await tx.scalar(select(Account.balance).where(Account.id == wallet.id)) == UNC
        if not db.is_sqlite:
            async with db.write() as other:
                await other.execute(update(Account).where(Account.id == wallet.id).values(low_balance=7))
            assert await tx.scalar(select(Account.low_balance).where(Account.id == wallet.id)) == 7


async def test_a_reader_cannot_write_or_lock(db: Database) -> None:
    """Else two clicks at once ended in an error of the server: a snapshot cannot lock what has changed since."""
    async with db.write() as tx:
        await fund(tx, "rita", UNC)
    if db.is_sqlite:
        return
    for statement in (select(Account).with_for_update(), update(Account).values(low_balance=7)):
        with pytest.raises(DBAPIError, match="read-only transaction"):
            async with db.read() as tx:
                await tx.execute(statement)
    async with db.write() as tx:  # its connection is as it was
        await tx.execute(update(Account).values(low_balance=7))
