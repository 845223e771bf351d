"""Pools over HTTP."""

from typing import Literal

from fastapi import APIRouter, Response

from utcloud.accounts.auth import CurrentActor
from utcloud.accounts.schemas import Cursor, IdPath, IdQuery, Search
from utcloud.common import export
from utcloud.common.paging import Limit, Page
from utcloud.db.web import Db, Now
from utcloud.resources import service
from utcloud.resources.routes.common import listed
from utcloud.resources.schemas import PoolCreate, PoolLack, PoolOut, PoolSort, PoolUpdate

router = APIRouter()


@router.get("/pools", tags=["pools"], response_model=Page[PoolOut], responses=export.RESPONSES)
async def list_pools(
    actor: CurrentActor,
    db: Db,
    now: Now,
    limit: Limit = 50,
    cursor: Cursor = None,
    search: Search = None,
    role: Literal["miner", "renter"] | None = None,
    miner_id: IdQuery = None,
    group_id: IdQuery = None,
    spec_id: IdQuery = None,
    without: PoolLack | None = None,
    sort: PoolSort = PoolSort.NAME,
    file: export.Wanted = None,
) -> Page[PoolOut] | Response:
    """List pools: one's own as a miner, those open to one as a renter; both unless ``role`` says which."""
    wanted = service.PoolFilter(
        role=role, search=search, miner_id=miner_id, group_id=group_id, spec_id=spec_id, without=without, sort=sort
    )
    return await listed(
        db,
        lambda tx, limit, cursor: service.list_pools(tx, now, actor, wanted, limit=limit, cursor=cursor),
        PoolOut,
        "pools",
        file,
        limit,
        cursor,
    )


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
async def delete_pool(pool_id: IdPath, actor: CurrentActor, db: Db, now: Now) -> None:
    """Delete a pool; its nodes go to the default pool. Refused while work runs in it."""
    async with db.write() as tx:
        await service.delete_pool(tx, now, actor, pool_id)
