"""Looks at all that runs, against its wallets, its orders' limits and the spending caps; stops it in time."""

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from sqlalchemy import BigInteger, case, exists, func, or_, select, type_coerce, update

from utcloud.accounts.models import GroupMember
from utcloud.billing import caps, events, sums
from utcloud.billing.funds import NOT_A_MEMBER
from utcloud.billing.models import Account, Meter, Order
from utcloud.billing.solvency import MS_PER_HOUR, Outlook, Use, outlook, used_up_at
from utcloud.common.clock import Clock, from_ms
from utcloud.common.money import format_unc
from utcloud.db import Database, Tx, emit

log = structlog.get_logger()

OnStop = Callable[[list[str], str], Awaitable[None]]
"""Takes attempt ids and a reason for a person; stops them gracefully. Called again while they go on."""

LEAD_S = 15
"""So long before the end its work is stopped: what a graceful stop takes, with room."""
LOW_HOURS = 1.0
"""A wallet that runs out within so many hours is low."""
_SAFETY_NET_S = 30.0
_AGAIN = timedelta(seconds=30)


@dataclass(frozen=True, slots=True)
class _End:
    """Something that lets some work go on until ``at``."""

    at: datetime
    reason: str
    wallet_id: str = ""
    payer_id: str = ""
    order_id: str = ""


class Watch:
    """One look at all that runs, and the memory of what was stopped already."""

    def __init__(
        self, db: Database, clock: Clock, on_stop: OnStop, *, lead_s: float = LEAD_S, low_hours: float = LOW_HOURS
    ) -> None:
        self._db = db
        self._clock = clock
        self._on_stop = on_stop
        self._lead = timedelta(seconds=lead_s)
        self._low = timedelta(hours=low_hours)
        self._stopped: dict[str, datetime] = {}

    async def look(self) -> float:
        """Stop what must stop now, warn whose wallet is low; return in how many seconds to look again."""
        now = self._clock.now()
        async with self._db.read() as tx:
            wallets = await _wallets(tx, now)
            ends = [*_dry(wallets), *await _orders(tx, now), *await _capped(tx, now), *await _not_members(tx, now)]
            due = [end for end in ends if end.at - self._lead <= now]
            stops = [(end.reason, await _attempts(tx, end)) for end in due]
        await self._warn(wallets, now)
        for reason, attempts in stops:
            await self._stop(attempts, reason, now)
        self._stopped = {ident: at for ident, at in self._stopped.items() if now - at < _AGAIN}
        left = [(end.at - self._lead - now).total_seconds() for end in ends if end not in due]
        return min([_SAFETY_NET_S, *left])

    async def _stop(self, attempts: list[str], reason: str, now: datetime) -> None:
        fresh = [one for one in attempts if now - self._stopped.get(one, now - _AGAIN) >= _AGAIN]
        if fresh:
            log.info("work may not go on", reason=reason, attempts=fresh[:20], count=len(fresh))
            await self._on_stop(fresh, reason)
            self._stopped.update(dict.fromkeys(fresh, now))

    async def _warn(self, wallets: list[tuple[Account, Outlook]], now: datetime) -> None:
        changed = [
            (wallet, state, low)
            for wallet, state in wallets
            if (low := is_low(wallet, state, now, self._low)) != (wallet.warned_at is not None)
        ]
        if not changed:
            return
        async with self._db.write() as tx:
            for wallet, state, low in changed:
                before = Account.warned_at.is_(None) if low else Account.warned_at.is_not(None)
                done = await tx.execute(
                    update(Account)
                    .where(Account.id == wallet.id, before)  # of several servers, one warns
                    .values(warned_at=now if low else None)
                    .returning(Account.id)
                )
                if done.first() is None:
                    continue
                emit(tx, f"ui:{wallet.owner_id}")
                if low:
                    events.record(
                        tx,
                        "low_balance",
                        wallet,
                        at=now,
                        available=format_unc(state.available),
                        burn_per_hour=format_unc(state.burn_per_hour),
                        runs_out_at=state.runs_out_at.isoformat() if state.runs_out_at else None,
                    )


def is_low(wallet: Account, state: Outlook, now: datetime, low: timedelta = timedelta(hours=LOW_HOURS)) -> bool:
    """Whether the wallet's owner should be warned."""
    return (state.runs_out_at is not None and state.runs_out_at - now < low) or state.available < wallet.low_balance


