"""Places what waits, as soon as capacity may have come free; the safety net looks every few seconds."""

import asyncio
import contextlib
import time

from utcloud.accounts.service import HARDWARE_SIGNAL
from utcloud.common.clock import Clock
from utcloud.db import Database
from utcloud.resources.capacity import CAPACITY_SIGNAL
from utcloud.resources.service import NODES_SIGNAL
from utcloud.workloads import nodes
from utcloud.workloads.notebooks import stop_attempts
from utcloud.workloads.observed import PLACE
from utcloud.workloads.placement import place_lines, waiting_pools
from utcloud.workloads.states import TURNS

_SAFETY_NET_S = 5.0
_BREATH_S = 0.5


async def place_loop(db: Database, clock: Clock, *, fee_ppm: int) -> None:
    """Try all who wait, pool by pool, in the order in which they came, whenever something may have come free."""
    with db.listening(PLACE, CAPACITY_SIGNAL, "billing") as woken:
        while True:
            woken.clear()
            began = time.perf_counter()
            await place_waiting(db, clock, fee_ppm=fee_ppm)
            await asyncio.sleep(min(time.perf_counter() - began, _BREATH_S))  # a long line leaves others half the time
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(woken.wait(), _SAFETY_NET_S)


async def place_waiting(db: Database, clock: Clock, *, fee_ppm: int) -> None:
    """Try all who wait once."""
    async with db.read() as tx:
        batches = await waiting_pools(tx)
    for pool_ids in batches:
        refused: set[str] = set()
        more = True
        while more:
            async with db.write(TURNS) as tx:
                more = await place_lines(tx, clock.now(), pool_ids, fee_ppm=fee_ppm, refused=refused)


async def nodes_loop(db: Database, clock: Clock, watch: nodes.Watch) -> None:
    """Fail what was lost, drain and move nodes: when a miner says so, when work has ended, and every few seconds."""
    with db.listening(NODES_SIGNAL, CAPACITY_SIGNAL, HARDWARE_SIGNAL) as woken:
        while True:
            woken.clear()
            await nodes.look(db, clock.now(), watch)
            await asyncio.sleep(_BREATH_S)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(woken.wait(), _SAFETY_NET_S)


async def stop_dry(db: Database, clock: Clock, attempt_ids: list[str], reason: str) -> None:
    """Stop, gracefully, what a wallet can no longer pay for."""
    async with db.write(TURNS) as tx:
        await stop_attempts(tx, clock.now(), attempt_ids, reason)
