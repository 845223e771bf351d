"""Self-registration: applications, which an operator approves or rejects."""

from fastapi import APIRouter, Request, Response

from utcloud.accounts import service
from utcloud.accounts.auth import ClientIp, CurrentActor
from utcloud.accounts.schemas import (
    ApplicationApprove,
    ApplicationCreate,
    ApplicationOut,
    ApplicationReceived,
    ApplicationReject,
    ApplicationSort,
    ApplicationStatus,
    Cursor,
    IdPath,
    RegistrationOut,
    Search,
)
from utcloud.common import export
from utcloud.common.errors import Forbidden
from utcloud.common.paging import Limit, Page
from utcloud.db.web import Db, Now

router = APIRouter(tags=["applications"])


@router.get("/registration")
async def get_registration(request: Request) -> RegistrationOut:
    """Whether one may apply. No login is needed."""
    return RegistrationOut(open=request.app.state.settings.registration == "open")


@router.post("/applications", status_code=201)
async def create_application(
    body: ApplicationCreate, request: Request, db: Db, now: Now, ip: ClientIp
) -> ApplicationReceived:
    """Ask to become a user; an operator decides, where the user name is free. No login is needed.

    Whether the name is taken is not said to strangers: a login that does not know the applicant says it to them.
    """
    if request.app.state.settings.registration != "open":
        raise Forbidden(
            "One becomes a user here by invitation only.", cure="Ask an operator.", code="registration_closed"
        )
    await service.applications.apply(db, now, body, ip=ip)
    return ApplicationReceived(username=body.username, status=ApplicationStatus.WAITING)


@router.get("/applications", response_model=Page[ApplicationOut], responses=export.RESPONSES)
async def list_applications(
    actor: CurrentActor,
    db: Db,
    limit: Limit = 50,
    cursor: Cursor = None,
    search: Search = None,
    status: ApplicationStatus | None = None,
    sort: ApplicationSort = ApplicationSort.NEWEST,
    file: export.Wanted = None,
) -> Page[ApplicationOut] | Response:
    """Applications, newest first. For operators."""
    actor.require_operator()

    async def load(limit: int, cursor: str | None) -> tuple[list[ApplicationOut], str | None]:
        async with db.read() as tx:
            return await service.applications.list_applications(
                tx, actor, limit=limit, cursor=cursor, status=status, search=search, sort=sort
            )

    if file:
        return export.response(file, ApplicationOut, load, "applications")
    items, after = await load(limit, cursor)
    return Page(items=items, next_cursor=after)


@router.get("/applications/{application_id}")
async def get_application(application_id: IdPath, actor: CurrentActor, db: Db) -> ApplicationOut:
    """One application. For operators."""
    async with db.read() as tx:
        return await service.applications.get_application(tx, actor, application_id)


@router.post("/applications/{application_id}/approve")
async def approve_application(
    application_id: IdPath, actor: CurrentActor, db: Db, now: Now, body: ApplicationApprove | None = None
) -> ApplicationOut:
    """Make the applicant a user, with a first grant of machine hours."""
    async with db.write() as tx:
        wish = body or ApplicationApprove()
        return await service.applications.approve(tx, now, actor, application_id, wish)


@router.post("/applications/{application_id}/reject")
async def reject_application(
    application_id: IdPath, actor: CurrentActor, db: Db, now: Now, body: ApplicationReject | None = None
) -> ApplicationOut:
    """Reject an application; the applicant reads the reason at his next login."""
    async with db.write() as tx:
        reason = body.reason if body else ""
        return await service.applications.reject(tx, now, actor, application_id, reason)
