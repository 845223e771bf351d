"""Wallets of users and groups, and the spending caps on them."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Select, delete, or_, select, union_all

from utcloud.accounts import audit
from utcloud.accounts.auth import Actor
from utcloud.accounts.models import Group, GroupMember, User
from utcloud.accounts.service import group_in_use_checks, on_delete_checks
from utcloud.billing import caps, journal, sums
from utcloud.billing.models import Account, Cap, Meter, Posting
from utcloud.billing.schemas import CapOut, CapSpent, CapUpdate, WalletOut, WalletSort, WalletUpdate
from utcloud.billing.service.common import (
    is_keeper,
    is_manager,
    my_wallets,
    owner_names,
    owners_like,
    owners_of,
    visible_wallets,
)
from utcloud.billing.solvency import Use, outlook
from utcloud.billing.watch import is_low
from utcloud.common.errors import Conflict, Forbidden, Invalid, NotFound
from utcloud.common.money import format_unc
from utcloud.db import Tx, emit, paginate
from utcloud.db.upsert import insert_if_absent


async def wallet_of(tx: Tx, now: datetime, user_id: str) -> WalletOut:
    """The user's wallet; an empty one without an id when he never had any."""
    wallet = await tx.scalar(select(Account).where(Account.kind == "wallet", Account.owner_id == user_id))
    if wallet is None:
        wallet = Account(id="", kind="wallet", owner_id=user_id, balance=0, low_balance=0)
    return (await _wallets_out(tx, now, [wallet]))[0]


async def my_wallet(tx: Tx, now: datetime, actor: Actor) -> WalletOut:
    """The actor's wallet, made when it is not there yet: needs a transaction that may write."""
    return (await _wallets_out(tx, now, [await journal.account(tx, "wallet", actor.id)]))[0]


def _without_wallet() -> Select[str]:
    both = union_all(select(User.id).where(User.is_renter.is_(True)), select(Group.id)).subquery()
    return select(both.c.id).where(both.c.id.not_in(select(Account.owner_id).where(Account.kind == "wallet")))


async def lacks_wallets(tx: Tx) -> bool:
    """Whether some renter or some group has no wallet yet."""
    return (await tx.execute(_without_wallet().limit(1))).first() is not None


async def make_wallets(tx: Tx) -> None:
    """Give every renter and every group a wallet, so that it can be found and recharged."""
    await journal.accounts(tx, "wallet", await tx.scalars(_without_wallet()))


async def list_wallets(
    tx: Tx,
    now: datetime,
    actor: Actor,
    *,
    limit: int,
    cursor: str | None = None,
    search: str | None = None,
    owner: str | None = None,
    mine: bool = False,
    owner_ids: Sequence[str] = (),
    sort: WalletSort = WalletSort.NEWEST,
) -> tuple[list[WalletOut], str | None]:
    """One page of the wallets that the actor sees, or that are ``mine``; ``owner`` is ``user`` or ``group``."""
    query = select(Account).where(Account.kind == "wallet", my_wallets(actor) if mine else visible_wallets(actor))
    if owner:
        query = query.where(Account.owner_id.in_(select(Group.id if owner == "group" else User.id)))
    if owner_ids:
        query = query.where(Account.owner_id.in_(owner_ids))
    if search:
        query = query.where(Account.owner_id.in_(owners_like(search)))
    columns = {"balance": Account.balance}
    wallets, after = await paginate(tx, query, Account.id, limit=limit, cursor=cursor, sort=sort, columns=columns)
    return await _wallets_out(tx, now, wallets), after


async def get_wallet(tx: Tx, now: datetime, actor: Actor, wallet_id: str) -> WalletOut:
    return (await _wallets_out(tx, now, [await own_wallet(tx, actor, wallet_id)]))[0]


async def own_wallet(tx: Tx, actor: Actor, wallet_id: str, field: str | None = None) -> Account:
    """A wallet that the actor sees; raises NotFound on ``field``."""
    mine = (Account.id == wallet_id, Account.kind == "wallet", visible_wallets(actor))
    wallet = await tx.scalar(select(Account).where(*mine))
    if wallet is None:
        raise NotFound.of("wallet", wallet_id, field=field)
    return wallet


async def update_wallet(tx: Tx, now: datetime, actor: Actor, wallet_id: str, body: WalletUpdate) -> WalletOut:
    """Say below what its owner is warned."""
    wallet = await own_wallet(tx, actor, wallet_id)
    await _require_keeper(tx, actor, wallet)
    wallet.low_balance = body.low_balance
    await tx.flush()
    names = await owner_names(tx, [wallet.owner_id])
    detail = {"low_balance": format_unc(body.low_balance)}
    audit.record(tx, actor, "wallet.update", "wallet", wallet.id, names.get(wallet.owner_id, ""), detail)
    emit(tx, "billing")
    return await get_wallet(tx, now, actor, wallet_id)


async def _require_keeper(tx: Tx, actor: Actor, wallet: Account, cure: str = "Ask an operator.") -> None:
    """Its owner, a manager of the group that owns it, or an operator."""
    if await is_keeper(tx, actor, wallet):
        return
    raise Forbidden("Only its owner, a manager of its group or an operator may change a wallet.", cure=cure)


