"""Fixtures for every room: ``db`` is a fresh database with all tables, on SQLite and on PostgreSQL."""

import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import structlog

from tests.support.db import PostgresServer, make_sqlite_template, postgres_bin, running_postgres
from utcloud.db import Database

structlog.configure(
    processors=[
        structlog.processors.add_log_level,
        structlog.processors.format_exc_info,  # structlog's own way of showing an exception takes half a minute
        structlog.processors.KeyValueRenderer(),
    ]
)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--db",
        choices=("sqlite", "postgres", "both"),
        default="both" if postgres_bin() else "sqlite",
        help="the databases that tests run on (default: both where PostgreSQL is installed)",
    )


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "database_kind" in metafunc.fixturenames:
        choice = metafunc.config.getoption("--db")
        metafunc.parametrize("database_kind", ["sqlite", "postgres"] if choice == "both" else [choice], scope="session")


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A PostgreSQL server of the test run's own."""
    with running_postgres() as server:
        yield server


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_sqlite_template(tmp_path_factory.mktemp("sqlite"))


@pytest.fixture
async def database_url(database_kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[str]:
    """The URL of a fresh database with all tables, for tests that start a server of their own."""
    if database_kind == "sqlite":
        path = tmp_path / "utcloud.db"
        shutil.copyfile(request.getfixturevalue("sqlite_template"), path)
        yield f"sqlite+aiosqlite:///{path}"
        return
    server: PostgresServer = request.getfixturevalue("postgres")
    async with server.fresh() as url:
        yield url


@pytest.fixture
async def db(database_url: str) -> AsyncIterator[Database]:
    """A fresh database with all tables, started."""
    database = Database(database_url)
    await database.start()
    yield database
    await database.close()
