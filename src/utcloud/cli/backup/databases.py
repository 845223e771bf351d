"""The database: a copy of one moment while it runs, and what must be there beside it."""

import asyncio
import contextlib
import os
import shutil
import sqlite3
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
from sqlalchemy.engine import URL, make_url

from utcloud.cli.errors import CliError
from utcloud.cli.up.own import acting_as, owner

_BLOBS = "SELECT DISTINCT sha256, size FROM version_files"
_IMAGES = "SELECT reference FROM images ORDER BY reference"
_REVISION = "SELECT version_num FROM alembic_version"
_NO_CLIENT = "Install PostgreSQL's programs, of the server's version or a newer one: apt-get install postgresql-client"


@dataclass(frozen=True)
class Copy:
    """A database at one moment. ``blobs`` are hashes and sizes of the contents that it names."""

    kind: str
    revision: str
    blobs: list[tuple[str, int]]
    images: list[str]


@dataclass(frozen=True)
class Place:
    """Where a database is: a SQLite file, or a PostgreSQL server's."""

    url: URL

    @classmethod
    def of(cls, url: str) -> "Place":
        """The place that a setting names."""
        return cls(make_url(url))

    @property
    def file(self) -> Path | None:
        """The file of SQLite; None of PostgreSQL."""
        return Path(self.url.database or "") if self.url.get_backend_name() == "sqlite" else None

    @property
    def kind(self) -> str:
        """``sqlite`` or ``postgresql``."""
        return self.url.get_backend_name()

    @property
    def dsn(self) -> str:
        """What asyncpg takes."""
        return self.url.set(drivername="postgresql").render_as_string(hide_password=False)

    def arguments(self) -> tuple[list[str], dict[str, str]]:
        """Arguments and environment of PostgreSQL's programs; a password is nobody's to see in a list of processes."""
        query = {name: value if isinstance(value, str) else value[0] for name, value in self.url.query.items()}
        host = self.url.host or query.pop("host", "")
        given = {
            "--host": host,
            "--port": str(self.url.port or query.pop("port", "")),
            "--username": self.url.username or query.pop("user", ""),
            "--dbname": self.url.database or "",
        }
        environment = {name: value for name, value in os.environ.items() if name != "PGPASSWORD"}
        password = self.url.password or query.pop("password", "")
        if password:
            environment["PGPASSWORD"] = str(password)
        for name in ("sslmode", "ssl"):
            if name in query:
                environment["PGSSLMODE"] = query[name]
        return [f"{name}={value}" for name, value in given.items() if value], environment


def dump(place: Place, scratch: Path, keep: Callable[[AbstractContextManager[Iterator[bytes]]], None]) -> Copy:
    """Hand the database's bytes to ``keep``, and say what it holds. Raises CliError."""
    if place.file is not None:
        return _dump_sqlite(place.file, scratch, keep)
    return asyncio.run(_dump_postgres(place, keep))


def _dump_sqlite(file: Path, scratch: Path, keep: Callable[[AbstractContextManager[Iterator[bytes]]], None]) -> Copy:
    """SQLite's own online copy, made beside the database."""
    copied = scratch / "backup-of-the-database"
    try:
        copied.unlink(missing_ok=True)
        copied.touch(mode=0o600)
        with (
            contextlib.closing(_opened(file)) as source,
            contextlib.closing(sqlite3.connect(copied)) as target,
        ):
            source.backup(target)
            (verdict,) = target.execute("PRAGMA quick_check(1)").fetchone()
            if verdict != "ok":
                raise CliError(f"The database {file} is damaged: {verdict}.", "Restore an earlier backup.")
            target.execute("PRAGMA journal_mode=DELETE")
            copy = Copy(
                "sqlite",
                _first(target, _REVISION),
                [(row[0], row[1]) for row in _rows(target, _BLOBS)],
                [row[0] for row in _rows(target, _IMAGES)],
            )
        keep(_file_chunks(copied))
        return copy
    except sqlite3.Error as error:
        room = shutil.disk_usage(scratch).free
        raise CliError(
            f"The database {file} cannot be copied: {error}.",
            f"{scratch} needs room for a copy of it ({file.stat().st_size} bytes; {room} are free).",
        ) from error
    finally:
        copied.unlink(missing_ok=True)


def _opened(file: Path) -> sqlite3.Connection:
    """A connection whose files are all open, by who owns them: root may not make them in a sticky folder."""
    with acting_as(owner(file)):
        source = sqlite3.connect(f"file:{file}?mode=rw", uri=True, timeout=60)
        source.execute("SELECT count(*) FROM sqlite_master").fetchone()
    return source