async def _wallets(tx: Tx, now: datetime) -> list[tuple[Account, Outlook]]:
    """The wallets that are being used, or of which something is to be said."""
    query = select(Meter.wallet_id, *sums.columns(now)).where(Meter.closed.is_(False)).group_by(Meter.wallet_id)
    uses = {wallet_id: sums.use(rest) for wallet_id, *rest in await tx.execute(query)}
    used = select(Meter.wallet_id).where(Meter.closed.is_(False))
    some = or_(Account.id.in_(used), Account.warned_at.is_not(None), Account.low_balance > 0)
    wallets = await tx.scalars(select(Account).where(Account.kind == "wallet", some))
    return [(wallet, outlook(wallet.balance, uses.get(wallet.id, Use()), now)) for wallet in wallets]


def _dry(wallets: Iterable[tuple[Account, Outlook]]) -> Iterable[_End]:
    for wallet, state in wallets:
        if state.runs_out_at is not None:
            left = max(wallet.balance - state.accrued, 0)
            reason = (
                f"the wallet ran dry: {format_unc(left)} UNC were left at {format_unc(state.burn_per_hour)} UNC per "
                "hour; files are kept, recharge it and start again"
            )
            yield _End(state.runs_out_at, reason, wallet_id=wallet.id)


async def _orders(tx: Tx, now: datetime) -> list[_End]:
    """When orders with a maximum reach it."""
    running, elapsed = sums.runs(now), sums.elapsed_by(now)
    rest = (Meter.price % MS_PER_HOUR) * elapsed % MS_PER_HOUR
    query = (
        select(
            Order.id,
            Order.max_cost,
            Order.max_ms,
            func.min(type_coerce(Meter.started_at, BigInteger)),
            func.sum(sums.cost(elapsed) - Meter.waived - Meter.credited),
            func.sum(case((running, Meter.price), else_=0)),
            func.sum(case((running, rest), else_=0)),
        )
        .join(Meter, Meter.order_id == Order.id)
        .where(Order.state == "open", or_(Order.max_cost.is_not(None), Order.max_ms.is_not(None)))
        .group_by(Order.id, Order.max_cost, Order.max_ms)
    )
    ends = []
    for ident, max_cost, max_ms, began, spent, burn, rests in await tx.execute(query):
        if began is not None and max_ms is not None:
            hours = f"{max_ms / MS_PER_HOUR:.3f}".rstrip("0").rstrip(".")
            ends.append(_End(from_ms(began + max_ms), f"its maximum duration of {hours} h is over", order_id=ident))
        if max_cost is not None:
            at = used_up_at(max_cost - int(spent), Use(burn=int(burn), rest=int(rests)), now)
            if at is not None:
                ends.append(_End(at, f"its maximum cost of {format_unc(max_cost)} UNC is reached", order_id=ident))
    return ends


async def _capped(tx: Tx, now: datetime) -> list[_End]:
    """When spending caps are reached by what runs."""
    return [
        _End(at, f"{room.words} is reached{room.renewal}", wallet_id=room.wallet_id, payer_id=room.user_id)
        for room in await caps.rooms(tx, now)
        if room.user_id != caps.EACH and (at := room.reached_at(now)) is not None
    ]


async def _not_members(tx: Tx, now: datetime) -> list[_End]:
    """Who runs something at the cost of a group that he is no longer in."""
    is_member = exists().where(GroupMember.group_id == Meter.group_id, GroupMember.user_id == Meter.payer_id)
    query = select(Meter.wallet_id, Meter.payer_id).where(
        Meter.closed.is_(False), Meter.group_id.is_not(None), ~is_member
    )
    rows = await tx.execute(query.distinct())
    return [_End(now, NOT_A_MEMBER, wallet_id=wallet_id, payer_id=payer_id) for wallet_id, payer_id in rows]


async def _attempts(tx: Tx, end: _End) -> list[str]:
    """What must stop for ``end``: all of the order, or all that costs something of the wallet or the member."""
    query = select(Meter.attempt_id).where(Meter.closed.is_(False))
    if not end.order_id:
        query = query.where(Meter.price > 0)
    for column, value in (
        (Meter.wallet_id, end.wallet_id),
        (Meter.payer_id, end.payer_id),
        (Meter.order_id, end.order_id),
    ):
        if value:
            query = query.where(column == value)
    return list(await tx.scalars(query.order_by(Meter.attempt_id)))
