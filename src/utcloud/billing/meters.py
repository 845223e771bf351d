"""Meters: what turns an attempt's witnessed interval into journal entries, exactly and once.

All functions run inside the caller's transaction. The order of locks is: rows of other rooms, meters, the journal.
"""

import typing
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    String,
    Table,
    bindparam,
    case,
    cast,
    func,
    insert,
    select,
    type_coerce,
    update,
)

from utcloud.accounts.models import GroupMember
from utcloud.billing import caps, faults, journal, orders, sums, uptime
from utcloud.billing.funds import NOT_A_MEMBER, hold_for, shortage
from utcloud.billing.models import Account, Meter, Order
from utcloud.billing.settling import credit, joined, settle_many
from utcloud.billing.solvency import Use
from utcloud.common.clock import to_ms
from utcloud.common.errors import Forbidden, InsufficientFunds
from utcloud.common.ids import new_id
from utcloud.db import Timestamp, Tx, emit
from utcloud.protocol import SILENT_AFTER_S

SILENT_MS = SILENT_AFTER_S * 1000
"""So much of a site's silence is billed on its word: a report or two may be lost."""


BACK_MS = 10_000
"""An end this much before the last sign of life is ordinary: the report that spoke of life was under way meanwhile."""


def fee_ppm(percent: float) -> int:
    """The platform's share as millionths: 5.0 percent → 50 000."""
    return round(percent * 10_000)


@dataclass(frozen=True, slots=True)
class Opening:
    """A meter that is to be made, for one attempt."""

    attempt_id: str
    payer_id: str
    """The renter."""
    payee_id: str
    """The miner."""
    price: int
    """micro-UNC per hour."""
    fee_ppm: int
    labels: dict[str, Any]
    """See ``models.Meter.labels``."""
    hold: int | None = None
    """micro-UNC to hold back; ``hold_for(price)`` unless given."""
    group_id: str | None = None
    """The group that pays; None: the renter himself."""
    order_id: str = ""
    spec_id: str = ""
    node_id: str = ""

    @property
    def wallet_owner(self) -> str:
        return self.group_id or self.payer_id

    @property
    def held(self) -> int:
        return hold_for(self.price) if self.hold is None else self.hold


Refusal = InsufficientFunds | Forbidden


async def open_many(tx: Tx, groups: Sequence[Sequence[Opening]], now: datetime | None = None) -> list[Refusal | None]:
    """Make the meters of many attempts in a few statements: all of a group (a workload's), or none of it.

    Answers for each group why it was refused, or None: the wallet holds too little, or a spending cap is reached. An
    attempt that has its meter keeps it. Groups are looked at in order: what one holds back is no longer there for the
    next. ``now`` decides the day and the month of the caps.
    """
    now = now or datetime.now(UTC)
    await journal.lock(tx)
    wanted = [opening for group in groups for opening in group]
    query = select(Meter.attempt_id).where(Meter.attempt_id.in_([opening.attempt_id for opening in wanted]))
    known = set(await tx.scalars(query))
    wallets = await journal.accounts(tx, "wallet", {opening.wallet_owner for opening in wanted})
    funds = await _funds(tx, now, wallets)
    refusals: list[Refusal | None] = []
    made: list[dict[str, Any]] = []
    for group in groups:
        new = [opening for opening in group if opening.attempt_id not in known]
        refusal = funds.take(new)
        refusals.append(refusal)
        if refusal is None:
            made += [_row(opening, wallets[opening.wallet_owner]) for opening in new]
    if made:
        await tx.execute(insert(Meter), made)
        emit(tx, "billing")
    return refusals


async def _funds(tx: Tx, now: datetime, wallets: dict[str, Account]) -> "_Funds":
    uses = await sums.use_of(tx, [one.id for one in wallets.values()], now)
    rows = await tx.execute(
        select(GroupMember.group_id, GroupMember.user_id).where(GroupMember.group_id.in_(list(wallets)))
    )
    return _Funds(wallets, uses, await _rooms(tx, now, wallets), {(row[0], row[1]) for row in rows})


