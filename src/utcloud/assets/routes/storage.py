"""What users keep in the store, and may keep."""

from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from utcloud.accounts.auth import CurrentActor
from utcloud.accounts.schemas import Cursor, Ident, IdPath, Search
from utcloud.assets.schemas import StorageOut, StorageSort, StorageUpdate
from utcloud.assets.service import storage
from utcloud.common import export
from utcloud.common.paging import Limit, Page
from utcloud.common.settings import Settings
from utcloud.db.web import Db

router = APIRouter(tags=["storage"])
UserIds = Annotated[Sequence[Ident], Query(alias="user_id", max_length=100, description="Only these users'; repeat.")]


@router.get("/storage", response_model=Page[StorageOut], responses=export.RESPONSES)
async def list_storage(
    request: Request,
    actor: CurrentActor,
    db: Db,
    limit: Limit = 50,
    cursor: Cursor = None,
    search: Search = None,
    user_ids: UserIds = (),
    sort: StorageSort = StorageSort.BIGGEST,
    file: export.Wanted = None,
) -> Page[StorageOut] | Response:
    """What users keep in algorithms, datasets and models: everybody for operators, oneself for others."""

    async def load(limit: int, cursor: str | None) -> tuple[list[StorageOut], str | None]:
        async with db.read() as tx:
            return await storage.list_storage(
                tx,
                _settings(request),
                actor,
                limit=limit,
                cursor=cursor,
                search=search,
                user_ids=user_ids,
                sort=sort,
            )

    if file:
        return export.response(file, StorageOut, load, "storage")
    items, after = await load(limit, cursor)
    return Page(items=items, next_cursor=after)


@router.get("/storage/mine")
async def get_my_storage(request: Request, actor: CurrentActor, db: Db) -> StorageOut:
    """What one keeps oneself, and may keep."""
    async with db.read() as tx:
        return await storage.get_storage(tx, _settings(request), actor, actor.id)


@router.get("/users/{user_id}/storage")
async def get_user_storage(user_id: IdPath, request: Request, actor: CurrentActor, db: Db) -> StorageOut:
    """What a user keeps, and may keep: oneself, or anyone for operators."""
    async with db.read() as tx:
        return await storage.get_storage(tx, _settings(request), actor, user_id)


@router.put("/users/{user_id}/storage")
async def put_user_storage(
    user_id: IdPath, body: StorageUpdate, request: Request, actor: CurrentActor, db: Db
) -> StorageOut:
    """Set what a user may keep. It refuses what is new; less than what there is deletes nothing. For operators."""
    async with db.write() as tx:
        return await storage.set_storage(tx, _settings(request), actor, user_id, body)


def _settings(request: Request) -> Settings:
    settings: Settings = request.app.state.settings
    return settings
