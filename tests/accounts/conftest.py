from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI

from tests.support.clock import FakeClock
from tests.support.web import Person, client_of, make_app, person
from utcloud.accounts import service
from utcloud.accounts.routes import router
from utcloud.accounts.schemas import Role
from utcloud.common.settings import Settings
from utcloud.db import Database


@pytest.fixture(autouse=True)
def _own_hooks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Other rooms' hooks stay out of these tests."""
    monkeypatch.setattr(service.users, "on_delete_checks", service.on_delete_checks[:0])
    monkeypatch.setattr(service.users, "on_freeze", service.on_freeze[:0])
    monkeypatch.setattr(service.users, "on_access_end", [])


@pytest.fixture
def app(db: Database, clock: FakeClock, tmp_path: Path) -> FastAPI:
    return make_app(db, clock, Settings(home=tmp_path), router)


@pytest.fixture
async def operator(app: FastAPI) -> AsyncIterator[Person]:
    async with person(app, "admin", Role.OPERATOR) as someone:
        yield someone


@pytest.fixture
async def miner(app: FastAPI) -> AsyncIterator[Person]:
    async with person(app, "mary", Role.MINER) as someone:
        yield someone


@pytest.fixture
async def anyone(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    """A client that has not logged in."""
    async with client_of(app) as client:
        yield client
