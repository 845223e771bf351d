"""Earnings that are held, over HTTP."""

from fastapi import APIRouter

from utcloud.accounts.auth import CurrentActor
from utcloud.accounts.schemas import Cursor, IdPath
from utcloud.billing import service
from utcloud.billing.schemas import HeldDecision, HeldOut
from utcloud.common.paging import Limit, Page
from utcloud.db.web import Db, Now

router = APIRouter()


@router.get("/earnings/held", tags=["earnings"])
async def list_held_earnings(actor: CurrentActor, db: Db, limit: Limit = 50, cursor: Cursor = None) -> Page[HeldOut]:
    """List the miners of whose earnings something is held; for operators."""
    async with db.read() as tx:
        items, after = await service.list_held(tx, actor, limit=limit, cursor=cursor)
    return Page(items=items, next_cursor=after)


@router.post("/earnings/held/{miner_id}", tags=["earnings"])
async def decide_held_earnings(miner_id: IdPath, body: HeldDecision, actor: CurrentActor, db: Db, now: Now) -> HeldOut:
    """Release what is held of a miner's earnings to him, or return it to those who paid; for operators."""
    async with db.write() as tx:
        return await service.decide_held(tx, now, actor, miner_id, body)
