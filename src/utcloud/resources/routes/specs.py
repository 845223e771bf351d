"""Specifications over HTTP."""

from fastapi import APIRouter

from utcloud.accounts.auth import CurrentActor
from utcloud.accounts.schemas import Cursor, IdPath, Search
from utcloud.common.paging import Limit, Page
from utcloud.db.web import Db, Now
from utcloud.resources import service
from utcloud.resources.schemas import SpecCreate, SpecOut, SpecUpdate

router = APIRouter()


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