async def _wallets_out(tx: Tx, now: datetime, wallets: Sequence[Account]) -> list[WalletOut]:
    owners = await owners_of(tx, [wallet.owner_id for wallet in wallets])
    uses = await sums.use_of(tx, [wallet.id for wallet in wallets], now)
    found = []
    for wallet in wallets:
        state = outlook(wallet.balance, uses.get(wallet.id, Use()), now)
        found.append(
            WalletOut(
                id=wallet.id,
                owner_id=wallet.owner_id,
                owner_name=owners[wallet.owner_id][1],
                owner=owners[wallet.owner_id][0],
                balance=wallet.balance,
                accrued=state.accrued,
                held=state.held,
                available=state.available,
                burn_per_hour=state.burn_per_hour,
                runs_out_at=state.runs_out_at,
                low_balance=wallet.low_balance,
                low=is_low(wallet, state, now),
            )
        )
    return found


async def list_caps(tx: Tx, now: datetime, actor: Actor, wallet_id: str) -> list[CapOut]:
    """A wallet's caps and how far they are used up; a plain member of a group sees those that bind him."""
    wallet = await own_wallet(tx, actor, wallet_id)
    query = select(Cap).where(Cap.wallet_id == wallet.id).order_by(Cap.user_id)
    if not (actor.is_operator or await is_manager(tx, actor, wallet.owner_id)):
        query = query.where(Cap.user_id.in_(["", actor.id]))
    return await _caps_out(tx, now, (await tx.scalars(query)).all())


async def _caps_out(tx: Tx, now: datetime, found: Sequence[Cap]) -> list[CapOut]:
    names = await owner_names(tx, {cap.user_id for cap in found})
    rooms = {(room.user_id, room.period): room for room in await caps.rooms_of(tx, now, found)} if found else {}

    def spent(cap: Cap, period: str) -> CapSpent | None:
        room = rooms.get((cap.user_id, period))
        if room is None:
            return None
        return CapSpent(limit=room.limit, spent=max(room.spent, 0), left=room.left, renews_at=room.renews_at)

    return [
        CapOut(
            wallet_id=cap.wallet_id,
            user_id=cap.user_id or None,
            user_name=names.get(cap.user_id, ""),
            daily=spent(cap, "daily"),
            monthly=spent(cap, "monthly"),
            total=spent(cap, "total"),
        )
        for cap in found
    ]


async def put_cap(tx: Tx, now: datetime, actor: Actor, wallet_id: str, body: CapUpdate) -> list[CapOut]:
    """Set a wallet's caps, or those of a member of its group, whole: what is left out is no longer capped."""
    wallet = await own_wallet(tx, actor, wallet_id)
    await _require_keeper(tx, actor, wallet)
    user_id = body.user_id or ""
    if user_id and await tx.get(GroupMember, (wallet.owner_id, user_id)) is None:
        raise Invalid(
            "This wallet is not that of a group of which this user is a member.",
            field="user_id",
            cure="Choose a member of the group that owns the wallet.",
        )
    await tx.execute(delete(Cap).where(Cap.wallet_id == wallet.id, Cap.user_id == user_id))
    limits = {"daily": body.daily, "monthly": body.monthly, "total": body.total}
    if any(limit is not None for limit in limits.values()):
        await insert_if_absent(tx, Cap, {"wallet_id": wallet.id, "user_id": user_id, "changed_at": now, **limits})
    names = await owner_names(tx, [wallet.owner_id, user_id])
    detail = {key: format_unc(value) for key, value in limits.items() if value is not None}
    detail |= {"user": names[user_id]} if user_id in names else {}
    audit.record(tx, actor, "wallet.cap", "wallet", wallet.id, names.get(wallet.owner_id, ""), detail)
    emit(tx, "billing")
    emit(tx, f"ui:{wallet.owner_id}")
    return await list_caps(tx, now, actor, wallet_id)


async def _refuse_owner_with_history(tx: Tx, _actor: Actor, user: User) -> None:
    """The journal is for ever: who stands in it can be frozen, not deleted."""
    if await _has_history(tx, user.id):
        raise Conflict(
            f"{user.username!r} has records of recharges or charges, which are kept.",
            cure="Freeze the user instead.",
            code="in_use",
        )
    await _drop_accounts(tx, user.id)


async def _group_with_history(tx: Tx, group_id: str) -> str | None:
    if await _has_history(tx, group_id):
        return "its wallet, whose records are kept"
    await _drop_accounts(tx, group_id)
    return None


async def _has_history(tx: Tx, owner_id: str) -> bool:
    accounts = select(Account.id).where(Account.owner_id == owner_id)
    posted = await tx.scalar(select(Posting.entry_id).where(Posting.account_id.in_(accounts)).limit(1))
    mine = or_(Meter.payer_id == owner_id, Meter.wallet_id.in_(accounts))
    return bool(posted or await tx.scalar(select(Meter.id).where(mine).limit(1)))


async def _drop_accounts(tx: Tx, owner_id: str) -> None:
    accounts = select(Account.id).where(Account.owner_id == owner_id)
    await tx.execute(delete(Cap).where(Cap.wallet_id.in_(accounts)))
    await tx.execute(delete(Account).where(Account.owner_id == owner_id))


on_delete_checks.append(_refuse_owner_with_history)
group_in_use_checks.append(_group_with_history)
