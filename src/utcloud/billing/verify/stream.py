"""Follows the chain: each entry's hash, its sum, and its lines by its own facts."""

import asyncio
import hashlib
import re
from collections import defaultdict
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Sequence
from contextlib import suppress
from json.encoder import encode_basestring_ascii as quoted
from typing import Any

import msgspec
from sqlalchemy import select, text

from utcloud.billing import chain, facts
from utcloud.billing.models import Account, JournalRule
from utcloud.billing.verify.state import Anchor, Fault
from utcloud.common.money import format_unc
from utcloud.db import Tx

BATCH = 2_000
AHEAD = 2
"""PostgreSQL is asked for so many batches at once; they are sorted in memory."""

_OWN = ("id", "idempotency_key", "kind", "cause_type", "cause_id", "note", "actor_id", "actor_name")
_APART = "||'\",\"'||"
_NOT_PLAIN = "[^] !#-[^-~]"
_ROWS = f"""
SELECT {{hash}}, seq || ',"' || {_APART.join(_OWN)} || '",' || at || ',', '[' || coalesce((
  SELECT {{aggregate}}('["' || account_id || '",' || {{amount}} || ']', ',')
  FROM postings WHERE entry_id = entries.id AND postings.at = entries.at
), '') || '],' || coalesce(facts, 'null') || ']',
CASE WHEN idempotency_key || note || actor_name {{like}} THEN {{array}}(seq, {", ".join(_OWN)}, at) || '' ELSE '' END
FROM journal_entries AS entries WHERE seq BETWEEN {{first}} AND {{last}} ORDER BY seq + 0
"""  # noqa: S608 - names of our own
"""Entries and their postings: an entry's hash, and in two parts the text that is hashed, but for the hash before it.

What people write may hold characters that JSON escapes: then the first part comes as an array besides. Only postings of
the entry's moment count. ``seq + 0`` makes PostgreSQL sort a batch: so it is ready before it is read.
In SQLite any column may hold anything: an entry with values of another type has no hash, a posting no amount.
"""
_TYPES = " AND ".join([*(f"typeof({name}) = 'text'" for name in _OWN), "typeof(at) = 'integer'"])
_SQLITE = {
    "hash": f"CASE WHEN {_TYPES} THEN hash ELSE '' END",
    "amount": "CASE typeof(amount) WHEN 'integer' THEN amount END",
    "aggregate": "group_concat",
    "like": f"GLOB '*{_NOT_PLAIN}*'",
    "array": "json_array",
}
_POSTGRESQL = {
    "hash": "hash",
    "amount": "amount",
    "aggregate": "string_agg",
    "like": f"~ '{_NOT_PLAIN}'",
    "array": "json_build_array",
}
_SELECT = text(_ROWS.format(first=":first", last=":last", **_SQLITE))
Fields = Sequence[bytes]
"""A row of ``_ROWS``."""
_CHANGED = "it, its postings or the entry before it are not what they were when it was written"


class _Entry(msgspec.Struct, array_like=True, gc=False):
    """An entry, read from the very text that was hashed."""

    version: int
    before: str
    seq: int
    ident: str
    key: str
    kind: str
    cause_type: str
    cause_id: str
    note: str
    actor_id: str
    actor_name: str
    at: int
    lines: list[facts.Line]
    facts: msgspec.Raw = msgspec.Raw(b"null")


