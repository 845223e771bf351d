"""Users: create, list, change, freeze, delete."""

from collections.abc import Awaitable, Callable, Iterable
from datetime import datetime

from sqlalchemy import ColumnElement, Select, delete, or_, select, true, update
from sqlalchemy.exc import IntegrityError

from utcloud.accounts import audit, passwords
from utcloud.accounts.auth import SYSTEM, Actor
from utcloud.accounts.models import ApiToken, Application, BrowserSession, Group, GroupMember, User
from utcloud.accounts.schemas import (
    ApplicationStatus,
    GroupRef,
    GroupRole,
    Role,
    Running,
    UserCreate,
    UserOut,
    UserSort,
    UserStatus,
    UserUpdate,
)
from utcloud.accounts.service.standing import HARDWARE_SIGNAL
from utcloud.common.errors import Conflict, Invalid, NotFound, Unauthenticated
from utcloud.common.ids import new_id
from utcloud.db import Tx, emit, paginate
from utcloud.db.upsert import insert_if_absent

UserHook = Callable[[Tx, Actor, User], Awaitable[None]]

on_delete_checks: list[UserHook] = []
"""Called before a user is deleted: raise a Conflict that names what is in the way, or take away what is theirs."""

on_freeze: list[Callable[[Tx, Actor, User, Running], Awaitable[None]]] = []
"""Called in the transaction that freezes a user: shut what is open, stop what runs in the user's name or let it run."""

renters_of: list[Callable[[str], Select[str]]] = []
"""Rooms above add to it: the ids of users who rent, or have rented, from the miner of this id."""

PASSWORDS = "passwords"
"""The signal that somebody's password was changed."""

on_access_end: list[UserHook] = []
"""Called in the transaction that ends all a user's logins: shut what was opened by them."""

on_grant: list[Callable[[Tx, datetime, Actor, User, int, str, str], Awaitable[None]]] = []
"""Puts so many micro-UNC into a new user's wallet: given by whom, the note of the record, and a key of its own."""

_RESERVED = {SYSTEM.username}
_ROLE_COLUMNS = {Role.OPERATOR: "is_operator", Role.MINER: "is_miner", Role.RENTER: "is_renter"}


async def get_user(tx: Tx, user_id: str) -> User:
    """The user; raises NotFound."""
    user = await tx.get(User, user_id)
    if user is None:
        raise NotFound.of("user", user_id)
    return user


def visible_users(actor: Actor) -> ColumnElement[bool]:
    """Whom an actor sees: an operator everybody, a miner those who rent from him, everybody himself."""
    if actor.is_operator:
        return true()
    queries = [query(actor.id) for query in renters_of] if actor.is_miner else []
    return or_(User.id == actor.id, *(User.id.in_(query) for query in queries))


async def visible_user(tx: Tx, actor: Actor, user_id: str) -> User:
    """The user, for whom he is to be seen by; raises NotFound."""
    user: User | None = await tx.scalar(select(User).where(User.id == user_id, visible_users(actor)))
    if user is None:
        raise NotFound.of("user", user_id)
    return user


async def require_active(tx: Tx, actor: Actor) -> None:
    """Raise Unauthenticated when the actor was frozen, or deleted, after his credential had been looked at."""
    if await tx.scalar(select(User.status).where(User.id == actor.id)) != UserStatus.ACTIVE:
        raise Unauthenticated("The account is frozen.", cure="Ask an operator of the platform.", code="frozen")


async def usernames(tx: Tx, user_ids: Iterable[str]) -> dict[str, str]:
    """User names by id; ids that are no user's are left out."""
    wanted = set(user_ids)
    if not wanted:
        return {}
    rows = await tx.execute(select(User.id, User.username).where(User.id.in_(wanted)))
    return {user_id: username for user_id, username in rows}  # noqa: C416 - mypy knows rows, not dict(rows)


async def group_ids_of(tx: Tx, user_id: str) -> list[str]:
    """The ids of the groups that the user is in."""
    return list(await tx.scalars(select(GroupMember.group_id).where(GroupMember.user_id == user_id)))


