"""The journal as operators see it."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import select

from utcloud.accounts.auth import Actor
from utcloud.billing.models import Account, Entry, Posting
from utcloud.billing.order_schemas import (
    EntryOut,
    JournalAnchor,
    JournalEntryOut,
    JournalFault,
    PostingOut,
    VerificationOut,
)
from utcloud.billing.service.common import owner_names
from utcloud.billing.verify import Verification
from utcloud.db import Tx, paginate


async def list_entries(
    tx: Tx,
    actor: Actor,
    *,
    limit: int,
    cursor: str | None = None,
    cause_id: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
) -> tuple[list[JournalEntryOut], str | None]:
    """One page of the whole journal, newest first; for operators."""
    actor.require_operator()
    query = select(Entry)
    if cause_id is not None:
        query = query.where(Entry.cause_id == cause_id)
    if since is not None:
        query = query.where(Entry.at >= since)
    if until is not None:
        query = query.where(Entry.at < until)
    found, after = await paginate(tx, query, Entry.id, limit=limit, cursor=cursor)
    outs = await entries_out(tx, found)
    return [JournalEntryOut(**dict(out), facts=one.facts) for out, one in zip(outs, found, strict=True)], after


async def entries_out(tx: Tx, found: Sequence[Entry]) -> list[EntryOut]:
    """What the API says of some entries, with their postings."""
    rows = await tx.execute(
        select(Posting.entry_id, Posting.amount, Account.kind, Account.owner_id)
        .join(Account, Account.id == Posting.account_id)
        .where(Posting.entry_id.in_([entry.id for entry in found]))
        .order_by(Posting.amount)
    )
    lines: dict[str, list[tuple[int, str, str]]] = defaultdict(list)
    for entry_id, amount, kind, owner_id in rows:
        lines[entry_id].append((amount, kind, owner_id))
    names = await owner_names(tx, {owner_id for own in lines.values() for _, _, owner_id in own})
    return [
        EntryOut(
            id=entry.id,
            seq=entry.seq,
            kind=entry.kind,
            at=entry.at,
            cause_type=entry.cause_type,
            cause_id=entry.cause_id,
            note=entry.note,
            actor_name=entry.actor_name,
            postings=[
                PostingOut(account=kind, owner_name=names.get(owner_id, owner_id), amount=amount)
                for amount, kind, owner_id in lines[entry.id]
            ],
            hash=entry.hash,
        )
        for entry in found
    ]


def verification_out(state: Verification) -> VerificationOut:
    """What the API says of a check, while it goes on and at its end."""
    fault, anchor = state.fault, state.anchor
    noted = anchor and anchor.at and JournalAnchor(head=str(anchor.head), source=anchor.source, at=anchor.at)
    return VerificationOut(
        done=state.done,
        ok=fault is None,
        entries=state.entries,
        checked=state.checked,
        head=state.head,
        seconds=round(state.seconds, 3),
        anchor=noted or None,
        fault=JournalFault(what=fault.what, id=fault.ident, seq=fault.seq, detail=fault.detail) if fault else None,
    )
