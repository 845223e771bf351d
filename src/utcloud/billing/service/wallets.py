"""Wallets of users and groups, and the spending caps on them."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Select, delete, or_, select, union_all

from utcloud.accounts import audit
from utcloud.accounts.auth import Actor
from utcloud.accounts.models import Group, GroupMember, User
from utcloud.accounts.service import group_in_use_checks, on_delete_checks, on_group_created
from utcloud.billing import caps, journal, payers, sums
from utcloud.billing.models import Account, Cap, Meter, Posting, WalletPool
from utcloud.billing.schemas import (
    CapOut,
    CapSpent,
    CapUpdate,
    WalletOut,
    WalletPoolOut,
    WalletSort,
    WalletUpdate,
)
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
from utcloud.common.settings import Settings
from utcloud.db import Tx, emit, paginate
from utcloud.db.upsert import insert_if_absent
from utcloud.resources.models import Pool, PoolGroup
from utcloud.resources.service.common import check_ids, on_groups_bound


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
    """Say below what its owner is warned, and where a group's wallet pays."""
    wallet = await own_wallet(tx, actor, wallet_id)
    await _require_keeper(tx, actor, wallet)
    detail: dict[str, object] = {}
    if body.low_balance is not None:
        wallet.low_balance = body.low_balance
        detail["low_balance"] = format_unc(body.low_balance)
    for_groups = body.model_fields_set & {"max_price", "pool_ids"}
    if for_groups and await tx.get(Group, wallet.owner_id) is None:
        raise Invalid(
            "Only a group's wallet is bound to pools and prices.",
            field=min(for_groups),
            cure="Leave it out: you see the price at each start.",
        )
    if "max_price" in body.model_fields_set:
        wallet.max_price = body.max_price
        detail["max_price"] = None if body.max_price is None else format_unc(body.max_price)
    if body.pool_ids is not None:
        detail["pools"] = await _set_pools(tx, actor, wallet, body.pool_ids)
    await tx.flush()
    names = await owner_names(tx, [wallet.owner_id])
    audit.record(tx, actor, "wallet.update", "wallet", wallet.id, names.get(wallet.owner_id, ""), detail)
    emit(tx, "billing")
    emit(tx, f"ui:{wallet.owner_id}")
    return await get_wallet(tx, now, actor, wallet_id)


async def _set_pools(tx: Tx, actor: Actor, wallet: Account, given: Sequence[str]) -> list[str]:
    """Let a group's wallet pay in these pools and no others; their names. Raises Invalid on ``pool_ids.<number>``."""
    kept = select(WalletPool.pool_id).where(WalletPool.wallet_id == wallet.id)
    bound = select(PoolGroup.pool_id).where(PoolGroup.group_id == wallet.owner_id)
    visible = or_(Pool.open_to_all.is_(True), Pool.id.in_(kept), Pool.id.in_(bound), Pool.miner_id == actor.id)
    query = select(Pool.id, Pool.name).where(Pool.id.in_(given))
    rows = await tx.execute(query if actor.is_operator else query.where(visible))
    names = {ident: name for ident, name in rows}  # noqa: C416 - mypy knows rows
    chosen = check_ids("pool_ids", "pool", given, names)
    await tx.execute(delete(WalletPool).where(WalletPool.wallet_id == wallet.id, WalletPool.pool_id.not_in(chosen)))
    await payers.allow(tx, wallet.id, chosen)
    return sorted(names.values())


async def _require_keeper(tx: Tx, actor: Actor, wallet: Account, cure: str = "Ask an operator.") -> None:
    """Its owner, a manager of the group that owns it, or an operator."""
    if await is_keeper(tx, actor, wallet):
        return
    raise Forbidden("Only its owner, a manager of its group or an operator may change a wallet.", cure=cure)


async def _wallets_out(tx: Tx, now: datetime, wallets: Sequence[Account]) -> list[WalletOut]:
    owners = await owners_of(tx, [wallet.owner_id for wallet in wallets])
    uses = await sums.use_of(tx, [wallet.id for wallet in wallets], now)
    pools = await _pools_of(tx, [wallet.id for wallet in wallets])
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
                max_price=wallet.max_price,
                pools=pools[wallet.id],
            )
        )
    return found


async def _pools_of(tx: Tx, wallet_ids: Sequence[str]) -> dict[str, list[WalletPoolOut]]:
    query = (
        select(WalletPool.wallet_id, Pool.id, Pool.name, User.username)
        .join(Pool, Pool.id == WalletPool.pool_id)
        .join(User, User.id == Pool.miner_id)
        .where(WalletPool.wallet_id.in_(wallet_ids))
        .order_by(Pool.name, Pool.id)
    )
    found: dict[str, list[WalletPoolOut]] = defaultdict(list)
    for wallet_id, ident, name, miner in await tx.execute(query):
        found[wallet_id].append(WalletPoolOut(id=ident, name=name, miner_name=miner))
    return found


