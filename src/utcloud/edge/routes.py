"""What a replica's host answers before its page is open. Mounted without ``/api/v1`` and without authentication."""

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response

from utcloud.common.settings import Settings
from utcloud.db.web import Db, Now
from utcloud.edge import pages, service
from utcloud.edge.caddy import cookie_name

router = APIRouter(prefix="/edge", include_in_schema=False)


@router.get("/open")
async def open_page(request: Request, db: Db, now: Now, code: str = Query("", max_length=200)) -> Response:
    """Use a one-time code up, set the page's cookie and go to the page (public as ``/_utcloud/open``).

    Cross-site safety: the code is 256 random bits, works once within a minute, only on its own host, and is known only
    to the answer of ``POST …/open``, so nobody can be made to open another's page (no login CSRF) except with a code
    given away on purpose. The cookie is host-only and HttpOnly: no script and no other replica reads it. It is
    SameSite=Lax because the way here begins on the console's site; Caddy refuses whatever another origin sends with
    it. The console's own cookie is bound to the console's host and never comes here.
    """
    settings: Settings = request.app.state.settings
    host = request.headers.get("host", "")
    opened = None
    async with db.read() as tx:  # anybody may ask, and only whoever has a code may make the server write
        there = await service.is_code(tx, code)
    if there:
        async with db.write() as tx:
            opened = await service.redeem(tx, now, host, code)
    if opened is None:
        return HTMLResponse(pages.not_opened(settings), status_code=403, headers=pages.HEADERS)
    secret, path = opened
    response = RedirectResponse(path, status_code=303, headers={"Cache-Control": "no-store"})
    name = cookie_name(settings, host.partition(".")[0].lower())
    response.set_cookie(name, secret, path="/", httponly=True, samesite="lax", secure=bool(settings.domain))
    return response


@router.get("/ask")
async def ask(request: Request, db: Db, domain: str = Query("", max_length=255)) -> Response:
    """Tell Caddy whether to get a certificate for ``domain``: only for hosts that exist, else strangers could use up
    the certificate authority's patience."""
    settings: Settings = request.app.state.settings
    label, _, rest = domain.lower().partition(".")
    if not settings.domain or rest != settings.apps_host:
        return PlainTextResponse("unknown\n", status_code=404)
    async with db.read() as tx:
        known = await service.is_host(tx, label)
    return PlainTextResponse("ok\n" if known else "unknown\n", status_code=200 if known else 404)
