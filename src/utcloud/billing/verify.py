"""Checks all books, from the first entry to the last, and names the first row that is wrong.

It reads one consistent state, in batches, while the server goes on; what it holds in memory does not grow.
"""

import asyncio
import re
import time
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import BigInteger, Row, Select, bindparam, case, func, or_, select, text, type_coerce

from utcloud.billing import chain, sums
from utcloud.billing.models import Account, Entry, Meter, Order, Posting
from utcloud.common.money import format_unc
from utcloud.db import Database, Tx
from utcloud.db.pairs import packed, unpacked

BATCH = 2_000


@dataclass(frozen=True, slots=True)
class Head:
    """An entry's number and its hash; written ``7:5feceb66…``."""

    seq: int
    hash: str

    @classmethod
    def parse(cls, text: str) -> "Head":
        """Raises ValueError, in words for a person."""
        seq, _, hash_ = text.strip().partition(":")
        if not (seq.isascii() and seq.isdigit() and len(seq) < 19 and re.fullmatch("[0-9a-f]{64}", hash_)):
            raise ValueError("write the number of an entry and its hash, such as 7:5feceb66… with all 64 digits")
        return cls(int(seq), hash_)


@dataclass(frozen=True, slots=True)
class Fault:
    """A row that is wrong. ``what``: entry, posting, account, meter or order."""

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


async def verify(db: Database, known: Head | None = None) -> AsyncIterator[Verification]:
    """Check chain, sums, balances, meters, orders and keys; yield the progress after each batch, then the verdict.

    ``known`` is a head that was noted before: whoever wrote the whole chain anew, or cut its end off, cannot meet it.
    """
    began = time.monotonic()
    async with db.read() as tx:
        await _freeze(tx)
        state = Verification(entries=(await tx.scalar(select(func.count()).select_from(Entry))) or 0)
        batches = _batches(tx, state.entries)
        async for rows in batches:
            state = replace(_checked(state, rows, known), seconds=time.monotonic() - began)
            yield state
            if state.fault:
                break
            await asyncio.sleep(0)  # SQLite runs on this thread: let others have it
        await batches.aclose()
        fault = state.fault or _cut_off(state, known) or await _first_fault(tx)
        yield replace(state, fault=fault, done=True, seconds=time.monotonic() - began)


async def verified(db: Database, known: Head | None = None) -> Verification:
    """The verdict alone."""
    return [state async for state in verify(db, known)][-1]


def _cut_off(state: Verification, known: Head | None) -> Fault | None:
    if known is None or known.seq <= state.checked:
        return None
    return Fault("entry", "", known.seq, f"the journal had {known.seq} entries, it has {state.checked}")


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
        func.count(case((_postings.at == _entries.at, 1))),
        packed(_postings.account_id, _postings.amount),
    )
    .outerjoin_from(Entry.__table__, Posting.__table__, _postings.entry_id == _entries.id)
    .where(_entries.seq.between(bindparam("first"), bindparam("last")))
    .group_by(_entries.id)
    .order_by(_entries.seq)
)
"""Entries and their postings, these as one text: a third of the rows. Only postings of the entry's moment count."""
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


def _checked(state: Verification, rows: Sequence[Row[*tuple[Any, ...]]], known: Head | None) -> Verification:
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
            detail = f"its postings sum to {format_unc(total)} UNC, not to zero" if lines else "it has no postings"
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
        if known and seq == known.seq and stored != known.hash:
            detail = "it, or an entry before it, was another when this head was noted"
            return replace(state, fault=Fault("entry", ident, seq, detail))
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
    """What the chain cannot tell: balances, meters, orders, keys, postings without an entry."""
    orphan = select(Posting.entry_id).outerjoin(Entry, Entry.id == Posting.entry_id).where(Entry.id.is_(None)).limit(1)
    if ident := await tx.scalar(orphan):
        return Fault("posting", ident, None, "it belongs to no entry")
    twice = select(Entry.idempotency_key).group_by(Entry.idempotency_key).having(func.count() > 1).limit(1)
    if key := await tx.scalar(twice):
        entry = (await tx.scalars(select(Entry).where(Entry.idempotency_key == key).order_by(Entry.seq))).all()[-1]
        return Fault("entry", entry.id, entry.seq, f"its idempotency key {key!r} was used before")
    return await _wrong_balance(tx) or await _wrong_meter(tx) or await _wrong_order(tx)


