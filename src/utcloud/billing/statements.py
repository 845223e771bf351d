"""Monthly statements of an account: what it held, what came, what went, what it holds, from the journal's postings."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import BigInteger, case, func, select, type_coerce

from utcloud.accounts.auth import Actor
from utcloud.accounts.service import usernames
from utcloud.billing.analytics import DAY_MS, Side
from utcloud.billing.models import Account, Entry, Meter, Posting
from utcloud.billing.schemas import StatementLineOut, StatementMonthOut, StatementOut
from utcloud.common.clock import from_ms
from utcloud.common.errors import Invalid, NotFound
from utcloud.db import Tx

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


async def _account(tx: Tx, actor: Actor, side: Side) -> Account:
    if side is Side.PAYEE:
        actor.require_miner()
    kind = "wallet" if side is Side.PAYER else "earnings"
    account = await tx.scalar(select(Account).where(Account.kind == kind, Account.owner_id == actor.id))
    return account or Account(id="", kind=kind, owner_id=actor.id, balance=0)


async def months(tx: Tx, now: datetime, actor: Actor, side: Side) -> list[StatementMonthOut]:
    """The months in which the actor's account moved, the latest first."""
    account = await _account(tx, actor, side)
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


async def statement(tx: Tx, now: datetime, actor: Actor, side: Side, month: Month) -> StatementOut:
    """The actor's account over ``month``; raises NotFound for a month that has not begun."""
    if month.begin > now:
        raise NotFound(f"The month {month} has not begun.", field="month", cure="Choose an earlier one.")
    account = await _account(tx, actor, side)
    before = select(func.sum(Posting.amount)).where(Posting.account_id == account.id, Posting.at < month.begin)
    opening = int(await tx.scalar(before) or 0)
    lines = sorted(
        [*await _moved(tx, account, month), *await _charged(tx, account, month)], key=lambda line: (line.at, line.text)
    )
    change = sum(line.amount for line in lines)
    incoming = sum(line.amount for line in lines if line.amount > 0)
    names = await usernames(tx, [account.owner_id])
    return StatementOut(
        month=str(month),
        role=side.value,
        account_id=account.id,
        owner_name=names.get(account.owner_id, ""),
        since=month.begin,
        until=month.end,
        opening=opening,
        incoming=incoming,
        outgoing=incoming - change,
        closing=opening + change,
        complete=month.end <= now,
        lines=lines,
    )


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
    back = (Entry.kind == "reversal").label("back")
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
