"""Loops: settle each running meter once an hour, stop in time what may not go on, and note that somebody looks."""

import asyncio
import contextlib
import time
from datetime import datetime, timedelta

from sqlalchemy import func, select

from utcloud.billing import journal, uptime
from utcloud.billing.models import Meter
from utcloud.billing.settling import COLUMNS, settle_many
from utcloud.billing.watch import LEAD_S, LOW_HOURS, OnStop, Watch
from utcloud.common.clock import Clock
from utcloud.db import Database

SETTLE_EVERY = timedelta(hours=1)
_BATCH = 2000
CALM = 25
"""However much changes, looking takes one part in so many of a core at most."""
_CALM_S = 0.2
_MOST_CALM_S = 5.0


async def keep_uptime(db: Database, clock: Clock) -> None:
    """For ever: note that a server is there and listens."""
    while True:
        async with db.write() as tx:
            await uptime.beat(tx, clock.now())
        await asyncio.sleep(uptime.BEAT_S)


async def settle_hourly(db: Database, clock: Clock) -> None:
    """For ever: put what every open meter has accrued into the journal, once an hour and at the start."""
    while True:
        await settle_due(db, clock.now())
        await asyncio.sleep(60)


async def settle_due(db: Database, now: datetime) -> int:
    """Settle the open meters that were not settled for an hour, many in a transaction; return how many."""
    due = func.coalesce(Meter.settled_at, Meter.started_at) <= now - SETTLE_EVERY
    count, last = 0, ""
    while True:
        async with db.write() as tx:
            await journal.lock(tx)
            # Who holds a meter may be waiting for the journal: never wait for him; it is settled in the next round.
            query = (
                select(*COLUMNS)
                .where(Meter.closed.is_(False), Meter.started_at.is_not(None), due, Meter.id > last)
                .order_by(Meter.id)
                .limit(_BATCH)
                .with_for_update(skip_locked=True)
            )
            meters = (await tx.execute(query)).all()
            await settle_many(tx, meters, now)
        count += len(meters)
        if len(meters) < _BATCH:
            return count
        last = meters[-1].id


async def watch_solvency(
    db: Database, clock: Clock, on_stop: OnStop, *, lead_s: float = LEAD_S, low_hours: float = LOW_HOURS
) -> None:
    """For ever: stop what a wallet, a cap or an order's limit does not allow any longer, ``lead_s`` seconds before.

    Sleeps until the soonest such moment; a change of any wallet or meter wakes it.
    """
    watch = Watch(db, clock, on_stop, lead_s=lead_s, low_hours=low_hours)
    with db.listening("billing") as woken:
        while True:
            woken.clear()
            began = time.perf_counter()
            pause = await watch.look()
            calm = CALM * (time.perf_counter() - began)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(woken.wait(), pause)
            await asyncio.sleep(min(max(calm, _CALM_S), _MOST_CALM_S))
