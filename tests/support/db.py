"""Databases for tests: a SQLite file, or a PostgreSQL database on a server that the test run starts for itself."""

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
from utcloud.db import Base, Database

_TEMPLATE = "utcloud_template"


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
    """A throw-away server on a unix socket; ``fresh()`` gives an empty database with all tables."""

    def __init__(self, socket_dir: Path, user: str) -> None:
        self._socket_dir = socket_dir
        self._user = user
        self._has_template = False

    def url(self, database: str) -> str:
        return f"postgresql+asyncpg://{self._user}@/{database}?host={self._socket_dir}"

    async def _execute(self, *statements: str) -> None:
        connection = await asyncpg.connect(host=str(self._socket_dir), user=self._user, database="postgres")
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

    @asynccontextmanager
    async def fresh(self) -> AsyncIterator[str]:
        """The URL of a database with all tables and no rows, dropped afterwards."""
        if not self._has_template:
            await self._execute(f"CREATE DATABASE {_TEMPLATE}")
            database = Database(self.url(_TEMPLATE))
            await create_all(database)
            await database.close()
            self._has_template = True
        name = f"t_{uuid.uuid4().hex}"
        await self._execute(f'CREATE DATABASE "{name}" TEMPLATE {_TEMPLATE}')
        try:
            yield self.url(name)
        finally:
            await self._execute(f'DROP DATABASE "{name}" WITH (FORCE)')


_HASTY = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "autovacuum": "off"}
"""Settings of a server whose data nobody will miss."""


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
