"""Databases for tests: a SQLite file, or a PostgreSQL database on a server that the test run starts for itself."""

import asyncio
import contextlib
import getpass
import importlib
import os
import pkgutil
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import asyncpg
from sqlalchemy import create_engine

import utcloud
from utcloud.common.seal import Sealer
from utcloud.common.settings import Settings
from utcloud.db import Base, Database

_TEMPLATE = "utcloud_template"

_EMPTY = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid();
SET session_replication_role = replica;
DO $$
DECLARE one record;
BEGIN
    FOR one IN SELECT format('%I', tablename) AS name FROM pg_tables WHERE schemaname = 'public' LOOP
        EXECUTE 'DELETE FROM ' || one.name;
        EXECUTE 'ALTER TABLE ' || one.name || ' ENABLE TRIGGER ALL';
    END LOOP;
    FOR one IN SELECT format('%I', sequencename) AS name FROM pg_sequences WHERE schemaname = 'public' LOOP
        EXECUTE 'ALTER SEQUENCE ' || one.name || ' RESTART';
    END LOOP;
END $$
"""
"""Ends others' sessions, deletes every row without triggers and foreign keys, then enables all triggers.

TRUNCATE would take ten times as long: it makes a file for each table and index.
"""


SEALER = Sealer(Settings(secret_key="a key of tests, longer than 32 characters"))
"""For databases that tests open themselves, beside no server."""


def load_all_tables() -> None:
    """Import every room's models, so that ``Base.metadata`` knows all tables."""
    for room in pkgutil.iter_modules(utcloud.__path__):
        if (Path(utcloud.__path__[0]) / room.name / "models.py").exists():
            importlib.import_module(f"utcloud.{room.name}.models")


async def create_all(database: Database) -> None:
    load_all_tables()
    async with database.engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)


def postgres_bin() -> Path | None:
    """The folder with ``initdb`` and ``postgres``; None when PostgreSQL is not installed."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    if found:
        return found[-1].parent
    on_path = shutil.which("initdb")
    return Path(on_path).resolve().parent if on_path else None


def _unprivileged_user() -> str | None:
    """PostgreSQL refuses to run as root: name another user then."""
    if os.geteuid() != 0:
        return None
    names = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in names else "nobody"


class PostgresServer:
    """A throw-away server on a unix socket.

    ``emptied()`` is the usual way: one database, whose rows go before each test. ``fresh()`` makes one for a test that
    needs a database of its own.
    """

    def __init__(self, socket_dir: Path, user: str) -> None:
        self._socket_dir = socket_dir
        self._user = user
        self._has_template = False
        self._made: set[str] = set()

    def url(self, database: str) -> str:
        return f"postgresql+asyncpg://{self._user}@/{database}?host={self._socket_dir}"

    async def _execute(self, *statements: str, database: str = "postgres") -> None:
        connection = await asyncpg.connect(host=str(self._socket_dir), user=self._user, database=database)
        try:
            for statement in statements:
                await connection.execute(statement)
        finally:
            await connection.close()

    @asynccontextmanager
    async def empty(self) -> AsyncIterator[str]:
        """The URL of a database without tables, dropped afterwards. For migrations."""
        name = f"t_{uuid.uuid4().hex}"
        await self._execute(f'CREATE DATABASE "{name}"')
        try:
            yield self.url(name)
        finally:
            await self._execute(f'DROP DATABASE "{name}" WITH (FORCE)')

    async def emptied(self, name: str) -> str:
        """The URL of the database ``name`` with all tables and no rows, whatever a test left in it."""
        if name in self._made:
            await self._execute(_EMPTY, database=name)
        else:
            await self._create(name)
            self._made.add(name)
        return self.url(name)

    async def _create(self, name: str) -> None:
        if not self._has_template:
            await self._execute(f"CREATE DATABASE {_TEMPLATE}")
            database = Database(self.url(_TEMPLATE))
            await create_all(database)
            await database.close()
            self._has_template = True
        await self._execute(f'CREATE DATABASE "{name}" TEMPLATE {_TEMPLATE}')

    @asynccontextmanager
    async def fresh(self) -> AsyncIterator[str]:
        """The URL of a database with all tables and no rows, dropped afterwards."""
        name = f"t_{uuid.uuid4().hex}"
        await self._create(name)
        try:
            yield self.url(name)
        finally:
            await self._execute(f'DROP DATABASE "{name}" WITH (FORCE)')


@contextlib.contextmanager
def empty_database(postgres: PostgresServer) -> Iterator[str]:
    """``PostgresServer.empty`` for code that is not asynchronous."""
    context: contextlib.AbstractAsyncContextManager[str] = postgres.empty()

    async def begin() -> str:
        return await context.__aenter__()

    async def end() -> None:
        await context.__aexit__(None, None, None)

    with asyncio.Runner() as runner:
        yield runner.run(begin())
        runner.run(end())


_HASTY = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "autovacuum": "off"}
"""Settings of a server whose data nobody will miss."""


@contextmanager
def memory_folder() -> Iterator[Path]:
    """A temporary folder in memory where the machine has such a place: nobody needs a test's data to last."""
    shared = Path("/dev/shm")
    folder = Path(tempfile.mkdtemp(prefix="utcloud-test-", dir=shared if os.access(shared, os.W_OK) else None))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def running_postgres(*, durable: bool = False) -> Iterator[PostgresServer]:
    """Start a PostgreSQL server in a temporary folder; stop and remove it at the end.

    ``durable`` keeps PostgreSQL's own settings, for measuring; tests do without what they cost.
    """
    binaries = postgres_bin()
    assert binaries, "PostgreSQL is not installed: apt-get install postgresql"
    user = _unprivileged_user()
    root = Path(tempfile.mkdtemp(prefix="utcloud-pg-", dir="/tmp"))  # a socket's path must be short
    if user:
        shutil.chown(root, user)
    data = root / "data"
    subprocess.run(
        [binaries / "initdb", "-D", data, "-A", "trust", "-U", "utcloud", "-E", "UTF8", "--no-locale", "--no-sync"],
        check=True,
        capture_output=True,
        user=user,
        cwd=root,
    )
    settings = {
        "listen_addresses": "",
        "unix_socket_directories": str(root),
        "max_connections": "200",
        **({"shared_buffers": "128MB"} if durable else {"shared_buffers": "32MB", **_HASTY}),
    }
    options = [part for key, value in settings.items() for part in ("-c", f"{key}={value}")]
    with (root / "log").open("wb") as log:
        process = subprocess.Popen(
            [binaries / "postgres", "-D", data, *options], stdout=log, stderr=log, user=user, cwd=root
        )
    try:
        _wait_until_ready(binaries, root, process)
        yield PostgresServer(root, "utcloud")
    finally:
        process.send_signal(signal.SIGINT)  # fast shutdown: ends the sessions that are left
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        shutil.rmtree(root, ignore_errors=True)


def _wait_until_ready(binaries: Path, root: Path, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 60
    while process.poll() is None and time.monotonic() < deadline:
        ready = subprocess.run([binaries / "pg_isready", "-q", "-h", root, "-U", "utcloud"], check=False)
        if ready.returncode == 0:
            return
        time.sleep(0.05)
    raise RuntimeError(f"PostgreSQL did not start as {getpass.getuser()}:\n{(root / 'log').read_text()}")


def make_sqlite_template(folder: Path) -> Path:
    """A SQLite file with all tables, to be copied for each test."""
    load_all_tables()
    path = folder / "template.db"
    engine = create_engine(f"sqlite:///{path}")
    Base.metadata.create_all(engine)
    engine.dispose()
    return path
