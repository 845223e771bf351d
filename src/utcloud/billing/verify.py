"""Checks all books, from the first entry to the last, and names the first row that is wrong.

It reads one consistent state, in batches, while the server goes on; what it holds in memory does not grow.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import BigInteger, Row, Select, bindparam, func, or_, select, text, type_coerce

from utcloud.billing import chain
from utcloud.billing.models import Account, Entry, Meter, Posting
from utcloud.common.money import format_unc
from utcloud.db import Database, Tx
from utcloud.db.pairs import packed, unpacked

BATCH = 2_000


@dataclass(frozen=True, slots=True)
class Fault:
    """A row that is wrong. ``what``: entry, posting, account or meter."""

    what: str
    ident: str
    seq: int | None
    detail: str


@dataclass(frozen=True, slots=True)
class Verification:
    """How far the check has come; ``done`` at its end. ``head`` is the hash of the last entry that was checked."""

    entries: int = 0
    checked: int = 0
    head: str = chain.START
    seconds: float = 0.0
    done: bool = False
    fault: Fault | None = None


async def verify(db: Database) -> AsyncIterator[Verification]:
    """Check chain, sums, balances, meters and keys; yield the progress after each batch, and the verdict at the end."""
    began = time.monotonic()
    async with db.read() as tx:
        await _freeze(tx)
        state = Verification(entries=(await tx.scalar(select(func.count()).select_from(Entry))) or 0)
        batches = _batches(tx, state.entries)
        async for rows in batches:
            state = replace(_checked(state, rows), seconds=time.monotonic() - began)
            yield state
            if state.fault:
                break
            await asyncio.sleep(0)  # SQLite runs on this thread: let others have it
        await batches.aclose()
        fault = state.fault or await _first_fault(tx)
        yield replace(state, fault=fault, done=True, seconds=time.monotonic() - began)


async def verified(db: Database) -> Verification:
    """The verdict alone."""
    return [state async for state in verify(db)][-1]


async def _freeze(tx: Tx) -> None:
    """See one state from here on."""
    if tx.get_bind().dialect.name == "sqlite":
        await tx.execute(text("BEGIN"))
    else:
        await tx.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"))


_entries, _postings = Entry.__table__.c, Posting.__table__.c
_BATCH = (
    select(
        *(
            _entries[name]
            for name in ("seq", "id", "hash", "idempotency_key", "kind", "cause_type", "cause_id", "note")
        ),
        *(_entries.actor_id, _entries.actor_name, type_coerce(_entries.at, BigInteger)),
        func.count(_postings.entry_id),
        packed(_postings.account_id, _postings.amount),
    )
    .outerjoin_from(Entry.__table__, Posting.__table__, _postings.entry_id == _entries.id)
    .where(_entries.seq.between(bindparam("first"), bindparam("last")))
    .group_by(_entries.id)
    .order_by(_entries.seq)
)
"""Entries and their postings, these as one text: a third of the rows."""
_CHANGED = "it, its postings or the entry before it are not what they were when it was written"


async def _batches(tx: Tx, entries: int) -> AsyncGenerator[Sequence[Row[*tuple[Any, ...]]]]:
    """The entries in their order; while one batch is looked at, the database looks for the next."""
    connection = await tx.connection()

    async def found(first: int) -> Sequence[Row[*tuple[Any, ...]]]:
        return (await connection.execute(_BATCH, {"first": first, "last": first + BATCH - 1})).all()

    coming = asyncio.ensure_future(found(1))
    try:
        for first in range(1, entries + 1, BATCH):
            rows = await coming
            coming = asyncio.ensure_future(found(first + BATCH))
            await asyncio.sleep(0)  # so that it is asked for
            yield rows
    finally:
        await coming


def _checked(state: Verification, rows: Sequence[Row[*tuple[Any, ...]]]) -> Verification:
    """Recompute the hashes of the next entries."""
    checked, before = state.checked, state.head
    for seq, ident, stored, key, kind, cause_type, cause_id, note, actor_id, actor_name, at, count, postings in rows:
        if seq != checked + 1:
            break
        lines = _lines(postings, count)
        if lines is None:
            return replace(state, fault=Fault("entry", ident, seq, _CHANGED))
        total = sum(amount for _, amount in lines)
        if not lines or total != 0:
            detail = f"its postings sum to {format_unc(total)} UNC, not to zero"
            return replace(state, fault=Fault("entry", ident, seq, detail))
        computed = chain.entry_hash(
            before,
            seq=seq,
            ident=ident,
            key=key,
            kind=kind,
            cause_type=cause_type,
            cause_id=cause_id,
            note=note,
            actor_id=actor_id,
            actor_name=actor_name,
            at=at,
            lines=lines,
        )
        if computed != stored:
            return replace(state, fault=Fault("entry", ident, seq, _CHANGED))
        checked, before = seq, stored
    if checked == state.checked or (len(rows) < BATCH and checked < state.entries):
        after = rows[checked - state.checked][1] if len(rows) > checked - state.checked else ""
        return replace(state, fault=Fault("entry", after, checked + 1, f"entry number {checked + 1} is missing"))
    return replace(state, checked=checked, head=before)


def _lines(postings: str | None, count: int) -> list[tuple[str, int]] | None:
    """An entry's account ids and amounts; None when an id is one that this server does not give."""
    try:
        lines = unpacked(postings)
    except ValueError:
        return None
    return lines if len(lines) == count else None