async def list_caps(tx: Tx, now: datetime, actor: Actor, wallet_id: str) -> list[CapOut]:
    """A wallet's caps and how far they are used up; a plain member of a group sees those that bind him."""
    wallet = await own_wallet(tx, actor, wallet_id)
    query = select(Cap).where(Cap.wallet_id == wallet.id).order_by(Cap.user_id, Cap.level)
    if not (actor.is_operator or await is_manager(tx, actor, wallet.owner_id)):
        query = query.where(Cap.user_id.in_(["", caps.EACH, actor.id]))
    return await _caps_out(tx, now, (await tx.scalars(query)).all())


async def _caps_out(tx: Tx, now: datetime, found: Sequence[Cap]) -> list[CapOut]:
    names = await owner_names(tx, {cap.user_id for cap in found})
    made = await caps.rooms_of(tx, now, found) if found else []
    own = {(cap.user_id, cap.level) for cap in found}
    rooms = {(one.user_id, one.level, one.period): one for one in made if (one.user_id, one.level) in own}

    def spent(cap: Cap, period: str) -> CapSpent | None:
        room = rooms.get((cap.user_id, cap.level, period))
        if room is None:
            return None
        return CapSpent(limit=room.limit, spent=max(room.spent, 0), left=room.left, renews_at=room.renews_at)

    return [
        CapOut(
            wallet_id=cap.wallet_id,
            user_id=cap.user_id or None,
            user_name=names.get(cap.user_id, ""),
            set_by="operator" if cap.level == "operator" else "keeper",
            daily=spent(cap, "daily"),
            monthly=spent(cap, "monthly"),
            total=spent(cap, "total"),
        )
        for cap in found
    ]


async def put_cap(tx: Tx, now: datetime, actor: Actor, wallet_id: str, body: CapUpdate) -> list[CapOut]:
    """Set a wallet's caps, or those of members of its group, whole: what is left out is no longer capped."""
    wallet = await own_wallet(tx, actor, wallet_id)
    await _require_keeper(tx, actor, wallet)
    level = body.set_by or ("operator" if actor.is_operator and wallet.owner_id != actor.id else "keeper")
    if level == "operator" and not actor.is_operator:
        raise Forbidden("Only an operator changes the caps that an operator set.", cure="Ask an operator.")
    user_id = body.user_id or ""
    is_group = user_id == caps.EACH and await tx.get(Group, wallet.owner_id) is not None
    if user_id and not is_group and await tx.get(GroupMember, (wallet.owner_id, user_id)) is None:
        raise Invalid(
            "This wallet is not that of a group of which this user is a member.",
            field="user_id",
            cure="Choose a member of the group that owns the wallet.",
        )
    one = {"wallet_id": wallet.id, "user_id": user_id, "level": level}
    await tx.execute(delete(Cap).filter_by(**one))
    limits = {"daily": body.daily, "monthly": body.monthly, "total": body.total}
    if any(limit is not None for limit in limits.values()):
        await insert_if_absent(tx, Cap, {**one, "changed_at": now, **limits})
    names = await owner_names(tx, [wallet.owner_id, user_id])
    detail = {key: format_unc(value) for key, value in limits.items() if value is not None}
    detail |= {"user": names.get(user_id, user_id)} if user_id else {}
    detail |= {"set_by": level}
    audit.record(tx, actor, "wallet.cap", "wallet", wallet.id, names.get(wallet.owner_id, ""), detail)
    emit(tx, "billing")
    emit(tx, f"ui:{wallet.owner_id}")
    return await list_caps(tx, now, actor, wallet_id)


async def _cap_new_group(tx: Tx, now: datetime, group: Group, settings: Settings) -> None:
    """Nobody spends all that a new group has before somebody has thought of it."""
    if settings.group_member_per_day is None:
        return
    wallet = await journal.account(tx, "wallet", group.id)
    limits = {"daily": settings.group_member_per_day, "monthly": None, "total": None}
    await insert_if_absent(
        tx, Cap, {"wallet_id": wallet.id, "user_id": caps.EACH, "level": "keeper", "changed_at": now, **limits}
    )


async def _agree_to_pool(tx: Tx, actor: Actor, pool_id: str, group_ids: Sequence[str]) -> None:
    """A group's wallet pays in a pool that an operator or one of its managers bound to it; not when a miner did."""
    wallets = await journal.accounts(tx, "wallet", group_ids)
    for group_id in group_ids:
        if actor.is_operator or await is_manager(tx, actor, group_id):
            await payers.allow(tx, wallets[group_id].id, [pool_id])


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
    await tx.execute(delete(WalletPool).where(WalletPool.wallet_id.in_(accounts)))
    await tx.execute(delete(Account).where(Account.owner_id == owner_id))


on_delete_checks.append(_refuse_owner_with_history)
group_in_use_checks.append(_group_with_history)
on_group_created.append(_cap_new_group)
on_groups_bound.append(_agree_to_pool)
