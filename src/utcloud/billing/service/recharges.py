"""Recharges and deductions."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select

from utcloud.accounts import audit
from utcloud.accounts.auth import Actor
from utcloud.billing import events, journal, sums
from utcloud.billing.models import IS_RECHARGE, Account, Entry, Posting
from utcloud.billing.schemas import RechargeCreate, RechargeOut, RechargeSort
from utcloud.billing.service.common import is_manager, name_of, owner_names, owners_like, visible_wallets
from utcloud.billing.service.wallets import own_wallet
from utcloud.billing.solvency import Use, outlook
from utcloud.common.errors import Conflict, Forbidden, Invalid
from utcloud.common.ids import new_id
from utcloud.common.money import MAX_MICRO, format_unc
from utcloud.db import Tx, emit, paginate

_of_wallet = (Posting.entry_id == Entry.id, Account.id == Posting.account_id, Account.kind == "wallet")
_BY = {
    "amount": select(Posting.amount).where(*_of_wallet).correlate(Entry).scalar_subquery(),
    "owner_name": select(name_of(Account.owner_id)).where(*_of_wallet).correlate(Entry).scalar_subquery(),
}
MOST_ISSUED = 9 * 10**18
"""micro-UNC: what 64 bits can hold."""


async def create_recharge(
    tx: Tx, now: datetime, actor: Actor, body: RechargeCreate, idempotency_key: str | None = None, *, issues: bool
) -> RechargeOut:
    """Put machine hours into a wallet, or take out what is available. The same key again changes nothing.

    A group's manager who does not issue them recharges its wallet from his own.
    """
    wallet = await own_wallet(tx, actor, body.wallet_id, field="wallet_id")
    if not issues and not (body.kind == "recharge" and await is_manager(tx, actor, wallet.owner_id)):
        raise Forbidden("You may not put machine hours into wallets, or take them out.", cure="Ask an operator.")
    key = hashlib.sha256(f"{idempotency_key}".encode()).hexdigest() if idempotency_key else new_id("key")
    if not issues:
        names = await owner_names(tx, [wallet.owner_id])
        own = await journal.account(tx, "wallet", actor.id)
        note = f"to the group {names.get(wallet.owner_id, '')}"
        await _book(tx, now, actor, own, -body.amount, note, f"transfer:{actor.id}:{key}")
    change = body.amount if body.kind == "recharge" else -body.amount
    return await _book(tx, now, actor, wallet, change, body.note, f"recharge:{actor.id}:{key}")


async def _book(tx: Tx, now: datetime, actor: Actor, wallet: Account, change: int, note: str, key: str) -> RechargeOut:
    await journal.lock(tx)
    await tx.refresh(wallet)
    known = await tx.scalar(select(Entry.id).where(Entry.idempotency_key == key))
    if not known:
        await _check_change(tx, now, wallet, change)
    issuance = await journal.account(tx, "issuance", journal.PLATFORM)
    kind = "recharge" if change > 0 else "deduct"
    lines = [(wallet.id, change), (issuance.id, -change)]
    entry = await journal.post(
        tx, kind, key, lines, at=now, cause_type="wallet", cause_id=wallet.id, actor=actor, note=note
    )
    (out,) = await _recharges_out(tx, [entry])
    if not known:
        detail = {"amount": format_unc(change), "owner": out.owner_name, "note": note, "entry_id": entry.id}
        audit.record(tx, actor, f"wallet.{kind}", "wallet", wallet.id, out.owner_name, detail)
        events.record(
            tx,
            "recharged",
            wallet,
            at=now,
            object_id=entry.id,
            change=kind,
            amount=format_unc(change),
            note=note,
            by=actor.username,
        )
        emit(tx, "billing")
        emit(tx, f"ui:{wallet.owner_id}")
        emit(tx, "ui:miners")
    return out


async def _check_change(tx: Tx, now: datetime, wallet: Account, change: int) -> None:
    if wallet.balance + change > MAX_MICRO:
        raise Invalid(
            f"The wallet would hold more than {format_unc(MAX_MICRO)} UNC.", field="amount", cure="Recharge less."
        )
    issuance = await journal.account(tx, "issuance", journal.PLATFORM)
    if change - issuance.balance > MOST_ISSUED:
        raise Invalid(
            f"All wallets together would have been given more than {format_unc(MOST_ISSUED)} UNC.",
            field="amount",
            cure="Recharge less.",
        )
    use = (await sums.use_of(tx, [wallet.id], now)).get(wallet.id, Use())
    state = outlook(wallet.balance, use, now)
    if change < 0 and -change > state.available:
        raise Conflict(
            f"Only {format_unc(state.available)} UNC of the wallet are available: of its balance of "
            f"{format_unc(wallet.balance)} UNC, {format_unc(state.accrued)} are used, {format_unc(state.held)} held.",
            field="amount",
            cure=f"Take at most {format_unc(state.available)} UNC.",
            code="insufficient_funds",
        )


@dataclass(frozen=True, slots=True)
class RechargeFilter:
    """Which recharges are wanted."""

    wallet_id: str | None = None
    search: str | None = None
    since: datetime | None = None
    until: datetime | None = None


async def list_recharges(
    tx: Tx,
    actor: Actor,
    wanted: RechargeFilter,
    *,
    limit: int,
    cursor: str | None = None,
    sort: RechargeSort = RechargeSort.NEWEST,
) -> tuple[list[RechargeOut], str | None]:
    """One page of recharges and deductions: of all for operators, else of the wallets that one sees."""
    query = select(Entry).where(IS_RECHARGE)
    wallets = select(Account.id).where(Account.kind == "wallet")
    narrow = not actor.is_operator
    if narrow:
        wallets = wallets.where(visible_wallets(actor))
    if wanted.wallet_id:
        wallets, narrow = wallets.where(Account.id == wanted.wallet_id), True
    if wanted.search:
        wallets, narrow = wallets.where(Account.owner_id.in_(owners_like(wanted.search))), True
    if narrow:
        query = query.where(Entry.cause_type == "wallet", Entry.cause_id.in_(wallets))
    if wanted.since is not None:
        query = query.where(Entry.at >= wanted.since)
    if wanted.until is not None:
        query = query.where(Entry.at < wanted.until)
    entries, after = await paginate(tx, query, Entry.id, limit=limit, cursor=cursor, sort=sort, columns=_BY)
    return await _recharges_out(tx, entries), after


async def _recharges_out(tx: Tx, entries: Sequence[Entry]) -> list[RechargeOut]:
    rows = await tx.execute(
        select(Posting.entry_id, Posting.amount, Account.id, Account.owner_id)
        .join(Account, Account.id == Posting.account_id)
        .where(Posting.entry_id.in_([entry.id for entry in entries]), Account.kind == "wallet")
    )
    lines = {entry_id: (micro, wallet_id, owner_id) for entry_id, micro, wallet_id, owner_id in rows}
    names = await owner_names(tx, {owner_id for _, _, owner_id in lines.values()})
    return [
        RechargeOut(
            id=entry.id,
            wallet_id=lines[entry.id][1],
            owner_id=lines[entry.id][2],
            owner_name=names.get(lines[entry.id][2], ""),
            kind=entry.kind,
            amount=lines[entry.id][0],
            note=entry.note,
            actor_name=entry.actor_name,
            at=entry.at,
        )
        for entry in entries
    ]
