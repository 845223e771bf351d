"""Logins, browser sessions and API tokens. Only hashes of secrets are kept.

The functions that look at passwords take the ``Database``: hashing happens between two transactions, never inside one.
"""

import hashlib
import hmac
import re
from base64 import urlsafe_b64encode
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row, bindparam, delete, or_, select, update

from utcloud.accounts import audit, passwords
from utcloud.accounts.auth import SYSTEM, Actor
from utcloud.accounts.models import ApiToken, Application, BrowserSession, User
from utcloud.accounts.schemas import Proof, SecondFactorMethod, SecondStep, UserStatus
from utcloud.accounts.service import applications, devices, second_factor, throttle
from utcloud.accounts.service.users import actor_of, end_access
from utcloud.common.errors import Conflict, Forbidden, Invalid, NotFound, Problem, Unauthenticated
from utcloud.common.ids import new_id, new_secret
from utcloud.common.settings import Settings
from utcloud.db import Database, Tx, emit, paginate

SESSION_LIFETIME = timedelta(days=7)
"""Since a session was last used."""
SESSION_MOST = timedelta(days=30)
"""Since it began: then one logs in again, however often it was used."""
TOKEN_PREFIX = "utc_"  # noqa: S105 - not a secret
MAX_TOKENS = 100
_TOUCH_EVERY = timedelta(minutes=1)
_USERNAME = re.compile(r"[a-z0-9][a-z0-9._-]{1,63}")


@dataclass(frozen=True, slots=True)
class LoggedIn:
    """A new browser session; ``secret`` is the cookie's value and is known nowhere else. ``device``: the value of the
    device cookie (``devices``).
    """

    user: User
    secret: str
    csrf_token: str
    expires_at: datetime
    device: str


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def csrf_token_for(secret: str) -> str:
    """The CSRF token of the session whose cookie is ``secret``: derived from it, and of no help in guessing it."""
    return urlsafe_b64encode(hmac.digest(secret.encode(), b"utcloud csrf", "sha256")).decode().rstrip("=")


# --- who is asking -------------------------------------------------------------------------------------------------

_users, _tokens, _sessions = (model.__table__.c for model in (User, ApiToken, BrowserSession))
_USER_COLUMNS = (
    _users.id.label("user_id"),
    _users.username,
    _users.is_operator,
    _users.is_miner,
    _users.is_renter,
    _users.status,
    _users.second_factor_at,
)
_BY_TOKEN = (
    select(_tokens.id, _tokens.expires_at, _tokens.last_used_at, _tokens.revoked_at, *_USER_COLUMNS)
    .join(User.__table__, _users.id == _tokens.user_id)
    .where(_tokens.token_hash == bindparam("hash"))
)
_BY_SESSION = (
    select(_sessions.id, _sessions.created_at, _sessions.expires_at, _sessions.csrf_hash, *_USER_COLUMNS)
    .join(User.__table__, _users.id == _sessions.user_id)
    .where(_sessions.secret_hash == bindparam("hash"))
)
"""Of tables instead of classes, and built once: every request runs one of them."""


async def authenticate(
    db: Database,
    now: datetime,
    settings: Settings,
    *,
    authorization: str | None,
    cookie: str | None,
    csrf: str | None,
    unsafe: bool,
    ip: str,
) -> Actor | None:
    """The actor whom a request's credential proves; None when it has none. One indexed query.

    ``authorization`` is the header, ``cookie`` the session cookie's value, ``csrf`` the ``X-CSRF-Token`` header;
    ``unsafe`` says that the method may change something. Raises Unauthenticated for a credential that is unknown, has
    ended or is a frozen user's, and Forbidden (code ``csrf``) for an unsafe request by cookie without its CSRF token.
    """
    if authorization is not None:
        return await _by_token(db, now, settings, authorization, ip)
    if cookie is not None:
        return await _by_session(db, now, settings, cookie, csrf, unsafe, ip)
    return None


async def _by_token(db: Database, now: datetime, settings: Settings, authorization: str, ip: str) -> Actor:
    scheme, _, token = authorization.partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise Unauthenticated(
            "The Authorization header is not one this server takes.", cure="Send `Authorization: Bearer <token>`."
        )
    async with db.read() as tx:
        row = (await tx.execute(_BY_TOKEN, {"hash": _hash(token.strip())})).one_or_none()
    if row is None or row.revoked_at is not None or (row.expires_at is not None and row.expires_at <= now):
        raise Unauthenticated("The API token is unknown, revoked or expired.", cure="Log in and make a new one.")
    actor = _actor(row, settings, ip)
    if row.last_used_at is None or now - row.last_used_at >= _TOUCH_EVERY:
        async with db.write() as tx:
            await tx.execute(update(ApiToken).where(ApiToken.id == row.id).values(last_used_at=now))
            await _saw(tx, now, actor.id)
    return actor


