"""Money for tests: wallets that hold something, meters that run."""

from datetime import datetime
from typing import Any

from sqlalchemy import func, select

from tests.support.factories import FEE_PPM, NOW
from utcloud.billing import journal, meters
from utcloud.billing.models import Account, Meter, Posting
from utcloud.common.ids import new_id
from utcloud.common.money import MICRO
from utcloud.db import Tx

UNC = MICRO


async def fund(tx: Tx, owner: str, amount: int, now: datetime = NOW) -> Account:
    """Put ``amount`` micro-UNC into the owner's wallet, or take so much out where it is below zero."""
    wallet = await journal.account(tx, "wallet", owner)
    if amount:
        issuance = await journal.account(tx, "issuance", journal.PLATFORM)
        lines = [(wallet.id, amount), (issuance.id, -amount)]
        await journal.post(tx, "recharge" if amount > 0 else "deduct", new_id("key"), lines, at=now)
    return wallet


async def begin(
    tx: Tx, payer: str, *, price: int = UNC, fee_ppm: int = FEE_PPM, at: datetime | None = NOW, **more: Any
) -> str:
    """An attempt with a meter that runs since ``at``; its id."""
    attempt = new_id("at")
    labels = {"workload_id": "nb_1", "workload": "lab", "workload_kind": "notebook", "attempt": 1, **more}
    await meters.open(tx, meters.Opening(attempt, payer, "usr_miner", price, fee_ppm, labels))
    if at:
        await meters.start(tx, attempt, at)
    return attempt


async def meter_of(tx: Tx, attempt: str) -> Meter:
    query = select(Meter).where(Meter.attempt_id == attempt).execution_options(populate_existing=True)
    return (await tx.scalars(query)).one()


async def balances(tx: Tx) -> dict[str, int]:
    """Balance by kind of account and owner; checks that each is the sum of its postings, and all of them zero."""
    query = select(Account).execution_options(populate_existing=True)
    accounts = (await tx.scalars(query)).all()
    sums = {
        row[0]: int(row[1])
        for row in await tx.execute(select(Posting.account_id, func.sum(Posting.amount)).group_by(Posting.account_id))
    }
    assert sum(sums.values()) == 0
    for account in accounts:
        assert account.balance == sums.get(account.id, 0), account.kind
        assert account.balance >= 0 or account.kind == "issuance"
    return {f"{account.kind}:{account.owner_id}": account.balance for account in accounts}
