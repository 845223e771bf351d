"""Follows the chain: each entry's hash, its sum, and its lines by its own facts."""

import asyncio
import hashlib
import re
from collections import defaultdict
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Sequence
from json.encoder import encode_basestring_ascii
from typing import Any

from pydantic_core import from_json
from sqlalchemy import select, text

from utcloud.billing import chain, facts
from utcloud.billing.models import Account, JournalRule
from utcloud.billing.verify.state import Anchor, Fault
from utcloud.common.money import format_unc
from utcloud.db import Tx

BATCH = 2_000
AHEAD = 2
"""PostgreSQL is asked for so many batches at once; they are sorted in memory."""

_WORDS = (
    *("id", "replace(idempotency_key, '\"', '\"''')", "kind", "cause_type", "cause_id"),
    *("replace(note, '\"', '\"''')", "actor_id", "replace(actor_name, '\"', '\"''')"),
)
_APART = "||'\",\"'||"
_QUOTES = 2 * len(_WORDS)
_ROWS = f"""
SELECT seq, hash, kind, cause_type, cause_id, '"' || {_APART.join(_WORDS)} || '",' || at || ',', (
  SELECT '[' || {{aggregate}}('["' || account_id || '",' || amount || ']', ',') || '],'
  FROM postings WHERE entry_id = entries.id AND postings.at = entries.at
) || coalesce(facts, 'null') || ']'
FROM journal_entries AS entries WHERE seq BETWEEN {{first}} AND {{last}} ORDER BY seq + 0
"""  # noqa: S608 - names of our own
"""Entries and their postings: as much as possible as the text that is hashed, for making many strings is what costs.

A quotation mark in one of an entry's words is followed by an apostrophe, so that ``","`` is between words alone. Only
postings of the entry's moment count. ``seq + 0`` makes PostgreSQL sort a batch: so it is ready before it is read.
"""
_SELECT = text(_ROWS.format(aggregate="group_concat", first=":first", last=":last"))
Fields = Sequence[Any]
"""A row of ``_ROWS``."""
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

    def through(self, rows: Iterable[Fields]) -> Fault | None:
        """Check the next entries. A million go through here: each step counts."""
        balances, noted, before = self.books.balances, self.anchors, self.head
        kinds, sha256, parsed, seq = facts.KINDS, hashlib.sha256, from_json, self.checked
        for number, stored, kind, cause_type, cause_id, words, rest in rows:
            seq += 1
            if int(number) != seq:
                break
            if not rest:
                return Fault("entry", _ident(words), seq, "it has no postings of its moment")
            try:
                lines, found = parsed("[" + rest)
            except ValueError:  # an account's id is none that this server gives, or these are no facts
                return Fault("entry", _ident(words), seq, _CHANGED)
            total, missing, short = 0, "", 0
            for account, amount in lines:
                total += amount
                try:
                    left = balances[account] = balances[account] + amount
                except KeyError:
                    missing = account
                else:
                    if left < 0 and self._is_short(account, found):
                        short = -left
            if total:
                detail = f"its postings of its moment sum to {format_unc(total)} UNC, not to zero"
                return Fault("entry", _ident(words), seq, detail)
            # What is written plainly is hashed as it is; what has a character that JSON escapes has another hash.
            form = f'[2,"{before}",{number},{words}{rest}'.encode()
            if sha256(form).hexdigest() != stored or words.count('"') != _QUOTES or "\\" in words:
                form = _form(before, seq, words, rest, lines).encode()
                if sha256(form).hexdigest() != stored:
                    return Fault("entry", _ident(words), seq, _CHANGED)
            if seq in noted and (fault := self._unlike_its_anchor(seq, _ident(words), stored)):
                return fault
            self.checked, self.head, before = seq, stored, stored
            self.postings += len(lines)
            if missing:
                return Fault("account", missing, seq, "it is missing, and there are postings to it")
            if short:
                detail = f"it takes {format_unc(short)} UNC more than the account holds"
                return Fault("entry", _ident(words), seq, detail)
            if (found is None) != (seq < self.first):
                lacks = f"it tells no facts, as all do from number {self.first} on"
                told_early = f"it tells facts before number {self.first}"
                return Fault("entry", _ident(words), seq, lacks if found is None else told_early)
            if cause_type == "meter":
                self.of_meters += 1
            if found is None:
                continue
            try:
                kinds[kind, cause_type].rule(kind, cause_id, found, lines, self.books)
                if cause_type == "meter" and "was" in found:
                    self.moves += move(cause_id, found["was"], found["settled"] - found["credited"])
            except facts.FactsError as wrong:
                what = "account" if wrong.account_id else "entry"
                return Fault(what, wrong.account_id or _ident(words), seq, wrong.detail)
            except (KeyError, TypeError):
                if (kind, cause_type) in kinds:
                    return Fault("entry", _ident(words), seq, f"its facts are not those of an entry of kind {kind}")
                detail = f"there is no entry of kind {kind} by {cause_type or 'nothing'}"
                return Fault("entry", _ident(words), seq, detail)
        return None

    def _is_short(self, account: str, found: object) -> bool:
        """Whether an account below zero may not be: the issuance alone may. Old entries are only summed up."""
        return found is not None and self.books.roles[account] != facts.ISSUANCE

    def _unlike_its_anchor(self, seq: int, ident: str, stored: str) -> Fault | None:
        anchor = next((one for one in self.anchors[seq] if one.head.hash != stored), None)
        if anchor is None:
            return None
        detail = f"it, or an entry before it, was another when its head was noted: {anchor}"
        return Fault("entry", ident, seq, detail)


