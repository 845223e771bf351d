"""Groups."""

from fastapi import APIRouter

from utcloud.accounts import service
from utcloud.accounts.auth import CurrentActor
from utcloud.accounts.schemas import Cursor, GroupCreate, GroupDetail, GroupOut, GroupUpdate, IdPath, Search
from utcloud.common.paging import Limit, Page
from utcloud.db.web import Db, Now

router = APIRouter(prefix="/groups", tags=["groups"])


@router.get("")
async def list_groups(
    actor: CurrentActor, db: Db, limit: Limit = 50, cursor: Cursor = None, search: Search = None
) -> Page[GroupOut]:
    """Groups by name. For miners and operators."""
    async with db.read() as tx:
        groups, next_cursor = await service.list_groups(tx, actor, limit=limit, cursor=cursor, search=search)
        return Page(items=groups, next_cursor=next_cursor)


@router.post("", status_code=201)
async def create_group(body: GroupCreate, actor: CurrentActor, db: Db, now: Now) -> GroupDetail:
    """Add a group with its first members."""
    async with db.write() as tx:
        return await service.create_group(tx, actor, body, now)


@router.get("/{group_id}")
async def get_group(group_id: IdPath, actor: CurrentActor, db: Db) -> GroupDetail:
    """One group with its members."""
    async with db.read() as tx:
        return await service.group_detail(tx, actor, group_id)


@router.patch("/{group_id}")
async def update_group(group_id: IdPath, body: GroupUpdate, actor: CurrentActor, db: Db) -> GroupDetail:
    """Change a group's name, description or members."""
    async with db.write() as tx:
        return await service.update_group(tx, actor, group_id, body)


@router.delete("/{group_id}", status_code=204)
async def delete_group(group_id: IdPath, actor: CurrentActor, db: Db) -> None:
    """Remove a group that is not in use; its members stay users."""
    async with db.write() as tx:
        await service.delete_group(tx, actor, group_id)