async def _first_fault(tx: Tx) -> Fault | None:
    """What the chain cannot tell: balances, meters, keys, postings without an entry."""
    orphan = select(Posting.entry_id).outerjoin(Entry, Entry.id == Posting.entry_id).where(Entry.id.is_(None)).limit(1)
    if ident := await tx.scalar(orphan):
        return Fault("posting", ident, None, "it belongs to no entry")
    twice = select(Entry.idempotency_key).group_by(Entry.idempotency_key).having(func.count() > 1).limit(1)
    if key := await tx.scalar(twice):
        entry = (await tx.scalars(select(Entry).where(Entry.idempotency_key == key).order_by(Entry.seq))).all()[-1]
        return Fault("entry", entry.id, entry.seq, f"its idempotency key {key!r} was used before")
    return await _wrong_balance(tx) or await _wrong_meter(tx)


async def _wrong_balance(tx: Tx) -> Fault | None:
    sums = select(Posting.account_id, func.sum(Posting.amount).label("total")).group_by(Posting.account_id).subquery()
    total = func.coalesce(sums.c.total, 0)
    row = await _first(
        tx,
        select(Account.id, Account.kind, Account.balance, total)
        .outerjoin(sums, sums.c.account_id == Account.id)
        .where(or_(Account.balance != total, (Account.balance < 0) & (Account.kind != "issuance")))
        .order_by(Account.id),
    )
    if row is None:
        return None
    ident, kind, balance, posted = row
    has, sums_to = format_unc(balance), format_unc(int(posted))
    detail = f"the balance of this {kind} account is {has} UNC, its postings sum to {sums_to} UNC"
    return Fault("account", ident, None, detail)


async def _wrong_meter(tx: Tx) -> Fault | None:
    """A meter whose entries take another amount out of the wallet than it says was settled."""
    paid = (
        select(Entry.cause_id, (-func.sum(Posting.amount)).label("paid"))
        .join(Posting, Posting.entry_id == Entry.id)
        .join(Account, Account.id == Posting.account_id)
        .where(Entry.cause_type == "meter", Account.kind == "wallet")
        .group_by(Entry.cause_id)
        .subquery()
    )
    total = func.coalesce(paid.c.paid, 0)
    row = await _first(
        tx,
        select(Meter.id, Meter.settled - Meter.credited, total)
        .outerjoin(paid, paid.c.cause_id == Meter.id)
        .where(Meter.settled - Meter.credited != total)
        .order_by(Meter.id),
    )
    if row:
        ident, settled, posted = row
        detail = f"it says that {format_unc(settled)} UNC are settled, its entries took {format_unc(int(posted))} UNC"
        return Fault("meter", ident, None, detail)
    return None


async def _first(tx: Tx, query: Select[*tuple[Any, ...]]) -> Any:
    return (await tx.execute(query.limit(1))).first()
