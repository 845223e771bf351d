"""Monthly statements of an account: what it held, what came, what went, what it holds, from the journal's postings."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import BigInteger, case, func, select, type_coerce

from utcloud.accounts.auth import Actor
from utcloud.billing import journal
from utcloud.billing.analytics import DAY_MS, Side
from utcloud.billing.models import Account, Entry, Meter, Posting
from utcloud.billing.order_schemas import BookingOut
from utcloud.billing.schemas import StatementLineOut, StatementMonthOut, StatementOut
from utcloud.billing.service.common import is_keeper, owners_of
from utcloud.billing.service.entries import entries_out
from utcloud.billing.service.wallets import own_wallet
from utcloud.common.clock import from_ms
from utcloud.common.errors import Forbidden, Invalid, NotFound
from utcloud.db import Tx, paginate

_MONTH = re.compile(r"(20[0-9]{2})-(0[1-9]|1[0-2])")


@dataclass(frozen=True, slots=True)
class Month:
    """A calendar month in UTC."""

    year: int
    month: int

    @classmethod
    def of(cls, moment: datetime) -> "Month":
        return cls(moment.year, moment.month)

    @classmethod
    def parse(cls, text: str) -> "Month":
        """``2026-01``; raises Invalid for anything else."""
        match = _MONTH.fullmatch(text)
        if match is None:
            raise Invalid("Write a month such as 2026-01.", field="month", cure="Year and month with a hyphen.")
        return cls(int(match[1]), int(match[2]))

    @property
    def next(self) -> "Month":
        return Month(self.year + self.month // 12, self.month % 12 + 1)

    @property
    def begin(self) -> datetime:
        return datetime(self.year, self.month, 1, tzinfo=UTC)

    @property
    def end(self) -> datetime:
        return self.next.begin

    def __str__(self) -> str:
        return f"{self.year:04d}-{self.month:02d}"


async def _account(tx: Tx, actor: Actor, side: Side, wallet_id: str | None) -> Account:
    """The actor's wallet or earnings, or another wallet that he keeps."""
    if side is Side.PAYEE:
        actor.require_miner()
        if wallet_id is not None:
            raise Invalid("Earnings are in no wallet.", field="wallet_id", cure="Leave it out, or ask as payer.")
    elif wallet_id is not None:
        wallet = await own_wallet(tx, actor, wallet_id, field="wallet_id")
        if not await is_keeper(tx, actor, wallet):
            raise Forbidden(
                "A group's statements are for its managers.", cure="Ask one of them, or look at your own records."
            )
        return wallet
    kind = "wallet" if side is Side.PAYER else "earnings"
    account = await tx.scalar(select(Account).where(Account.kind == kind, Account.owner_id == actor.id))
    return account or Account(id="", kind=kind, owner_id=actor.id, balance=0)


