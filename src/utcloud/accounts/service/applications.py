"""Applications: somebody asks to become a user, an operator decides."""

from collections import defaultdict
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, or_, select, update
from sqlalchemy.engine import CursorResult
from sqlalchemy.exc import IntegrityError

from utcloud.accounts import audit, passwords
from utcloud.accounts.auth import SYSTEM, Actor
from utcloud.accounts.models import Application
from utcloud.accounts.schemas import (
    ApplicationApprove,
    ApplicationCreate,
    ApplicationOut,
    ApplicationSort,
    ApplicationStatus,
    UserCreate,
)
from utcloud.accounts.service import throttle
from utcloud.accounts.service.users import create_user, grant, is_free
from utcloud.common.errors import Conflict, Forbidden, NotFound, TooMany
from utcloud.common.ids import new_id
from utcloud.common.money import format_unc
from utcloud.db import Database, Tx, emit, paginate

MAX_WAITING = 1000
"""More than an operator can look at: then a new one takes the place of the oldest of the network that has most."""
MAX_WAITING_EACH = 20
"""From one network."""
LIFETIME = timedelta(days=30)
"""What nobody has answered by then is rejected, and says so."""
_REMEMBER_REJECTED = timedelta(days=90)


async def apply(db: Database, now: datetime, body: ApplicationCreate, *, ip: str) -> None:
    """Take an application, if registration is open; the caller has looked. The password is hashed at once.

    Whether the user name is free is not said, and takes the same time: else anybody could ask who there is. For a name
    that is taken nothing is kept but an event in the audit trail.
    """
    async with db.write() as tx:
        await throttle.begin_anonymous(tx, now, "apply", ip)
    application = Application(
        id=new_id("app"),
        username=body.username,
        display_name=body.display_name,
        email=body.email,
        password_hash=await passwords.hash_password(body.password),
        note=body.note,
        ip=ip,
        status=ApplicationStatus.WAITING,
        created_at=now,
    )
    nobody = Actor(id="", username="", ip=ip)
    try:
        async with db.write() as tx:
            await _make_room(tx, now, ip)
            free = await is_free(tx, body.username)
            if free:
                tx.add(application)
                await tx.flush()
                emit(tx, "ui:miners")
            ident, detail = (application.id, {}) if free else ("", {"outcome": "name_taken"})
            audit.record(tx, nobody, "application.create", "application", ident, body.username, detail)
    except IntegrityError:  # somebody applied by the same name at this moment
        return


async def _make_room(tx: Tx, now: datetime, ip: str) -> None:
    """Raise TooMany when too many wait that came from this network; when too many wait in all, give up one of the
    network that has most: whoever sends a thousand loses his own.
    """
    query = select(Application.id, Application.ip).where(Application.status == ApplicationStatus.WAITING)
    by_network: dict[str, list[str]] = defaultdict(list)
    for ident, address in await tx.execute(query.order_by(Application.id)):
        by_network[throttle.network_of(address)].append(ident)
    if ip and len(by_network[throttle.network_of(ip)]) >= MAX_WAITING_EACH:
        raise TooMany(
            "Too many applications from your address wait for an answer.",
            retry_after_s=3600,
            cure="Wait until an operator has looked at them.",
        )
    if sum(map(len, by_network.values())) >= MAX_WAITING:
        most = max(by_network.values(), key=len)
        await _give_up(tx, now, Application.id == most[0], "Too many applications came at once; apply again.")


async def expire(tx: Tx, now: datetime) -> None:
    """Reject what nobody has answered for long."""
    old = Application.created_at < now - LIFETIME
    await _give_up(tx, now, old, f"Nobody answered it within {LIFETIME.days} days; apply again.")


async def _give_up(tx: Tx, now: datetime, which: ColumnElement[bool], reason: str) -> None:
    result = await tx.execute(
        update(Application)
        .where(Application.status == ApplicationStatus.WAITING, which)
        .values(status=ApplicationStatus.REJECTED, reason=reason, decided_at=now, decided_by=SYSTEM.username)
        .execution_options(synchronize_session=False)
    )
    if isinstance(result, CursorResult) and result.rowcount:
        emit(tx, "ui:miners")


async def latest_of(tx: Tx, username: str) -> Application | None:
    """The application by this user name that waits, else the one that was rejected last."""
    query = select(Application).where(
        Application.username == username, Application.status != ApplicationStatus.APPROVED
    )
    waiting_first = (Application.status == ApplicationStatus.WAITING).desc()
    found: Application | None = await tx.scalar(query.order_by(waiting_first, Application.id.desc()).limit(1))
    return found


