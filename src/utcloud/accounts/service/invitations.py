"""Invitations: a secret that makes its holder a user, once, with roles, groups and a first grant."""

import hashlib
from collections.abc import Iterable
from datetime import datetime, timedelta

from sqlalchemy import and_, or_, select

from utcloud.accounts import audit, passwords
from utcloud.accounts.auth import Actor
from utcloud.accounts.models import Invitation, User
from utcloud.accounts.schemas import (
    GroupRef,
    InvitationAccept,
    InvitationCreate,
    InvitationOut,
    InvitationPreview,
    InvitationSort,
    InvitationStatus,
    Role,
    UserCreate,
    UserStatus,
)
from utcloud.accounts.service import throttle
from utcloud.accounts.service.groups import group_refs
from utcloud.accounts.service.users import actor_of, create_user, grant, require_free, require_groups
from utcloud.common.errors import Conflict, NotFound
from utcloud.common.ids import new_id, new_secret
from utcloud.common.money import format_unc
from utcloud.db import Database, Tx, emit, paginate

_HINT = 6


def _name(invitation: Invitation) -> str:
    """What the audit trail calls it: for whom it is, or how its code begins."""
    return invitation.email or f"{invitation.hint}…"


def _hash(code: str) -> str:
    return hashlib.sha256(code.encode()).hexdigest()


async def create(tx: Tx, now: datetime, actor: Actor, body: InvitationCreate) -> tuple[Invitation, str]:
    """Make an invitation; the second value is its code, kept nowhere."""
    actor.require_operator()
    await require_groups(tx, body.group_ids)
    code = new_secret()
    invitation = Invitation(
        id=new_id("inv"),
        code_hash=_hash(code),
        hint=code[:_HINT],
        email=body.email,
        roles=[*dict.fromkeys(body.roles)],
        group_ids=[*dict.fromkeys(body.group_ids)],
        grant=body.grant,
        created_by_id=actor.id,
        created_by_name=actor.username,
        created_at=now,
        expires_at=now + timedelta(days=body.expires_in_days),
    )
    tx.add(invitation)
    await tx.flush()
    detail = {"roles": invitation.roles, "group_ids": invitation.group_ids, "grant": format_unc(body.grant)}
    audit.record(tx, actor, "invitation.create", "invitation", invitation.id, _name(invitation), detail)
    emit(tx, "ui:miners")
    return invitation, code


async def list_invitations(
    tx: Tx,
    now: datetime,
    actor: Actor,
    *,
    limit: int,
    cursor: str | None = None,
    search: str | None = None,
    status: InvitationStatus | None = None,
    sort: InvitationSort = InvitationSort.NEWEST,
) -> tuple[list[InvitationOut], str | None]:
    """One page of invitations."""
    actor.require_operator()
    query = select(Invitation)
    if search:
        fields = (Invitation.email, Invitation.username, Invitation.created_by_name, Invitation.hint)
        query = query.where(or_(*(field.icontains(search, autoescape=True) for field in fields)))
    unused = and_(Invitation.accepted_at.is_(None), Invitation.revoked_at.is_(None))
    if status:
        condition = {
            InvitationStatus.OPEN: and_(unused, Invitation.expires_at > now),
            InvitationStatus.EXPIRED: and_(unused, Invitation.expires_at <= now),
            InvitationStatus.ACCEPTED: Invitation.accepted_at.is_not(None),
            InvitationStatus.REVOKED: Invitation.revoked_at.is_not(None),
        }
        query = query.where(condition[status])
    columns = {"expires_at": Invitation.expires_at, "email": Invitation.email}
    rows, after = await paginate(tx, query, Invitation.id, limit=limit, cursor=cursor, sort=sort, columns=columns)
    return await invitations_out(tx, now, rows), after


async def revoke(tx: Tx, now: datetime, actor: Actor, invitation_id: str) -> None:
    """Take an invitation back; doing it twice is the same as once. What was accepted stays."""
    actor.require_operator()
    invitation = await tx.get(Invitation, invitation_id, with_for_update=True)
    if invitation is None:
        raise NotFound.of("invitation", invitation_id)
    if invitation.accepted_at is not None:
        raise Conflict(
            f"{invitation.username!r} accepted it already.", cure="Freeze the user instead.", code="invitation_used"
        )
    if invitation.revoked_at is not None:
        return
    invitation.revoked_at = now
    audit.record(tx, actor, "invitation.revoke", "invitation", invitation.id, _name(invitation))
    emit(tx, "ui:miners")