async def _dump_postgres(place: Place, keep: Callable[[AbstractContextManager[Iterator[bytes]]], None]) -> Copy:
    """``pg_dump`` of the same snapshot that the lists are read from."""
    program = _program("pg_dump")
    try:
        connection = await asyncpg.connect(place.dsn)
    except (OSError, asyncpg.PostgresError) as error:
        raise CliError(f"The database cannot be reached: {error}.", "Check UTCLOUD_DATABASE_URL.") from error
    try:
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            snapshot = await connection.fetchval("SELECT pg_export_snapshot()")
            copy = Copy(
                "postgresql",
                str(await connection.fetchval(_REVISION)),
                [(row[0], row[1]) for row in await connection.fetch(_BLOBS)],
                [row[0] for row in await connection.fetch(_IMAGES)],
            )
            arguments, environment = place.arguments()
            command = [program, "--format=custom", "--no-owner", "--no-privileges", f"--snapshot={snapshot}"]
            await asyncio.to_thread(keep, _output([*command, *arguments], environment))
            return copy
    except asyncpg.PostgresError as error:
        raise CliError(f"The database cannot be read: {error}.", "Check UTCLOUD_DATABASE_URL.") from error
    finally:
        await connection.close()


def refuse_unless_free(place: Place) -> None:
    """Raise CliError when there is a database already, or none can be made there."""
    if place.file is not None:
        if place.file.exists():
            raise CliError(f"There is a database already: {place.file}.", "Restore into another, empty home.")
        return
    _program("pg_restore")
    asyncio.run(_refuse_tables(place))


def load(place: Place, scratch: Path, chunks: Iterator[bytes]) -> None:
    """Make the database of what ``dump`` gave. Raises CliError."""
    dumped = scratch / "database"
    with os.fdopen(os.open(dumped, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        for chunk in chunks:
            file.write(chunk)
        file.flush()
        os.fsync(file.fileno())
    if place.file is not None:
        place.file.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(dumped, place.file)
        return
    arguments, environment = place.arguments()
    command = [_program("pg_restore"), "--no-owner", "--no-privileges", "--exit-on-error", "--single-transaction"]
    done = subprocess.run(
        [*command, *arguments, str(dumped)],
        env=environment,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        check=False,
    )
    dumped.unlink()
    if done.returncode:
        raise CliError(f"pg_restore: {done.stderr.strip()[-500:]}", "Nothing was changed in the database.")


async def _refuse_tables(place: Place) -> None:
    try:
        connection = await asyncpg.connect(place.dsn)
    except (OSError, asyncpg.PostgresError) as error:
        raise CliError(
            f"The database cannot be reached: {error}.", "Make an empty one and name it in UTCLOUD_DATABASE_URL."
        ) from error
    try:
        if await connection.fetchval("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"):
            raise CliError(
                f"The database {place.url.database} is not empty.",
                "Make an empty one (CREATE DATABASE) and name it in UTCLOUD_DATABASE_URL.",
            )
    finally:
        await connection.close()


@contextlib.contextmanager
def _output(command: list[str], environment: dict[str, str]) -> Iterator[Iterator[bytes]]:
    with tempfile.TemporaryFile() as errors:
        with subprocess.Popen(
            command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors
        ) as process:
            try:
                yield iter(lambda: process.stdout.read(2**20) if process.stdout else b"", b"")
            except BaseException:
                process.kill()
                raise
        errors.seek(0)
        said = errors.read().decode(errors="replace").strip()
    if process.returncode:
        raise CliError(f"pg_dump: {said[-500:]}", _NO_CLIENT if "version" in said else "Check UTCLOUD_DATABASE_URL.")


@contextlib.contextmanager
def _file_chunks(path: Path) -> Iterator[Iterator[bytes]]:
    with path.open("rb") as file:
        yield iter(lambda: file.read(2**20), b"")


def _program(name: str) -> str:
    found = shutil.which(name)
    if not found:
        raise CliError(f"{name} is not installed.", _NO_CLIENT)
    return found


def _rows(connection: sqlite3.Connection, query: str) -> list[Any]:
    try:
        return connection.execute(query).fetchall()
    except sqlite3.OperationalError:
        return []  # a database of before that table


def _first(connection: sqlite3.Connection, query: str) -> str:
    rows = _rows(connection, query)
    return str(rows[0][0]) if rows else ""
