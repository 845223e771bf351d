"""The app: routers, middleware, lifespan."""

import asyncio
import contextlib
import gc
from collections.abc import AsyncIterator
from importlib.metadata import version
from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.routing import APIRoute
from starlette.responses import PlainTextResponse, Response

from utcloud.accounts.auth import session_cookie_name
from utcloud.accounts.routes import router as accounts
from utcloud.assets.routes import router as assets
from utcloud.assets.store import open_store
from utcloud.billing.outbox.routes import router as notices
from utcloud.billing.routes import router as billing
from utcloud.billing.statement_routes import router as statements
from utcloud.common.clock import Clock, SystemClock
from utcloud.common.seal import Sealer
from utcloud.common.settings import Settings
from utcloud.db import Base, Database
from utcloud.db.sealed import check
from utcloud.db.web import Db
from utcloud.edge.routes import router as edge
from utcloud.monitoring import metrics
from utcloud.resources.routes import router as resources
from utcloud.server import errors, loops
from utcloud.server.authentication import BEFORE_LOGIN, Authentication
from utcloud.server.bodies import Bodies
from utcloud.server.events import router as events
from utcloud.server.idempotency import Idempotency
from utcloud.server.wiring import wire
from utcloud.workloads.agent_routes import router as agent
from utcloud.workloads.routes import router as workloads

_DESCRIPTION = """\
An AI container cloud. Log in with `POST /auth/tokens` and send `Authorization: Bearer <token>`.

Amounts of UNC are decimal strings; times are RFC 3339 in UTC; lists answer `{"items": […], "next_cursor": …}` to
`?limit=&cursor=`; errors are RFC 9457 problem details; creating calls take an `Idempotency-Key`.
"""


def create_app(settings: Settings, clock: Clock | None = None) -> FastAPI:
    """Return the server for ``settings``. Its database must have been migrated (``bootstrap.prepare``)."""

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        await app.state.db.start()
        async with app.state.db.read() as tx:
            await check(tx, Base.metadata)
        tasks = loops.start(app)
        gc.collect()
        gc.freeze()  # what is there now stays: each full collection need not look at it again, for a tenth of a second
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            gc.unfreeze()
            await app.state.db.close()

    app = FastAPI(
        title="utcloud",
        version=version("utcloud"),
        description=_DESCRIPTION,
        openapi_url="/api/v1/openapi.json",
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
        generate_unique_id_function=_operation_id,
        responses={
            status: {
                "model": errors.ProblemDetails,
                "description": description,
                "content": {"application/problem+json": {}},
            }
            for status, description in _PROBLEMS.items()
        },
    )
    wire()
    app.state.settings = settings
    app.state.clock = clock or SystemClock()
    app.state.db = Database(settings.database, Sealer(settings))
    app.state.store = open_store(settings.store)
    errors.install(app)
    app.add_middleware(Idempotency)
    app.add_middleware(Authentication)
    app.add_middleware(Bodies)  # the outermost
    api = APIRouter(prefix="/api/v1")
    for router in (workloads, resources, assets, billing, statements, notices, accounts, events):
        api.include_router(router)
    app.include_router(agent, prefix="/api/v1", include_in_schema=False)  # first: routes are tried in order
    app.include_router(api)
    app.include_router(edge, include_in_schema=False)
    app.add_api_route("/healthz", _healthz, include_in_schema=False)
    app.add_api_route("/metrics", _metrics, include_in_schema=False)
    _describe_middleware(app)
    return app


def _describe_middleware(app: FastAPI) -> None:
    """Say in the OpenAPI file how one logs in and how bodies are refused: of the middleware FastAPI knows nothing."""
    plain = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            described = plain()
            described["components"]["securitySchemes"] = {
                "token": {"type": "http", "scheme": "bearer", "description": "From `POST /auth/tokens`."},
                "session": {
                    "type": "apiKey",
                    "in": "cookie",
                    "name": session_cookie_name(app.state.settings),
                    "description": "From `POST /auth/session`; changes need the header `X-CSRF-Token` as well.",
                },
            }
            described["security"] = [{"token": []}, {"session": []}]
            for method, path in BEFORE_LOGIN:
                described["paths"][path][method.lower()]["security"] = []
            for operations in described["paths"].values():
                for operation in operations.values():
                    for status, text in _BODIES.items() if "requestBody" in operation else ():
                        operation["responses"].setdefault(str(status), {"description": text, **_IS_PROBLEM})
        return app.openapi_schema or {}

    app.openapi = openapi  # type: ignore[method-assign]


_PROBLEMS = {
    401: "Nobody is logged in",
    402: "The wallet holds too little",
    403: "Not allowed",
    404: "Not found, or another tenant's",
    409: "The present state does not allow it",
    422: "A field is not valid",
    429: "Too many requests",
    503: "Not at this moment",
}


_BODIES = {408: "The body came too slowly", 413: "The body is too large", 415: "The body is compressed"}
_IS_PROBLEM = {"content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/ProblemDetails"}}}}


def _operation_id(route: APIRoute) -> str:
    return route.name


async def _healthz() -> PlainTextResponse:
    return PlainTextResponse("ok\n")


async def _metrics(db: Db) -> Response:
    async with db.read() as tx:
        return Response(await metrics(tx), media_type="text/plain; version=0.0.4; charset=utf-8")
