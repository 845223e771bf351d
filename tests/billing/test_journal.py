"""The journal: double-entry, append-only, idempotent."""

import asyncio

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select, text
from sqlalchemy.exc import DBAPIError, IntegrityError

from tests.support.factories import NOW
from tests.support.lanes import examples
from tests.support.money import UNC, balances, fund
from utcloud.accounts.auth import SYSTEM
from utcloud.billing import journal
from utcloud.billing.models import Account, Entry, Posting
from utcloud.common.errors import Conflict
from utcloud.common.ids import new_id
from utcloud.db import Database

pytestmark = pytest.mark.postgres


async def test_entries_sum_to_zero(db: Database) -> None:
    async with db.write() as tx:
        a = await journal.account(tx, "wallet", "a")
        b = await journal.account(tx, "issuance", journal.PLATFORM)
        for lines in ([], [(a.id, 1)], [(a.id, 1), (b.id, -2)], [(a.id, 0), (b.id, 0)], [(a.id, 1), (a.id, -1)]):
            with pytest.raises(ValueError, match="sum to zero"):
                await journal.post(tx, "recharge", "k", lines, at=NOW)
        await journal.post(tx, "recharge", "k", [(a.id, 5), (b.id, -5)], at=NOW, actor=SYSTEM)
        assert (await balances(tx)) == {"wallet:a": 5, "issuance:platform": -5}
        assert a.balance == 5


async def test_a_key_acts_once(db: Database) -> None:
    async with db.write() as tx:
        wallet = await fund(tx, "a", 0)
        issuance = await journal.account(tx, "issuance", journal.PLATFORM)
        lines = [(wallet.id, 5), (issuance.id, -5)]
        first = await journal.post(tx, "recharge", "k", lines, at=NOW)
        again = await journal.post(tx, "recharge", "k", list(reversed(lines)), at=NOW)
        assert first.id == again.id
        assert (await balances(tx))["wallet:a"] == 5
        with pytest.raises(Conflict) as caught:
            await journal.post(tx, "recharge", "k", [(wallet.id, 6), (issuance.id, -6)], at=NOW)
        assert caught.value.code == "idempotency_key_reused"


async def test_the_database_itself_refuses_a_wallet_below_zero(db: Database) -> None:
    async with db.write() as tx:
        wallet = await fund(tx, "a", 5)
        issuance = await journal.account(tx, "issuance", journal.PLATFORM)
    with pytest.raises(IntegrityError):
        async with db.write() as tx:
            await journal.post(tx, "deduct", "k", [(wallet.id, -6), (issuance.id, 6)], at=NOW)
    async with db.read() as tx:
        assert (await balances(tx))["wallet:a"] == 5
        assert await tx.scalar(select(func.count()).select_from(Entry)) == 1


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE postings SET amount = amount + 1",
        "DELETE FROM postings",
        "UPDATE journal_entries SET note = 'x'",
        "DELETE FROM journal_entries",
        "TRUNCATE postings",
    ],
)
async def test_the_database_itself_refuses_to_change_the_journal(db: Database, statement: str) -> None:
    async with db.write() as tx:
        await fund(tx, "a", 5)
    with pytest.raises(DBAPIError):
        async with db.write() as tx:
            await tx.execute(text(statement))
    async with db.read() as tx:
        assert (await balances(tx))["wallet:a"] == 5
        assert await tx.scalar(select(func.count()).select_from(Posting)) == 2


async def test_an_account_is_made_once_in_a_race(db: Database) -> None:
    async def one() -> str:
        async with db.write() as tx:
            return (await journal.account(tx, "wallet", "a")).id

    assert len(set(await asyncio.gather(*(one() for _ in range(8))))) == 1


async def test_many_at_once_lose_nothing(db: Database) -> None:
    async with db.write() as tx:
        await fund(tx, "a", UNC)

    async def take(amount: int) -> bool:
        async with db.write() as tx:
            await journal.lock(tx)
            wallet = await journal.account(tx, "wallet", "a")
            if wallet.balance < amount:
                return False
            issuance = await journal.account(tx, "issuance", journal.PLATFORM)
            await journal.post(tx, "deduct", new_id("k"), [(wallet.id, -amount), (issuance.id, amount)], at=NOW)
            return True

    taken = await asyncio.gather(*(take(300_000) for _ in range(6)))
    assert sum(taken) == 3
    async with db.read() as tx:
        assert (await balances(tx))["wallet:a"] == 100_000


@settings(max_examples=examples(20), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(amounts=st.lists(st.tuples(st.integers(0, 2), st.integers(-1000, 1000)), max_size=10))
async def test_balances_are_the_sums_of_postings_and_never_negative(
    db: Database, amounts: list[tuple[int, int]]
) -> None:
    for owner, amount in amounts:
        try:
            async with db.write() as tx:
                wallet = await journal.account(tx, "wallet", f"u{owner}")
                issuance = await journal.account(tx, "issuance", journal.PLATFORM)
                kind = "recharge" if amount > 0 else "deduct"
                await journal.post(tx, kind, new_id("k"), [(wallet.id, amount), (issuance.id, -amount)], at=NOW)
        except (ValueError, IntegrityError):
            pass
        async with db.read() as tx:
            await balances(tx)
            assert not (await tx.scalars(select(Account.id).where(Account.balance < 0, Account.kind == "wallet"))).all()