def not_yet(application: Application | None) -> Forbidden:
    """What an applicant is told who gave the right password."""
    if application is None or application.status == ApplicationStatus.WAITING:
        return Forbidden(
            "Your application waits for an operator's answer.",
            cure="Try again later, or ask an operator of the platform.",
            code="application_waiting",
        )
    why = f": {application.reason}" if application.reason else "."
    return Forbidden(
        f"Your application was rejected{why}",
        cure="Apply again, or ask an operator of the platform.",
        code="application_rejected",
    )


async def list_applications(
    tx: Tx,
    actor: Actor,
    *,
    limit: int,
    cursor: str | None = None,
    status: ApplicationStatus | None = None,
    search: str | None = None,
    sort: ApplicationSort = ApplicationSort.NEWEST,
) -> tuple[list[ApplicationOut], str | None]:
    """One page of applications."""
    actor.require_operator()
    query = select(Application)
    if status:
        query = query.where(Application.status == status)
    if search:
        fields = (Application.username, Application.display_name, Application.email, Application.note)
        query = query.where(or_(*(field.icontains(search, autoescape=True) for field in fields)))
    columns = {"username": Application.username}
    rows, after = await paginate(tx, query, Application.id, limit=limit, cursor=cursor, sort=sort, columns=columns)
    return [_out(row) for row in rows], after


async def get_application(tx: Tx, actor: Actor, application_id: str) -> ApplicationOut:
    actor.require_operator()
    application = await tx.get(Application, application_id)
    if application is None:
        raise NotFound.of("application", application_id)
    return _out(application)


async def approve(tx: Tx, now: datetime, actor: Actor, application_id: str, body: ApplicationApprove) -> ApplicationOut:
    """Make the applicant a user, with a first grant. Approving what is approved changes nothing."""
    application = await _to_decide(tx, actor, application_id)
    if application.status == ApplicationStatus.APPROVED:
        return _out(application)
    if application.status == ApplicationStatus.REJECTED:
        raise Conflict(
            f"The application of {application.username!r} was rejected.",
            cure="Let them apply again, or create the user yourself.",
            code="already_rejected",
        )
    _decide(application, now, actor, ApplicationStatus.APPROVED, body.note)
    await tx.flush()  # the user name is free from here on
    wish = UserCreate(
        username=application.username,
        display_name=application.display_name,
        email=application.email,
        roles=body.roles,
        group_ids=body.group_ids,
    )
    user = await create_user(tx, actor, wish, application.password_hash, now)
    application.password_hash = ""
    application.user_id, application.grant = user.id, body.grant
    note = "; ".join(part for part in ("first grant, with the approval of the application", body.note) if part)
    await grant(tx, now, actor, user, body.grant, note, f"application:{application.id}")
    detail = {"user_id": user.id, "grant": format_unc(body.grant), "roles": [*body.roles], "note": body.note}
    audit.record(tx, actor, "application.approve", "application", application.id, application.username, detail)
    emit(tx, "ui:miners")
    return _out(application)


async def reject(tx: Tx, now: datetime, actor: Actor, application_id: str, reason: str) -> ApplicationOut:
    """Say no; the user name is free again. Rejecting what is rejected changes nothing."""
    application = await _to_decide(tx, actor, application_id)
    if application.status == ApplicationStatus.REJECTED:
        return _out(application)
    if application.status == ApplicationStatus.APPROVED:
        raise Conflict(
            f"The application of {application.username!r} was approved.",
            cure="Freeze the user instead.",
            code="already_approved",
        )
    _decide(application, now, actor, ApplicationStatus.REJECTED, reason.strip())
    detail = {"reason": application.reason}
    audit.record(tx, actor, "application.reject", "application", application.id, application.username, detail)
    emit(tx, "ui:miners")
    return _out(application)


async def forget_rejected(tx: Tx, now: datetime) -> None:
    """Whoever was rejected long ago can no longer read why."""
    await tx.execute(
        update(Application)
        .where(
            Application.status == ApplicationStatus.REJECTED,
            Application.decided_at < now - _REMEMBER_REJECTED,
            Application.password_hash != "",
        )
        .values(password_hash="")
    )


async def _to_decide(tx: Tx, actor: Actor, application_id: str) -> Application:
    """The application, locked: two operators cannot decide at once."""
    actor.require_operator()
    application = await tx.get(Application, application_id, with_for_update=True)
    if application is None:
        raise NotFound.of("application", application_id)
    return application


def _decide(application: Application, now: datetime, actor: Actor, status: ApplicationStatus, reason: str) -> None:
    application.status, application.reason = status, reason
    application.decided_at, application.decided_by = now, actor.username


def _out(application: Application) -> ApplicationOut:
    return ApplicationOut.model_validate(application, from_attributes=True)
