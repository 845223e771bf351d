"""Databases as they were before a migration."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.db import PostgresServer


@pytest.fixture
async def bare_url(database_kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[str]:
    """The URL of a database without tables."""
    if database_kind == "sqlite":
        yield f"sqlite+aiosqlite:///{tmp_path / 'bare.db'}"
        return
    server: PostgresServer = request.getfixturevalue("postgres")
    async with server.empty() as url:
        yield url
