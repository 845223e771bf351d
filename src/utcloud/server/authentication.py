"""Finds out who is asking, once per request, before any route runs and before a byte of the body is read.

What is not listed here needs a credential: a new route is closed until somebody opens it.
"""

from urllib.parse import urlsplit

from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Receive, Scope, Send

from utcloud.accounts import service
from utcloud.accounts.auth import client_ip, nobody, session_cookie
from utcloud.common import bodies
from utcloud.common.errors import Problem
from utcloud.server.errors import from_problem

_SAFE = {"GET", "HEAD", "OPTIONS"}
_OWN_CREDENTIALS = ("/api/v1/agent/",)
"""Routes that check a credential of their own kind, before they read a body."""
BEFORE_LOGIN = {
    ("POST", "/api/v1/auth/session"),
    ("POST", "/api/v1/auth/tokens"),
    ("OPTIONS", "/api/v1/uploads"),
    ("GET", "/api/v1/registration"),
    ("POST", "/api/v1/applications"),
    ("POST", "/api/v1/invitations/accept"),
    ("GET", "/api/v1/invitations/code/{code}"),
}
"""Routes for which nobody need be logged in: a browser's ended session does not stand in the way."""
_OPEN = BEFORE_LOGIN | {("GET", "/api/v1/openapi.json")}


def _is_open(method: str, path: str) -> bool:
    method = "GET" if method == "HEAD" else method
    return (method, path) in _OPEN or (method, path.rpartition("/")[0] + "/{code}") in _OPEN


def _is_setting_up(method: str, path: str) -> bool:
    """What is left to somebody who must set up a second factor first."""
    return (
        path == "/api/v1/auth/second-factor"
        or path.startswith("/api/v1/auth/second-factor/")
        or (method, path) in (("GET", "/api/v1/auth/session"), ("DELETE", "/api/v1/auth/session"))
    )


def _is_foreign(request: HTTPConnection) -> bool:
    """Whether another origin's page sends it, by the browser's own word, and not a person who follows a link.

    On a domain the replicas' pages may be of the consoles' site: SameSite lets their requests carry the session's
    cookie. ``Origin`` comes with everything that changes something, in old browsers too; it must name this host.
    """
    origin = request.headers.get("origin")
    if origin is not None and origin != f"{_scheme(request)}://{request.headers.get('host')}":
        return True
    if request.headers.get("sec-fetch-site") not in ("same-site", "cross-site"):
        return False
    return request.scope["method"] not in _SAFE or request.headers.get("sec-fetch-mode") != "navigate"


def _scheme(request: HTTPConnection) -> str:
    return str(urlsplit(request.app.state.settings.console_origin).scheme)


class Authentication:
    """ASGI middleware: puts an ``accounts.auth.Actor`` into ``scope["utcloud.actor"]`` when the credential is good."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not scope["path"].startswith("/api/v1/"):
            return await self.app(scope, receive, send)
        if scope["path"].startswith(_OWN_CREDENTIALS):
            return await self.app(scope, receive, send)
        request = HTTPConnection(scope)
        authorization = request.headers.get("authorization")
        cookie = None if _is_foreign(request) else session_cookie(request)
        if authorization is None and _is_open(scope["method"], scope["path"]):
            return await self.app(scope, receive, send)
        state = scope["app"].state
        try:
            actor = await service.authenticate(
                state.db,
                state.clock.now(),
                state.settings,
                authorization=authorization,
                cookie=cookie,
                csrf=request.headers.get("x-csrf-token"),
                unsafe=scope["method"] not in _SAFE,
                ip=client_ip(request),
            )
            if actor is None:
                raise nobody()
            if actor.must_set_up and not _is_setting_up(scope["method"], scope["path"]):
                raise service.second_factor.set_up_first()
        except Problem as problem:
            return await from_problem(problem)(scope, receive, send)
        scope["utcloud.actor"] = actor
        bodies.allow(scope, bodies.JSON)
        return await self.app(scope, receive, send)
