"""Two loops: settle each running meter once an hour, and stop what a wallet can no longer pay for, in time."""

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

import structlog
from sqlalchemy import func, select

from utcloud.billing import journal, meters
from utcloud.billing.models import Account, Meter
from utcloud.billing.solvency import Outlook, outlook
from utcloud.common.clock import Clock
from utcloud.common.money import format_unc
from utcloud.db import Database

log = structlog.get_logger()

OnDry = Callable[[list[str], str], Awaitable[None]]
"""Takes attempt ids and a reason for a person; stops them gracefully. Called again while they go on."""

LEAD_S = 15
"""So long before a wallet is empty its work is stopped: what a graceful stop takes, with room."""
SETTLE_EVERY = timedelta(hours=1)
_SAFETY_NET_S = 30.0
_CALM_S = 0.2
_AGAIN = timedelta(seconds=30)


async def settle_hourly(db: Database, clock: Clock) -> None:
    """For ever: put what every open meter has accrued into the journal, once an hour and at the start."""
    while True:
        await settle_due(db, clock.now())
        await asyncio.sleep(60)


async def settle_due(db: Database, now: datetime) -> int:
    """Settle the open meters that were not settled for an hour, each in its own transaction; return how many."""
    due = func.coalesce(Meter.settled_at, Meter.started_at) <= now - SETTLE_EVERY
    async with db.read() as tx:
        query = select(Meter.id).where(Meter.closed.is_(False), Meter.started_at.is_not(None), due)
        idents = list(await tx.scalars(query))
    for ident in idents:
        async with db.write() as tx:
            await journal.lock(tx)
            # Who holds the meter may be waiting for the journal: never wait for him; it is settled in the next round.
            query_one = (
                select(Meter).where(Meter.id == ident, Meter.closed.is_(False)).with_for_update(skip_locked=True)
            )
            meter = (await tx.scalars(query_one)).one_or_none()
            if meter is not None:
                await meters.settle(tx, meter, now)
    return len(idents)


async def watch_solvency(db: Database, clock: Clock, on_dry: OnDry, *, lead_s: float = LEAD_S) -> None:
    """For ever: stop what a wallet cannot pay for any longer, ``lead_s`` seconds before the wallet is empty.

    Sleeps until the soonest such moment; a change of any wallet or meter wakes it.
    """
    solvency = Solvency(db, clock, on_dry, lead_s=lead_s)
    with db.listening("billing") as woken:
        while True:
            woken.clear()
            pause = await solvency.look()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(woken.wait(), pause)
            await asyncio.sleep(_CALM_S)  # many changes at once are one look


class Solvency:
    """One look at all wallets that are being used, and the memory of what was stopped already."""

    def __init__(self, db: Database, clock: Clock, on_dry: OnDry, *, lead_s: float = LEAD_S) -> None:
        self._db = db
        self._clock = clock
        self._on_dry = on_dry
        self._lead = timedelta(seconds=lead_s)
        self._stopped: dict[str, datetime] = {}

    async def look(self) -> float:
        """Stop what must stop now; return in how many seconds to look again."""
        now = self._clock.now()
        async with self._db.read() as tx:
            running = list(await tx.scalars(select(Meter).where(Meter.closed.is_(False))))
            wallets = {
                wallet.id: wallet
                for wallet in await tx.scalars(
                    select(Account).where(Account.id.in_(select(Meter.wallet_id).where(Meter.closed.is_(False))))
                )
            }
        by_wallet: dict[str, list[Meter]] = defaultdict(list)
        for meter in running:
            by_wallet[meter.wallet_id].append(meter)
        alive = {meter.attempt_id for meter in running}
        self._stopped = {ident: at for ident, at in self._stopped.items() if ident in alive}
        pause = _SAFETY_NET_S
        for wallet_id, own in by_wallet.items():
            state = outlook(wallets[wallet_id].balance, own, now)
            if state.runs_out_at is None:
                continue
            left = (state.runs_out_at - self._lead - now).total_seconds()
            if left > 0:
                pause = min(pause, left)
                continue
            await self._stop(own, wallets[wallet_id], state, now)
        return pause

    async def _stop(self, own: list[Meter], wallet: Account, state: Outlook, now: datetime) -> None:
        idents = [
            meter.attempt_id
            for meter in own
            if meter.price and now - self._stopped.get(meter.attempt_id, now - _AGAIN) >= _AGAIN
        ]
        if not idents:
            return
        left = max(wallet.balance - state.accrued, 0)
        reason = (
            f"the wallet ran dry: {format_unc(left)} UNC were left at {format_unc(state.burn_per_hour)} UNC per hour; "
            "files are kept, recharge it and start again"
        )
        log.info("wallet runs dry", wallet=wallet.id, owner=wallet.owner_id, attempts=idents)
        await self._on_dry(idents, reason)
        self._stopped.update(dict.fromkeys(idents, now))