def names_of(users: Iterable[User]) -> list[UserOut]:
    """What a miner reads of those who rent from him: who they are, and neither addresses nor habits."""
    return [
        UserOut(
            id=user.id,
            username=user.username,
            display_name=user.display_name,
            email="",
            roles=[role for role, column in _ROLE_COLUMNS.items() if getattr(user, column)],
            status=UserStatus(user.status),
            created_at=user.created_at,
        )
        for user in users
    ]


async def users_out(tx: Tx, users: Iterable[User]) -> list[UserOut]:
    """What the API says of ``users``, with their groups, in one query."""
    users = list(users)
    rows = await tx.execute(
        select(GroupMember.user_id, Group.id, Group.name)
        .join(Group, Group.id == GroupMember.group_id)
        .where(GroupMember.user_id.in_([user.id for user in users]))
        .order_by(Group.name)
    )
    groups: dict[str, list[GroupRef]] = {}
    for user_id, group_id, name in rows:
        groups.setdefault(user_id, []).append(GroupRef(id=group_id, name=name))
    return [
        UserOut(
            id=user.id,
            username=user.username,
            display_name=user.display_name,
            email=user.email,
            roles=[role for role, column in _ROLE_COLUMNS.items() if getattr(user, column)],
            status=UserStatus(user.status),
            frozen_reason=user.frozen_reason,
            groups=groups.get(user.id, []),
            created_at=user.created_at,
            last_seen_at=user.last_seen_at,
            second_factor=user.second_factor_at is not None,
        )
        for user in users
    ]


async def user_out(tx: Tx, user: User) -> UserOut:
    """What the API says of one user."""
    return (await users_out(tx, [user]))[0]


async def list_users(
    tx: Tx,
    actor: Actor,
    *,
    limit: int,
    cursor: str | None = None,
    search: str | None = None,
    role: Role | None = None,
    status: UserStatus | None = None,
    group_id: str | None = None,
    sort: UserSort = UserSort.USERNAME,
) -> tuple[list[User], str | None]:
    """One page of users: for operators of all, for miners of those who rent from them, and of themselves."""
    actor.require_miner()
    query = select(User).where(visible_users(actor))
    if search:
        fields = (User.username, User.display_name, *((User.email,) if actor.is_operator else ()))
        query = query.where(or_(*(field.icontains(search, autoescape=True) for field in fields)))
    if role:
        query = query.where(getattr(User, _ROLE_COLUMNS[role]).is_(True))
    if status:
        query = query.where(User.status == status)
    if group_id:
        query = query.where(
            User.id.in_(select(GroupMember.user_id).where(GroupMember.group_id == group_id).scalar_subquery())
        )
    columns = {"username": User.username}
    return await paginate(tx, query, User.id, limit=limit, cursor=cursor, sort=sort, columns=columns)


async def is_free(tx: Tx, username: str) -> bool:
    """Whether nobody has this user name, nor has applied for it."""
    waiting = (Application.username == username, Application.status == ApplicationStatus.WAITING)
    taken = await tx.scalar(select(User.id).where(User.username == username))
    applied = await tx.scalar(select(Application.id).where(*waiting))
    return username not in _RESERVED and not taken and not applied


async def require_free(tx: Tx, username: str) -> None:
    """Raise Conflict when somebody has this user name, or has applied for it."""
    if not await is_free(tx, username):
        raise name_taken(username)


def name_taken(username: str) -> Conflict:
    return Conflict(f"The user name {username!r} is taken.", field="username", cure="Choose another user name.")


async def create_user(tx: Tx, actor: Actor, body: UserCreate, password_hash: str, now: datetime) -> User:
    """Add a user. The caller hashes the password first: hashing takes too long for a transaction."""
    actor.require_operator()
    await require_free(tx, body.username)
    user = User(
        id=new_id("usr"),
        username=body.username,
        display_name=body.display_name,
        email=body.email,
        password_hash=password_hash,
        status=UserStatus.ACTIVE,
        created_at=now,
        **_role_columns(body.roles),
    )
    tx.add(user)
    try:
        await tx.flush()
    except IntegrityError:
        raise name_taken(body.username) from None
    await set_groups(tx, user.id, body.group_ids)
    audit.record(tx, actor, "user.create", "user", user.id, user.username, {"roles": [*body.roles]})
    emit(tx, "ui:miners")
    return user


