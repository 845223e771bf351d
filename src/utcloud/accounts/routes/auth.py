"""Sessions, passwords and API tokens."""

from typing import Annotated

from fastapi import APIRouter, Header, Request, Response

from utcloud.accounts import service
from utcloud.accounts.auth import (
    ClientIp,
    CurrentActor,
    DeviceCookie,
    SessionCookie,
    device_cookie_name,
    session_cookie_name,
)
from utcloud.accounts.schemas import (
    Cursor,
    IdPath,
    Login,
    PasswordChange,
    SessionOut,
    TokenCreate,
    TokenCreated,
    TokenOut,
)
from utcloud.common.paging import Limit, Page
from utcloud.db.web import AppSettings, Db, Now

router = APIRouter(prefix="/auth", tags=["auth"])


@router.post("/session")
async def log_in(
    request: Request,
    response: Response,
    body: Login,
    db: Db,
    now: Now,
    settings: AppSettings,
    ip: ClientIp,
    device: DeviceCookie,
    user_agent: Annotated[str, Header(include_in_schema=False)] = "",
) -> SessionOut:
    """Log a browser in: sets the session cookie and answers the CSRF token. Who has a second factor and sends no second
    step is answered 403 `second_factor_required`, with what is possible in `second_factor`."""
    new = await service.log_in(
        db, now, settings, body.username, body.password, ip=ip, user_agent=user_agent, device=device, step=body
    )
    _set_cookie(request, response, new.secret)
    _set_device_cookie(request, response, new.device)
    async with db.read() as tx:
        user = await service.user_out(tx, new.user)
    demanded = service.second_factor.demanded(settings, is_operator=new.user.is_operator)
    return SessionOut(
        user=user,
        recharges=service.actor_of(new.user).recharges(settings),
        csrf_token=new.csrf_token,
        expires_at=new.expires_at,
        must_set_up_second_factor=demanded and not user.second_factor,
    )


@router.get("/session")
async def get_session(
    request: Request, response: Response, actor: CurrentActor, db: Db, settings: AppSettings, cookie: SessionCookie
) -> SessionOut:
    """Who is logged in with this browser."""
    async with db.read() as tx:
        session = await service.session_of(tx, actor, cookie)
        user = await service.user_out(tx, await service.get_user(tx, actor.id))
    secret = cookie or ""
    _set_cookie(request, response, secret)
    return SessionOut(
        user=user,
        recharges=actor.recharges(settings),
        csrf_token=service.csrf_token_for(secret),
        expires_at=session.expires_at,
        must_set_up_second_factor=actor.must_set_up,
    )


@router.delete("/session", status_code=204)
async def log_out(request: Request, response: Response, actor: CurrentActor, db: Db, cookie: SessionCookie) -> None:
    """Log this browser out."""
    async with db.write() as tx:
        await service.log_out(tx, actor, cookie)
    _delete_cookie(request, response)


@router.post("/password", status_code=204)
async def change_password(
    request: Request, response: Response, body: PasswordChange, actor: CurrentActor, db: Db, now: Now
) -> None:
    """Change one's own password. Browser sessions end, this one too, and pages that are open close: log in again.
    API tokens end as well, unless `revoke_tokens` is false."""
    await service.change_password(
        db, now, actor, body.current_password, body.new_password, revoke_tokens=body.revoke_tokens
    )
    _delete_cookie(request, response)


@router.post("/tokens", status_code=201)
async def create_token(body: TokenCreate, db: Db, now: Now, settings: AppSettings, ip: ClientIp) -> TokenCreated:
    """Make an API token with user name and password, and the second step. The token is shown this once."""
    token, value = await service.create_token(
        db,
        now,
        settings,
        username=body.username,
        password=body.password,
        name=body.name,
        expires_in_days=body.expires_in_days,
        ip=ip,
        step=body,
    )
    return TokenCreated(**TokenOut.model_validate(token).model_dump(), token=value)


@router.get("/tokens")
async def list_tokens(actor: CurrentActor, db: Db, limit: Limit = 50, cursor: Cursor = None) -> Page[TokenOut]:
    """One's own API tokens, newest first."""
    async with db.read() as tx:
        tokens, next_cursor = await service.list_tokens(tx, actor, limit=limit, cursor=cursor)
        return Page(items=[TokenOut.model_validate(token) for token in tokens], next_cursor=next_cursor)


@router.delete("/tokens/{token_id}", status_code=204)
async def revoke_token(token_id: IdPath, actor: CurrentActor, db: Db, now: Now) -> None:
    """Revoke one of one's own API tokens."""
    async with db.write() as tx:
        await service.revoke_token(tx, now, actor, token_id)


def _set_cookie(request: Request, response: Response, secret: str) -> None:
    name = session_cookie_name(request.app.state.settings)
    response.set_cookie(
        name,
        secret,
        max_age=int(service.SESSION_LIFETIME.total_seconds()),
        path="/",
        httponly=True,
        samesite="strict",
        secure=name.startswith("__Host-"),
    )
    response.headers["Cache-Control"] = "no-store"


def _set_device_cookie(request: Request, response: Response, value: str) -> None:
    name = device_cookie_name(request.app.state.settings)
    response.set_cookie(
        name,
        value,
        max_age=int(service.devices.LIFETIME.total_seconds()),
        path="/",
        httponly=True,
        samesite="strict",
        secure=name.startswith("__Host-"),
    )


def _delete_cookie(request: Request, response: Response) -> None:
    name = session_cookie_name(request.app.state.settings)
    response.delete_cookie(name, httponly=True, samesite="strict", secure=name.startswith("__Host-"))
