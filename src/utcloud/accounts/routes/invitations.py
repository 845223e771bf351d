"""Invitations."""

from fastapi import APIRouter, Request, Response

from utcloud.accounts import service
from utcloud.accounts.auth import ClientIp, CurrentActor
from utcloud.accounts.schemas import (
    CodePath,
    Cursor,
    IdPath,
    InvitationAccept,
    InvitationCreate,
    InvitationCreated,
    InvitationOut,
    InvitationPreview,
    InvitationSort,
    InvitationStatus,
    Search,
    UserOut,
)
from utcloud.common import export
from utcloud.common.paging import Limit, Page
from utcloud.db.web import Db, Now

router = APIRouter(prefix="/invitations", tags=["invitations"])


@router.get("", response_model=Page[InvitationOut], responses=export.RESPONSES)
async def list_invitations(
    actor: CurrentActor,
    db: Db,
    now: Now,
    limit: Limit = 50,
    cursor: Cursor = None,
    search: Search = None,
    status: InvitationStatus | None = None,
    sort: InvitationSort = InvitationSort.NEWEST,
    file: export.Wanted = None,
) -> Page[InvitationOut] | Response:
    """Invitations, newest first, without their codes. For operators."""

    async def load(limit: int, cursor: str | None) -> tuple[list[InvitationOut], str | None]:
        async with db.read() as tx:
            return await service.invitations.list_invitations(
                tx, now, actor, limit=limit, cursor=cursor, search=search, status=status, sort=sort
            )

    if file:
        return export.response(file, InvitationOut, load, "invitations")
    items, after = await load(limit, cursor)
    return Page(items=items, next_cursor=after)


@router.post("", status_code=201)
async def create_invitation(
    body: InvitationCreate, request: Request, actor: CurrentActor, db: Db, now: Now
) -> InvitationCreated:
    """Invite somebody. The link is answered this once; whoever has it becomes a user by it."""
    async with db.write() as tx:
        invitation, code = await service.invitations.create(tx, now, actor, body)
        (out,) = await service.invitations.invitations_out(tx, now, [invitation])
    # After the #, so that it gets into no server's log and no Referer header.
    url = f"{request.app.state.settings.console_origin}/console/invitation#{code}"
    return InvitationCreated(**dict(out), code=code, url=url)


@router.delete("/{invitation_id}", status_code=204)
async def revoke_invitation(invitation_id: IdPath, actor: CurrentActor, db: Db, now: Now) -> None:
    """Take an invitation back before it is accepted."""
    async with db.write() as tx:
        await service.invitations.revoke(tx, now, actor, invitation_id)


@router.get("/code/{code}")
async def get_invitation_by_code(code: CodePath, db: Db, now: Now, ip: ClientIp) -> InvitationPreview:
    """What the holder of a code is offered. No login is needed."""
    return await service.invitations.preview(db, now, code, ip=ip)


@router.post("/accept", status_code=201)
async def accept_invitation(body: InvitationAccept, db: Db, now: Now, ip: ClientIp) -> UserOut:
    """Become a user by an invitation; then log in. No login is needed."""
    user = await service.invitations.accept(db, now, body, ip=ip)
    async with db.read() as tx:
        return await service.user_out(tx, user)
