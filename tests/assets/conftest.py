import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import uvicorn
from fastapi import FastAPI

from tests.support.clock import FakeClock
from tests.support.web import Person, make_app, person
from utcloud.accounts.routes import router as accounts_router
from utcloud.accounts.schemas import Role
from utcloud.assets import loops, service
from utcloud.assets.routes import router
from utcloud.assets.store import FolderStore
from utcloud.common.settings import Settings
from utcloud.db import Database


@pytest.fixture(autouse=True)
def _own_hooks() -> None:
    """Other rooms' hooks stay out of these tests."""
    for hooks in (service.asset_in_use_checks, service.version_in_use_checks, service.image_in_use_checks):
        hooks.clear()


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path, max_upload_bytes=2 * 10**9, max_version_files=2000)


@pytest.fixture
def store(settings: Settings) -> FolderStore:
    return FolderStore(Path(settings.store))


@pytest.fixture
def app(db: Database, clock: FakeClock, settings: Settings, store: FolderStore) -> FastAPI:
    app = make_app(db, clock, settings, accounts_router, router)
    app.state.store = store
    return app


@pytest.fixture
async def processing(app: FastAPI) -> AsyncIterator[None]:
    """The loop that publishes runs."""
    state = app.state
    task = asyncio.create_task(loops.process_versions(state.db, state.clock, state.store, state.settings))
    yield
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


@pytest.fixture
async def operator(app: FastAPI) -> AsyncIterator[Person]:
    async with person(app, "admin", Role.OPERATOR, Role.RENTER) as someone:
        yield someone


@pytest.fixture
async def origin(app: FastAPI) -> AsyncIterator[str]:
    """The app behind a real HTTP server; its origin."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=1))
        task = asyncio.create_task(server.serve(sockets=[listener]))
        while not server.started:
            await asyncio.sleep(0.01)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        server.should_exit = True
        await task
