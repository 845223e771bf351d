"""Everything that a request may hold has a bound: walks what the app itself says that it takes.

A strange text that is not bounded here is one that fills a database's column, an index or the memory one day.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi import APIRouter
from pydantic import BaseModel, TypeAdapter

from utcloud.accounts.schemas import Input
from utcloud.common.bounds import INT64
from utcloud.common.settings import Settings
from utcloud.protocol import SiteReport
from utcloud.server.app import create_app

Json = dict[str, Any]
BOUNDED_FORMATS = {"date-time", "date"}
"""Texts whose form bounds them: they become moments."""
BINARY = "binary"
"""Not in memory: streamed, and counted by the middleware."""


def unbounded(schema: Json, defs: Json, path: str = "", within: tuple[str, ...] = ()) -> Iterator[str]:
    """Where in a JSON schema something may be as large, as many or as deep as one likes."""
    if reference := schema.get("$ref", "").rpartition("/")[2]:
        if reference in within:
            yield f"{path}: {reference} in itself"
            return
        yield from unbounded(defs[reference], defs, path, (*within, reference))
        return
    if "const" in schema or "enum" in schema:
        return
    if options := schema.get("anyOf") or schema.get("oneOf") or schema.get("allOf"):
        for option in options:
            yield from unbounded(option, defs, path, within)
        return
    kind = schema.get("type")
    if kind in ("boolean", "null"):
        return
    if kind == "string":
        bounded = schema.get("format") in {*BOUNDED_FORMATS, BINARY} or "maxLength" in schema
        if not bounded:
            yield f"{path}: text"
    elif kind == "integer":
        least, most = (schema.get(key, schema.get(f"exclusive{key.title()}")) for key in ("minimum", "maximum"))
        if least is None or most is None or least < -(2**63) or most > INT64:
            yield f"{path}: integer"
    elif kind == "number":
        yield from () if {"maximum", "exclusiveMaximum"} & schema.keys() else [f"{path}: number"]
    elif kind == "array":
        yield from () if "maxItems" in schema else [f"{path}: list"]
        yield from unbounded(schema.get("items", {}), defs, f"{path}[]", within)
    elif kind == "object":
        extra = next(iter(schema.get("patternProperties", {}).values()), schema.get("additionalProperties", True))
        names = schema.get("propertyNames", {})
        if isinstance(extra, dict):
            yield from () if "maxProperties" in schema else [f"{path}: mapping"]
            yield from () if "maxLength" in names or "enum" in names else [f"{path}: names of a mapping"]
            yield from unbounded(extra, defs, f"{path}{{}}", within)
        elif extra is not False:
            yield f"{path}: any further fields"
        for name, inner in schema.get("properties", {}).items():
            yield from unbounded(inner, defs, f"{path}.{name}", within)
    else:
        yield f"{path}: anything at all ({kind})"


@pytest.fixture(scope="module")
def openapi() -> Json:
    found: Json = create_app(Settings(home=Path("/nonexistent"))).openapi()
    return found


def test_every_body_is_bounded(openapi: Json) -> None:
    found, defs = [], openapi["components"]["schemas"]
    bodies = 0
    for path, operations in openapi["paths"].items():
        for method, operation in operations.items():
            for kind in operation.get("requestBody", {}).get("content", {}).values():
                bodies += 1
                found += [f"{method} {path} {one}" for one in unbounded(kind["schema"], defs)]
    assert found == []
    assert bodies > 50, "the walk found what it is for"


def test_every_parameter_is_bounded(openapi: Json) -> None:
    found, defs = [], openapi["components"]["schemas"]
    for path, operations in openapi["paths"].items():
        for method, operation in operations.items():
            for one in operation.get("parameters", ()):
                found += [f"{method} {path} {bad}" for bad in unbounded(one["schema"], defs, one["name"])]
    assert found == []


def test_every_model_of_a_request_is_an_input(openapi: Json) -> None:
    """``Input`` refuses unknown fields, and counts them."""
    models: set[str] = set()

    def subclasses(of: type[Input]) -> Iterator[type[Input]]:
        for one in of.__subclasses__():
            yield one
            yield from subclasses(one)

    known = {one.__name__ for one in subclasses(Input)}
    for operations in openapi["paths"].values():
        for operation in operations.values():
            for kind in operation.get("requestBody", {}).get("content", {}).values():
                for option in [kind["schema"], *kind["schema"].get("anyOf", ())]:
                    models |= {option["$ref"].rpartition("/")[2]} if "$ref" in option else set()
    assert models
    assert models <= known


def _reported() -> Json:
    """The schema of a report; it takes unknown fields (a newer agent's), but keeps none of them."""
    schema = TypeAdapter(SiteReport).json_schema()

    def closed(part: Any) -> Any:
        if isinstance(part, list):
            return [closed(one) for one in part]
        if not isinstance(part, dict):
            return part
        more = {"additionalProperties": False} if "properties" in part and "additionalProperties" not in part else {}
        return {key: closed(value) for key, value in part.items()} | more

    found: Json = closed(schema)
    return found


def test_a_report_is_bounded() -> None:
    schema = _reported()
    found = list(unbounded(schema, schema["$defs"], "report"))
    telemetry = [f"report.nodes[].chips[].telemetry.{name}: number" for name in (
        "temperature_c", "power_w", "power_limit_w", "utilization_percent",
    )]  # fmt: skip
    assert found == telemetry, "any float is one, and `sense` leaves out what no chip measures"


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ({"type": "string"}, "text"),
        ({"type": "string", "pattern": "^[a-z]*$"}, "text"),
        ({"type": "array", "items": {"type": "boolean"}}, "list"),
        ({"type": "array", "maxItems": 3, "items": {"type": "string"}}, "[]: text"),
        ({"type": "object", "additionalProperties": {"type": "boolean"}}, "mapping"),
        ({"type": "object", "properties": {}}, "any further"),
        ({"type": "integer", "minimum": 0}, "integer"),
        ({"type": "integer", "minimum": 0, "maximum": 2**63}, "integer"),
        ({"type": "number", "minimum": 0}, "number"),
        ({}, "anything"),
        ({"anyOf": [{"type": "null"}, {"type": "string"}]}, "text"),
        ({"$ref": "#/$defs/Self"}, "in itself"),
    ],
)
def test_the_walk_sees_what_is_unbounded(schema: Json, words: str) -> None:
    itself = {"type": "array", "maxItems": 2, "items": {"$ref": "#/$defs/Self"}}
    found = list(unbounded(schema, {"Self": itself}, "here"))
    assert found
    assert words in found[0]


def test_no_router_takes_a_body_that_the_openapi_file_does_not_show() -> None:
    """The agent's and the edge's routes are not in it: they read bodies by themselves, or none."""
    from utcloud.edge.routes import router as edge
    from utcloud.workloads.agent_routes import router as agent

    def takes(router: APIRouter) -> list[str]:
        return [str(route) for route in router.routes if getattr(route, "body_field", None)]

    assert takes(agent) == takes(edge) == []
    assert issubclass(SiteReport, BaseModel)