_ENTRY = msgspec.json.Decoder(_Entry)
_REST = msgspec.json.Decoder(tuple[list[facts.Line], msgspec.Raw])


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

    def through(self, rows: Iterable[Fields]) -> Fault | None:
        """Check the next entries, up to one that is missing. A million go through here: each step counts."""
        balances, noted, kinds = self.books.balances, self.anchors, facts.KINDS
        sha256, read, before, seq = hashlib.sha256, _ENTRY.decode, self.head.encode(), self.checked
        for stored, words, rest, escaped in rows:
            seq += 1
            form = b'[2,"' + before + b'",' + words + rest
            if escaped or sha256(form).hexdigest().encode() != stored:
                form = _form(before, words, rest, escaped)
                if sha256(form).hexdigest().encode() != stored:
                    return _why(seq, words, rest)
            try:
                entry = read(form)  # from here on, all that is looked at is what was hashed
            except ValueError:
                return Fault("entry", _ident(words), seq, _CHANGED)
            if entry.seq != seq:
                return None
            lines, is_old = entry.lines, entry.version == 1
            total, missing, short = 0, "", 0
            for account, amount in lines:
                total += amount
                if account not in balances:
                    missing = account
                    continue
                left = balances[account] = balances[account] + amount
                if left < 0 and not is_old and self.books.roles[account] != facts.ISSUANCE:
                    short = -left  # old entries are only summed up
            if total or not lines:
                return _unbalanced(seq, entry.ident, lines)
            if seq in noted and (fault := self._unlike_its_anchor(seq, entry.ident, stored.decode())):
                return fault
            before = stored
            self.checked, self.head = seq, stored.decode()
            self.postings += len(lines)
            if missing:
                return Fault("account", missing, seq, "it is missing, and there are postings to it")
            if short:
                detail = f"it takes {format_unc(short)} UNC more than the account holds"
                return Fault("entry", entry.ident, seq, detail)
            if is_old != (seq < self.first):
                lacks = f"it tells no facts, as all do from number {self.first} on"
                told_early = f"it tells facts before number {self.first}"
                return Fault("entry", entry.ident, seq, lacks if is_old else told_early)
            if entry.cause_type == "meter":
                self.of_meters += 1
            if is_old:
                continue
            known = kinds.get((entry.kind, entry.cause_type))
            if known is None:
                detail = f"there is no entry of kind {entry.kind} by {entry.cause_type or 'nothing'}"
                return Fault("entry", entry.ident, seq, detail)
            try:
                told = known.read(entry.facts)
                known.rule(entry.kind, entry.cause_id, told, lines, self.books)
            except facts.FactsError as wrong:
                what = "account" if wrong.account_id else "entry"
                return Fault(what, wrong.account_id or entry.ident, seq, wrong.detail)
            except ValueError:
                return Fault("entry", entry.ident, seq, f"its facts are not those of an entry of kind {entry.kind}")
            if known.facts is facts.Charge:
                self.moves += move(entry.cause_id, told.was, told.settled - told.credited)
        return None

    def _unlike_its_anchor(self, seq: int, ident: str, stored: str) -> Fault | None:
        anchor = next((one for one in self.anchors[seq] if one.head.hash != stored), None)
        if anchor is None:
            return None
        detail = f"it, or an entry before it, was another when its head was noted: {anchor}"
        return Fault("entry", ident, seq, detail)


def _ident(words: bytes) -> str:
    """The entry's id."""
    return words.partition(b'"')[2].partition(b'","')[0].decode()


def _why(seq: int, words: bytes, rest: bytes) -> Fault | None:
    """What is wrong with an entry that has another hash. None: it is another entry, that of ``seq`` is missing."""
    if int(words.partition(b",")[0]) != seq:
        return None
    fault = None
    with suppress(ValueError):
        fault = _unbalanced(seq, _ident(words), _REST.decode(b"[" + rest)[0])
    return fault or Fault("entry", _ident(words), seq, _CHANGED)


def _unbalanced(seq: int, ident: str, lines: Sequence[facts.Line]) -> Fault | None:
    """What is wrong with an entry's lines, if they are none or do not sum to zero."""
    if not lines:
        return Fault("entry", ident, seq, "it has no postings of its moment")
    if total := sum(amount for _, amount in lines):
        detail = f"its postings of its moment sum to {format_unc(total)} UNC, not to zero"
        return Fault("entry", ident, seq, detail)
    return None


