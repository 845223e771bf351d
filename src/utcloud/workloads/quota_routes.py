"""Quotas of users and groups."""

from fastapi import APIRouter

from utcloud.accounts.auth import CurrentActor
from utcloud.accounts.schemas import IdPath, QuotaOut, QuotaUpdate
from utcloud.db.web import Db
from utcloud.workloads import quotas

router = APIRouter(tags=["quotas"])


@router.get("/users/{user_id}/quota")
async def get_user_quota(user_id: IdPath, actor: CurrentActor, db: Db) -> QuotaOut:
    """What a user may use at once, and uses now: oneself, or anyone for miners and operators."""
    async with db.read() as tx:
        return await quotas.get(tx, await quotas.user_subject(tx, actor, user_id))


@router.put("/users/{user_id}/quota")
async def put_user_quota(user_id: IdPath, body: QuotaUpdate, actor: CurrentActor, db: Db) -> QuotaOut:
    """Set what a user may use at once. It refuses new work; what runs goes on."""
    async with db.write() as tx:
        return await quotas.put(tx, actor, await quotas.user_subject(tx, actor, user_id), body)


@router.get("/groups/{group_id}/quota")
async def get_group_quota(group_id: IdPath, actor: CurrentActor, db: Db) -> QuotaOut:
    """What a group may use at once, and its members use now in its name."""
    async with db.read() as tx:
        return await quotas.get(tx, await quotas.group_subject(tx, actor, group_id))


@router.put("/groups/{group_id}/quota")
async def put_group_quota(group_id: IdPath, body: QuotaUpdate, actor: CurrentActor, db: Db) -> QuotaOut:
    """Set what the members of a group may use at once in its name. It refuses new work; what runs goes on."""
    async with db.write() as tx:
        return await quotas.put(tx, actor, await quotas.group_subject(tx, actor, group_id), body)
