"""Checks all books, from the first entry to the last, and names the first row that is wrong.

It reads one consistent state, in batches, while the server goes on; what it holds in memory grows with the accounts
alone. ``stream`` follows the chain and recomputes each entry's lines from its facts; ``beside`` compares all that lies
beside the journal with it.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TypeVar

from sqlalchemy import func, select, text

from utcloud.billing.models import Entry
from utcloud.billing.verify import beside, stream
from utcloud.billing.verify.state import Anchor, Fault, Head, Verification
from utcloud.db import Database, Tx

__all__ = ["Anchor", "Fault", "Head", "Verification", "verified", "verify"]


async def verify(
    db: Database, known: Head | None = None, anchors: Sequence[Anchor] = ()
) -> AsyncIterator[Verification]:
    """Check chain, facts, sums, balances, meters, orders, keys; yield the progress after each batch, then the verdict.

    ``known`` and ``anchors`` are heads that were noted before: whoever wrote the whole chain anew, or cut its end off,
    cannot meet them.
    """
    began = time.monotonic()
    noted = [*([Anchor(known, "")] if known else []), *anchors]
    async with db.read() as tx:
        await _freeze(tx)
        state = Verification(entries=(await tx.scalar(select(func.count()).select_from(Entry))) or 0)
        books = await stream.accounts(tx)
        walk = stream.Walk(state.entries, noted, books, await stream.first_with_facts(tx))
        async with _meanwhile(db, tx, lambda other: beside.look(other, books)) as look:
            async for fault in stream.follow(tx, walk):
                seconds = time.monotonic() - began
                state = replace(state, checked=walk.checked, head=walk.head, fault=fault, seconds=seconds)
                yield state
            fault = state.fault or _cut_off(state, noted) or await beside.first_fault(tx, walk, await look())
        met = max((one for one in noted if one.source), key=lambda one: one.head.seq, default=None)
        yield replace(state, fault=fault, anchor=None if fault else met, done=True, seconds=time.monotonic() - began)


T = TypeVar("T")


@asynccontextmanager
async def _meanwhile(
    db: Database, tx: Tx, work: Callable[[Tx], Awaitable[T]]
) -> AsyncIterator[Callable[[], Awaitable[T]]]:
    """Let PostgreSQL work on something else besides, in the state that ``tx`` sees. SQLite does it when it is asked."""
    if db.is_sqlite:
        yield lambda: work(tx)
        return
    snapshot = await tx.scalar(text("SELECT pg_export_snapshot()"))
    async with db.read() as other:
        await other.execute(text(f"SET TRANSACTION SNAPSHOT '{snapshot}'"))
        task = asyncio.ensure_future(work(other))
        try:
            yield lambda: task
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def verified(db: Database, known: Head | None = None, anchors: Sequence[Anchor] = ()) -> Verification:
    """The verdict alone."""
    return [state async for state in verify(db, known, anchors)][-1]


def _cut_off(state: Verification, noted: Sequence[Anchor]) -> Fault | None:
    """The journal is shorter than it was at the newest head."""
    newest = max(noted, key=lambda one: one.head.seq, default=None)
    if newest is None or newest.head.seq <= state.checked:
        return None
    had = newest.head.seq
    return Fault("entry", "", had, f"the journal had {had} entries by {newest}, it has {state.checked}")


async def _freeze(tx: Tx) -> None:
    """See one state from here on."""
    if tx.get_bind().dialect.name == "sqlite":
        await tx.execute(text("BEGIN"))
    else:
        await tx.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"))