async def _rooms(tx: Tx, now: datetime, wallets: dict[str, Account]) -> dict[str, list[caps.Room]]:
    by_wallet: dict[str, list[caps.Room]] = defaultdict(list)
    for room in await caps.rooms(tx, now, [wallet.id for wallet in wallets.values()]):
        by_wallet[room.wallet_id].append(room)
    return by_wallet


@dataclass(slots=True)
class _Funds:
    """What wallets and caps still allow while group after group takes its holds. ``wallets`` by owner.

    ``members``: user group and user, of those user groups that own a wallet.
    """

    wallets: dict[str, Account]
    use: dict[str, Use]
    rooms: dict[str, list[caps.Room]]
    members: set[tuple[str, str]]

    def take(self, group: Sequence[Opening]) -> Refusal | None:
        """Take the holds of ``group``, or say why not and take nothing."""
        by_payer: dict[tuple[str, str], list[Opening]] = defaultdict(list)
        for opening in group:
            if opening.group_id and (opening.group_id, opening.payer_id) not in self.members:
                return Forbidden(
                    f"It cannot start: {NOT_A_MEMBER}.", cure="Start something new and pay for it yourself."
                )
            by_payer[self.wallets[opening.wallet_owner].id, opening.payer_id].append(opening)
        wallets = {wallet.id: wallet for wallet in self.wallets.values()}
        for (wallet_id, payer_id), own in by_payer.items():
            hold = sum(one.held for one in own)
            use = self.use.get(wallet_id, Use())
            problem = shortage(wallets[wallet_id], use, sum(one.price for one in own), hold)
            if refusal := problem or caps.refusal(self.rooms.get(wallet_id, ()), payer_id, hold):
                return refusal
        for (wallet_id, payer_id), own in by_payer.items():
            taken = Use(meters=len(own), held=sum(one.held for one in own))
            self.use[wallet_id] = self.use.get(wallet_id, Use()) + taken
            self.rooms[wallet_id] = [
                changed for room in self.rooms.get(wallet_id, ()) for changed in room.taken(payer_id, taken)
            ]
        return None


def _row(opening: Opening, wallet: Account) -> dict[str, Any]:
    return {
        "id": new_id("mtr"),
        "attempt_id": opening.attempt_id,
        "wallet_id": wallet.id,
        "payer_id": opening.payer_id,
        "group_id": opening.group_id,
        "payee_id": opening.payee_id,
        "workload_id": str(opening.labels.get("workload_id", "")),
        "order_id": opening.order_id,
        "spec_id": opening.spec_id,
        "node_id": opening.node_id,
        "price": opening.price,
        "fee_ppm": opening.fee_ppm,
        "hold": opening.held,
        "labels": opening.labels,
    }


async def open(tx: Tx, opening: Opening, now: datetime | None = None) -> Meter:  # noqa: A001 - the word of the trade
    """Make the meter of one attempt; raises what ``open_many`` answers."""
    (refusal,) = await open_many(tx, [[opening]], now)
    if refusal:
        raise refusal
    return (await tx.scalars(select(Meter).where(Meter.attempt_id == opening.attempt_id))).one()


async def require_start(tx: Tx, now: datetime, wallet_owner: str, payer_id: str, prices: Sequence[int]) -> None:
    """Raise InsufficientFunds or Forbidden when a wallet cannot hold the start of attempts at ``prices`` per hour."""
    wallets = await journal.accounts(tx, "wallet", [wallet_owner])
    funds = await _funds(tx, now, wallets)
    group_id = None if wallet_owner == payer_id else wallet_owner
    if refusal := funds.take([Opening("", payer_id, "", price, 0, {}, group_id=group_id) for price in prices]):
        raise refusal


async def total(tx: Tx, attempt_ids: Iterable[str]) -> int:
    """What some attempts cost so far together, in micro-UNC."""
    query = select(func.sum(sums.PAID)).where(Meter.attempt_id.in_(list(attempt_ids)))
    return int(await tx.scalar(query) or 0)


