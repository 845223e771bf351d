"""A site's agent, as the server's routes meet it."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI

from tests.support.clock import FakeClock
from tests.support.scenario import Scenario
from tests.support.web import client_of, make_app
from utcloud.assets.store import open_store
from utcloud.common.settings import Settings
from utcloud.resources import service as resources
from utcloud.resources.models import Site
from utcloud.server.wiring import wire
from utcloud.workloads import agent_routes
from utcloud.workloads.intake import Buckets


@pytest.fixture
def clock(world: Scenario) -> FakeClock:
    return FakeClock(world.now)


@pytest.fixture
async def agent_app(world: Scenario, clock: FakeClock, tmp_path: Path) -> FastAPI:
    """The routes that agents use; the token of the world's site is ``utcs_good``."""
    wire()
    app = make_app(world.db, clock, Settings(), agent_routes.router)
    app.state.store = open_store(str(tmp_path))
    async with world.db.write() as tx:
        (await tx.get_one(Site, world.site_id)).token_hash = resources.hash_of("utcs_good")
    return app


@pytest.fixture
async def agent(agent_app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    """The site's agent."""
    async with client_of(agent_app, "utcs_good") as client:
        yield client


@pytest.fixture
def may_report_always(agent_app: FastAPI) -> None:
    """Take reports as often as they come."""
    agent_app.state.buckets = Buckets(lambda: 0.0, burst=10**9)
