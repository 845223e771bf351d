"""What was paid or earned, summed up by day, specification, node, renter, miner or workload.

The sums are the journal's own postings, so they equal the pages and the files; what accrues now and is not in the
journal yet is added under its own name.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, Select, func, literal, or_, select, type_coerce

from utcloud.accounts.auth import Actor
from utcloud.accounts.service import usernames
from utcloud.billing.models import Account, Entry, Meter, Posting
from utcloud.billing.schemas import AnalyticsOut, SumOut
from utcloud.billing.service.common import is_keeper
from utcloud.billing.service.wallets import own_wallet
from utcloud.billing.sums import OUTSTANDING, OUTSTANDING_SHARE
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


@dataclass(frozen=True, slots=True)
class _Scope:
    """Whose money is summed up: postings of these accounts, and open meters; of one renter's use alone, where given."""

    accounts: list[str]
    open_meters: ColumnElement[bool]
    sign: int
    renter_id: str | None = None


async def _scope(tx: Tx, actor: Actor, side: Side, wallet_id: str | None) -> _Scope:
    if side is Side.PAYEE:
        actor.require_miner()
        if wallet_id is not None:
            raise Invalid("Earnings are in no wallet.", field="wallet_id", cure="Leave it out, or ask as payer.")
        own = select(Account.id).where(Account.kind == "earnings", Account.owner_id == actor.id)
        return _Scope(list(await tx.scalars(own)), Meter.payee_id == actor.id, 1)
    if wallet_id is None:
        used = select(Meter.wallet_id).where(Meter.payer_id == actor.id, Meter.group_id.is_not(None)).distinct()
        own = select(Account.id).where(
            Account.kind == "wallet", or_(Account.owner_id == actor.id, Account.id.in_(used))
        )
        accounts = list(await tx.scalars(own))
        return _Scope(accounts, Meter.payer_id == actor.id, -1, actor.id if len(accounts) > 1 else None)
    wallet = await own_wallet(tx, actor, wallet_id, field="wallet_id")
    if await is_keeper(tx, actor, wallet):
        return _Scope([wallet.id], Meter.wallet_id == wallet.id, -1)
    mine = (Meter.wallet_id == wallet.id) & (Meter.payer_id == actor.id)
    return _Scope([wallet.id], mine, -1, actor.id)


async def sums(
    tx: Tx, now: datetime, actor: Actor, side: Side, by: By, when: Period, wallet_id: str | None = None
) -> AnalyticsOut:
    """What the actor paid (``payer``) or earned (``payee``) in ``when``; the largest first, days in their order.

    What he paid is what his work cost, whoever's wallet it was. Of one wallet, its keeper sees all that was paid from
    it, a plain member of its group what his own work cost.
    """
    scope = await _scope(tx, actor, side, wallet_id)
    posted = await _posted(tx, scope, by, when)
    accrued = await _accrued(tx, scope, side, by, now) if when.since <= now < when.until else {}
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


async def _posted(tx: Tx, scope: _Scope, by: By, when: Period) -> dict[str, int]:
    query: Select[Any] = (
        select(_key(by).label("part"), func.sum(Posting.amount))
        .join(Entry, Entry.id == Posting.entry_id)
        .where(
            Posting.account_id.in_(scope.accounts),
            Posting.at >= when.since,
            Posting.at < when.until,
            Entry.kind.in_(("charge", "reversal", "credit")),
            Entry.cause_type == "meter",
        )
        .group_by("part")
    )
    if by is not By.DAY or scope.renter_id:
        query = query.join(Meter, Meter.id == Entry.cause_id)
    if scope.renter_id:
        query = query.where(Meter.payer_id == scope.renter_id)
    rows = await tx.execute(query)
    return {_day(key) if by is By.DAY else str(key): scope.sign * int(total) for key, total in rows}


async def _accrued(tx: Tx, scope: _Scope, side: Side, by: By, now: datetime) -> dict[str, int]:
    """What is not in the journal yet: of the cost for its payer, of his share for the miner."""
    key = literal(now.date().isoformat()) if by is By.DAY else _key(by)
    due = func.sum(OUTSTANDING if side is Side.PAYER else OUTSTANDING_SHARE)
    query = select(key.label("part"), due).where(scope.open_meters, Meter.closed.is_(False)).group_by("part")
    return {str(part): int(total) for part, total in await tx.execute(query)}


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
