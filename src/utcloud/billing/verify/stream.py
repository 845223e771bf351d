"""Follows the chain: each entry's hash, its sum, and its lines by its own facts."""

import asyncio
import hashlib
from collections import defaultdict
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from typing import Any

from pydantic_core import from_json
from sqlalchemy import BigInteger, Row, String, bindparam, cast, func, select, type_coerce

from utcloud.billing import chain, facts
from utcloud.billing.models import Account, Entry, JournalRule, Posting
from utcloud.billing.verify.state import Anchor, Fault
from utcloud.common.money import format_unc
from utcloud.db import Tx

BATCH = 2_000

_entries, _postings = Entry.__table__.c, Posting.__table__.c
_NAMES = ("seq", "id", "hash", "idempotency_key", "kind", "cause_type", "cause_id", "note", "actor_id", "actor_name")
_BATCH = (
    select(
        *(_entries[name] for name in _NAMES),
        *(type_coerce(_entries.at, BigInteger), _entries.facts),
        select(func.aggregate_strings('["' + _postings.account_id + '",' + cast(_postings.amount, String) + "]", "\n"))
        .where(_postings.entry_id == _entries.id, _postings.at == _entries.at)
        .scalar_subquery(),
    )
    .where(_entries.seq.between(bindparam("first"), bindparam("last")))
    .order_by(_entries.seq)
)
"""Entries and their postings, these as one text of JSON: a third of the rows. Only postings of the entry's moment
count."""
_CHANGED = "it, its postings or the entry before it are not what they were when it was written"


async def accounts(tx: Tx) -> facts.Accounts:
    """All accounts, as they were before the first entry."""
    rows = (await tx.execute(select(Account.id, Account.kind, Account.owner_id))).all()
    return facts.Accounts({ident: (kind, owner) for ident, kind, owner in rows}, {row[0]: 0 for row in rows})


async def first_with_facts(tx: Tx) -> int:
    """The number of the entry from which on all tell their facts."""
    return await tx.scalar(select(JournalRule.first_seq).where(JournalRule.version == 2)) or 1


class Walk:
    """How far the chain was followed, and what is needed to go on. Its size is that of the accounts."""

    def __init__(self, entries: int, noted: Sequence[Anchor], books: facts.Accounts, first: int) -> None:
        self.entries = entries
        self.anchors: dict[int, list[Anchor]] = defaultdict(list)
        for one in noted:
            self.anchors[one.head.seq].append(one)
        self.books = books
        self.first = first
        """The number of the first entry with facts."""
        self.checked = 0
        self.head = chain.START
        self.postings = 0
        self.of_meters = 0
        """How many entries are of meters."""
        self.moves = 0
        """What ``move`` says of all of them together."""

    def through(self, rows: Sequence[Row[*tuple[Any, ...]]]) -> Fault | None:
        """Check the next entries. A million go through here: each step counts."""
        balances, roles, kinds = self.books.balances, self.books.roles, facts.KINDS
        form_of, sha256, first, noted = chain.form, hashlib.sha256, self.first, self.anchors
        for row in rows:
            (seq, ident, stored, key, kind, cause_type, cause_id, note, actor_id, actor, at, told, postings) = row
            if seq != self.checked + 1:
                break
            if not postings:
                return Fault("entry", ident, seq, "it has no postings of its moment")
            pairs = postings.split("\n")
            pairs.sort()
            lines_json = ",".join(pairs)
            form = form_of(
                self.head, seq, ident, key, kind, cause_type, cause_id, note, actor_id, actor, at, lines_json, told
            )
            try:
                lines, found = from_json(f"[[{lines_json}],{told or 'null'}]")
                total = sum([amount for _, amount in lines])
            except ValueError:  # an account's id is none that this server gives, or these are no facts
                return Fault("entry", ident, seq, _CHANGED)
            if total:
                detail = f"its postings of its moment sum to {format_unc(total)} UNC, not to zero"
                return Fault("entry", ident, seq, detail)
            if sha256(form.encode()).hexdigest() != stored:
                return Fault("entry", ident, seq, _CHANGED)
            if seq in noted and (fault := self._unlike_its_anchor(seq, ident, stored)):
                return fault
            self.checked, self.head = seq, stored
            self.postings += len(lines)
            for account, amount in lines:
                if account not in balances:
                    return Fault("account", account, seq, "it is missing, and there are postings to it")
                left = balances[account] = balances[account] + amount
                if left < 0 and found is not None and roles[account] != facts.ISSUANCE:
                    return Fault("entry", ident, seq, f"it takes {format_unc(-left)} UNC more than the account holds")
            if (found is None) != (seq < first):
                lacks = f"it tells no facts, as all do from number {first} on"
                return Fault("entry", ident, seq, lacks if found is None else f"it tells facts before number {first}")
            if cause_type == "meter":
                self.of_meters += 1
            if found is None:
                continue
            try:
                known = kinds.get((kind, cause_type))
                if known is None:
                    return Fault("entry", ident, seq, f"there is no entry of kind {kind} by {cause_type or 'nothing'}")
                known.rule(kind, cause_id, found, lines, self.books)
                if cause_type == "meter" and "was" in found:
                    self.moves += move(cause_id, found["was"], found["settled"] - found["credited"])
            except facts.FactsError as wrong:
                what = "account" if wrong.account_id else "entry"
                return Fault(what, wrong.account_id or ident, seq, wrong.detail)
            except (KeyError, TypeError):
                return Fault("entry", ident, seq, f"its facts are not those of an entry of kind {kind}")
        return None

    def _unlike_its_anchor(self, seq: int, ident: str, stored: str) -> Fault | None:
        anchor = next((one for one in self.anchors[seq] if one.head.hash != stored), None)
        if anchor is None:
            return None
        detail = f"it, or an entry before it, was another when its head was noted: {anchor}"
        return Fault("entry", ident, seq, detail)


def move(meter_id: str, was: int, now: int) -> int:
    """A number for the step of a meter's cost. Those of its entries sum to that from zero to its last cost if, and as
    good as only if, each begins where the one before it ended: whatever was between is added once and taken off once.
    """
    return hash((meter_id, now)) - hash((meter_id, was))


async def follow(tx: Tx, walk: Walk) -> AsyncIterator[Fault | None]:
    """Follow the chain to its end or its first fault; says so after each batch."""
    batches = _batches(tx, walk.entries)
    async for rows in batches:
        before = walk.checked
        fault = walk.through(rows)
        if fault is None and (walk.checked == before or (len(rows) < BATCH and walk.checked < walk.entries)):
            after = rows[walk.checked - before][1] if len(rows) > walk.checked - before else ""
            fault = Fault("entry", after, walk.checked + 1, f"entry number {walk.checked + 1} is missing")
        yield fault
        if fault:
            break
        await asyncio.sleep(0)  # SQLite runs on this thread: let others have it
    await batches.aclose()


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
