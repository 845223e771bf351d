"""The OpenAPI file: complete, and true. Schemathesis makes requests of it that nobody thought of."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from fastapi.routing import APIRoute
from hypothesis import HealthCheck, Phase, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.server.conftest import Served, serve
from tests.support.api import Api
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
EXAMPLES = 12
ENDLESS = "/api/v1/events"
schemathesis.serializer.alias("application/offset+octet-stream", "application/octet-stream")


@pytest.fixture(scope="module")
def fuzzed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server that takes whatever comes."""
    with serve(tmp_path_factory.mktemp("fuzzed"), "") as one:
        yield one


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
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=True,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
def test_no_request_makes_a_fault(case: schemathesis.Case[Any], actor: Api, fuzzed: Served) -> None:
    """No 5xx, every answer is documented and has the documented shape, what is not valid is not taken."""
    headers = {"Authorization": str(actor.http.headers["Authorization"])}
    case.call_and_validate(base_url=fuzzed.origin, headers=headers, checks=CHECKS, timeout=20)


# Completeness


@pytest.fixture(scope="module")
def openapi(fuzzed: Served) -> dict[str, Any]:
    found: dict[str, Any] = fuzzed.anonymous().get("/openapi.json")
    return found


def operations(openapi: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    return [
        (f"{method.upper()} {path}", operation)
        for path, methods in openapi["paths"].items()
        for method, operation in methods.items()
    ]


def test_every_route_is_in_it(fuzzed: Served, openapi: dict[str, Any]) -> None:
    """All but those for agents and for the edge."""
    described = {name for name, _ in operations(openapi)}
    routes: set[str] = set()

    def walk(found: Any) -> None:
        for route in found:
            if isinstance(route, APIRoute) and route.include_in_schema:
                routes.update(f"{method} {route.path_format}" for method in (route.methods or set()) - {"HEAD"})

    walk(fuzzed.app.routes)
    assert routes <= described
    assert len(described) >= 70


def test_every_operation_says_what_it_does(openapi: dict[str, Any]) -> None:
    silent = [name for name, one in operations(openapi) if not one.get("summary") or not one.get("description")]
    assert silent == []


def test_operations_have_lasting_unique_names(openapi: dict[str, Any]) -> None:
    names = [one["operationId"] for _, one in operations(openapi)]
    assert len(set(names)) == len(names)
    assert all(name.isidentifier() for name in names), names


def test_every_operation_documents_its_problems(openapi: dict[str, Any]) -> None:
    for name, one in operations(openapi):
        for status in ("401", "403", "404", "409", "422"):
            content = one["responses"][status].get("content", {})
            assert "application/problem+json" in content, (name, status)


def test_every_body_has_an_example(openapi: dict[str, Any]) -> None:
    """In the schema of the body, in one of its fields, or beside it."""

    def has_example(part: Any, seen: tuple[str, ...] = ()) -> bool:
        if isinstance(part, list):
            return any(has_example(one, seen) for one in part)
        if not isinstance(part, dict):
            return False
        if part.get("examples") or "example" in part or "default" in part or "enum" in part:
            return True
        reference = part.get("$ref")
        if reference and reference not in seen:
            return has_example(openapi["components"]["schemas"][reference.rpartition("/")[2]], (*seen, reference))
        return any(has_example(one, seen) for one in part.values())

    bare = [
        name
        for name, one in operations(openapi)
        if "application/json" in one.get("requestBody", {}).get("content", {}) and not has_example(one["requestBody"])
    ]
    assert bare == []


def test_the_ways_to_log_in_are_described(openapi: dict[str, Any]) -> None:
    schemes = openapi["components"].get("securitySchemes", {})
    kinds = {(one["type"], one.get("scheme") or one.get("in")) for one in schemes.values()}
    assert ("http", "bearer") in kinds
    assert ("apiKey", "cookie") in kinds


def test_the_pages_types_are_made_of_this_file(tmp_path: Path) -> None:
    """After a change of the API: ``npm --prefix web run api``."""
    root = Path(__file__).parents[2]
    node = shutil.which("node") or str(root / "build/tools/node-bin/node")
    (tmp_path / "openapi.json").write_text(json.dumps(create_app(Settings(home=Path("/nonexistent"))).openapi()))
    maker = root / "web/node_modules/openapi-typescript/bin/cli.js"
    made = subprocess.run(
        [node, maker, tmp_path / "openapi.json"], capture_output=True, text=True, check=True, timeout=60, cwd=tmp_path
    )
    assert made.stdout.strip() == (root / "web/src/shared/api/schema.d.ts").read_text().strip()
