"""What the rules of this room share: who sees which wallet, names of owners."""

from collections.abc import Iterable
from typing import Any, Literal

from sqlalchemy import ColumnElement, Select, and_, func, or_, select, true, union_all
from sqlalchemy.orm import InstrumentedAttribute

from utcloud.accounts.auth import Actor
from utcloud.accounts.models import Group, GroupMember, User
from utcloud.billing.models import Account
from utcloud.db import Tx
from utcloud.resources.models import Pool, PoolGroup


def groups_of(user_id: str) -> Select[str]:
    """The ids of the groups that a user is in."""
    return select(GroupMember.group_id).where(GroupMember.user_id == user_id)


def managed_groups(user_id: str) -> Select[str]:
    """The ids of the groups that a user manages."""
    return groups_of(user_id).where(GroupMember.role == "manager")


def visible_wallets(actor: Actor) -> ColumnElement[bool]:
    """Operators see all wallets, others their own and those of their groups, and a miner who may put machine hours in
    those of groups that his pools are bound to, and of their members.
    """
    if actor.is_operator:
        return true()
    if not (actor.is_miner and actor.is_issuer):
        return my_wallets(actor)
    bound = select(PoolGroup.group_id).join(Pool, Pool.id == PoolGroup.pool_id).where(Pool.miner_id == actor.id)
    members = select(GroupMember.user_id).where(GroupMember.group_id.in_(bound))
    return or_(my_wallets(actor), Account.owner_id.in_(bound), Account.owner_id.in_(members))


def my_wallets(actor: Actor) -> ColumnElement[bool]:
    """One's own wallet and those of the groups that one is in."""
    return or_(Account.owner_id == actor.id, Account.owner_id.in_(groups_of(actor.id)))


async def owner_names(tx: Tx, owner_ids: Iterable[str]) -> dict[str, str]:
    """Names of users and groups by id."""
    wanted = list(set(owner_ids))
    if not wanted:
        return {}
    users = select(User.id, User.username).where(User.id.in_(wanted))
    groups = select(Group.id, Group.name).where(Group.id.in_(wanted))
    return {ident: name for ident, name in await tx.execute(union_all(users, groups))}  # noqa: C416


async def owners_of(tx: Tx, owner_ids: Iterable[str]) -> dict[str, tuple[Literal["user", "group"], str]]:
    """What the owners of wallets are, and their names, by id; who is not there any longer is a user without a name."""
    wanted = set(owner_ids)
    names = await owner_names(tx, wanted)
    groups = set(await tx.scalars(select(Group.id).where(Group.id.in_(wanted))))
    return {ident: ("group" if ident in groups else "user", names.get(ident, "")) for ident in wanted}


def name_of(owner_id: InstrumentedAttribute[str]) -> ColumnElement[str]:
    """The name of the user or the group whose id is in a column of the query around it; empty without one."""
    names = (
        select(name).where(ident == owner_id).correlate(owner_id.class_).scalar_subquery()
        for ident, name in ((User.id, User.username), (Group.id, Group.name))
    )
    return func.coalesce(*names, "")


def owners_like(search: str) -> Select[Any]:
    """The ids of users and groups in whose names ``search`` occurs; looked for once, not for each row outside."""
    names = (User.username, User.display_name)
    users = select(User.id).where(or_(*(name.icontains(search, autoescape=True) for name in names)))
    groups = select(Group.id).where(Group.name.icontains(search, autoescape=True))
    both = union_all(users, groups).cte("owners").prefix_with("MATERIALIZED", dialect="postgresql")
    return select(both.c.id)


async def is_manager(tx: Tx, actor: Actor, group_id: str) -> bool:
    """Whether the actor manages the group."""
    mine = and_(GroupMember.group_id == group_id, GroupMember.user_id == actor.id, GroupMember.role == "manager")
    return await tx.scalar(select(GroupMember.user_id).where(mine)) is not None


async def is_keeper(tx: Tx, actor: Actor, wallet: Account) -> bool:
    """Whether the actor is the wallet's owner, a manager of the group that owns it, or an operator."""
    return actor.is_operator or wallet.owner_id == actor.id or await is_manager(tx, actor, wallet.owner_id)
