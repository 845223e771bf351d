"""The audit trail."""

from typing import Annotated

from fastapi import APIRouter, Query, Response

from utcloud.accounts import audit
from utcloud.accounts.auth import CurrentActor
from utcloud.accounts.schemas import AuditEventOut, AuditSort, Cursor, IdQuery, Moment, Search
from utcloud.common import export
from utcloud.common.paging import Limit, Page
from utcloud.common.patterns import said
from utcloud.db.web import Db

router = APIRouter(prefix="/audit-events", tags=["audit"])
_WORD = said(r"^[a-z_.-]+$", "write a whole word such as user.create")
_ADDRESS = said(r"^[0-9A-Fa-f.:]+$", "write a whole address such as 192.0.2.1")
_Word = Annotated[str | None, Query(max_length=64, pattern=_WORD, examples=["user.create"])]
_Ip = Annotated[str | None, Query(max_length=64, pattern=_ADDRESS, examples=["192.0.2.1"])]


@router.get("", response_model=Page[AuditEventOut], responses=export.RESPONSES)
async def list_audit_events(
    actor: CurrentActor,
    db: Db,
    limit: Limit = 50,
    cursor: Cursor = None,
    search: Search = None,
    since: Moment = None,
    until: Moment = None,
    actor_id: IdQuery = None,
    actor_name: Annotated[Search, Query(alias="actor", max_length=64)] = None,
    action: _Word = None,
    object_type: _Word = None,
    object_id: IdQuery = None,
    ip: _Ip = None,
    sort: AuditSort = AuditSort.NEWEST,
    file: export.Wanted = None,
) -> Page[AuditEventOut] | Response:
    """Who did what, newest first: an operator sees all, others what they did and what was done to what is theirs."""
    wanted = audit.AuditFilter(since, until, actor_id, actor_name, action, object_type, object_id, ip, search)

    async def load(limit: int, cursor: str | None) -> tuple[list[AuditEventOut], str | None]:
        async with db.read() as tx:
            events, after = await audit.list_events(tx, actor, wanted, limit=limit, cursor=cursor, sort=sort)
            return [audit.event_out(actor, event) for event in events], after

    if file:
        return export.response(file, AuditEventOut, load, "audit-events")
    items, after = await load(limit, cursor)
    return Page(items=items, next_cursor=after)
