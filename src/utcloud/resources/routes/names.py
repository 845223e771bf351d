"""System and custom resources over HTTP."""

from typing import Annotated

from fastapi import APIRouter, Query, Response

from utcloud.accounts.auth import CurrentActor
from utcloud.accounts.schemas import NO_NUL, Cursor, IdPath, IdQuery, Search
from utcloud.common import export
from utcloud.common.paging import Limit, Page
from utcloud.db.web import Db, Now
from utcloud.resources import service
from utcloud.resources.routes.common import listed
from utcloud.resources.schemas import (
    CustomResourceCreate,
    CustomResourceOut,
    CustomResourceSort,
    CustomResourceUpdate,
    SystemResourceOut,
    SystemResourceSort,
)

router = APIRouter()


@router.get("/system-resources", tags=["resources"], response_model=Page[SystemResourceOut], responses=export.RESPONSES)
async def list_system_resources(
    actor: CurrentActor,
    db: Db,
    now: Now,
    limit: Limit = 50,
    cursor: Cursor = None,
    search: Search = None,
    sort: SystemResourceSort = SystemResourceSort.NAME,
    file: export.Wanted = None,
) -> Page[SystemResourceOut] | Response:
    """List the system resources of one's nodes."""
    return await listed(
        db,
        lambda tx, limit, cursor: service.list_system_resources(
            tx, now, actor, limit=limit, cursor=cursor, search=search, sort=sort
        ),
        SystemResourceOut,
        "system-resources",
        file,
        limit,
        cursor,
    )


@router.get("/custom-resources", tags=["resources"], response_model=Page[CustomResourceOut], responses=export.RESPONSES)
async def list_custom_resources(
    actor: CurrentActor,
    db: Db,
    now: Now,
    limit: Limit = 50,
    cursor: Cursor = None,
    search: Search = None,
    system_resource: Annotated[str | None, Query(max_length=253, pattern=NO_NUL)] = None,
    miner_id: IdQuery = None,
    sort: CustomResourceSort = CustomResourceSort.NAME,
    file: export.Wanted = None,
) -> Page[CustomResourceOut] | Response:
    """List custom resources; ``search`` looks in name, system resource and description."""
    wanted = service.CustomResourceFilter(search=search, system_resource=system_resource, miner_id=miner_id, sort=sort)
    return await listed(
        db,
        lambda tx, limit, cursor: service.list_custom_resources(tx, now, actor, wanted, limit=limit, cursor=cursor),
        CustomResourceOut,
        "custom-resources",
        file,
        limit,
        cursor,
    )


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
