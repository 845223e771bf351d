"""Sessions and signals.

``async with db.read() as tx`` sees one consistent state; ``async with db.write() as tx`` commits at its end or rolls
all back. Never await anything but the database inside either. ``emit(tx, "site:…")`` wakes those who wait for that
channel, in this process and, on PostgreSQL, in every other one, once the transaction has been committed.
"""

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
from sqlalchemy import text
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine

from utcloud.common.seal import Sealer
from utcloud.db import sqlite
from utcloud.db.sealed import use_sealer

Tx = AsyncSession
_CHANNEL = "utcloud"
_SIGNALS = "utcloud.signals"
_MEMORY = "utcloud.memory"
_NOTIFY = text("SELECT count(pg_notify(:channel, signal)) FROM unnest(CAST(:signals AS text[])) AS signal")


async def take_turns(tx: Tx, name: str) -> None:
    """Let the transactions that say the same ``name`` run one after another. Say it before anything else.

    SQLite's writers do so anyway; on PostgreSQL it is an advisory lock that ends with the transaction.
    """
    if tx.get_bind().dialect.name == "postgresql":
        await tx.execute(text("SELECT pg_advisory_xact_lock(hashtextextended(:name, 0))"), {"name": name})


def emit(tx: Tx, channel: str) -> None:
    """Send a signal on ``channel`` when ``tx`` has been committed; never when it is rolled back."""
    tx.info.setdefault(_SIGNALS, set()).add(channel)


def memory(tx: Tx) -> dict[Any, Any]:
    """What this process keeps of what it read, from one ``read`` to the next. Of a ``write`` nothing is kept: it may
    have seen what is never committed.
    """
    found: dict[Any, Any] = tx.info.get(_MEMORY, {})
    return found


class Database:
    """One database, SQLite or PostgreSQL, told apart by ``url`` (a SQLAlchemy URL with an async driver).

    Without a ``sealer`` its sealed columns can be neither read nor written.
    """

    def __init__(self, url: str, sealer: Sealer | None = None) -> None:
        self.url = make_url(url)
        self.is_sqlite = self.url.get_backend_name() == "sqlite"
        # A statement that failed goes into the log: its values are hashes, tokens and people's names.
        options: dict[str, Any] = {"pool_size": 10, "max_overflow": 10, "hide_parameters": True}
        if self.is_sqlite:
            options["async_creator"] = self._connect_sqlite
        self.engine = create_async_engine(self.url, **options)
        if sealer is not None:
            use_sealer(self.engine.dialect, sealer)
        self._sessions = async_sessionmaker(self.engine, expire_on_commit=False)
        self._memory: dict[Any, Any] = {}
        snapshots = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
        readers = self.engine.execution_options(**({} if self.is_sqlite else snapshots))
        self._readers = async_sessionmaker(readers, expire_on_commit=False)
        self._one_writer = asyncio.Lock()
        self._turns: dict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._waiters: dict[str, set[asyncio.Event]] = defaultdict(set)
        self._listener: asyncio.Task[None] | None = None

    async def _connect_sqlite(self) -> sqlite.InlineConnection:
        return await sqlite.connect(self.url.database or ":memory:")

    async def start(self) -> None:
        """Begin to hear the signals of other processes (PostgreSQL only)."""
        if not self.is_sqlite:
            self._listener = asyncio.create_task(self._listen())

    async def close(self) -> None:
        """End all connections."""
        if self._listener:
            self._listener.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._listener
        await self.engine.dispose()

    async def compact(self) -> None:
        """Leave nothing of what was changed or deleted in SQLite's file. PostgreSQL does so in its own time."""
        if self.is_sqlite:
            async with self.engine.connect() as connection:
                await connection.exec_driver_sql("VACUUM")
                await connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")

    @contextlib.asynccontextmanager
    async def read(self) -> AsyncIterator[Tx]:
        """A session for reading one state of everything; nothing is written, and no row locked.

        PostgreSQL shows all its statements the same snapshot, and refuses others. On SQLite no other task runs between
        them.
        """
        async with self._readers(info={_MEMORY: self._memory}) as tx:
            yield tx

    @contextlib.asynccontextmanager
    async def write(self, turns: str | None = None) -> AsyncIterator[Tx]:
        """A transaction: committed at the end of the block, rolled back whole when it raises.

        SQLite has one writer at a time, who takes the lock at the start, so no transaction fails half-way. With
        ``turns``, PostgreSQL's transactions of that name take turns as well; those of this process wait for one another
        before they take a connection, so that many who wait leave some for the others.
        """
        queue = self._one_writer if self.is_sqlite else self._turns[turns] if turns else contextlib.nullcontext()
        async with queue, self._sessions() as tx:
            if self.is_sqlite:
                await tx.execute(text("BEGIN IMMEDIATE"))
            if turns:
                await take_turns(tx, turns)
            yield tx
            signals: set[str] = tx.info.get(_SIGNALS, set())
            if signals and not self.is_sqlite:
                await tx.execute(_NOTIFY, {"channel": _CHANNEL, "signals": sorted(signals)})
            await tx.commit()
        for channel in signals:
            self._wake(channel)

    @contextlib.contextmanager
    def listening(self, *channels: str) -> Any:
        """An ``asyncio.Event`` that is set whenever one of ``channels`` gets a signal. Clear it yourself."""
        woken = asyncio.Event()
        for channel in channels:
            self._waiters[channel].add(woken)
        try:
            yield woken
        finally:
            for channel in channels:
                self._waiters[channel].discard(woken)
                if not self._waiters[channel]:
                    del self._waiters[channel]

    def _wake(self, channel: str) -> None:
        for woken in self._waiters.get(channel, ()):
            woken.set()

    async def _listen(self) -> None:
        dsn = self.url.set(drivername="postgresql").render_as_string(hide_password=False)
        while True:
            with contextlib.suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
                connection = await asyncpg.connect(dsn)
                try:
                    await connection.add_listener(_CHANNEL, lambda *args: self._wake(str(args[3])))
                    for waiters in list(self._waiters.values()):
                        for woken in waiters:
                            woken.set()
                    while not connection.is_closed():
                        await asyncio.sleep(5)
                        await connection.execute("SELECT 1")
                finally:
                    await connection.close(timeout=1)
            await asyncio.sleep(1)
