"""Sites over HTTP."""

from fastapi import APIRouter, Response

from utcloud.accounts.auth import CurrentActor
from utcloud.accounts.schemas import Cursor, IdPath, Search
from utcloud.common import export
from utcloud.common.paging import Limit, Page
from utcloud.db.web import Db, Now
from utcloud.resources import service
from utcloud.resources.routes.common import listed
from utcloud.resources.schemas import SiteCreate, SiteCreated, SiteNetworks, SiteOut, SiteSort

router = APIRouter()


@router.get("/sites", tags=["sites"], response_model=Page[SiteOut], responses=export.RESPONSES)
async def list_sites(
    actor: CurrentActor,
    db: Db,
    now: Now,
    limit: Limit = 50,
    cursor: Cursor = None,
    search: Search = None,
    clock_off: bool | None = None,
    sort: SiteSort = SiteSort.NAME,
    file: export.Wanted = None,
) -> Page[SiteOut] | Response:
    """List sites."""
    return await listed(
        db,
        lambda tx, limit, cursor: service.list_sites(
            tx, now, actor, limit=limit, cursor=cursor, search=search, clock_off=clock_off, sort=sort
        ),
        SiteOut,
        "sites",
        file,
        limit,
        cursor,
    )


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


@router.post("/sites/{site_id}/token", tags=["sites"])
async def rotate_site_token(site_id: IdPath, actor: CurrentActor, db: Db, now: Now) -> SiteCreated:
    """Give a site's agent another token, shown once; the one before is good for ten minutes more."""
    async with db.write() as tx:
        return await service.rotate_site_token(tx, now, actor, site_id)


@router.put("/sites/{site_id}/networks", tags=["sites"])
async def set_site_networks(site_id: IdPath, body: SiteNetworks, actor: CurrentActor, db: Db, now: Now) -> SiteOut:
    """Say in which networks a site's pages may be; only operators may."""
    async with db.write() as tx:
        return await service.set_site_networks(tx, now, actor, site_id, body)


@router.delete("/sites/{site_id}", status_code=204, tags=["sites"])
async def delete_site(site_id: IdPath, actor: CurrentActor, db: Db, now: Now) -> None:
    """Take a site away; refused while work runs there, unless it is lost."""
    async with db.write() as tx:
        await service.delete_site(tx, now, actor, site_id)
