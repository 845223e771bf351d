"""What was paid or earned, summed up by day, specification, node, renter, miner or workload.

The sums are the journal's own postings, so they equal the pages and the files; what accrues now and is not in the
journal yet is added under its own name.
"""

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, Select, func, literal, select, type_coerce

from utcloud.accounts.auth import Actor
from utcloud.accounts.service import usernames
from utcloud.billing.models import Account, Entry, Meter, Posting
from utcloud.billing.schemas import AnalyticsOut, SumOut
from utcloud.billing.solvency import amount as cost_of
from utcloud.common.clock import from_ms, to_ms
from utcloud.common.errors import Invalid
from utcloud.db import Tx

DAY_MS = 86_400_000
LONGEST = timedelta(days=400)


class By(StrEnum):
    DAY = "day"
    SPEC = "spec"
    NODE = "node"
    RENTER = "renter"
    MINER = "miner"
    WORKLOAD = "workload"


class Side(StrEnum):
    PAYER = "payer"
    PAYEE = "payee"


@dataclass(frozen=True, slots=True)
class Period:
    """From ``since`` until before ``until``, both in UTC."""

    since: datetime
    until: datetime


def period(now: datetime, since: datetime | None, until: datetime | None) -> Period:
    """The last 30 days unless said otherwise; raises Invalid when it is empty or too long."""
    tomorrow = now.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
    until = until or tomorrow
    since = since or until - timedelta(days=30)
    if since >= until:
        raise Invalid("The period ends before it begins.", field="until", cure="Give a later moment than `since`.")
    if until - since > LONGEST:
        raise Invalid("The period is longer than 400 days.", field="since", cure="Ask for a part of it at a time.")
    return Period(since, until)


def _key(by: By) -> ColumnElement[Any]:
    if by is By.DAY:
        return type_coerce(Posting.at, BigInteger) // DAY_MS
    if by is By.RENTER:
        return Meter.payer_id.expression
    if by is By.MINER:
        return Meter.payee_id.expression
    if by is By.WORKLOAD:
        return Meter.workload_id.expression
    return func.coalesce(Meter.labels[by.value].as_string(), literal(""))


def _day(number: int) -> str:
    return from_ms(number * DAY_MS).date().isoformat()


def _key_of(meter: Meter, by: By, now: datetime) -> str:
    values = {
        By.DAY: now.date().isoformat(),
        By.RENTER: meter.payer_id,
        By.MINER: meter.payee_id,
        By.WORKLOAD: meter.workload_id,
    }
    return values[by] if by in values else str(meter.labels.get(by.value, ""))


async def sums(tx: Tx, now: datetime, actor: Actor, side: Side, by: By, when: Period) -> AnalyticsOut:
    """What the actor paid (``payer``) or earned (``payee``) in ``when``; the largest first, days in their order."""
    if side is Side.PAYEE:
        actor.require_miner()
    kind, sign = ("wallet", -1) if side is Side.PAYER else ("earnings", 1)
    own = select(Account.id).where(Account.kind == kind, Account.owner_id == actor.id)
    amount = func.sum(Posting.amount)
    query: Select[Any] = (
        select(_key(by).label("part"), amount)
        .join(Entry, Entry.id == Posting.entry_id)
        .where(
            Posting.account_id.in_(own),
            Posting.at >= when.since,
            Posting.at < when.until,
            Entry.kind.in_(("charge", "reversal")),
            Entry.cause_type == "meter",
        )
        .group_by("part")
    )
    if by is not By.DAY:
        query = query.join(Meter, Meter.id == Entry.cause_id)
    posted = {_day(key) if by is By.DAY else str(key): sign * int(total) for key, total in await tx.execute(query)}
    accrued: dict[str, int] = defaultdict(int)
    if when.since <= now < when.until:
        column = Meter.payer_id if side is Side.PAYER else Meter.payee_id
        for meter in await tx.scalars(select(Meter).where(column == actor.id, Meter.closed.is_(False))):
            accrued[_key_of(meter, by, now)] += _due(meter, side)
    names = await _names(tx, by, {*posted, *accrued})
    items = [
        SumOut(
            key=key,
            label=names.get(key, key),
            amount=posted.get(key, 0) + accrued.get(key, 0),
            accrued=accrued.get(key, 0),
        )
        for key in (_days(when, now) if by is By.DAY else {*posted, *accrued})
    ]
    if by is not By.DAY:
        items.sort(key=lambda item: (-item.amount, item.label))
    total = sum(item.amount for item in items)
    return AnalyticsOut(by=by.value, since=when.since, until=when.until, total=total, items=items)


def _due(meter: Meter, side: Side) -> int:
    """What is not in the journal yet: of the cost for its payer, of his share for the miner."""
    due = cost_of(meter) - meter.settled - meter.waived
    if side is Side.PAYER:
        return due
    settled = meter.settled + due
    return due - (settled * meter.fee_ppm // 1_000_000 - meter.settled_fee)


def _days(when: Period, now: datetime) -> list[str]:
    """Every day of the period that has begun, so that a chart has no holes."""
    first, last = to_ms(when.since), to_ms(min(when.until - timedelta(milliseconds=1), now))
    return [_day(number) for number in range(first // DAY_MS, last // DAY_MS + 1)]


async def _names(tx: Tx, by: By, keys: set[str]) -> dict[str, str]:
    if by in (By.RENTER, By.MINER):
        return await usernames(tx, keys)
    if by is By.WORKLOAD:
        rows = await tx.execute(
            select(Meter.workload_id, func.max(Meter.labels["workload"].as_string()))
            .where(Meter.workload_id.in_(keys))
            .group_by(Meter.workload_id)
        )
        return {ident: name or "" for ident, name in rows}
    return {}