def _ident(words: str) -> str:
    """The entry's id."""
    return words.partition('"')[2].partition('","')[0]


def _form(before: str, seq: int, words: str, rest: str, lines: Sequence[facts.Line]) -> str:
    """What is hashed of an entry whose words are not to be taken as they are; empty when they are not so many."""
    words, _, at = words.partition('"')[2].rpartition('",')
    own = [one.replace("\"'", '"') for one in words.split('","')]
    if len(own) != len(_WORDS):
        return ""
    ident, key, kind, cause_type, cause_id, note, actor_id, actor = own
    told = _told(rest)
    pairs = ",".join([f"[{encode_basestring_ascii(account)},{amount}]" for account, amount in sorted(lines)])
    facts_ = None if told == "null" else told
    return chain.form(
        before, seq, ident, key, kind, cause_type, cause_id, note, actor_id, actor, int(at[:-1]), pairs, facts_
    )


def _told(rest: str) -> str:
    """The facts of an entry: its accounts' ids hold no brackets."""
    return rest[rest.index("]],") + 3 : -1]


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
        fault = walk.through(map(_fields, rows))
        if fault is None and (walk.checked == before or (len(rows) < BATCH and walk.checked < walk.entries)):
            after = _ident(_fields(rows[walk.checked - before])[5]) if len(rows) > walk.checked - before else ""
            fault = Fault("entry", after, walk.checked + 1, f"entry number {walk.checked + 1} is missing")
        yield fault
        if fault:
            break
        await asyncio.sleep(0)  # SQLite runs on this thread: let others have it
    await batches.aclose()


async def _batches(tx: Tx, entries: int) -> AsyncGenerator[Sequence[str | Fields]]:
    """The entries in their order; while one batch is looked at, the database looks for the next."""
    connection = await tx.connection()
    driver = None
    if connection.dialect.name == "postgresql":
        driver = (await connection.get_raw_connection()).driver_connection
    many = BATCH if driver is None else BATCH * AHEAD

    async def found(first: int) -> Sequence[str | Fields]:
        if driver is None:
            return (await connection.execute(_SELECT, {"first": first, "last": first + many - 1})).all()
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


async def _copied(driver: Any, first: int, last: int) -> list[str]:
    """What ``_ROWS`` says, as lines of PostgreSQL's COPY: in half the time that it takes to make rows of it."""
    parts: list[bytes] = []

    async def sink(part: bytes) -> None:
        parts.append(part)

    query = _ROWS.format(aggregate="string_agg", first=first, last=last)  # with parameters, it would be sent later
    await driver.copy_from_query(query, output=sink)
    lines = b"".join(parts).decode().split("\n")
    lines.pop()
    return lines


def _fields(row: str | Fields) -> Fields:
    """A row as it is, or the fields of a line of COPY in its text format."""
    if not isinstance(row, str):
        return row
    return row.split("\t") if "\\" not in row else _unescaped(row)


_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_ESCAPES = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}


def _unescaped(line: str) -> list[str | None]:
    """The fields of a line of COPY in its text format."""
    return [
        None if one == "\\N" else _ESCAPED.sub(lambda found: _ESCAPES.get(found[1], found[1]), one)
        for one in line.split("\t")
    ]