async def _by_session(
    db: Database, now: datetime, settings: Settings, cookie: str, csrf: str | None, unsafe: bool, ip: str
) -> Actor:
    async with db.read() as tx:
        row = (await tx.execute(_BY_SESSION, {"hash": _hash(cookie)})).one_or_none()
    if row is None or row.expires_at <= now:
        raise Unauthenticated("The session has ended.", cure="Log in again.")
    actor = _actor(row, settings, ip)
    if unsafe and not hmac.compare_digest(_hash(csrf or ""), row.csrf_hash):
        raise Forbidden(
            "The request lacks the session's CSRF token.",
            cure="Send the `csrf_token` of GET /auth/session as X-CSRF-Token.",
            code="csrf",
        )
    expires_at = min(now + SESSION_LIFETIME, row.created_at + SESSION_MOST)
    if expires_at - row.expires_at >= _TOUCH_EVERY:
        async with db.write() as tx:
            await tx.execute(update(BrowserSession).where(BrowserSession.id == row.id).values(expires_at=expires_at))
            await _saw(tx, now, actor.id)
    return actor


async def _saw(tx: Tx, now: datetime, user_id: str) -> None:
    await tx.execute(update(User).where(User.id == user_id).values(last_seen_at=now))


def _actor(row: Row[*tuple[Any, ...]], settings: Settings, ip: str) -> Actor:
    if row.status != UserStatus.ACTIVE:
        raise Unauthenticated("The account is frozen.", cure="Ask an operator of the platform.", code="frozen")
    must_set_up = row.second_factor_at is None and second_factor.demanded(settings, is_operator=row.is_operator)
    return Actor(
        row.user_id,
        row.username,
        row.is_operator,
        row.is_miner,
        row.is_renter,
        ip,
        is_issuer=row.is_miner and settings.recharge_by == "miners",
        must_set_up=must_set_up,
    )


# --- proving a password --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Proof:
    """The user whose name and password these are, and the hash to keep from now on."""

    user: User
    password_hash: str
    attempt: throttle.Attempt
    second: SecondFactorMethod | None = None
    """What the second step was proved with; None: there is no second factor."""

    @property
    def detail(self) -> dict[str, str]:
        """For the audit trail."""
        return {"outcome": "success"} | ({"second_factor": str(self.second)} if self.second else {})


async def _prove(
    db: Database,
    now: datetime,
    username: str,
    password: str,
    ip: str,
    action: str,
    *,
    device: str | None = None,
    own: bool = False,
) -> _Proof:
    """Look whether this is a user's name and password. ``device``: the browser's device cookie; ``own``: whoever asks
    is logged in as that user.

    Counts and audits failures; raises TooMany, Unauthenticated (the same for a wrong name and a wrong password), or
    Forbidden for a frozen user, or an applicant, who proved the password. The second step is for ``_prove_whole``.
    """
    username = username.strip().lower()
    nobody = Actor(id="", username="", ip=ip)
    user: User | None = None
    applicant: Application | None = None
    async with db.read() as tx:
        if _USERNAME.fullmatch(username):
            user = await tx.scalar(select(User).where(User.username == username))
            applicant = None if user else await applications.latest_of(tx, username)
        mark = "own" if own else devices.recognised(user, device)
        attempt = throttle.Attempt(username, ip, mark)
        await throttle.require(tx, now, attempt)
    async with db.write() as tx:
        await throttle.begin(tx, now, attempt)
    claimed = user or applicant
    problem: Problem
    if not await passwords.verify(claimed.password_hash if claimed else None, password):
        problem = Unauthenticated("The user name or the password is wrong.", cure="Check both and try again.")
    elif user is None:
        problem = applications.not_yet(applicant)
    elif user.status != UserStatus.ACTIVE:
        why = f": {user.frozen_reason}" if user.frozen_reason else "."
        problem = Forbidden(f"The account is frozen{why}", cure="Ask an operator of the platform.", code="frozen")
    else:
        stale = passwords.needs_rehash(user.password_hash)
        kept = await passwords.hash_password(password) if stale else user.password_hash
        return _Proof(user, kept, attempt)
    async with db.write() as tx:
        known = user is not None
        ident, name = (user.id, user.username) if user else ("", "")
        audit.record(tx, nobody, action, "user", ident, name, {"outcome": "failure", "known_user": known})
    raise problem


