"""Wallets, recharges, charges and earnings, as pages and files show them."""

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Select, func, or_, select

from utcloud.accounts import audit
from utcloud.accounts.auth import Actor
from utcloud.accounts.models import User
from utcloud.accounts.service import on_delete_checks, usernames
from utcloud.billing import journal, meters
from utcloud.billing.models import IS_RECHARGE, Account, Entry, Meter, Posting
from utcloud.billing.schemas import ChargeOut, EarningsOut, PlatformOut, RechargeCreate, RechargeOut, WalletOut
from utcloud.billing.solvency import amount, elapsed_ms, outlook
from utcloud.common.errors import Conflict, Forbidden, Invalid, NotFound
from utcloud.common.ids import new_id
from utcloud.common.money import MAX_MICRO, format_unc
from utcloud.db import Tx, emit, paginate


async def wallet_of(tx: Tx, now: datetime, user_id: str) -> WalletOut:
    """The user's wallet; an empty one without an id when he never had any."""
    wallet = await tx.scalar(select(Account).where(Account.kind == "wallet", Account.owner_id == user_id))
    if wallet is None:
        wallet = Account(id="", kind="wallet", owner_id=user_id, balance=0)
    return (await _wallets_out(tx, now, [wallet]))[0]


async def my_wallet(tx: Tx, now: datetime, actor: Actor) -> WalletOut:
    """The actor's wallet, made when it is not there yet: needs a transaction that may write."""
    return (await _wallets_out(tx, now, [await journal.account(tx, "wallet", actor.id)]))[0]


def _users_without_wallet() -> Select[Any]:
    owners = select(Account.owner_id).where(Account.kind == "wallet")
    return select(User.id).where(User.is_renter.is_(True), User.id.not_in(owners))


async def lacks_wallets(tx: Tx) -> bool:
    """Whether some renter has no wallet yet."""
    return (await tx.execute(_users_without_wallet().limit(1))).first() is not None


async def make_wallets(tx: Tx) -> None:
    """Give every renter a wallet, so that it can be found and recharged."""
    for user_id in (await tx.scalars(_users_without_wallet())).all():
        await journal.account(tx, "wallet", user_id)


async def list_wallets(
    tx: Tx, now: datetime, actor: Actor, *, limit: int, cursor: str | None = None, search: str | None = None
) -> tuple[list[WalletOut], str | None]:
    """One page of wallets, newest first: of all users for operators and miners, else one's own."""
    query = select(Account).where(Account.kind == "wallet")
    if not (actor.is_operator or actor.is_miner):
        query = query.where(Account.owner_id == actor.id)
    if search:
        query = query.where(Account.owner_id.in_(_users_like(search)))
    wallets, after = await paginate(tx, query, Account.id, limit=limit, cursor=cursor)
    return await _wallets_out(tx, now, wallets), after


def _users_like(search: str) -> Select[Any]:
    columns = (User.username, User.display_name)
    return select(User.id).where(or_(*(column.icontains(search, autoescape=True) for column in columns)))


async def get_wallet(tx: Tx, now: datetime, actor: Actor, wallet_id: str) -> WalletOut:
    return (await _wallets_out(tx, now, [await _wallet(tx, actor, wallet_id)]))[0]


async def _wallet(tx: Tx, actor: Actor, wallet_id: str, field: str | None = None) -> Account:
    wallet = await tx.scalar(select(Account).where(Account.id == wallet_id, Account.kind == "wallet"))
    if wallet is None or not (actor.is_operator or actor.is_miner or wallet.owner_id == actor.id):
        raise NotFound.of("wallet", wallet_id, field=field)
    return wallet


async def _wallets_out(tx: Tx, now: datetime, wallets: Sequence[Account]) -> list[WalletOut]:
    names = await usernames(tx, {wallet.owner_id for wallet in wallets})
    running: dict[str, list[Meter]] = defaultdict(list)
    for meter in await meters.open_meters(tx, [wallet.id for wallet in wallets]):
        running[meter.wallet_id].append(meter)
    found = []
    for wallet in wallets:
        state = outlook(wallet.balance, running[wallet.id], now)
        found.append(
            WalletOut(
                id=wallet.id,
                owner_id=wallet.owner_id,
                owner_name=names.get(wallet.owner_id, ""),
                balance=wallet.balance,
                accrued=state.accrued,
                held=state.held,
                available=state.available,
                burn_per_hour=state.burn_per_hour,
                runs_out_at=state.runs_out_at,
            )
        )
    return found


