"""Groups and their members."""

from collections.abc import Awaitable, Callable, Iterable
from datetime import datetime

from sqlalchemy import delete, func, or_, select
from sqlalchemy.exc import IntegrityError

from utcloud.accounts import audit
from utcloud.accounts.auth import Actor
from utcloud.accounts.models import Group, GroupMember, User
from utcloud.accounts.schemas import GroupCreate, GroupDetail, GroupOut, GroupRef, GroupUpdate
from utcloud.accounts.service.users import users_out
from utcloud.common.errors import Conflict, Invalid, NotFound
from utcloud.common.ids import new_id
from utcloud.db import Tx, emit, paginate

group_in_use_checks: list[Callable[[Tx, str], Awaitable[str | None]]] = []
"""Rooms above add to it: what uses the group of this id, in words, or None."""


async def get_group(tx: Tx, group_id: str) -> Group:
    """The group; raises NotFound."""
    group = await tx.get(Group, group_id)
    if group is None:
        raise NotFound.of("group", group_id)
    return group


async def group_refs(tx: Tx, group_ids: Iterable[str]) -> dict[str, GroupRef]:
    """Id and name of each group, by id."""
    wanted = set(group_ids)
    if not wanted:
        return {}
    rows = await tx.execute(select(Group.id, Group.name).where(Group.id.in_(wanted)))
    return {group_id: GroupRef(id=group_id, name=name) for group_id, name in rows}


async def list_groups(
    tx: Tx, actor: Actor, *, limit: int, cursor: str | None = None, search: str | None = None
) -> tuple[list[GroupOut], str | None]:
    """One page of groups by name."""
    actor.require_miner()
    query = select(Group)
    if search:
        fields = (Group.name, Group.description)
        query = query.where(or_(*(field.icontains(search, autoescape=True) for field in fields)))
    groups, next_cursor = await paginate(
        tx, query, Group.id, limit=limit, cursor=cursor, order_by=Group.name, descending=False
    )
    counts = await tx.execute(
        select(GroupMember.group_id, func.count())
        .where(GroupMember.group_id.in_([group.id for group in groups]))
        .group_by(GroupMember.group_id)
    )
    members = {group_id: count for group_id, count in counts}  # noqa: C416 - mypy knows rows, not dict(rows)
    return [_out(group, members.get(group.id, 0)) for group in groups], next_cursor


async def group_detail(tx: Tx, actor: Actor, group_id: str) -> GroupDetail:
    """The group with its members."""
    actor.require_miner()
    group = await get_group(tx, group_id)
    users = await tx.scalars(
        select(User)
        .join(GroupMember, GroupMember.user_id == User.id)
        .where(GroupMember.group_id == group.id)
        .order_by(User.username)
    )
    members = await users_out(tx, users)
    return GroupDetail(**_out(group, len(members)).model_dump(), users=members)


async def create_group(tx: Tx, actor: Actor, body: GroupCreate, now: datetime) -> GroupDetail:
    """Add a group with its first members."""
    actor.require_operator()
    group = Group(id=new_id("grp"), name=body.name, description=body.description, created_at=now)
    tx.add(group)
    await _flush_name(tx, body.name)
    await _set_members(tx, group.id, body.user_ids)
    audit.record(tx, actor, "group.create", "group", group.id, group.name, {"user_ids": body.user_ids})
    emit(tx, "ui:miners")
    return await group_detail(tx, actor, group.id)


async def update_group(tx: Tx, actor: Actor, group_id: str, body: GroupUpdate) -> GroupDetail:
    """Change what ``body`` names; leave the rest."""
    actor.require_operator()
    group = await get_group(tx, group_id)
    if body.name is not None:
        group.name = body.name
        await _flush_name(tx, body.name)
    if body.description is not None:
        group.description = body.description
    if body.user_ids is not None:
        await _set_members(tx, group.id, body.user_ids)
    audit.record(tx, actor, "group.update", "group", group.id, group.name, body.model_dump(exclude_none=True))
    emit(tx, "ui:miners")
    return await group_detail(tx, actor, group.id)


async def delete_group(tx: Tx, actor: Actor, group_id: str) -> None:
    """Remove a group that nothing is bound to or shared with; its members stay."""
    actor.require_operator()
    group = await get_group(tx, group_id)
    members = list(await tx.scalars(select(GroupMember.user_id).where(GroupMember.group_id == group.id)))
    uses = [use for check in group_in_use_checks if (use := await check(tx, group.id))]
    if uses:
        raise Conflict(
            f"The group {group.name!r} is used by {' and '.join(uses)}.",
            cure="Unbind its pools and unshare its assets first.",
            code="in_use",
        )
    try:
        await tx.execute(delete(Group).where(Group.id == group.id))
    except IntegrityError:
        raise Conflict(
            f"The group {group.name!r} is in use: a pool is bound to it, or an asset is shared with it.",
            cure="Unbind its pools and unshare its assets first.",
            code="in_use",
        ) from None
    audit.record(tx, actor, "group.delete", "group", group.id, group.name)
    for channel in ("miners", *members):
        emit(tx, f"ui:{channel}")


async def _set_members(tx: Tx, group_id: str, user_ids: Iterable[str]) -> None:
    wanted = set(user_ids)
    known = set(await tx.scalars(select(User.id).where(User.id.in_(wanted))))
    if missing := wanted - known:
        ident = min(missing)
        raise Invalid(f"There is no user {ident[:80]!r}.", field="user_ids", cure="Choose from the list of users.")
    present = set(await tx.scalars(select(GroupMember.user_id).where(GroupMember.group_id == group_id)))
    await tx.execute(
        delete(GroupMember).where(GroupMember.group_id == group_id, GroupMember.user_id.in_(present - wanted))
    )
    tx.add_all(GroupMember(group_id=group_id, user_id=user_id) for user_id in wanted - present)
    await tx.flush()
    for user_id in wanted ^ present:
        emit(tx, f"ui:{user_id}")


async def _flush_name(tx: Tx, name: str) -> None:
    try:
        await tx.flush()
    except IntegrityError:
        raise Conflict(f"A group {name!r} exists already.", field="name", cure="Choose another name.") from None


def _out(group: Group, members: int) -> GroupOut:
    return GroupOut(
        id=group.id, name=group.name, description=group.description, members=members, created_at=group.created_at
    )
