"""Groups and their members."""

from fastapi import APIRouter, Response

from utcloud.accounts import service
from utcloud.accounts.auth import CurrentActor
from utcloud.accounts.schemas import (
    Cursor,
    GroupCreate,
    GroupDetail,
    GroupOut,
    GroupSort,
    GroupUpdate,
    IdPath,
    MemberAdd,
    MemberUpdate,
    Search,
)
from utcloud.common import export
from utcloud.common.paging import Limit, Page
from utcloud.db.web import AppSettings, Db, Now

router = APIRouter(prefix="/groups", tags=["groups"])


@router.get("", response_model=Page[GroupOut], responses=export.RESPONSES)
async def list_groups(
    actor: CurrentActor,
    db: Db,
    limit: Limit = 50,
    cursor: Cursor = None,
    search: Search = None,
    mine: bool = False,
    sort: GroupSort = GroupSort.NAME,
    file: export.Wanted = None,
) -> Page[GroupOut] | Response:
    """Groups: all for miners and operators, for others those that one is in."""

    async def load(limit: int, cursor: str | None) -> tuple[list[GroupOut], str | None]:
        async with db.read() as tx:
            return await service.list_groups(tx, actor, limit=limit, cursor=cursor, search=search, mine=mine, sort=sort)

    if file:
        return export.response(file, GroupOut, load, "groups")
    items, after = await load(limit, cursor)
    return Page(items=items, next_cursor=after)


@router.post("", status_code=201)
async def create_group(body: GroupCreate, actor: CurrentActor, db: Db, now: Now, settings: AppSettings) -> GroupDetail:
    """Add a group with its first members."""
    async with db.write() as tx:
        return await service.create_group(tx, actor, body, now, settings)


@router.get("/{group_id}")
async def get_group(group_id: IdPath, actor: CurrentActor, db: Db) -> GroupDetail:
    """One group with its members."""
    async with db.read() as tx:
        return await service.group_detail(tx, actor, group_id)


@router.patch("/{group_id}")
async def update_group(group_id: IdPath, body: GroupUpdate, actor: CurrentActor, db: Db) -> GroupDetail:
    """Change a group's name, description, members or managers."""
    async with db.write() as tx:
        return await service.update_group(tx, actor, group_id, body)


@router.delete("/{group_id}", status_code=204)
async def delete_group(group_id: IdPath, actor: CurrentActor, db: Db) -> None:
    """Remove a group that is not in use; its members stay users."""
    async with db.write() as tx:
        await service.delete_group(tx, actor, group_id)


@router.post("/{group_id}/members", status_code=201)
async def add_group_member(group_id: IdPath, body: MemberAdd, actor: CurrentActor, db: Db) -> GroupDetail:
    """Bring a user into a group, by user name. For its managers and for operators."""
    async with db.write() as tx:
        group = await service.visible_group(tx, actor, group_id)
        await service.members.add(tx, actor, group, body.username, body.role)
        return await service.group_detail(tx, actor, group_id)


@router.put("/{group_id}/members/{user_id}")
async def put_group_member(
    group_id: IdPath, user_id: IdPath, body: MemberUpdate, actor: CurrentActor, db: Db
) -> GroupDetail:
    """Make a user a member, or a manager, of a group. Only operators make managers."""
    async with db.write() as tx:
        group = await service.visible_group(tx, actor, group_id)
        await service.members.put(tx, actor, group, user_id, body.role)
        return await service.group_detail(tx, actor, group_id)


@router.delete("/{group_id}/members/{user_id}", status_code=204)
async def remove_group_member(group_id: IdPath, user_id: IdPath, actor: CurrentActor, db: Db) -> None:
    """Take a member out of a group. For its managers and for operators."""
    async with db.write() as tx:
        group = await service.visible_group(tx, actor, group_id)
        await service.members.remove(tx, actor, group, user_id)
