"""The OpenAPI file is complete. ``test_openapi_fuzz`` tries whether it is true."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute

from utcloud.common.settings import Settings
from utcloud.server.app import create_app


@pytest.fixture(scope="module")
def app() -> FastAPI:
    return create_app(Settings(home=Path("/nonexistent")))


@pytest.fixture(scope="module")
def openapi(app: FastAPI) -> dict[str, Any]:
    return app.openapi()


def operations(openapi: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    return [
        (f"{method.upper()} {path}", operation)
        for path, methods in openapi["paths"].items()
        for method, operation in methods.items()
    ]


def test_every_route_is_in_it(app: FastAPI, openapi: dict[str, Any]) -> None:
    """All but those for agents and for the edge."""
    described = {name for name, _ in operations(openapi)}
    routes: set[str] = set()

    def walk(found: Any) -> None:
        for route in found:
            if isinstance(route, APIRoute) and route.include_in_schema:
                routes.update(f"{method} {route.path_format}" for method in (route.methods or set()) - {"HEAD"})

    walk(app.routes)
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


def test_the_pages_types_are_made_of_this_file(openapi: dict[str, Any], tmp_path: Path) -> None:
    """After a change of the API: ``npm --prefix web run api``."""
    root = Path(__file__).parents[2]
    node = shutil.which("node") or str(root / "build/tools/node-bin/node")
    (tmp_path / "openapi.json").write_text(json.dumps(openapi))
    maker = root / "web/node_modules/openapi-typescript/bin/cli.js"
    made = subprocess.run(
        [node, maker, tmp_path / "openapi.json"], capture_output=True, text=True, check=True, timeout=60, cwd=tmp_path
    )
    assert made.stdout.strip() == (root / "web/src/shared/api/schema.d.ts").read_text().strip()
