"""SQLite on the event loop's own thread.

A statement of ours takes SQLite some ten microseconds; handing each to a worker thread and back, as aiosqlite does,
takes ten times that. Writers never wait for one another here: ``Database`` lets one in at a time.
"""

import sqlite3
from asyncio import Future
from collections.abc import Callable, Generator
from typing import Any

import aiosqlite

_PRAGMAS = ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "busy_timeout=10000")
"""FULL: what was said to be done outlives a power cut, for two milliseconds a transaction."""


class InlineConnection(aiosqlite.Connection):
    """aiosqlite's connection without its thread."""

    def __init__(self, connector: Callable[[], sqlite3.Connection]) -> None:
        super().__init__(connector, iter_chunk_size=64)

    def __await__(self) -> Generator[Any, None, "InlineConnection"]:
        self._connection = self._connector()
        return self
        yield  # makes this a generator, which is what `await` takes

    async def _execute(self, fn: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        return fn(*args, **kwargs)

    def stop(self) -> Future[Any] | None:
        self._running = False
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        return None


def connect(path: str) -> InlineConnection:
    """Open the database file at ``path``, in autocommit mode: ``Database`` says where transactions begin and end."""

    def connector() -> sqlite3.Connection:
        connection = sqlite3.connect(path, isolation_level=None)
        for pragma in _PRAGMAS:
            connection.execute(f"PRAGMA {pragma}")
        return connection

    return InlineConnection(connector)
