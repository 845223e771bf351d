"""The audit trail."""

from typing import Annotated

from fastapi import APIRouter, Query

from utcloud.accounts import audit
from utcloud.accounts.auth import CurrentActor
from utcloud.accounts.schemas import AuditEventOut, Cursor, IdQuery
from utcloud.common.paging import Limit, Page
from utcloud.db.web import Db

router = APIRouter(prefix="/audit-events", tags=["audit"])
_Word = Annotated[str | None, Query(max_length=64, pattern=r"^[a-z_.-]+$", examples=["user.create"])]


@router.get("")
async def list_audit_events(
    actor: CurrentActor,
    db: Db,
    limit: Limit = 50,
    cursor: Cursor = None,
    actor_id: IdQuery = None,
    action: _Word = None,
    object_type: _Word = None,
    object_id: IdQuery = None,
) -> Page[AuditEventOut]:
    """Who did what, newest first. An operator sees all, others what they did themselves."""
    async with db.read() as tx:
        events, next_cursor = await audit.list_events(
            tx,
            actor,
            limit=limit,
            cursor=cursor,
            actor_id=actor_id,
            action=action,
            object_type=object_type,
            object_id=object_id,
        )
        return Page(items=[AuditEventOut.model_validate(event) for event in events], next_cursor=next_cursor)
