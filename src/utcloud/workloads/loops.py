"""Places what waits, as soon as capacity may have come free, and asks pages; the safety net looks every few seconds."""

import asyncio
import contextlib
import time
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from utcloud.accounts.service import HARDWARE_SIGNAL
from utcloud.common.clock import Clock
from utcloud.db import Database
from utcloud.edge.probe import answering
from utcloud.protocol import READY_TIMEOUT_S
from utcloud.resources.capacity import CAPACITY_SIGNAL
from utcloud.resources.service import NODES_SIGNAL
from utcloud.workloads import nodes, pages
from utcloud.workloads.desired import PAGE_PATH
from utcloud.workloads.notebooks import stop_attempts
from utcloud.workloads.observed import PLACE
from utcloud.workloads.placement import place_lines, waiting_pools
from utcloud.workloads.states import TURNS

_SAFETY_NET_S = 5.0
_BREATH_S = 0.5
_ASK_AGAIN_S = 1.0
_NO_ANSWER = f"Its page did not answer at the edge within {READY_TIMEOUT_S} seconds."


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


@dataclass(slots=True)
class Pages:
    """What one server process knows of the pages that it asks."""

    silent_since: dict[str, datetime] = field(default_factory=dict)
    """By attempt: when its page was first asked in vain."""

    async def waiting(self, db: Database) -> dict[str, dict[str, pages.Page]]:
        """The pages to ask, by miner and attempt."""
        async with db.read() as tx:
            waiting = await pages.waiting(tx)
        self.silent_since = {ident: since for ident, since in self.silent_since.items() if ident in waiting}
        by_miner: dict[str, dict[str, pages.Page]] = {}
        for ident, page in waiting.items():
            by_miner.setdefault(page.miner_id, {})[ident] = page
        return by_miner

    async def ask(self, db: Database, clock: Clock, waiting: dict[str, pages.Page]) -> bool:
        """Ask these pages once; whether some do not answer. What goes on so is stopped."""
        asked_at = clock.now()
        known = {ident: (page.upstream, page.token) for ident, page in waiting.items() if page.upstream}
        found = await answering(known, PAGE_PATH)
        silent = known.keys() - found
        since = {ident: self.silent_since.setdefault(ident, asked_at) for ident in silent}
        patience = timedelta(seconds=READY_TIMEOUT_S)
        late = [ident for ident, when in since.items() if asked_at - when >= patience]
        async with db.write(TURNS) as tx:
            await pages.answered(tx, clock.now(), found)
            await pages.silent(tx, silent, asked_at)
            await pages.out_of_reach(tx, clock.now(), waiting.keys() - known.keys())
            await stop_attempts(tx, clock.now(), late, _NO_ANSWER)
        return bool(silent)


async def pages_loop(db: Database, clock: Clock) -> None:
    """For ever: ask pages at once when a site says that they answer, and again until they do.

    Each miner's are asked by a task of their own: pages that keep a connection open and say nothing hold up no other
    miner's.
    """
    looks = Pages()
    asking: dict[str, asyncio.Task[bool]] = {}
    with db.listening(pages.SIGNAL) as woken:
        async with asyncio.TaskGroup() as group:
            while True:
                woken.clear()
                waiting = await looks.waiting(db)
                asking = {miner: task for miner, task in asking.items() if not task.done()}
                for miner in waiting.keys() - asking.keys():
                    asking[miner] = group.create_task(looks.ask(db, clock, waiting[miner]))
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(woken.wait(), _ASK_AGAIN_S if waiting else _SAFETY_NET_S)
