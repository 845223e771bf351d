"""The whole server, on both databases."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.cloud import Cloud
from tests.support.db import PostgresServer, empty_database
from tests.support.served import Served, serve
from tests.support.site_double import SiteDouble


@pytest.fixture(scope="module")
def served(database_kind: str, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The server on SQLite, and again on PostgreSQL."""
    home = tmp_path_factory.mktemp("home")
    if database_kind == "sqlite":
        with serve(home, "") as one:
            yield one
        return
    postgres: PostgresServer = request.getfixturevalue("postgres")
    with empty_database(postgres) as url, serve(home, url) as one:
        yield one


@pytest.fixture(scope="module")
def cloud(served: Served) -> Iterator[Cloud]:
    """A site with three chips that runs whatever is wanted of it, and a renter who may use them."""
    site = SiteDouble(served)
    site.start()
    yield Cloud.build(served, served.operator(), "server")
    site.stop()
