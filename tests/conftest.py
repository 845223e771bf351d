"""Fixtures for every package: ``db`` is an empty database with all tables."""

import os
import shutil
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

import utcloud.db.database
from tests.support import lanes
from tests.support.db import SEALER, PostgresServer, make_sqlite_template, memory_folder, postgres_bin, running_postgres
from tests.support.spread import ByFile
from utcloud.db import Database

structlog.configure(
    processors=[
        structlog.processors.add_log_level,
        structlog.processors.format_exc_info,  # structlog's own way of showing an exception takes half a minute
        structlog.processors.KeyValueRenderer(),
    ],
    logger_factory=structlog.PrintLoggerFactory(sys.__stderr__),  # not into what a command prints, which tests read
)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--lane",
        type=lanes.Lane,
        choices=list(lanes.Lane),
        default=lanes.Lane.STANDARD,
        help="fast: no containers, no browser, SQLite; standard (default): what CI runs; long: all, at full counts",
    )
    parser.addoption(
        "--db",
        choices=("sqlite", "postgres", "marked", "both"),
        help="databases: 'marked' is SQLite, and PostgreSQL too for tests marked postgres (default: by lane)",
    )


def pytest_configure(config: pytest.Config) -> None:
    lanes.choose(config.getoption("--lane"))


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByFile:
    """Give each worker whole files."""
    return ByFile(config, log)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """The fast lane does not read what is slow to read: whole journeys, and requests made of the OpenAPI file."""
    fast = config.getoption("--lane") is lanes.Lane.FAST
    return True if fast and collection_path.name in ("e2e", "test_openapi_fuzz.py") else None


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> Iterator[None]:
    """Leave out what the lane does not run; undo pytest-randomly's shuffling inside of files marked ``in_order``."""
    as_written: dict[Path, list[pytest.Item]] = {}
    for item in items:
        if item.get_closest_marker("in_order"):
            as_written.setdefault(item.path, []).append(item)
    yield
    chosen = set(map(id, items))  # of what -k and the like left
    following = {path: iter([item for item in own if id(item) in chosen]) for path, own in as_written.items()}
    items[:] = [next(following[item.path]) if item.path in following else item for item in items]
    left_out = lanes.LEFT_OUT[config.getoption("--lane")]
    dropped = [item for item in items if any(mark.name in left_out for mark in item.iter_markers())]
    if dropped:
        config.hook.pytest_deselected(items=dropped)
        gone = set(map(id, dropped))
        items[:] = [item for item in items if id(item) not in gone]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "database_kind" in metafunc.fixturenames:
        choice = metafunc.config.getoption("--db") or lanes.DATABASES[metafunc.config.getoption("--lane")]
        if not postgres_bin():
            choice = "sqlite"
        if choice == "marked":
            choice = "both" if metafunc.definition.get_closest_marker("postgres") else "sqlite"
        metafunc.parametrize("database_kind", ["sqlite", "postgres"] if choice == "both" else [choice], scope="session")


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A PostgreSQL server of this worker's own."""
    with running_postgres() as server:
        yield server


@pytest.fixture(scope="session")
def sqlite_template() -> Iterator[Path]:
    """A SQLite file with all tables and no rows, to be copied."""
    with memory_folder() as folder:
        yield make_sqlite_template(folder)


@pytest.fixture(scope="session")
def sqlite_file(sqlite_template: Path) -> Path:
    """The one SQLite file of this worker's tests."""
    return sqlite_template.with_name("worker.db")


@pytest.fixture(scope="session", autouse=True)
def _engines_are_kept(request: pytest.FixtureRequest) -> Iterator[None]:
    """Give the worker's own databases the same engine in every test, so that statements are compiled once.

    Compiling them anew took a fifth of the time of the rules' tests. Closing a ``Database`` still ends its connections.
    """
    kept: dict[str, AsyncEngine] = {}

    def create(url: Any, **options: Any) -> AsyncEngine:
        if "worker" not in (url.database or ""):
            return create_async_engine(url, **options)
        key = url.render_as_string(hide_password=False)
        if key not in kept:
            kept[key] = create_async_engine(url, **options)
        return kept[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(utcloud.db.database, "create_async_engine", create)
        yield


@pytest.fixture
async def database_url(database_kind: str, request: pytest.FixtureRequest) -> AsyncIterator[str]:
    """The URL of this worker's database, emptied."""
    if database_kind == "sqlite":
        path: Path = request.getfixturevalue("sqlite_file")
        for ending in ("-wal", "-shm"):
            path.with_name(path.name + ending).unlink(missing_ok=True)
        shutil.copyfile(request.getfixturevalue("sqlite_template"), path)
        yield f"sqlite+aiosqlite:///{path}"
        return
    server: PostgresServer = request.getfixturevalue("postgres")
    yield await server.emptied(f"worker_{os.environ.get('PYTEST_XDIST_WORKER', 'main')}")


@pytest.fixture
async def db(database_url: str) -> AsyncIterator[Database]:
    """This worker's database with all tables and no rows, started."""
    database = Database(database_url, SEALER)
    await database.start()
    yield database
    await database.close()


from tests.support.fixtures import _cheap_passwords, alice, bob, clock, people, world  # noqa: E402, F401
