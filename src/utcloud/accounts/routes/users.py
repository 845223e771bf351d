"""Users."""

from fastapi import APIRouter, Response

from utcloud.accounts import passwords, service
from utcloud.accounts.auth import CurrentActor
from utcloud.accounts.schemas import (
    Cursor,
    FreezeRequest,
    IdPath,
    IdQuery,
    PasswordReset,
    PasswordResetRequest,
    Role,
    Search,
    UserCreate,
    UserCreated,
    UserOut,
    UserSort,
    UserStatus,
    UserUpdate,
)
from utcloud.common import export
from utcloud.common.paging import Limit, Page
from utcloud.db.web import Db, Now

router = APIRouter(prefix="/users", tags=["users"])


@router.get("", response_model=Page[UserOut], responses=export.RESPONSES)
async def list_users(
    actor: CurrentActor,
    db: Db,
    limit: Limit = 50,
    cursor: Cursor = None,
    search: Search = None,
    role: Role | None = None,
    status: UserStatus | None = None,
    group_id: IdQuery = None,
    sort: UserSort = UserSort.USERNAME,
    file: export.Wanted = None,
) -> Page[UserOut] | Response:
    """Users by name: all for operators; for miners the names of those who rent from them."""
    actor.require_miner()

    async def load(limit: int, cursor: str | None) -> tuple[list[UserOut], str | None]:
        async with db.read() as tx:
            users, after = await service.list_users(
                tx,
                actor,
                limit=limit,
                cursor=cursor,
                search=search,
                role=role,
                status=status,
                group_id=group_id,
                sort=sort,
            )
            return await service.users_out(tx, users) if actor.is_operator else service.names_of(users), after

    if file:
        return export.response(file, UserOut, load, "users")
    items, after = await load(limit, cursor)
    return Page(items=items, next_cursor=after)


@router.post("", status_code=201)
async def create_user(body: UserCreate, actor: CurrentActor, db: Db, now: Now) -> UserCreated:
    """Add a user. Without a password one is generated, and answered this once."""
    actor.require_operator()
    generated = None if body.password else passwords.generate()
    password_hash = await passwords.hash_password(body.password or generated or "")
    async with db.write() as tx:
        user = await service.create_user(tx, actor, body, password_hash, now)
        out = await service.user_out(tx, user)
    return UserCreated(**out.model_dump(), initial_password=generated)


@router.get("/{user_id}")
async def get_user(user_id: IdPath, actor: CurrentActor, db: Db) -> UserOut:
    """One user: oneself, for operators anyone, and for miners the name of who rents from them."""
    async with db.read() as tx:
        user = await service.visible_user(tx, actor, user_id)
        if actor.is_operator or user.id == actor.id:
            return await service.user_out(tx, user)
        return service.names_of([user])[0]


@router.patch("/{user_id}")
async def update_user(user_id: IdPath, body: UserUpdate, actor: CurrentActor, db: Db) -> UserOut:
    """Change a user's name, address, roles or groups."""
    async with db.write() as tx:
        return await service.user_out(tx, await service.update_user(tx, actor, user_id, body))


@router.delete("/{user_id}", status_code=204)
async def delete_user(user_id: IdPath, actor: CurrentActor, db: Db) -> None:
    """Remove a user who owns nothing."""
    async with db.write() as tx:
        await service.delete_user(tx, actor, user_id)


@router.post("/{user_id}/freeze")
async def freeze_user(user_id: IdPath, actor: CurrentActor, db: Db, body: FreezeRequest | None = None) -> UserOut:
    """Shut a user out at once; what runs in the user's name is stopped or kept, as chosen."""
    wish = body or FreezeRequest()
    async with db.write() as tx:
        return await service.user_out(tx, await service.freeze_user(tx, actor, user_id, wish.running, wish.reason))


@router.post("/{user_id}/unfreeze")
async def unfreeze_user(user_id: IdPath, actor: CurrentActor, db: Db) -> UserOut:
    """Let a frozen user in again."""
    async with db.write() as tx:
        return await service.user_out(tx, await service.unfreeze_user(tx, actor, user_id))


@router.post("/{user_id}/reset-password")
async def reset_password(
    user_id: IdPath, actor: CurrentActor, db: Db, now: Now, body: PasswordResetRequest | None = None
) -> PasswordReset:
    """Give a user a new generated password, answered this once. Sessions end and pages that are open close; API tokens
    end as well, unless `revoke_tokens` is false."""
    actor.require_operator()
    wish = body or PasswordResetRequest()
    password = passwords.generate()
    password_hash = await passwords.hash_password(password)
    async with db.write() as tx:
        await service.reset_password(tx, now, actor, user_id, password_hash, revoke_tokens=wish.revoke_tokens)
    return PasswordReset(password=password)


@router.post("/{user_id}/reset-second-factor")
async def reset_second_factor(user_id: IdPath, actor: CurrentActor, db: Db) -> UserOut:
    """Take a user's second factor away who has lost it. The user's browser sessions end."""
    async with db.write() as tx:
        return await service.user_out(tx, await service.second_factor.reset(tx, actor, user_id))
