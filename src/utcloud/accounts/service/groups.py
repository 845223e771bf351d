"""Groups: who sees them, create, change, delete."""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from datetime import datetime

from sqlalchemy import delete, func, or_, select
from sqlalchemy.exc import IntegrityError

from utcloud.accounts import audit
from utcloud.accounts.auth import Actor
from utcloud.accounts.models import Group, GroupMember, User
from utcloud.accounts.schemas import (
    GroupBase,
    GroupCreate,
    GroupDetail,
    GroupOut,
    GroupRef,
    GroupRole,
    GroupSort,
    GroupUpdate,
)
from utcloud.accounts.service import members
from utcloud.accounts.service.users import visible_users
from utcloud.common.errors import Conflict, NotFound
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


async def visible_group(tx: Tx, actor: Actor, group_id: str) -> Group:
    """The group, for operators, miners and those who are in it; to others there is none."""
    group = await get_group(tx, group_id)
    if not (actor.is_operator or actor.is_miner or await members.role_in(tx, group.id, actor.id)):
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
    tx: Tx,
    actor: Actor,
    *,
    limit: int,
    cursor: str | None = None,
    search: str | None = None,
    mine: bool = False,
    sort: GroupSort = GroupSort.NAME,
) -> tuple[list[GroupOut], str | None]:
    """One page of groups: all for operators and miners, for others (or with ``mine``) those that one is in."""
    query = select(Group)
    if mine or not (actor.is_operator or actor.is_miner):
        query = query.where(Group.id.in_(select(GroupMember.group_id).where(GroupMember.user_id == actor.id)))
    if search:
        fields = (Group.name, Group.description)
        query = query.where(or_(*(field.icontains(search, autoescape=True) for field in fields)))
    columns = {"name": Group.name}
    groups, after = await paginate(tx, query, Group.id, limit=limit, cursor=cursor, sort=sort, columns=columns)
    return await _groups_out(tx, actor, groups), after


async def group_detail(tx: Tx, actor: Actor, group_id: str) -> GroupDetail:
    """The group with its members; a miner who is not in it sees of them those who rent from him."""
    group = await visible_group(tx, actor, group_id)
    inside = await members.of_group(tx, group.id)
    mine = next((one.role for one in inside if one.user.id == actor.id), None)
    if mine is None and not actor.is_operator:  # a miner
        seen = (User.id.in_([one.user.id for one in inside]), visible_users(actor))
        known = set(await tx.scalars(select(User.id).where(*seen)))
        inside = [one for one in inside if one.user.id in known]
    return GroupDetail(**_base(group, mine).model_dump(), members=inside)


async def create_group(tx: Tx, actor: Actor, body: GroupCreate, now: datetime) -> GroupDetail:
    """Add a group with its first members."""
    actor.require_operator()
    await _require_free(tx, body.name)
    group = Group(id=new_id("grp"), name=body.name, description=body.description, created_at=now)
    tx.add(group)
    await _flush_name(tx, body.name)
    await members.set_members(tx, group.id, body.user_ids, body.manager_ids)
    detail = {"user_ids": body.user_ids, "manager_ids": body.manager_ids}
    audit.record(tx, actor, "group.create", "group", group.id, group.name, detail)
    emit(tx, "ui:miners")
    return await group_detail(tx, actor, group.id)


async def update_group(tx: Tx, actor: Actor, group_id: str, body: GroupUpdate) -> GroupDetail:
    """Change what ``body`` names; leave the rest."""
    actor.require_operator()
    group = await get_group(tx, group_id)
    if body.name is not None:
        await _require_free(tx, body.name, but=group.id)
        group.name = body.name
        await _flush_name(tx, body.name)
    if body.description is not None:
        group.description = body.description
    if body.user_ids is not None or body.manager_ids is not None:
        await members.set_members(tx, group.id, body.user_ids, body.manager_ids)
    audit.record(tx, actor, "group.update", "group", group.id, group.name, body.model_dump(exclude_none=True))
    emit(tx, "ui:miners")
    return await group_detail(tx, actor, group.id)


async def delete_group(tx: Tx, actor: Actor, group_id: str) -> None:
    """Remove a group that nothing is bound to or shared with; its members stay."""
    actor.require_operator()
    group = await get_group(tx, group_id)
    inside = list(await tx.scalars(select(GroupMember.user_id).where(GroupMember.group_id == group.id)))
    uses = [use for check in group_in_use_checks if (use := await check(tx, group.id))]
    if uses:
        raise Conflict(
            f"The group {group.name!r} is used by {' and '.join(uses)}.",
            cure="Unbind its pools, unshare its assets and stop what runs in its name first.",
            code="in_use",
        )
    try:
        gone = await tx.scalar(delete(Group).where(Group.id == group.id).returning(Group.id))
    except IntegrityError:
        raise Conflict(
            f"The group {group.name!r} is in use: a pool is bound to it, or an asset is shared with it.",
            cure="Unbind its pools, unshare its assets and stop what runs in its name first.",
            code="in_use",
        ) from None
    if gone is None:
        raise NotFound.of("group", group_id)
    audit.record(tx, actor, "group.delete", "group", group.id, group.name)
    for channel in ("miners", *inside):
        emit(tx, f"ui:{channel}")


async def _require_free(tx: Tx, name: str, but: str = "") -> None:
    """Raise Conflict when another group is called so, be it in other case."""
    same = (func.lower(Group.name) == func.lower(name), Group.id != but)
    if (taken := await tx.scalar(select(Group.name).where(*same).limit(1))) is not None:
        raise _taken(taken)


async def _flush_name(tx: Tx, name: str) -> None:
    try:
        await tx.flush()
    except IntegrityError:
        raise _taken(name) from None


def _taken(name: str) -> Conflict:
    return Conflict(f"A group {name!r} exists already.", field="name", cure="Choose another name.")


async def _groups_out(tx: Tx, actor: Actor, groups: Sequence[Group]) -> list[GroupOut]:
    ids = [group.id for group in groups]
    counts = await tx.execute(
        select(GroupMember.group_id, func.count()).where(GroupMember.group_id.in_(ids)).group_by(GroupMember.group_id)
    )
    members_of = {group_id: count for group_id, count in counts}  # noqa: C416 - mypy knows rows, not dict(rows)
    mine = (GroupMember.group_id.in_(ids), GroupMember.user_id == actor.id)
    places = await tx.execute(select(GroupMember.group_id, GroupMember.role).where(*mine))
    roles = {group_id: GroupRole(role) for group_id, role in places}
    return [
        GroupOut(**_base(group, roles.get(group.id)).model_dump(), members=members_of.get(group.id, 0))
        for group in groups
    ]


def _base(group: Group, my_role: GroupRole | None) -> GroupBase:
    return GroupBase(
        id=group.id, name=group.name, description=group.description, my_role=my_role, created_at=group.created_at
    )
