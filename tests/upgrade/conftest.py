"""A home of the older version, upgraded and served."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support.api import Api
from tests.support.db import PostgresServer, empty_database
from tests.support.served import Served, serve
from tests.upgrade.old import load_dump, unpack


@dataclass
class Upgraded:
    """The server of today in a home of before, which expected says all about."""

    served: Served
    expected: dict[str, Any]

    def person(self, username: str) -> Api:
        return self.served.anonymous().login(username, self.expected["passwords"][username])


@contextlib.contextmanager
def old_home(kind: str, home: Path, postgres: PostgresServer | None) -> Iterator[tuple[str, dict[str, Any]]]:
    """A home as it was left; the database's URL and what is expected of it."""
    expected = unpack(kind, home)
    if postgres is None:
        yield f"sqlite+aiosqlite:///{home / 'utcloud.db'}", expected
        return
    with empty_database(postgres) as url:
        load_dump(home, url)
        yield url, expected


@pytest.fixture(scope="module")
def upgraded(
    database_kind: str, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Upgraded]:
    home = tmp_path_factory.mktemp("old")
    postgres = request.getfixturevalue("postgres") if database_kind == "postgres" else None
    with old_home(database_kind, home, postgres) as (url, expected), serve(home, url) as served:
        yield Upgraded(served, expected)
