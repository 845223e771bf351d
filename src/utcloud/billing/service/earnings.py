"""What miners and the platform earned."""

from datetime import datetime

from sqlalchemy import func, select

from utcloud.accounts.auth import Actor
from utcloud.accounts.service import usernames
from utcloud.billing import journal
from utcloud.billing.models import Account, Posting
from utcloud.billing.schemas import EarningsOut, PlatformOut
from utcloud.billing.sums import outstanding_share
from utcloud.common.errors import NotFound
from utcloud.db import Tx


async def earnings(tx: Tx, now: datetime, actor: Actor, miner_id: str | None = None) -> EarningsOut:
    """What a miner earned: the actor himself, or for an operator anyone."""
    actor.require_miner()
    if miner_id is not None and miner_id != actor.id and not actor.is_operator:
        raise NotFound.of("miner", miner_id, field="miner_id")
    return await earnings_of(tx, now, miner_id or actor.id)


async def earnings_of(tx: Tx, now: datetime, miner_id: str) -> EarningsOut:
    """A miner's earnings; ``today`` and ``this_month`` (UTC) include what accrues now."""
    names = await usernames(tx, [miner_id])
    accrued = await outstanding_share(tx, miner_id)
    own = await tx.scalar(select(Account).where(Account.kind == "earnings", Account.owner_id == miner_id))
    held = select(Account.balance).where(Account.kind == "held", Account.owner_id == miner_id)
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    sums = [await _posted_since(tx, own, moment) for moment in (midnight, midnight.replace(day=1))]
    return EarningsOut(
        miner_id=miner_id,
        miner_name=names.get(miner_id, ""),
        balance=own.balance if own else 0,
        accrued=accrued,
        held=await tx.scalar(held) or 0,
        today=sums[0] + accrued,
        this_month=sums[1] + accrued,
    )


async def _posted_since(tx: Tx, account: Account | None, moment: datetime) -> int:
    if account is None:
        return 0
    query = select(func.sum(Posting.amount)).where(Posting.account_id == account.id, Posting.at >= moment)
    return int(await tx.scalar(query) or 0)


async def platform(tx: Tx, actor: Actor) -> PlatformOut:
    """The platform's fees, all that was issued, and the sum of the journal."""
    actor.require_operator()
    rows = await tx.execute(select(Account.kind, Account.balance).where(Account.owner_id == journal.PLATFORM))
    balances = {row.kind: row.balance for row in rows}
    return PlatformOut(
        fees=balances.get("fee", 0),
        issued=-balances.get("issuance", 0),
        journal_sum=int(await tx.scalar(select(func.sum(Account.balance))) or 0),
    )