async def create_recharge(
    tx: Tx, now: datetime, actor: Actor, body: RechargeCreate, idempotency_key: str | None = None
) -> RechargeOut:
    """Put machine hours into a wallet, or take out what is available. The same key again changes nothing."""
    if not (actor.is_operator or actor.is_miner):
        raise Forbidden("Only an operator or a miner may recharge wallets.", cure="Ask one of them.")
    wallet = await _wallet(tx, actor, body.wallet_id, field="wallet_id")
    await journal.lock(tx)
    await tx.refresh(wallet)
    key = f"recharge:{actor.id}:{hashlib.sha256(idempotency_key.encode()).hexdigest()}" if idempotency_key else None
    known = key and await tx.scalar(select(Entry.id).where(Entry.idempotency_key == key))
    change = body.amount if body.kind == "recharge" else -body.amount
    if not known:
        await _check_change(tx, now, wallet, change)
    issuance = await journal.account(tx, "issuance", journal.PLATFORM)
    entry = await journal.post(
        tx,
        body.kind,
        key or f"recharge:{new_id('key')}",
        [(wallet.id, change), (issuance.id, -change)],
        at=now,
        cause_type="wallet",
        cause_id=wallet.id,
        actor=actor,
        note=body.note,
    )
    (out,) = await _recharges_out(tx, [entry])
    if not known:
        detail = {"amount": format_unc(change), "owner": out.owner_name, "note": body.note, "entry_id": entry.id}
        audit.record(tx, actor, f"wallet.{body.kind}", "wallet", wallet.id, out.owner_name, detail)
        emit(tx, "billing")
        emit(tx, f"ui:{wallet.owner_id}")
        emit(tx, "ui:miners")
    return out


async def _check_change(tx: Tx, now: datetime, wallet: Account, change: int) -> None:
    if wallet.balance + change > MAX_MICRO:
        raise Invalid(
            f"The wallet would hold more than {format_unc(MAX_MICRO)} UNC.", field="amount", cure="Recharge less."
        )
    state = outlook(wallet.balance, await meters.open_meters(tx, [wallet.id]), now)
    if change < 0 and -change > state.available:
        raise Conflict(
            f"Only {format_unc(state.available)} UNC of the wallet are available: of its balance of "
            f"{format_unc(wallet.balance)} UNC, {format_unc(state.accrued)} are used, {format_unc(state.held)} held.",
            field="amount",
            cure=f"Deduct at most {format_unc(state.available)} UNC.",
            code="insufficient_funds",
        )


@dataclass(frozen=True, slots=True)
class RechargeFilter:
    """Which recharges are wanted."""

    wallet_id: str | None = None
    search: str | None = None


async def list_recharges(
    tx: Tx, actor: Actor, wanted: RechargeFilter, *, limit: int, cursor: str | None = None
) -> tuple[list[RechargeOut], str | None]:
    """One page of recharges and deductions, newest first: of all for operators and miners, else one's own."""
    query = select(Entry).where(IS_RECHARGE)
    wallets = select(Account.id).where(Account.kind == "wallet")
    narrow = False
    if not (actor.is_operator or actor.is_miner):
        wallets, narrow = wallets.where(Account.owner_id == actor.id), True
    if wanted.wallet_id:
        wallets, narrow = wallets.where(Account.id == wanted.wallet_id), True
    if wanted.search:
        wallets, narrow = wallets.where(Account.owner_id.in_(_users_like(wanted.search))), True
    if narrow:
        query = query.where(Entry.id.in_(select(Posting.entry_id).where(Posting.account_id.in_(wallets))))
    entries, after = await paginate(tx, query, Entry.id, limit=limit, cursor=cursor)
    return await _recharges_out(tx, entries), after


async def _recharges_out(tx: Tx, entries: Sequence[Entry]) -> list[RechargeOut]:
    rows = await tx.execute(
        select(Posting.entry_id, Posting.amount, Account.id, Account.owner_id)
        .join(Account, Account.id == Posting.account_id)
        .where(Posting.entry_id.in_([entry.id for entry in entries]), Account.kind == "wallet")
    )
    lines = {entry_id: (micro, wallet_id, owner_id) for entry_id, micro, wallet_id, owner_id in rows}
    names = await usernames(tx, {owner_id for _, _, owner_id in lines.values()})
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


@dataclass(frozen=True, slots=True)
class ChargeFilter:
    """Which charges are wanted. ``role`` ``payer``: paid by the actor; ``payee``: paid to him."""

    role: str | None = None
    workload_id: str | None = None
    open: bool | None = None
    payer_id: str | None = None
    payee_id: str | None = None
    since: datetime | None = None
    until: datetime | None = None


def _charges(actor: Actor, wanted: ChargeFilter) -> Select[Any]:
    query = select(Meter)
    role = wanted.role
    if role is None and not actor.is_operator:
        role = "payer" if actor.is_renter or not actor.is_miner else "payee"
    if role:
        query = query.where((Meter.payer_id if role == "payer" else Meter.payee_id) == actor.id)
    if wanted.workload_id is not None:
        query = query.where(Meter.workload_id == wanted.workload_id)
    if wanted.open is not None:
        query = query.where(Meter.closed.is_(not wanted.open))
    if wanted.payer_id is not None:
        query = query.where(Meter.payer_id == wanted.payer_id)
    if wanted.payee_id is not None:
        query = query.where(Meter.payee_id == wanted.payee_id)
    if wanted.since is not None:
        query = query.where(Meter.created_at >= wanted.since)
    if wanted.until is not None:
        query = query.where(Meter.created_at < wanted.until)
    return query


