"""The OpenAPI file is true: Schemathesis makes requests of it that nobody thought of."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.support.api import Api
from tests.support.db import empty_database, postgres_bin
from tests.support.lanes import amount
from tests.support.served import Served, serve
from utcloud.common.settings import Settings
from utcloud.server.app import create_app

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    negative_data_rejection,
]
ENDLESS = "/api/v1/events"
FRAMING = {"content-length", "transfer-encoding"}
"""Made up, they leave no HTTP request to be answered by a route: ``test_bodies`` tries these by hand."""
schemathesis.serializer.alias("application/offset+octet-stream", "application/octet-stream")


@pytest.fixture(scope="module")
def fuzzed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server that takes whatever comes, on PostgreSQL: it refuses what SQLite keeps, such as NUL and 2^64."""
    home, chosen = tmp_path_factory.mktemp("fuzzed"), request.config.getoption("--db")
    with contextlib.ExitStack() as until_the_end:
        url = ""
        if postgres_bin() and chosen != "sqlite":
            url = until_the_end.enter_context(empty_database(request.getfixturevalue("postgres")))
        yield until_the_end.enter_context(serve(home, url))


def test_the_server_is_on_postgresql(fuzzed: Served) -> None:
    assert fuzzed.app.state.db.is_sqlite is False


@pytest.fixture(scope="module", params=["operator", "renter"])
def actor(request: pytest.FixtureRequest, fuzzed: Served) -> Api:
    return fuzzed.operator() if request.param == "operator" else fuzzed.person("fuzzy")


def _schema() -> Any:
    """The file as the app writes it, with the endless stream of events left out."""
    app = create_app(Settings(home=Path("/nonexistent")))
    return schemathesis.openapi.from_dict(app.openapi()).exclude(path=ENDLESS)


schema = _schema()


@pytest.mark.slow
@schema.parametrize()  # type: ignore[untyped-decorator]
@settings(
    max_examples=amount(4, 240),
    deadline=None,
    derandomize=True,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
def test_no_request_makes_a_fault(case: schemathesis.Case[Any], actor: Api, fuzzed: Served) -> None:
    """No 5xx, every answer is documented and has the documented shape, what is not valid is not taken."""
    for name in [name for name in case.headers or {} if name.lower() in FRAMING]:
        del case.headers[name]
    checks = [*CHECKS]
    if any(isinstance(value, list | tuple) for value in (case.query or {}).values()):
        checks.remove(negative_data_rejection)  # of a parameter that is given several times, the last one counts
    headers = {"Authorization": str(actor.http.headers["Authorization"])}
    case.call_and_validate(base_url=fuzzed.origin, headers=headers, checks=checks, timeout=20)