async def months(
    tx: Tx, now: datetime, actor: Actor, side: Side, wallet_id: str | None = None
) -> list[StatementMonthOut]:
    """The months in which an account moved, the latest first."""
    account = await _account(tx, actor, side, wallet_id)
    day = (type_coerce(Posting.at, BigInteger) // DAY_MS).label("day")
    plus = func.sum(case((Posting.amount > 0, Posting.amount), else_=0))
    rows = await tx.execute(
        select(day, plus, func.sum(Posting.amount))
        .where(Posting.account_id == account.id)
        .group_by("day")
        .order_by("day")
    )
    found: dict[Month, list[int]] = {}
    balance = 0
    for number, incoming, change in rows:
        balance += int(change)
        sums = found.setdefault(Month.of(from_ms(number * DAY_MS)), [0, 0, 0])
        sums[0] += int(incoming)
        sums[1] += int(incoming) - int(change)
        sums[2] = balance
    return [
        StatementMonthOut(month=str(month), incoming=came, outgoing=went, closing=closing, complete=month.end <= now)
        for month, (came, went, closing) in reversed(found.items())
    ]


async def statement(
    tx: Tx, now: datetime, actor: Actor, side: Side, month: Month, wallet_id: str | None = None
) -> StatementOut:
    """An account over ``month``; raises NotFound for a month that has not begun."""
    if month.begin > now:
        raise NotFound(f"The month {month} has not begun.", field="month", cure="Choose an earlier one.")
    account = await _account(tx, actor, side, wallet_id)
    before = select(func.sum(Posting.amount)).where(Posting.account_id == account.id, Posting.at < month.begin)
    opening = int(await tx.scalar(before) or 0)
    lines = sorted(
        [*await _moved(tx, account, month), *await _charged(tx, account, month)], key=lambda line: (line.at, line.text)
    )
    change = sum(line.amount for line in lines)
    incoming = sum(line.amount for line in lines if line.amount > 0)
    owner, owner_name = (await owners_of(tx, [account.owner_id]))[account.owner_id]
    return StatementOut(
        month=str(month),
        role=side.value,
        account_id=account.id,
        owner=owner,
        owner_name=owner_name,
        since=month.begin,
        until=month.end,
        opening=opening,
        incoming=incoming,
        outgoing=incoming - change,
        closing=opening + change,
        complete=month.end <= now,
        journal_head=journal.head_text(*await journal.head(tx)),
        lines=lines,
    )


async def entries(
    tx: Tx, actor: Actor, side: Side, month: Month, wallet_id: str | None, *, limit: int, cursor: str | None
) -> tuple[list[BookingOut], str | None]:
    """One page of the bookings that a month's statement sums up, newest first."""
    account = await _account(tx, actor, side, wallet_id)
    query = select(Posting).where(*_within(account, month))
    at = {"at": Posting.at}
    found, after = await paginate(tx, query, Posting.entry_id, limit=limit, cursor=cursor, sort="-at", columns=at)
    rows = await tx.scalars(select(Entry).where(Entry.id.in_([posting.entry_id for posting in found])))
    by_id = {entry.id: entry for entry in rows}
    outs = await entries_out(tx, [by_id[posting.entry_id] for posting in found])
    return [BookingOut(**dict(out), amount=one.amount) for out, one in zip(outs, found, strict=True)], after


def _within(account: Account, month: Month) -> list[Any]:
    return [Posting.account_id == account.id, Posting.at >= month.begin, Posting.at < month.end]


async def _moved(tx: Tx, account: Account, month: Month) -> list[StatementLineOut]:
    """What is not of a meter: recharges and deductions, one line each."""
    rows = await tx.execute(
        select(Entry.at, Entry.kind, Entry.note, Entry.actor_name, Posting.amount)
        .join(Posting, Posting.entry_id == Entry.id)
        .where(*_within(account, month), Entry.cause_type != "meter")
    )
    return [
        StatementLineOut(at=at, kind=kind, text=note or actor, amount=amount) for at, kind, note, actor, amount in rows
    ]


async def _charged(tx: Tx, account: Account, month: Month) -> list[StatementLineOut]:
    """What attempts cost or earned, summed up by workload, specification and price; what went back apart."""
    back = Entry.kind.in_(("reversal", "credit")).label("back")
    rows: Sequence[Any] = (
        await tx.execute(
            select(
                Meter.workload_id,
                func.max(Meter.labels["workload"].as_string()),
                func.max(Meter.labels["spec"].as_string()),
                Meter.price,
                back,
                func.min(type_coerce(Posting.at, BigInteger)),
                func.sum(Posting.amount),
            )
            .join(Entry, Entry.id == Posting.entry_id)
            .join(Meter, Meter.id == Entry.cause_id)
            .where(*_within(account, month), Entry.cause_type == "meter")
            .group_by(Meter.workload_id, Meter.price, "back")
        )
    ).all()
    return [
        StatementLineOut(
            at=from_ms(first),
            kind="credit" if returned else "charge",
            text=name or "",
            workload_id=workload_id,
            spec=spec or "",
            price=price,
            amount=int(amount),
        )
        for workload_id, name, spec, price, returned, first, amount in rows
    ]