async def _prove_whole(
    db: Database,
    now: datetime,
    settings: Settings,
    username: str,
    password: str,
    step: SecondStep,
    ip: str,
    action: str,
    *,
    device: str | None = None,
    own: bool = False,
) -> _Proof:
    """As ``_prove``, and the second step as well, for who has a second factor.

    Raises SecondStepRequired when it was not given, and Invalid on ``code`` when it is wrong or was used before.
    """
    proof = await _prove(db, now, username, password, ip, action, device=device, own=own)
    user = proof.user
    if user.second_factor_at is None:
        return proof
    if not step.given:
        async with db.write() as tx:
            await throttle.succeeded(tx, proof.attempt)
            asked = await second_factor.ask(tx, now, settings, user)
        raise second_factor.SecondStepRequired(asked)
    attempt = replace(proof.attempt, second=True)
    async with db.write() as tx:
        await throttle.begin(tx, now, attempt)
        await throttle.succeeded(tx, proof.attempt)
    async with db.write() as tx:
        method = await second_factor.use(tx, now, settings, user, step)
        if method is not None:
            await throttle.succeeded(tx, attempt)
        else:
            actor = actor_of(user, ip)
            audit.record(
                tx, actor, action, "user", user.id, user.username, {"outcome": "failure", "second_factor": True}
            )
    if method is None:
        raise second_factor.wrong_step()
    return replace(proof, second=method)


async def prove_again(db: Database, now: datetime, settings: Settings, actor: Actor, body: Proof) -> None:
    """Make sure that it is the actor who asks: the password and, for who has a second factor, the second step.

    For what a thief of an open session must not do. Raises Invalid on ``password`` when that is wrong.
    """
    try:
        proof = await _prove_whole(
            db, now, settings, actor.username, body.password, body, actor.ip, "auth.prove", own=True
        )
    except Unauthenticated:
        raise Invalid(
            "The password is wrong.", field="password", cure="Type the password you logged in with."
        ) from None
    async with db.write() as tx:
        await _proved(tx, now, proof)


async def _proved(tx: Tx, now: datetime, proof: _Proof, new_hash: str | None = None) -> tuple[User, Actor]:
    """Begin the transaction that uses a proof: the password and the status may have changed since it was given."""
    user = await tx.get(User, proof.user.id)
    before = proof.user
    if user is None or user.password_hash != before.password_hash or user.status != UserStatus.ACTIVE:
        raise Unauthenticated("The account was changed at this moment.", cure="Log in again.")
    if user.second_factor_at != before.second_factor_at:
        raise Unauthenticated("The account was changed at this moment.", cure="Log in again.")
    user.password_hash, user.last_seen_at = new_hash or proof.password_hash, now
    if proof.second is None:  # else it was taken back when the second step began
        await throttle.succeeded(tx, proof.attempt)
    return user, actor_of(user, proof.attempt.ip)


# --- sessions ------------------------------------------------------------------------------------------------------


async def log_in(
    db: Database,
    now: datetime,
    settings: Settings,
    username: str,
    password: str,
    *,
    ip: str,
    user_agent: str,
    device: str | None = None,
    step: SecondStep | None = None,
) -> LoggedIn:
    """Begin a browser session. ``device``: the device cookie that the browser sent; ``step``: the second step."""
    proof = await _prove_whole(
        db, now, settings, username, password, step or SecondStep(), ip, "auth.login", device=device
    )
    secret = new_secret()
    session = BrowserSession(
        id=new_id("ses"),
        user_id=proof.user.id,
        secret_hash=_hash(secret),
        csrf_hash=_hash(csrf_token_for(secret)),
        ip=ip,
        user_agent=user_agent.replace("\0", "")[:255],
        created_at=now,
        expires_at=now + SESSION_LIFETIME,
    )
    async with db.write() as tx:
        user, actor = await _proved(tx, now, proof)
        tx.add(session)
        audit.record(tx, actor, "auth.login", "user", user.id, user.username, proof.detail)
    known = device if device and devices.recognised(user, device) else devices.issue(user)
    return LoggedIn(user, secret, csrf_token_for(secret), session.expires_at, known)


async def session_of(tx: Tx, actor: Actor, cookie: str | None) -> BrowserSession:
    """The browser session of this request; raises NotFound for a caller with an API token."""
    session: BrowserSession | None = None
    if cookie is not None:
        mine = BrowserSession.user_id == actor.id
        session = await tx.scalar(select(BrowserSession).where(BrowserSession.secret_hash == _hash(cookie), mine))
    if session is None:
        raise NotFound(
            "This request came with an API token, not with a browser's session.", cure="Log in with POST /auth/session."
        )
    return session


async def log_out(tx: Tx, actor: Actor, cookie: str | None) -> None:
    """End the session of this request, if it has one."""
    if cookie is None:
        return
    await tx.execute(
        delete(BrowserSession).where(BrowserSession.secret_hash == _hash(cookie), BrowserSession.user_id == actor.id)
    )
    audit.record(tx, actor, "auth.logout", "user", actor.id, actor.username)