async def seen_until(tx: Tx, attempt_id: str) -> datetime | None:
    """Until when the attempt was seen to run; None: it never was."""
    return await tx.scalar(select(Meter.witnessed_until).where(Meter.attempt_id == attempt_id))


async def start(
    tx: Tx, attempt_id: str, started_at: datetime, *, now: datetime | None = None, told: datetime | None = None
) -> None:
    """The attempt is at work since ``started_at``, by its site's clock. The first word holds.

    ``told`` is when it was known last that it was not: no start before that is believed. Nor is one in a silence of
    the site's that is longer than is billed. ``now`` is when that was heard, ``started_at`` unless given.
    """
    now = now or started_at
    said, started_at = started_at, min(max(started_at, told or started_at), now)
    if to_ms(now) - to_ms(started_at) > SILENT_MS:
        heard = await uptime.covered_ms(tx, started_at, now)
        started_at = min(started_at + timedelta(milliseconds=max(heard - SILENT_MS, 0)), now)
    clipped = to_ms(started_at) - to_ms(said)
    late = f"it is counted {clipped / 1000:g} s later than its site said: it was not seen to run before; "
    note = late if clipped > BACK_MS else ""
    if (unheard := to_ms(now) - to_ms(started_at)) > SILENT_MS:
        note += f"{unheard // 1000}{_late(now)}"
    await tx.execute(
        update(Meter)
        .where(Meter.attempt_id == attempt_id, Meter.started_at.is_(None), Meter.closed.is_(False))
        .values(started_at=started_at, witnessed_until=started_at, heard_at=now, note=note)
        .execution_options(synchronize_session=False)
    )
    emit(tx, "billing")


async def witness(tx: Tx, attempt_ids: Iterable[str], until: datetime, *, now: datetime | None = None) -> None:
    """The attempts were seen to run until ``until``. Never moves backwards, nor before the start.

    Of a silence in which a server listened, ``SILENT_MS`` are billed; what the server itself did not hear is billed on
    the site's word. What leaps far ahead is noted. ``now`` is when that was heard, ``until`` unless given.
    """
    idents = sorted(attempt_ids)
    if not idents:
        return
    said = {"idents": idents, "until": until, "until_ms": to_ms(until), "heard": now or until}
    said |= {"heard_ms": to_ms(now or until), "late": _late(until), "silent": _silent(until)}
    await tx.execute(_WITNESS, said)


def _moment(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S}"


def _late(until: datetime) -> str:
    return f" s until {_moment(until)} UTC were witnessed late; "


def _silent(until: datetime) -> str:
    return f" s of its site's silence until {_moment(until)} UTC are not billed; "


_meters = typing.cast(Table, Meter.__table__)
_seen, _heard = (type_coerce(column, BigInteger) for column in (_meters.c.witnessed_until, _meters.c.heard_at))
_until_ms, _heard_ms = (bindparam(name, type_=BigInteger) for name in ("until_ms", "heard_ms"))
_unbilled = uptime.covered(_heard, _heard_ms) - SILENT_MS
_silence = case(
    (_heard >= _heard_ms - SILENT_MS, 0),
    (_until_ms <= _seen, 0),
    (_unbilled <= 0, 0),
    else_=sums.least(_unbilled, _until_ms - _seen),
)
_leap = _until_ms - _seen - _silence
_LONG = 500
"""A note of so many characters gets no longer, however often a site comes and goes."""
_room = func.length(_meters.c.note) < _LONG


