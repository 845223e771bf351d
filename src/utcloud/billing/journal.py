"""The journal: append-only, double-entry, each entry with an idempotency key. Nothing else moves money.

On PostgreSQL all writers of the journal take one lock (``lock``) before they look at a balance, so that what was seen
is still true when it is written; SQLite has one writer anyway.
"""

from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import select, text, update

from utcloud.accounts.auth import SYSTEM, Actor
from utcloud.billing.models import Account, Entry, Posting
from utcloud.common.errors import Conflict
from utcloud.common.ids import new_id
from utcloud.db import Tx
from utcloud.db.upsert import insert_if_absent

PLATFORM = "platform"
"""The owner of the accounts ``fee`` and ``issuance``."""

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


async def post(
    tx: Tx,
    kind: str,
    key: str,
    lines: list[tuple[str, int]],
    *,
    at: datetime,
    cause_type: str = "",
    cause_id: str = "",
    actor: Actor = SYSTEM,
    note: str = "",
) -> Entry:
    """Write one entry of ``lines`` (account id, micro-UNC) and move the balances along.

    The same ``key`` again answers the entry that is there and changes nothing; raises Conflict when it said something
    else. Raises ValueError for lines that do not sum to zero, are empty or name an account twice. A balance below zero
    is refused by the database (IntegrityError): look before.
    """
    amounts: dict[str, int] = dict(lines)
    if not lines or len(amounts) != len(lines) or 0 in amounts.values() or sum(amounts.values()) != 0:
        raise ValueError(f"the lines of an entry name each account once, are not zero and sum to zero: {lines}")
    await lock(tx)
    known = await tx.scalar(select(Entry).where(Entry.idempotency_key == key))
    if known:
        postings = await tx.execute(select(Posting.account_id, Posting.amount).where(Posting.entry_id == known.id))
        if known.kind != kind or known.note != note or {row.account_id: row.amount for row in postings} != amounts:
            raise Conflict(
                "This idempotency key was used for something else.",
                code="idempotency_key_reused",
                cure="Use a new key for a new entry.",
            )
        return known
    entry = Entry(
        id=new_id("je"),
        idempotency_key=key,
        kind=kind,
        cause_type=cause_type,
        cause_id=cause_id,
        note=note,
        actor_id=actor.id,
        actor_name=actor.username,
        at=at,
    )
    tx.add(entry)
    await tx.flush()
    tx.add_all(Posting(entry_id=entry.id, account_id=ident, amount=amount, at=at) for ident, amount in lines)
    await tx.flush()
    for ident, amount in sorted(amounts.items()):
        await tx.execute(
            update(Account)
            .where(Account.id == ident)
            .values(balance=Account.balance + amount)
            .execution_options(synchronize_session=False)
        )
    await _refresh(tx, list(amounts))
    return entry


async def _refresh(tx: Tx, account_ids: list[str]) -> None:
    """Bring the balances of accounts that this session holds up to date."""
    query = select(Account).where(Account.id.in_(account_ids)).execution_options(populate_existing=True)
    (await tx.scalars(query)).all()
