"""The world that the rules are tried in."""

import pytest

from tests.workloads.world import World
from utcloud.db import Database


@pytest.fixture
async def world(db: Database) -> World:
    return await World.build(db)