async def list_charges(
    tx: Tx, actor: Actor, wanted: ChargeFilter, *, limit: int, cursor: str | None = None
) -> tuple[list[ChargeOut], str | None]:
    """One page of charge records, newest first: an attempt's interval each, with what it cost so far."""
    found, after = await paginate(tx, _charges(actor, wanted), Meter.id, limit=limit, cursor=cursor)
    return await _charges_out(tx, found), after


async def _charges_out(tx: Tx, found: Sequence[Meter]) -> list[ChargeOut]:
    names = await usernames(tx, {ident for meter in found for ident in (meter.payer_id, meter.payee_id)})
    return [_charge_out(meter, names) for meter in found]


def _charge_out(meter: Meter, names: dict[str, str]) -> ChargeOut:
    cost = amount(meter)
    paid = cost - meter.waived
    fee = paid * meter.fee_ppm // 1_000_000
    labels = meter.labels
    return ChargeOut(
        id=meter.id,
        attempt_id=meter.attempt_id,
        wallet_id=meter.wallet_id,
        payer_id=meter.payer_id,
        payer_name=names.get(meter.payer_id, ""),
        payee_id=meter.payee_id,
        payee_name=names.get(meter.payee_id, ""),
        workload_id=meter.workload_id,
        workload=str(labels.get("workload", "")),
        workload_kind=str(labels.get("workload_kind", "")),
        subtask=str(labels.get("subtask", "")),
        replica=str(labels.get("replica", "")),
        attempt=int(labels.get("attempt", 1)),
        spec=str(labels.get("spec", "")),
        price=meter.price,
        started_at=meter.started_at,
        ended_at=meter.ended_at,
        witnessed_until=meter.witnessed_until,
        seconds=elapsed_ms(meter) / 1000,
        amount=cost,
        miner_share=paid - fee,
        platform_fee=fee,
        waived=meter.waived,
        settled=meter.settled,
        open=not meter.closed,
        simulated=bool(labels.get("simulated", False)),
    )


async def earnings(tx: Tx, now: datetime, actor: Actor, miner_id: str | None = None) -> EarningsOut:
    """What a miner earned: the actor himself, or for an operator anyone."""
    actor.require_miner()
    if miner_id is not None and miner_id != actor.id and not actor.is_operator:
        raise NotFound.of("miner", miner_id, field="miner_id")
    return await earnings_of(tx, now, miner_id or actor.id)


async def earnings_of(tx: Tx, now: datetime, miner_id: str) -> EarningsOut:
    """A miner's earnings; ``today`` and ``this_month`` (UTC) include what accrues now."""
    names = await usernames(tx, [miner_id])
    running = await tx.scalars(select(Meter).where(Meter.payee_id == miner_id, Meter.closed.is_(False)))
    accrued = sum(_unsettled_share(meter) for meter in running)
    own = await tx.scalar(select(Account).where(Account.kind == "earnings", Account.owner_id == miner_id))
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    sums = [await _posted_since(tx, own, moment) for moment in (midnight, midnight.replace(day=1))]
    return EarningsOut(
        miner_id=miner_id,
        miner_name=names.get(miner_id, ""),
        balance=own.balance if own else 0,
        accrued=accrued,
        today=sums[0] + accrued,
        this_month=sums[1] + accrued,
    )


def _unsettled_share(meter: Meter) -> int:
    cost = amount(meter) - meter.waived
    return cost - cost * meter.fee_ppm // 1_000_000 - (meter.settled - meter.settled_fee)


async def _posted_since(tx: Tx, account: Account | None, moment: datetime) -> int:
    if account is None:
        return 0
    query = select(func.sum(Posting.amount)).where(Posting.account_id == account.id, Posting.at >= moment)
    return int(await tx.scalar(query) or 0)


async def platform(tx: Tx, actor: Actor) -> PlatformOut:
    """The platform's fees, all that was issued, and the sum of the journal."""
    actor.require_operator()
    rows = await tx.execute(select(Account.kind, Account.balance).where(Account.owner_id == journal.PLATFORM))
    balances = {row.kind: row.balance for row in rows}
    return PlatformOut(
        fees=balances.get("fee", 0),
        issued=-balances.get("issuance", 0),
        journal_sum=int(await tx.scalar(select(func.sum(Posting.amount))) or 0),
    )


async def _refuse_owner_with_history(tx: Tx, _actor: Actor, user: User) -> None:
    """The journal is for ever: who stands in it can be frozen, not deleted."""
    accounts = (await tx.scalars(select(Account).where(Account.owner_id == user.id))).all()
    idents = [account.id for account in accounts]
    posted = await tx.scalar(select(Posting.entry_id).where(Posting.account_id.in_(idents)).limit(1))
    metered = await tx.scalar(select(Meter.id).where(Meter.payer_id == user.id).limit(1))
    if posted or metered:
        raise Conflict(
            f"{user.username!r} has records of recharges or charges, which are kept.",
            cure="Freeze the user instead.",
            code="in_use",
        )
    for account in accounts:
        await tx.delete(account)


on_delete_checks.append(_refuse_owner_with_history)
