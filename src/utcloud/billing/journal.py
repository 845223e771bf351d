"""The journal: append-only, double-entry, each entry with an idempotency key and chained. Nothing else moves money.

On PostgreSQL all writers of the journal take one lock (``lock``) before they look at a balance, so that what was seen
is still true when it is written; SQLite has one writer anyway.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select, text
from sqlalchemy.orm.util import identity_key

from utcloud.accounts.auth import SYSTEM, Actor
from utcloud.billing import chain, facts
from utcloud.billing.facts import PLATFORM
from utcloud.billing.models import Account, Entry, Posting
from utcloud.common.errors import Conflict
from utcloud.common.ids import new_id
from utcloud.db import Tx
from utcloud.db.bulk import among, insert_rows, update_rows
from utcloud.db.upsert import insert_if_absent

__all__ = ["PLATFORM", "Draft", "account", "accounts", "head", "head_text", "lock", "post", "write"]

_LOCK_ID = 0x75746331  # "utc1": any constant that nothing else in the database uses


async def lock(tx: Tx) -> None:
    """Be the only writer of money until the transaction ends. Take it after locks on rows of other rooms."""
    if tx.get_bind().dialect.name == "postgresql":
        await tx.execute(text("SELECT pg_advisory_xact_lock(:id)"), {"id": _LOCK_ID})


async def account(tx: Tx, kind: str, owner_id: str) -> Account:
    """The account of ``kind`` (see ``models.Account``) of ``owner_id``; made when it is not there yet."""
    return (await accounts(tx, kind, [owner_id]))[owner_id]


async def accounts(tx: Tx, kind: str, owner_ids: Iterable[str]) -> dict[str, Account]:
    """The accounts of ``kind`` by owner; those that are not there yet are made."""
    wanted = sorted(set(owner_ids))
    query = (
        select(Account)
        .where(Account.kind == kind, Account.owner_id.in_(wanted))
        .execution_options(populate_existing=True)
    )
    found = {one.owner_id: one for one in await tx.scalars(query)}
    missing = [owner_id for owner_id in wanted if owner_id not in found]
    if missing:
        await insert_if_absent(tx, Account, *({"id": new_id("acc"), "kind": kind, "owner_id": one} for one in missing))
        found = {one.owner_id: one for one in await tx.scalars(query)}
    return found


@dataclass(frozen=True, slots=True)
class Draft:
    """An entry that is to be written. ``lines``: account id and micro-UNC; they sum to zero.

    ``key``: the same key again is the same entry, and changes nothing. ``facts``: what its kind tells (see ``facts``);
    of a recharge or a deduction the journal tells it itself.
    """

    kind: str
    key: str
    lines: Sequence[tuple[str, int]]
    at: datetime
    facts: dict[str, object] | None = None
    cause_type: str = ""
    cause_id: str = ""
    actor: Actor = SYSTEM
    note: str = ""


async def post(tx: Tx, kind: str, key: str, lines: Sequence[tuple[str, int]], *, at: datetime, **more: Any) -> Entry:
    """Write one entry and move the balances along; see ``Draft`` and ``write``."""
    (ident,) = await write(tx, [Draft(kind, key, lines, at, **more)])
    return await tx.get_one(Entry, ident)


async def write(tx: Tx, drafts: Sequence[Draft]) -> list[str]:
    """Write many entries in a few statements, chain them, and move the balances along; their ids.

    A key that is known answers the entry that is there and changes nothing; raises Conflict when that said something
    else. Raises ValueError for lines that do not sum to zero, are empty or name an account twice, and for facts that
    are not those of the kind. A balance below zero is refused by the database (IntegrityError): look before.
    """
    for draft in drafts:
        amounts = dict(draft.lines)
        if not amounts or len(amounts) != len(draft.lines) or 0 in amounts.values() or sum(amounts.values()) != 0:
            raise ValueError(
                f"the lines of an entry name each account once, are not zero and sum to zero: {draft.lines}"
            )
    await lock(tx)
    found = await _known(tx, drafts)
    new = {draft.key: draft for draft in drafts if draft.key not in found}
    if new:
        found |= await _write_new(tx, list(new.values()))
    return [found[draft.key] for draft in drafts]


async def _known(tx: Tx, drafts: Sequence[Draft]) -> dict[str, str]:
    """The ids of the entries that are there, by key."""
    query = select(Entry).where(among(tx, Entry.idempotency_key.expression, (draft.key for draft in drafts)))
    entries = {entry.idempotency_key: entry for entry in await tx.scalars(query)}
    if not entries:
        return {}
    lines: dict[str, dict[str, int]] = defaultdict(dict)
    rows = await tx.execute(
        select(Posting.entry_id, Posting.account_id, Posting.amount).where(
            Posting.entry_id.in_([entry.id for entry in entries.values()])
        )
    )
    for entry_id, account_id, amount in rows:
        lines[entry_id][account_id] = amount
    for draft in drafts:
        known = entries.get(draft.key)
        same = known is None or (
            (known.kind, known.note, known.cause_id) == (draft.kind, draft.note, draft.cause_id)
            and lines[known.id] == dict(draft.lines)
        )
        if not same:
            raise Conflict(
                "This idempotency key was used for something else.",
                code="idempotency_key_reused",
                cure="Use a new key for a new entry.",
            )
    return {key: entry.id for key, entry in entries.items()}


async def _write_new(tx: Tx, drafts: Sequence[Draft]) -> dict[str, str]:
    seq, before = await head(tx)
    roles = await _roles(tx, drafts)
    rows, postings = [], []
    moved: dict[str, int] = defaultdict(int)
    for draft in drafts:
        seq += 1
        row: dict[str, Any] = {
            "id": new_id("je"),
            "seq": seq,
            "idempotency_key": draft.key,
            "kind": draft.kind,
            "cause_type": draft.cause_type,
            "cause_id": draft.cause_id,
            "note": draft.note,
            "actor_id": draft.actor.id,
            "actor_name": draft.actor.username,
            "at": draft.at,
        }
        told = _told(draft, roles)
        facts.require(draft.kind, draft.cause_type, told)
        row["facts"] = chain.canonical(told)
        same = {key: row[key] for key in _HASHED}
        before = chain.entry_hash(before, ident=row["id"], key=draft.key, lines=draft.lines, **same)
        rows.append({**row, "hash": before})
        for account_id, amount in draft.lines:
            moved[account_id] += amount
            postings.append({"entry_id": row["id"], "account_id": account_id, "amount": amount, "at": draft.at})
    if tx.get_bind().dialect.name == "sqlite":  # see triggers.py: an entry comes when its postings are there
        await tx.execute(text("PRAGMA defer_foreign_keys = ON"))
        await insert_rows(tx, Posting, postings)
        await insert_rows(tx, Entry, rows)
    else:
        await insert_rows(tx, Entry, rows)
        await insert_rows(tx, Posting, postings)
    changes = [{"id": ident, "balance": amount} for ident, amount in sorted(moved.items()) if amount]
    await update_rows(tx, Account, changes, add=["balance"])
    await _refresh(tx, moved)
    return {row["idempotency_key"]: row["id"] for row in rows}


_HASHED = ("seq", "kind", "cause_type", "cause_id", "note", "actor_id", "actor_name", "at", "facts")


async def head(tx: Tx) -> tuple[int, str]:
    """The number and the hash of the last entry."""
    last = (await tx.execute(select(Entry.seq, Entry.hash).order_by(Entry.seq.desc()).limit(1))).first()
    return (last.seq, last.hash) if last else (0, chain.START)


def head_text(seq: int, hash_: str) -> str:
    """A head as people note it, such as ``7:5feceb66…``; empty for a journal without entries."""
    return f"{seq}:{hash_}" if seq else ""


async def _roles(tx: Tx, drafts: Sequence[Draft]) -> dict[str, facts.Role]:
    """Whose the accounts are that drafts without facts name."""
    named = {ident for draft in drafts if draft.facts is None for ident, _ in draft.lines}
    if not named:
        return {}
    rows = await tx.execute(
        select(Account.id, Account.kind, Account.owner_id).where(among(tx, Account.id.expression, named))
    )
    return {ident: (kind, owner) for ident, kind, owner in rows}


def _told(draft: Draft, roles: dict[str, facts.Role]) -> dict[str, object]:
    if draft.facts is not None:
        return draft.facts
    moved = [(ident, roles[ident], amount) for ident, amount in draft.lines if roles.get(ident) != facts.ISSUANCE]
    return facts.of_transfer(*moved[0]) if len(moved) == 1 else {}


async def _refresh(tx: Tx, account_ids: Iterable[str]) -> None:
    """Bring the balances of accounts that this session holds up to date."""
    held = [ident for ident in account_ids if identity_key(Account, ident) in tx.sync_session.identity_map]
    if held:
        query = select(Account).where(Account.id.in_(held)).execution_options(populate_existing=True)
        (await tx.scalars(query)).all()
