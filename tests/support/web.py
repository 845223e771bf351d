"""A small server around a few rooms' routers, with the real authentication and the real errors."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx
from fastapi import APIRouter, FastAPI
from starlette.datastructures import State

from utcloud.accounts import passwords, service
from utcloud.accounts.auth import SYSTEM, Actor
from utcloud.accounts.models import User
from utcloud.accounts.schemas import Role, UserCreate
from utcloud.common.clock import Clock
from utcloud.common.settings import Settings
from utcloud.db import Database
from utcloud.server import errors
from utcloud.server.authentication import Authentication
from utcloud.server.bodies import Bodies

PASSWORD = "correct horse battery"


def make_app(db: Database, clock: Clock, settings: Settings, *routers: APIRouter) -> FastAPI:
    """An app with ``routers`` under ``/api/v1``.

    FastAPI's own part of it takes a tenth of a second, so it is made once for the same routers: one test has one app.
    """
    key = tuple(map(id, routers))  # a router has no hash; these live as long as their modules
    app = _APPS[key] = _APPS.get(key) or _bare_app(routers)
    app.state = State()
    app.state.db, app.state.clock, app.state.settings = db, clock, settings
    return app


_APPS: dict[tuple[int, ...], FastAPI] = {}


def _bare_app(routers: Sequence[APIRouter]) -> FastAPI:
    app = FastAPI(openapi_url="/api/v1/openapi.json")
    errors.install(app)
    app.add_middleware(Authentication)
    app.add_middleware(Bodies)
    for router in routers:
        app.include_router(router, prefix="/api/v1")
    return app


def client_of(app: FastAPI, token: str | None = None, ip: str = "192.0.2.1") -> httpx.AsyncClient:
    """A client of ``app`` at the API's root; with ``token``, as its owner."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    return httpx.AsyncClient(
        transport=httpx.ASGITransport(app, client=(ip, 1)), base_url="http://localhost/api/v1", headers=headers
    )


@dataclass(frozen=True)
class Person:
    """A user of a test, with an API token."""

    user: User
    token: str
    client: httpx.AsyncClient

    @property
    def id(self) -> str:
        return self.user.id

    @property
    def actor(self) -> Actor:
        return Actor(self.user.id, self.user.username, self.user.is_operator, self.user.is_miner, self.user.is_renter)


@asynccontextmanager
async def person(app: FastAPI, username: str, *roles: Role, groups: list[str] | None = None) -> AsyncIterator[Person]:
    """Add a user (password ``PASSWORD``; a renter unless told) with a token and a client."""
    db: Database = app.state.db
    now = app.state.clock.now()
    body = UserCreate(username=username, roles=list(roles) or [Role.RENTER], group_ids=groups or [])
    password_hash = await passwords.hash_password(PASSWORD)
    async with db.write() as tx:
        user = await service.create_user(tx, SYSTEM, body, password_hash, now)
    _, token = await service.create_token(
        db, now, app.state.settings, username=username, password=PASSWORD, name="test", expires_in_days=3650, ip=""
    )
    async with client_of(app, token) as client:
        yield Person(user, token, client)


def problem(response: httpx.Response, status: int, code: str | None = None, field: str | None = None) -> dict[str, Any]:
    """Assert that ``response`` is this problem; return it."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    body: dict[str, Any] = response.json()
    assert body["status"] == status
    assert body["detail"]
    assert body["title"]
    if code is not None:
        assert body["code"] == code, body
    if field is not None:
        assert body["field"] == field, body
        assert body["cure"], body
    return body