def _form(before: bytes, words: bytes, rest: bytes, escaped: bytes) -> bytes:
    """What is hashed of an entry that is not to be taken as it came: by its version, escaped, its lines in order."""
    try:
        lines, _ = _REST.decode(b"[" + rest)
    except ValueError:  # an account's id is none that this server gives, or these are no facts
        return b""
    if escaped:
        words = chain.canonical(msgspec.json.decode(escaped))[1:-1].encode() + b","
    pairs = ",".join([f"[{quoted(account)},{amount}]" for account, amount in sorted(lines)]).encode()
    told = rest[rest.index(b"]],") + 3 : -1] if lines else b""  # as it is, spaces and all
    if told == b"null":  # from before there were any
        return b'[1,"%b",%b[%b]]' % (before, words, pairs)
    return b'[2,"%b",%b[%b],%b]' % (before, words, pairs, told)


def move(meter_id: str, was: int, now: int) -> int:
    """A number for the step of a meter's cost. Those of its entries sum to that from zero to its last cost if, and as
    good as only if, its steps do: what the meter's id is hashed to is another in each process, and nobody knows it.
    """
    return hash(meter_id) * (now - was)


async def follow(tx: Tx, walk: Walk) -> AsyncIterator[Fault | None]:
    """Follow the chain to its end or its first fault; says so after each batch."""
    batches = _batches(tx, walk.entries)
    async for rows in batches:
        before = walk.checked
        fault = walk.through(rows)
        if fault is None and (walk.checked == before or (len(rows) < BATCH and walk.checked < walk.entries)):
            after = _ident(rows[walk.checked - before][1]) if len(rows) > walk.checked - before else ""
            fault = Fault("entry", after, walk.checked + 1, f"entry number {walk.checked + 1} is missing")
        yield fault
        if fault:
            break
        await asyncio.sleep(0)  # SQLite runs on this thread: let others have it
    await batches.aclose()


async def _batches(tx: Tx, entries: int) -> AsyncGenerator[Sequence[Fields]]:
    """The entries in their order; while one batch is looked at, the database looks for the next."""
    connection = await tx.connection()
    driver = None
    if connection.dialect.name == "postgresql":
        driver = (await connection.get_raw_connection()).driver_connection
    many = BATCH if driver is None else BATCH * AHEAD

    async def found(first: int) -> Sequence[Fields]:
        if driver is None:
            rows = await connection.execute(_SELECT, {"first": first, "last": first + many - 1})
            return [[str(one).encode() for one in row] for row in rows]
        return await _copied(driver, first, first + many - 1)

    coming = asyncio.ensure_future(found(1))
    try:
        for first in range(1, entries + 1, many):
            rows = await coming
            coming = asyncio.ensure_future(found(first + many))
            await asyncio.sleep(0)  # so that it is asked for
            for start in range(0, max(len(rows), 1), BATCH):
                yield rows[start : start + BATCH]
    finally:
        await coming


async def _copied(driver: Any, first: int, last: int) -> Sequence[Fields]:
    """What ``_ROWS`` says, by PostgreSQL's COPY: in half the time that it takes to make rows of it."""
    parts: list[bytes] = []

    async def sink(part: bytes) -> None:
        parts.append(part)

    query = _ROWS.format(first=first, last=last, **_POSTGRESQL)  # with parameters, it would be sent later
    await driver.copy_from_query(query, output=sink)
    lines = b"".join(parts).split(b"\n")
    lines.pop()
    return [line.split(b"\t") if b"\\" not in line else _unescaped(line) for line in lines]


_ESCAPED = re.compile(rb"\\(.)", re.DOTALL)
_ESCAPES = {b"b": b"\b", b"f": b"\f", b"n": b"\n", b"r": b"\r", b"t": b"\t", b"v": b"\v"}


def _unescaped(line: bytes) -> list[bytes]:
    """The fields of a line of COPY in its text format."""
    return [_ESCAPED.sub(lambda found: _ESCAPES.get(found[1], found[1]), one) for one in line.split(b"\t")]