async def change_password(
    db: Database, now: datetime, actor: Actor, current: str, new: str, *, revoke_tokens: bool = True
) -> None:
    """Change one's own password. All sessions end, this one too, opened pages close, and API tokens are revoked unless
    told otherwise.
    """
    if current == new:
        raise Invalid("The new password is the present one.", field="new_password", cure="Choose another one.")
    try:
        proof = await _prove(db, now, actor.username, current, actor.ip, "auth.change_password", own=True)
    except Unauthenticated:
        raise Invalid(
            "The current password is wrong.", field="current_password", cure="Type the password you logged in with."
        ) from None
    password_hash = await passwords.hash_password(new)
    async with db.write() as tx:
        user, _ = await _proved(tx, now, proof, password_hash)
        await end_access(tx, now, actor, user, tokens=revoke_tokens)
        detail = {"outcome": "success", "revoke_tokens": revoke_tokens}
        audit.record(tx, actor, "auth.change_password", "user", user.id, user.username, detail)
        emit(tx, f"ui:{user.id}")


# --- API tokens ----------------------------------------------------------------------------------------------------


async def create_token(
    db: Database,
    now: datetime,
    settings: Settings,
    *,
    username: str,
    password: str,
    name: str,
    expires_in_days: int | None,
    ip: str,
    step: SecondStep | None = None,
) -> tuple[ApiToken, str]:
    """Make an API token for whoever these credentials prove; the second value is the token itself, kept nowhere."""
    proof = await _prove_whole(db, now, settings, username, password, step or SecondStep(), ip, "token.create")
    value = TOKEN_PREFIX + new_secret()
    token = ApiToken(
        id=new_id("tok"),
        user_id=proof.user.id,
        name=name,
        token_hash=_hash(value),
        hint=value[:10],
        created_at=now,
        expires_at=None if expires_in_days is None else now + timedelta(days=expires_in_days),
    )
    async with db.write() as tx:
        _, actor = await _proved(tx, now, proof)
        await _make_room(tx, now, proof.user.id)
        tx.add(token)
        audit.record(tx, actor, "token.create", "token", token.id, name, proof.detail)
        emit(tx, f"ui:{proof.user.id}")
    return token, value


async def _make_room(tx: Tx, now: datetime, user_id: str) -> None:
    """Refuse more usable tokens than anyone needs."""
    usable = await tx.scalars(
        select(ApiToken.id)
        .where(ApiToken.user_id == user_id, ApiToken.revoked_at.is_(None))
        .where(or_(ApiToken.expires_at.is_(None), ApiToken.expires_at > now))
        .limit(MAX_TOKENS)
    )
    if len(usable.all()) >= MAX_TOKENS:
        raise Conflict(f"You have {MAX_TOKENS} API tokens already.", cure="Revoke those you no longer use.")


async def list_tokens(tx: Tx, actor: Actor, *, limit: int, cursor: str | None) -> tuple[list[ApiToken], str | None]:
    """One page of one's own tokens, newest first."""
    return await paginate(
        tx, select(ApiToken).where(ApiToken.user_id == actor.id), ApiToken.id, limit=limit, cursor=cursor
    )


async def revoke_token(tx: Tx, now: datetime, actor: Actor, token_id: str) -> None:
    """End one of one's own tokens; doing it twice is the same as once."""
    token = await tx.get(ApiToken, token_id)
    if token is None or token.user_id != actor.id:
        raise NotFound.of("token", token_id)
    if token.revoked_at is not None:
        return
    token.revoked_at = now
    audit.record(tx, actor, "token.revoke", "token", token.id, token.name)
    emit(tx, f"ui:{actor.id}")


async def unlock(tx: Tx, username: str, *, with_second_factor: bool = False) -> int:
    """Forget all failed logins by a user's name: whoever keeps somebody else out begins anew. For the machine itself.

    ``with_second_factor``: the user's second factor, which was lost, is forgotten too. Return how many counts there
    were.
    """
    username = username.strip().lower()
    user = await tx.scalar(select(User).where(User.username == username))
    if user is None:
        raise NotFound.of("user", username)
    audit.record(tx, SYSTEM, "user.unlock", "user", user.id, user.username)
    if with_second_factor:
        await second_factor.forget(tx, SYSTEM, user)
    return await throttle.unlock(tx, username)


async def forget_expired(tx: Tx, now: datetime) -> None:
    """Remove sessions that have ended, failures and challenges that no longer count, applications that nobody answered,
    and passwords of long rejected applicants.
    """
    await tx.execute(delete(BrowserSession).where(BrowserSession.expires_at <= now))
    await throttle.forget_old(tx, now)
    await second_factor.forget_challenges(tx, now)
    await applications.expire(tx, now)
    await applications.forget_rejected(tx, now)
