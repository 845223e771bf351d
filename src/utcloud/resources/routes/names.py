"""System and custom resources over HTTP."""

from fastapi import APIRouter

from utcloud.accounts.auth import CurrentActor
from utcloud.accounts.schemas import Cursor, IdPath, Search
from utcloud.common.paging import Limit, Page
from utcloud.db.web import Db, Now
from utcloud.resources import service
from utcloud.resources.schemas import CustomResourceCreate, CustomResourceOut, CustomResourceUpdate, SystemResourceOut

router = APIRouter()


@router.get("/system-resources", tags=["resources"])
async def list_system_resources(
    actor: CurrentActor, db: Db, now: Now, limit: Limit = 50, cursor: Cursor = None, search: Search = None
) -> Page[SystemResourceOut]:
    """List the system resources of one's nodes."""
    async with db.read() as tx:
        items, after = await service.list_system_resources(tx, now, actor, limit=limit, cursor=cursor, search=search)
    return Page(items=items, next_cursor=after)


@router.get("/custom-resources", tags=["resources"])
async def list_custom_resources(
    actor: CurrentActor, db: Db, now: Now, limit: Limit = 50, cursor: Cursor = None, search: Search = None
) -> Page[CustomResourceOut]:
    """List custom resources."""
    async with db.read() as tx:
        items, after = await service.list_custom_resources(tx, now, actor, limit=limit, cursor=cursor, search=search)
    return Page(items=items, next_cursor=after)


@router.post("/custom-resources", status_code=201, tags=["resources"])
async def create_custom_resource(
    body: CustomResourceCreate, actor: CurrentActor, db: Db, now: Now
) -> CustomResourceOut:
    """Give a system resource a name of one's own."""
    async with db.write() as tx:
        return await service.create_custom_resource(tx, now, actor, body)


@router.get("/custom-resources/{resource_id}", tags=["resources"])
async def get_custom_resource(resource_id: IdPath, actor: CurrentActor, db: Db, now: Now) -> CustomResourceOut:
    """Show a custom resource."""
    async with db.read() as tx:
        return await service.get_custom_resource(tx, now, actor, resource_id)


@router.patch("/custom-resources/{resource_id}", tags=["resources"])
async def update_custom_resource(
    resource_id: IdPath, body: CustomResourceUpdate, actor: CurrentActor, db: Db, now: Now
) -> CustomResourceOut:
    """Change a custom resource's nodes or description."""
    async with db.write() as tx:
        return await service.update_custom_resource(tx, now, actor, resource_id, body)


@router.delete("/custom-resources/{resource_id}", status_code=204, tags=["resources"])
async def delete_custom_resource(resource_id: IdPath, actor: CurrentActor, db: Db) -> None:
    """Delete a custom resource; refused while a specification uses it."""
    async with db.write() as tx:
        await service.delete_custom_resource(tx, actor, resource_id)
