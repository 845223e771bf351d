"""Places what waits, as soon as capacity may have come free; the safety net looks every few seconds."""

import asyncio
import contextlib

from utcloud.common.clock import Clock
from utcloud.db import Database
from utcloud.workloads.notebooks import stop_attempts
from utcloud.workloads.observed import PLACE
from utcloud.workloads.placement import place_waiting, waiting_workloads
from utcloud.workloads.states import TURNS

_SAFETY_NET_S = 5.0


async def place_loop(db: Database, clock: Clock, *, fee_ppm: int) -> None:
    """Try every waiting workload, in the order in which they came, whenever ``PLACE`` is signalled."""
    with db.listening(PLACE, "capacity", "billing") as woken:
        while True:
            woken.clear()
            async with db.read() as tx:
                waiting = await waiting_workloads(tx)
            for workload_id in waiting:
                async with db.write(TURNS) as tx:
                    await place_waiting(tx, clock.now(), workload_id, fee_ppm=fee_ppm)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(woken.wait(), _SAFETY_NET_S)


async def stop_dry(db: Database, clock: Clock, attempt_ids: list[str], reason: str) -> None:
    """Stop, gracefully, what a wallet can no longer pay for."""
    async with db.write(TURNS) as tx:
        await stop_attempts(tx, clock.now(), attempt_ids, reason)
