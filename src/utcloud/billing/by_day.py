"""What was earned on each day, in UTC: the journal's postings, and what accrues today."""

from dataclasses import dataclass
from datetime import date, datetime, timedelta

from sqlalchemy import BigInteger, func, select, true, type_coerce

from utcloud.billing.models import Account, Posting
from utcloud.billing.sums import outstanding_share
from utcloud.common.clock import from_ms
from utcloud.db import Tx

_DAY_MS = 86_400_000


@dataclass(frozen=True, slots=True)
class Earned:
    """In micro-UNC, the platform's fee taken off."""

    today: int
    this_month: int
    days: list[tuple[date, int]]
    """The last days, the present one last; none is left out."""


async def earned(tx: Tx, now: datetime, miner_id: str | None, days: int = 14) -> Earned:
    """What a miner earned; ``miner_id`` None: all miners together. Two statements, however many the records are."""
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    first = midnight - timedelta(days=days - 1)
    month = midnight.replace(day=1)
    own = select(Account.id).where(
        Account.kind == "earnings", true() if miner_id is None else Account.owner_id == miner_id
    )
    day = (type_coerce(Posting.at, BigInteger) // _DAY_MS).label("day")
    rows = await tx.execute(
        select(day, func.sum(Posting.amount))
        .where(Posting.account_id.in_(own), Posting.at >= min(first, month))
        .group_by("day")
    )
    by_day = {from_ms(number * _DAY_MS).date(): int(amount) for number, amount in rows}
    today = now.date()
    by_day[today] = by_day.get(today, 0) + await outstanding_share(tx, miner_id)
    return Earned(
        today=by_day[today],
        this_month=sum(amount for one, amount in by_day.items() if one >= month.date()),
        days=[(one, by_day.get(one, 0)) for one in (first.date() + timedelta(days=number) for number in range(days))],
    )