async def update_user(tx: Tx, actor: Actor, user_id: str, body: UserUpdate) -> User:
    """Change what ``body`` names; leave the rest."""
    actor.require_operator()
    user = await get_user(tx, user_id)
    changes = body.model_dump(exclude_none=True, mode="json")
    if body.display_name is not None:
        user.display_name = body.display_name
    if body.email is not None:
        user.email = body.email
    if body.roles is not None:
        if Role.OPERATOR not in body.roles:
            await _require_another_operator(tx, user, "lose the role of an operator")
        for column, value in _role_columns(body.roles).items():
            setattr(user, column, value)
        emit(tx, HARDWARE_SIGNAL)
    if body.group_ids is not None:
        await set_groups(tx, user.id, body.group_ids)
    _changed(tx, actor, "user.update", user, changes)
    return user


async def freeze_user(tx: Tx, actor: Actor, user_id: str, running: Running = Running.STOP, reason: str = "") -> User:
    """Shut a user out at once: sessions end, tokens stop working, pages close.

    What runs is stopped or kept, as chosen; a user who is frozen already can be frozen once more to stop it after all,
    or to be told another reason.
    """
    actor.require_operator()
    user = await get_user(tx, user_id)
    reason = reason.strip() or user.frozen_reason
    if user.status == UserStatus.FROZEN and running == Running.KEEP and reason == user.frozen_reason:
        return user
    await _require_another_operator(tx, user, "be frozen")
    _require_not_oneself(actor, user, "freeze")
    user.status, user.frozen_reason = UserStatus.FROZEN, reason
    await end_sessions(tx, user.id)
    for hook in on_freeze:
        await hook(tx, actor, user, running)
    emit(tx, HARDWARE_SIGNAL)
    _changed(tx, actor, "user.freeze", user, {"running": running, "reason": user.frozen_reason})
    return user


async def unfreeze_user(tx: Tx, actor: Actor, user_id: str) -> User:
    """Let a frozen user in again."""
    actor.require_operator()
    user = await get_user(tx, user_id)
    if user.status == UserStatus.ACTIVE:
        return user
    user.status, user.frozen_reason = UserStatus.ACTIVE, ""
    emit(tx, HARDWARE_SIGNAL)
    _changed(tx, actor, "user.unfreeze", user)
    return user


async def reset_password(
    tx: Tx, now: datetime, actor: Actor, user_id: str, password_hash: str, *, revoke_tokens: bool = True
) -> User:
    """Give a new password, hashed by the caller. Sessions end, opened pages close, and API tokens are revoked unless
    told otherwise: a thief may have made some.
    """
    actor.require_operator()
    user = await get_user(tx, user_id)
    user.password_hash = password_hash
    await end_access(tx, now, actor, user, tokens=revoke_tokens)
    _changed(tx, actor, "user.reset_password", user, {"revoke_tokens": revoke_tokens})
    return user


async def delete_user(tx: Tx, actor: Actor, user_id: str) -> None:
    """Remove a user who owns nothing; raises Conflict that says what stands in the way."""
    actor.require_operator()
    user = await get_user(tx, user_id)
    await _require_another_operator(tx, user, "be deleted")
    _require_not_oneself(actor, user, "delete")
    for check in on_delete_checks:
        await check(tx, actor, user)
    try:
        gone = await tx.scalar(delete(User).where(User.id == user.id).returning(User.id))
    except IntegrityError:
        raise Conflict(
            f"The user {user.username!r} still owns things, such as algorithms, notebooks or pools.",
            cure="Delete them first, or freeze the user instead.",
            code="in_use",
        ) from None
    if gone is None:
        raise NotFound.of("user", user_id)
    audit.record(tx, actor, "user.delete", "user", user.id, user.username)
    emit(tx, "ui:miners")


