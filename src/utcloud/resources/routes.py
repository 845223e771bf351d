"""Sites, nodes, resources, specifications and pools over HTTP."""

from typing import Literal

from fastapi import APIRouter

from utcloud.accounts.auth import CurrentActor
from utcloud.accounts.schemas import Cursor, IdPath, IdQuery, Search
from utcloud.common.paging import Limit, Page
from utcloud.db.web import Db, Now
from utcloud.resources import service
from utcloud.resources.schemas import (
    CustomResourceCreate,
    CustomResourceOut,
    CustomResourceUpdate,
    NodeDetail,
    NodeOut,
    NodeSort,
    NodeStatus,
    PoolCreate,
    PoolOut,
    PoolUpdate,
    SiteCreate,
    SiteCreated,
    SiteOut,
    SpecCreate,
    SpecOut,
    SpecUpdate,
    SystemResourceOut,
)

router = APIRouter()


@router.get("/sites", tags=["sites"])
async def list_sites(
    actor: CurrentActor, db: Db, now: Now, limit: Limit = 50, cursor: Cursor = None, search: Search = None
) -> Page[SiteOut]:
    """List sites."""
    async with db.read() as tx:
        items, after = await service.list_sites(tx, now, actor, limit=limit, cursor=cursor, search=search)
    return Page(items=items, next_cursor=after)


@router.post("/sites", status_code=201, tags=["sites"])
async def create_site(body: SiteCreate, actor: CurrentActor, db: Db, now: Now) -> SiteCreated:
    """Make a site; the answer holds the token with which its agent joins, shown once."""
    async with db.write() as tx:
        return await service.create_site(tx, now, actor, body)


@router.get("/sites/{site_id}", tags=["sites"])
async def get_site(site_id: IdPath, actor: CurrentActor, db: Db, now: Now) -> SiteOut:
    """Show a site."""
    async with db.read() as tx:
        return await service.get_site(tx, now, actor, site_id)


@router.delete("/sites/{site_id}", status_code=204, tags=["sites"])
async def delete_site(site_id: IdPath, actor: CurrentActor, db: Db, now: Now) -> None:
    """Take a site away; refused while work runs there."""
    async with db.write() as tx:
        await service.delete_site(tx, now, actor, site_id)


@router.get("/nodes", tags=["nodes"])
async def list_nodes(
    actor: CurrentActor,
    db: Db,
    now: Now,
    limit: Limit = 50,
    cursor: Cursor = None,
    search: Search = None,
    status: NodeStatus | None = None,
    pool_id: IdQuery = None,
    site_id: IdQuery = None,
    sort: NodeSort = NodeSort.NAME,
) -> Page[NodeOut]:
    """List nodes; ``search`` looks in name, address and operating system."""
    async with db.read() as tx:
        items, after = await service.list_nodes(
            tx,
            now,
            actor,
            limit=limit,
            cursor=cursor,
            search=search,
            status=status,
            pool_id=pool_id,
            site_id=site_id,
            sort=sort,
        )
    return Page(items=items, next_cursor=after)


@router.get("/nodes/{node_id}", tags=["nodes"])
async def get_node(node_id: IdPath, actor: CurrentActor, db: Db, now: Now) -> NodeDetail:
    """Show a node with its chips."""
    async with db.read() as tx:
        return await service.get_node(tx, now, actor, node_id)


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


@router.get("/specs", tags=["specs"])
async def list_specs(
    actor: CurrentActor, db: Db, now: Now, limit: Limit = 50, cursor: Cursor = None, search: Search = None
) -> Page[SpecOut]:
    """List specifications, newest first."""
    async with db.read() as tx:
        items, after = await service.list_specs(tx, now, actor, limit=limit, cursor=cursor, search=search)
    return Page(items=items, next_cursor=after)


@router.post("/specs", status_code=201, tags=["specs"])
async def create_spec(body: SpecCreate, actor: CurrentActor, db: Db, now: Now) -> SpecOut:
    """Make a specification; refused when no node can ever hold it."""
    async with db.write() as tx:
        return await service.create_spec(tx, now, actor, body)


@router.get("/specs/{spec_id}", tags=["specs"])
async def get_spec(spec_id: IdPath, actor: CurrentActor, db: Db, now: Now) -> SpecOut:
    """Show a specification."""
    async with db.read() as tx:
        return await service.get_spec(tx, now, actor, spec_id)


@router.patch("/specs/{spec_id}", tags=["specs"])
async def update_spec(spec_id: IdPath, body: SpecUpdate, actor: CurrentActor, db: Db, now: Now) -> SpecOut:
    """Change a specification's price or description."""
    async with db.write() as tx:
        return await service.update_spec(tx, now, actor, spec_id, body)


@router.delete("/specs/{spec_id}", status_code=204, tags=["specs"])
async def delete_spec(spec_id: IdPath, actor: CurrentActor, db: Db) -> None:
    """Delete a specification; refused while a pool offers it or work uses it."""
    async with db.write() as tx:
        await service.delete_spec(tx, actor, spec_id)


@router.get("/pools", tags=["pools"])
async def list_pools(
    actor: CurrentActor,
    db: Db,
    now: Now,
    limit: Limit = 50,
    cursor: Cursor = None,
    search: Search = None,
    role: Literal["miner", "renter"] | None = None,
) -> Page[PoolOut]:
    """List pools: one's own as a miner, those open to one as a renter; both unless ``role`` says which."""
    async with db.read() as tx:
        items, after = await service.list_pools(tx, now, actor, limit=limit, cursor=cursor, search=search, role=role)
    return Page(items=items, next_cursor=after)


@router.post("/pools", status_code=201, tags=["pools"])
async def create_pool(body: PoolCreate, actor: CurrentActor, db: Db, now: Now) -> PoolOut:
    """Make a pool; its nodes leave the pools that they are in."""
    async with db.write() as tx:
        return await service.create_pool(tx, now, actor, body)


@router.get("/pools/{pool_id}", tags=["pools"])
async def get_pool(pool_id: IdPath, actor: CurrentActor, db: Db, now: Now) -> PoolOut:
    """Show a pool."""
    async with db.read() as tx:
        return await service.get_pool(tx, now, actor, pool_id)


@router.patch("/pools/{pool_id}", tags=["pools"])
async def update_pool(pool_id: IdPath, body: PoolUpdate, actor: CurrentActor, db: Db, now: Now) -> PoolOut:
    """Change a pool; lists that are given replace the old ones."""
    async with db.write() as tx:
        return await service.update_pool(tx, now, actor, pool_id, body)


@router.delete("/pools/{pool_id}", status_code=204, tags=["pools"])
async def delete_pool(pool_id: IdPath, actor: CurrentActor, db: Db) -> None:
    """Delete a pool; its nodes go to the default pool. Refused while work runs in it."""
    async with db.write() as tx:
        await service.delete_pool(tx, actor, pool_id)
