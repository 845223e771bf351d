"""The OpenAPI file is true: Schemathesis makes requests of it that nobody thought of."""

from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.support.lanes import examples
from tests.support.served import Served, serve

pytestmark = pytest.mark.slow

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    negative_data_rejection,
]
ENDLESS = "/api/v1/events"
SHARES = 6
"""The operations are tried in so many tests, to be spread over workers."""
schemathesis.serializer.alias("application/offset+octet-stream", "application/octet-stream")


@pytest.fixture(scope="module")
def fuzzed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server that takes whatever comes."""
    with serve(tmp_path_factory.mktemp("fuzzed"), "") as one:
        yield one


@pytest.fixture(scope="module")
def operations(fuzzed: Served) -> list[Any]:
    """All operations of the file as the app writes it, without the endless stream of events."""
    schema = schemathesis.openapi.from_dict(fuzzed.app.openapi()).exclude(path=ENDLESS)
    found = list(schema.get_all_operations())
    assert all(isinstance(one, Ok) for one in found)
    return [one.ok() for one in found if isinstance(one, Ok)]


@pytest.mark.parametrize("role", ["operator", "renter"])
@pytest.mark.parametrize("share", range(SHARES))
def test_no_request_makes_a_fault(share: int, role: str, fuzzed: Served, operations: list[Any]) -> None:
    """No 5xx, every answer is documented and has the documented shape, what is not valid is not taken."""
    actor = fuzzed.operator() if role == "operator" else fuzzed.person(f"fuzzy-{share}")
    headers = {"Authorization": str(actor.http.headers["Authorization"])}
    mine = operations[share::SHARES]
    assert len(mine) > 20
    for operation in mine:

        @settings(
            max_examples=examples(12),
            deadline=None,
            derandomize=True,
            database=None,
            phases=[Phase.explicit, Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy() | operation.as_strategy(schemathesis.GenerationMode.NEGATIVE))
        def attempt(case: schemathesis.Case[Any]) -> None:
            case.call_and_validate(base_url=fuzzed.origin, headers=headers, checks=CHECKS, timeout=20)

        attempt()