async def first_operator(tx: Tx, now: datetime, username: str = "admin") -> tuple[User, str | None]:
    """The first operator and, when just created with a generated password, that password; else None."""
    existing = await tx.scalar(select(User).where(User.is_operator.is_(True)).order_by(User.id).limit(1))
    if existing is not None:
        return existing, None
    password = passwords.generate()
    body = UserCreate(username=username, display_name="Operator", password=password, roles=[*Role])
    user = await create_user(tx, SYSTEM, body, await passwords.hash_password(password), now)
    return user, password


async def grant(tx: Tx, now: datetime, actor: Actor, user: User, amount: int, note: str, key: str) -> None:
    """Put ``amount`` micro-UNC into a new user's wallet; nothing for 0."""
    if amount:
        for hook in on_grant:
            await hook(tx, now, actor, user, amount, note, key)


def actor_of(user: User, ip: str = "") -> Actor:
    """The user as one who acts."""
    return Actor(user.id, user.username, user.is_operator, user.is_miner, user.is_renter, ip)


async def set_groups(tx: Tx, user_id: str, group_ids: Iterable[str]) -> None:
    """Make the user a member of exactly these groups."""
    wanted = set(group_ids)
    await require_groups(tx, wanted)
    present = set(await group_ids_of(tx, user_id))
    await tx.execute(
        delete(GroupMember).where(GroupMember.user_id == user_id, GroupMember.group_id.in_(present - wanted))
    )
    fresh = ({"group_id": group_id, "user_id": user_id, "role": GroupRole.MEMBER} for group_id in wanted - present)
    await insert_if_absent(tx, GroupMember, *fresh)


async def require_groups(tx: Tx, group_ids: Iterable[str]) -> None:
    """Raise Invalid on ``group_ids`` when one of them is no group's."""
    wanted = set(group_ids)
    if missing := wanted - set(await tx.scalars(select(Group.id).where(Group.id.in_(wanted)))):
        ident = min(missing)
        raise Invalid(f"There is no group {ident[:80]!r}.", field="group_ids", cure="Choose from the list of groups.")


async def end_sessions(tx: Tx, user_id: str) -> None:
    """Log the user out of every browser."""
    await tx.execute(delete(BrowserSession).where(BrowserSession.user_id == user_id))


async def end_access(tx: Tx, now: datetime, actor: Actor, user: User, *, tokens: bool) -> None:
    """End what a thief of the user's password may hold: browser sessions, opened pages and, with ``tokens``, API
    tokens.
    """
    await end_sessions(tx, user.id)
    if tokens:
        usable = (ApiToken.user_id == user.id, ApiToken.revoked_at.is_(None))
        await tx.execute(update(ApiToken).where(*usable).values(revoked_at=now))
    emit(tx, PASSWORDS)
    for hook in on_access_end:
        await hook(tx, actor, user)


def _role_columns(roles: Iterable[Role]) -> dict[str, bool]:
    wanted = set(roles)
    return {column: role in wanted for role, column in _ROLE_COLUMNS.items()}


async def _require_another_operator(tx: Tx, user: User, what: str) -> None:
    """Raise Conflict when ``user`` is the only active operator. The rows are locked, so that two cannot go at once."""
    if not user.is_operator or user.status != UserStatus.ACTIVE:
        return
    operators = await tx.scalars(
        select(User.id)
        .where(User.is_operator.is_(True), User.status == UserStatus.ACTIVE)
        .order_by(User.id)
        .with_for_update(key_share=True)
    )
    if set(operators) <= {user.id}:
        raise Conflict(
            f"{user.username!r} is the last active operator and cannot {what}.",
            cure="Make another user an operator first.",
            code="last_operator",
        )


def _require_not_oneself(actor: Actor, user: User, what: str) -> None:
    if user.id == actor.id:
        raise Conflict(f"You cannot {what} yourself.", cure="Ask another operator.", code="oneself")


def _changed(tx: Tx, actor: Actor, action: str, user: User, detail: dict[str, object] | None = None) -> None:
    audit.record(tx, actor, action, "user", user.id, user.username, detail)
    emit(tx, "ui:miners")
    emit(tx, f"ui:{user.id}")
