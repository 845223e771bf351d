"""Specifications and unit prices over HTTP."""

from typing import Annotated

from fastapi import APIRouter, Body, Query, Response

from utcloud.accounts.auth import CurrentActor
from utcloud.accounts.schemas import NO_NUL, Cursor, IdPath, IdQuery, Search
from utcloud.common import export
from utcloud.common.paging import Limit, Page
from utcloud.db.web import Db, Now
from utcloud.resources import service
from utcloud.resources.routes.common import listed
from utcloud.resources.schemas import (
    SpecCreate,
    SpecOut,
    SpecPreview,
    SpecPreviewIn,
    SpecSort,
    SpecUpdate,
    UnitPriceIn,
    UnitPriceOut,
)

router = APIRouter()


@router.get("/specs", tags=["specs"], response_model=Page[SpecOut], responses=export.RESPONSES)
async def list_specs(
    actor: CurrentActor,
    db: Db,
    now: Now,
    limit: Limit = 50,
    cursor: Cursor = None,
    search: Search = None,
    pool_id: IdQuery = None,
    resource: Annotated[str | None, Query(max_length=253, pattern=NO_NUL)] = None,
    miner_id: IdQuery = None,
    never_fits: bool | None = None,
    sort: SpecSort = SpecSort.NEWEST,
    file: export.Wanted = None,
) -> Page[SpecOut] | Response:
    """List specifications; ``search`` looks in name and description, ``resource`` is one that they name.

    ``never_fits``: those that a pool offers though none of its nodes can hold them, or the others.
    """
    wanted = service.SpecFilter(
        search=search, pool_id=pool_id, resource=resource, miner_id=miner_id, never_fits=never_fits, sort=sort
    )
    return await listed(
        db,
        lambda tx, limit, cursor: service.list_specs(tx, now, actor, wanted, limit=limit, cursor=cursor),
        SpecOut,
        "specs",
        file,
        limit,
        cursor,
    )


@router.post("/specs", status_code=201, tags=["specs"])
async def create_spec(body: SpecCreate, actor: CurrentActor, db: Db, now: Now) -> SpecOut:
    """Make a specification; refused when no node can ever hold it."""
    async with db.write() as tx:
        return await service.create_spec(tx, now, actor, body)


@router.post("/specs/preview", tags=["specs"])
async def preview_spec(body: SpecPreviewIn, actor: CurrentActor, db: Db, now: Now) -> SpecPreview:
    """Show on how many nodes a bundle would fit and what it might cost; nothing is made."""
    async with db.read() as tx:
        return await service.preview_spec(tx, now, actor, body.items)


@router.get("/specs/{spec_id}", tags=["specs"])
async def get_spec(spec_id: IdPath, actor: CurrentActor, db: Db, now: Now) -> SpecOut:
    """Show a specification."""
    async with db.read() as tx:
        return await service.get_spec(tx, now, actor, spec_id)


@router.patch("/specs/{spec_id}", tags=["specs"])
async def update_spec(spec_id: IdPath, body: SpecUpdate, actor: CurrentActor, db: Db, now: Now) -> SpecOut:
    """Change a specification's name, price, description or the pools that offer it."""
    async with db.write() as tx:
        return await service.update_spec(tx, now, actor, spec_id, body)


@router.delete("/specs/{spec_id}", status_code=204, tags=["specs"])
async def delete_spec(spec_id: IdPath, actor: CurrentActor, db: Db) -> None:
    """Delete a specification; refused while a pool offers it or work uses it."""
    async with db.write() as tx:
        await service.delete_spec(tx, actor, spec_id)


@router.get("/unit-prices", tags=["specs"])
async def list_unit_prices(actor: CurrentActor, db: Db, miner_id: IdQuery = None) -> Page[UnitPriceOut]:
    """List the resources that a specification can name, each with its unit price or none: of oneself, as an operator
    of anyone."""
    async with db.read() as tx:
        return Page(items=await service.list_unit_prices(tx, actor, miner_id))


@router.put("/unit-prices", tags=["specs"])
async def replace_unit_prices(
    body: Annotated[list[UnitPriceIn], Body(max_length=1000)], actor: CurrentActor, db: Db, miner_id: IdQuery = None
) -> Page[UnitPriceOut]:
    """Put these in the place of all unit prices. They suggest prices; those of specifications stay."""
    async with db.write() as tx:
        return Page(items=await service.replace_unit_prices(tx, actor, body, miner_id))