async def _wrong_balance(tx: Tx) -> Fault | None:
    sums_ = select(Posting.account_id, func.sum(Posting.amount).label("total")).group_by(Posting.account_id).subquery()
    total = func.coalesce(sums_.c.total, 0)
    row = await _first(
        tx,
        select(sums_.c.account_id, Account.id, Account.kind, Account.balance, total)
        .outerjoin_from(Account, sums_, sums_.c.account_id == Account.id, full=True)
        .where(
            or_(Account.id.is_(None), Account.balance != total, (Account.balance < 0) & (Account.kind != "issuance"))
        )
        .order_by(Account.id),
    )
    if row is None:
        return None
    posted_to, ident, kind, balance, posted = row
    if ident is None:
        return Fault("account", posted_to, None, "it is missing, and there are postings to it")
    has, sums_to = format_unc(balance), format_unc(int(posted))
    detail = f"the balance of this {kind} account is {has} UNC, its postings sum to {sums_to} UNC"
    return Fault("account", ident, None, detail)


async def _wrong_meter(tx: Tx) -> Fault | None:
    """A meter whose entries, fee, interval or wallet are not those that it tells of."""
    paid = (
        select(Entry.cause_id, (-func.sum(Posting.amount)).label("paid"))
        .join(Posting, Posting.entry_id == Entry.id)
        .join(Account, Account.id == Posting.account_id)
        .where(Entry.cause_type == "meter", Account.kind == "wallet")
        .group_by(Entry.cause_id)
        .subquery()
    )
    net, total = Meter.settled - Meter.credited, func.coalesce(paid.c.paid, 0)
    row = await _first(
        tx,
        select(paid.c.cause_id, Meter.id, net, total)
        .outerjoin_from(Meter, paid, paid.c.cause_id == Meter.id, full=True)
        .where(or_(Meter.id.is_(None), net != total))
        .order_by(Meter.id),
    )
    if row:
        named, ident, settled, posted = row
        if ident is None:
            return Fault("meter", named, None, "it is missing, and there are entries for it")
        detail = f"it says that {format_unc(settled)} UNC are settled, its entries took {format_unc(int(posted))} UNC"
        return Fault("meter", ident, None, detail)
    row = await _first(
        tx,
        select(Meter.id, sums.AMOUNT, Meter.settled + Meter.waived, Account.owner_id)
        .join(Account, Account.id == Meter.wallet_id)
        .where(
            or_(
                Meter.closed.is_(True) & (sums.OUTSTANDING != 0),
                Meter.settled_fee != sums.share(net, Meter.fee_ppm.expression),
                Account.owner_id != func.coalesce(Meter.group_id, Meter.payer_id),
            )
        )
        .order_by(Meter.id),
    )
    if row:
        ident, amount, booked, owner = row
        detail = (
            f"its interval and price come to {format_unc(amount)} UNC, {format_unc(booked)} UNC are settled or waived; "
            f"or its fee is not that share of it; or its payer is not {owner}, whose wallet paid"
        )
        return Fault("meter", ident, None, detail)
    return None


async def _wrong_order(tx: Tx) -> Fault | None:
    """An order that has ended and does not come to what its meters do."""
    cost = func.coalesce(func.sum(Meter.settled - Meter.credited), 0)
    row = await _first(
        tx,
        select(Order.id, Order.cost, cost)
        .outerjoin(Meter, Meter.order_id == Order.id)
        .where(Order.state == "settled")
        .group_by(Order.id, Order.cost)
        .having(Order.cost != cost)
        .order_by(Order.id),
    )
    if row:
        ident, said, paid = row
        return Fault(
            "order", ident, None, f"it says {format_unc(said)} UNC, its charges sum to {format_unc(int(paid))}"
        )
    return None


async def _first(tx: Tx, query: Select[*tuple[Any, ...]]) -> Any:
    return (await tx.execute(query.limit(1))).first()
