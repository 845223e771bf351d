"""Members of groups. An operator may do everything; a manager brings in and takes out plain members of his group."""

from collections.abc import Iterable

from sqlalchemy import delete, select, update

from utcloud.accounts import audit
from utcloud.accounts.auth import Actor
from utcloud.accounts.models import Group, GroupMember, User
from utcloud.accounts.schemas import GroupMemberOut, GroupRole, UserRef
from utcloud.common.errors import Forbidden, Invalid, NotFound
from utcloud.db import Tx, emit
from utcloud.db.upsert import insert_if_absent


async def role_in(tx: Tx, group_id: str, user_id: str) -> GroupRole | None:
    """What the user is in the group; None: not in it."""
    role = await tx.scalar(
        select(GroupMember.role).where(GroupMember.group_id == group_id, GroupMember.user_id == user_id)
    )
    return GroupRole(role) if role else None


async def of_group(tx: Tx, group_id: str) -> list[GroupMemberOut]:
    """The members, managers first, then by user name."""
    rows = await tx.execute(
        select(User, GroupMember.role)
        .join(GroupMember, GroupMember.user_id == User.id)
        .where(GroupMember.group_id == group_id)
        .order_by(GroupMember.role, User.username)
    )
    return [GroupMemberOut(user=UserRef.model_validate(user), role=GroupRole(role)) for user, role in rows]


async def set_members(
    tx: Tx, group_id: str, user_ids: Iterable[str] | None, manager_ids: Iterable[str] | None = None
) -> None:
    """Make ``user_ids`` all members and ``manager_ids``, who are members too, all managers; None leaves them."""
    rows = await tx.execute(select(GroupMember.user_id, GroupMember.role).where(GroupMember.group_id == group_id))
    before = {user_id: GroupRole(role) for user_id, role in rows}
    managers = set(manager_ids or ())
    await _require_users(tx, "manager_ids", managers)
    if manager_ids is None:
        managers = {user_id for user_id, role in before.items() if role == GroupRole.MANAGER}
    wanted = set(before if user_ids is None else user_ids)
    await _require_users(tx, "user_ids", wanted - set(before))
    if manager_ids is not None:
        wanted |= managers
    after = {user_id: GroupRole.MANAGER if user_id in managers else GroupRole.MEMBER for user_id in wanted}
    gone = (GroupMember.group_id == group_id, GroupMember.user_id.in_(set(before) - wanted))
    await tx.execute(delete(GroupMember).where(*gone))
    for user_id, role in after.items():
        if before.get(user_id) != role:
            await _put(tx, group_id, user_id, role)
    for user_id in set(before) | wanted:
        if before.get(user_id) != after.get(user_id):
            emit(tx, f"ui:{user_id}")


async def add(tx: Tx, actor: Actor, group: Group, username: str, role: GroupRole) -> None:
    """Bring in the user of this name, or change his role."""
    user = await tx.scalar(select(User).where(User.username == username))
    if user is None:
        raise NotFound(
            f"There is no user {username!r}.", field="username", cure="Ask them for their user name, or invite them."
        )
    await put(tx, actor, group, user.id, role)


async def put(tx: Tx, actor: Actor, group: Group, user_id: str, role: GroupRole) -> None:
    """Make a user a member in this role. Putting what is so changes nothing."""
    before = await _changeable(tx, actor, group, user_id)
    if role == GroupRole.MANAGER and before != role:
        _require_operator(actor, "make managers")
    if before == role:
        return
    user = await tx.get(User, user_id)
    if user is None:
        raise NotFound.of("user", user_id)
    await _put(tx, group.id, user_id, role)
    detail = {"user_id": user.id, "username": user.username, "role": role}
    _changed(tx, actor, group, "group.member.put", detail)


async def remove(tx: Tx, actor: Actor, group: Group, user_id: str) -> None:
    """Take a member out of the group."""
    before = await _changeable(tx, actor, group, user_id)
    if before is None:
        raise NotFound.of("member", user_id)
    await tx.execute(delete(GroupMember).where(GroupMember.group_id == group.id, GroupMember.user_id == user_id))
    user = await tx.get_one(User, user_id)
    _changed(tx, actor, group, "group.member.remove", {"user_id": user.id, "username": user.username})


async def _changeable(tx: Tx, actor: Actor, group: Group, user_id: str) -> GroupRole | None:
    """The user's role in the group, if the actor may change it."""
    mine = await role_in(tx, group.id, actor.id)
    before = mine if user_id == actor.id else await role_in(tx, group.id, user_id)
    if actor.is_operator:
        return before
    if mine != GroupRole.MANAGER:
        raise Forbidden("Only a manager of the group may do this.", cure="Ask a manager or an operator.")
    if before == GroupRole.MANAGER and user_id != actor.id:
        _require_operator(actor, "change other managers")
    return before


def _require_operator(actor: Actor, what: str) -> None:
    if not actor.is_operator:
        raise Forbidden(f"Only an operator may {what}.", cure="Ask an operator of the platform.")


async def _require_users(tx: Tx, field: str, wanted: set[str]) -> None:
    if missing := wanted - set(await tx.scalars(select(User.id).where(User.id.in_(wanted)))):
        ident = min(missing)
        raise Invalid(f"There is no user {ident[:80]!r}.", field=field, cure="Choose from the list of users.")


async def _put(tx: Tx, group_id: str, user_id: str, role: GroupRole) -> None:
    """Also when somebody else does the same at this moment."""
    await insert_if_absent(tx, GroupMember, {"group_id": group_id, "user_id": user_id, "role": role})
    await tx.execute(
        update(GroupMember).where(GroupMember.group_id == group_id, GroupMember.user_id == user_id).values(role=role)
    )


def _changed(tx: Tx, actor: Actor, group: Group, action: str, detail: dict[str, str]) -> None:
    audit.record(tx, actor, action, "group", group.id, group.name, detail)
    emit(tx, "ui:miners")
    emit(tx, f"ui:{detail['user_id']}")