async def preview(db: Database, now: datetime, code: str, *, ip: str) -> InvitationPreview:
    """What the holder of ``code`` is offered; raises NotFound or Conflict when it can no longer be accepted."""
    async with db.write() as tx:
        await throttle.begin_anonymous(tx, now, "invitation", ip)
    async with db.write() as tx:
        invitation, _ = await _open(tx, now, code)
        await throttle.forgive_anonymous(tx, "invitation", ip)
        groups = await group_refs(tx, invitation.group_ids)
        return InvitationPreview(
            email=invitation.email,
            roles=[Role(role) for role in invitation.roles],
            groups=[groups[ident].name for ident in invitation.group_ids if ident in groups],
            grant=invitation.grant,
            invited_by=invitation.created_by_name,
            expires_at=invitation.expires_at,
        )


async def accept(db: Database, now: datetime, body: InvitationAccept, *, ip: str) -> User:
    """Make the holder of a code a user, with all that was promised, in one transaction."""
    await preview(db, now, body.code, ip=ip)
    async with db.read() as tx:
        await require_free(tx, body.username)
    password_hash = await passwords.hash_password(body.password)
    async with db.write() as tx:
        invitation, inviter = await _open(tx, now, body.code)
        groups = await group_refs(tx, invitation.group_ids)
        wish = UserCreate(
            username=body.username,
            display_name=body.display_name,
            email=invitation.email,
            roles=[Role(role) for role in invitation.roles],
            group_ids=[*groups],
        )
        giver = actor_of(inviter)
        user = await create_user(tx, giver, wish, password_hash, now)
        invitation.accepted_at, invitation.user_id, invitation.username = now, user.id, user.username
        note = "first grant, with the invitation"
        await grant(tx, now, giver, user, invitation.grant, note, f"invitation:{invitation.id}")
        detail = {"user_id": user.id, "invited_by": inviter.username}
        audit.record(
            tx, actor_of(user, ip), "invitation.accept", "invitation", invitation.id, _name(invitation), detail
        )
        emit(tx, "ui:miners")
    return user


async def _open(tx: Tx, now: datetime, code: str) -> tuple[Invitation, User]:
    """The invitation of this code, locked, and the operator who made it; raises when it cannot be accepted."""
    query = select(Invitation).where(Invitation.code_hash == _hash(code)).with_for_update()
    invitation = await tx.scalar(query.execution_options(populate_existing=True))
    if invitation is None:
        raise NotFound("There is no such invitation.", field="code", cure="Check that the whole link was copied.")
    again = "Ask whoever invited you for a new one."
    if invitation.accepted_at is not None:
        raise Conflict("The invitation was used already.", cure="Log in, if it was you.", code="invitation_used")
    inviter = await tx.get(User, invitation.created_by_id)
    may_invite = inviter is not None and inviter.is_operator and inviter.status == UserStatus.ACTIVE
    if invitation.revoked_at is not None or inviter is None or not may_invite:
        raise Conflict("The invitation was taken back.", cure=again, code="invitation_revoked")
    if invitation.expires_at <= now:
        raise Conflict("The invitation has expired.", cure=again, code="invitation_expired")
    return invitation, inviter


async def invitations_out(tx: Tx, now: datetime, invitations: Iterable[Invitation]) -> list[InvitationOut]:
    """What the API says of ``invitations``."""
    invitations = list(invitations)
    groups = await group_refs(tx, {ident for one in invitations for ident in one.group_ids})
    return [_out(one, now, [groups[ident] for ident in one.group_ids if ident in groups]) for one in invitations]


def _out(invitation: Invitation, now: datetime, groups: list[GroupRef]) -> InvitationOut:
    return InvitationOut(
        id=invitation.id,
        hint=invitation.hint,
        email=invitation.email,
        roles=[Role(role) for role in invitation.roles],
        groups=groups,
        grant=invitation.grant,
        status=_status(invitation, now),
        created_by=invitation.created_by_name,
        created_at=invitation.created_at,
        expires_at=invitation.expires_at,
        accepted_at=invitation.accepted_at,
        username=invitation.username,
        user_id=invitation.user_id,
    )


def _status(invitation: Invitation, now: datetime) -> InvitationStatus:
    if invitation.accepted_at is not None:
        return InvitationStatus.ACCEPTED
    if invitation.revoked_at is not None:
        return InvitationStatus.REVOKED
    return InvitationStatus.OPEN if invitation.expires_at > now else InvitationStatus.EXPIRED