def _told(ms: ColumnElement[int], about: str) -> ColumnElement[str]:
    return cast(ms // 1000, String) + bindparam(about, type_=String)


_WITNESS = (
    update(_meters)
    .where(
        _meters.c.attempt_id.in_(bindparam("idents", expanding=True)),
        _meters.c.closed.is_(False),
        _meters.c.ended_at.is_(None),
        _seen.is_not(None),
    )
    .values(
        witnessed_until=case((_seen < _until_ms, bindparam("until", type_=Timestamp)), else_=_meters.c.witnessed_until),
        heard_at=bindparam("heard"),
        silent_ms=_meters.c.silent_ms + _silence,
        note=_meters.c.note
        + case(((_silence >= 1000) & _room, _told(_silence, "silent")), else_="")
        + case(((_leap > SILENT_MS) & (_heard < _heard_ms) & _room, _told(_leap, "late")), else_=""),
    )
)
"""Built once: every site's every report needs it."""


async def close(
    tx: Tx, attempt_id: str, ended_at: datetime | None, *, now: datetime | None = None, cause: str = ""
) -> None:
    """The attempt has ended at ``ended_at``, or None: when it was last witnessed. Settles it and gives back the hold.

    What never started costs nothing; an end before the start counts as the start. ``cause`` says why it ended; where
    that is no fault of the renter's (``faults.FAULTS``), the order's policy gives him a credit. ``now`` is the entry's
    moment in the journal, ``ended_at`` unless given. Closing again changes nothing, unless a late witness knows an
    earlier end: then the difference goes back.
    """
    query = select(Meter).where(Meter.attempt_id == attempt_id).with_for_update()
    meter = (await tx.scalars(query.execution_options(populate_existing=True))).one_or_none()
    if meter is None or (meter.closed and not _ended_earlier(meter, ended_at)):
        return
    again = meter.closed
    if meter.started_at:
        meter.ended_at = max(ended_at or meter.witnessed_until or meter.started_at, meter.started_at)
        back = to_ms(meter.witnessed_until or meter.ended_at) - to_ms(meter.ended_at)
        if back > BACK_MS:
            late = f"it ended {back / 1000:g} s before it was last seen to run: a clock was moved"
            meter.note = joined(meter.note, late)
        if silent := await _silence_before(tx, meter, now or meter.ended_at):
            meter.silent_ms += silent
            meter.note = joined(meter.note, f"{silent // 1000}{_silent(meter.ended_at)}".strip("; "))
        if not again and -back - silent > SILENT_MS and meter.heard_at and meter.heard_at < (now or meter.ended_at):
            told = f"{(-back - silent) // 1000}{_late(meter.ended_at)}"
            meter.note = joined(meter.note, told.strip("; "))
        meter.witnessed_until = meter.ended_at
        meter.cause = meter.cause or cause
        await settle(tx, meter, now or meter.ended_at, final=True)
        await _credit(tx, meter, now or meter.ended_at)
    meter.closed = True
    meter.hold = 0
    await tx.flush()
    if again and meter.order_id:
        await orders.refresh(tx, [meter.order_id])
    emit(tx, "billing")


async def _silence_before(tx: Tx, meter: Meter, now: datetime) -> int:
    """The milliseconds before the end of ``meter`` for which there is its site's word alone, as far as not billed."""
    if meter.closed or meter.heard_at is None or meter.witnessed_until is None or meter.ended_at is None:
        return 0
    said = to_ms(meter.ended_at) - to_ms(meter.witnessed_until)
    unheard = to_ms(now) - to_ms(meter.heard_at)
    if said <= SILENT_MS or unheard <= SILENT_MS:
        return 0
    by_server = unheard - await uptime.covered_ms(tx, meter.heard_at, now)
    return max(said - SILENT_MS - by_server, 0)


def _ended_earlier(meter: Meter, ended_at: datetime | None) -> bool:
    return ended_at is not None and meter.ended_at is not None and ended_at < meter.ended_at and not meter.credited


async def _credit(tx: Tx, meter: Meter, now: datetime) -> None:
    """Give back what the order's policy says, when the attempt ended by no fault of the renter's."""
    order = await tx.get(Order, meter.order_id) if meter.order_id else None
    given = faults.credit_for(meter, order.fault_credit) if order else 0
    if given <= 0:
        return
    reason = f"credit: {faults.FAULTS[meter.cause]}"
    await credit(tx, meter, given, now, reason)
    meter.note = joined(meter.note, reason)


async def settle(tx: Tx, meter: Meter, now: datetime, *, final: bool = False) -> None:
    """Put what ``meter`` has accrued into the journal; see ``settling.settle_many``."""
    await tx.flush()
    await settle_many(tx, [meter], now, final=final)
    await tx.refresh(meter)
