"""A whole list as a file, CSV or JSON lines: streamed page by page, so that a slow reader holds nothing."""

import csv
import io
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from enum import StrEnum
from typing import Annotated, Any, Literal, TypeVar

from fastapi import Depends, Query, Request
from fastapi.responses import StreamingResponse
from pydantic import BaseModel
from starlette.types import Receive, Scope, Send

from utcloud.common.paging import Page

Row = TypeVar("Row", bound=BaseModel)
Load = Callable[[int, str | None], Awaitable[tuple[Sequence[BaseModel], str | None]]]
"""Takes a limit and a cursor; returns one page's rows and the next cursor, or None."""

PAGE = 500
_FORMULA = tuple(
    "=+-@\t\r\n\N{FULLWIDTH EQUALS SIGN}\N{FULLWIDTH PLUS SIGN}\N{FULLWIDTH HYPHEN-MINUS}\N{FULLWIDTH COMMERCIAL AT}"
)
"""With what a cell begins that a spreadsheet may run; some take the wide forms as well."""


class FileKind(StrEnum):
    CSV = "csv"
    JSONL = "jsonl"


async def _wanted(
    request: Request,
    format: Annotated[  # noqa: A002 - the parameter's name in the URL
        Literal["json", "csv", "jsonl"] | None,
        Query(description="`csv` or `jsonl`: all rows as a file. Also by `Accept: text/csv`."),
    ] = None,
) -> FileKind | None:
    if format is None and "text/csv" in request.headers.get("accept", ""):
        return FileKind.CSV
    return FileKind(format) if format in ("csv", "jsonl") else None


Wanted = Annotated[FileKind | None, Depends(_wanted)]
"""A route's parameter: which file the caller asked for; None for a page."""

RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {
        "content": {
            "text/csv": {"schema": {"type": "string"}},
            "application/jsonl": {"schema": {"type": "string"}},
        }
    }
}
"""``responses=`` of a route whose list can be had as a file."""


def response(kind: FileKind, shape: type[BaseModel], load: Load, name: str) -> StreamingResponse:
    """All rows that ``load`` gives, under the field names of ``shape``, as the file ``<name>.<kind>``."""
    headers = {"Content-Disposition": f'attachment; filename="{name}.{kind}"', "Vary": "Accept"}
    if kind is FileKind.CSV:
        return _File(_csv(shape, load), media_type="text/csv; charset=utf-8", headers=headers)
    return _File(_jsonl(load), media_type="application/jsonl", headers=headers)


def whole(kind: FileKind | None, shape: type[Row], items: list[Row], name: str) -> Page[Row] | StreamingResponse:
    """A short list that is not paged: a page of it, or the file."""

    async def load(_limit: int, _cursor: str | None) -> tuple[Sequence[BaseModel], None]:
        return items, None

    return response(kind, shape, load, name) if kind else Page(items=items)


class _File(StreamingResponse):
    """Begins only when there is something to send: who may not read the list is told so in the usual way."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        rest = aiter(self.body_iterator)
        first = await anext(rest, "")

        async def whole() -> AsyncIterator[Any]:
            yield first
            async for part in rest:
                yield part

        self.body_iterator = whole()
        await super().__call__(scope, receive, send)


async def _batches(load: Load) -> AsyncIterator[Sequence[BaseModel]]:
    cursor: str | None = None
    while True:
        items, cursor = await load(PAGE, cursor)
        yield items
        if cursor is None:
            return


async def _csv(shape: type[BaseModel], load: Load) -> AsyncIterator[str]:
    fields = list(shape.model_fields)
    head = _text([fields])
    async for batch in _batches(load):
        yield head + _text([[_cell(row[field]) for field in fields] for row in (_plain(item) for item in batch)])
        head = ""


async def _jsonl(load: Load) -> AsyncIterator[str]:
    async for batch in _batches(load):
        yield "".join(item.model_dump_json() + "\n" for item in batch)


def _plain(item: BaseModel) -> dict[str, Any]:
    plain: dict[str, Any] = item.model_dump(mode="json")
    return plain


def _text(rows: list[list[str]]) -> str:
    buffer = io.StringIO()
    csv.writer(buffer).writerows(rows)
    return buffer.getvalue()


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    text = json.dumps(value, ensure_ascii=False) if isinstance(value, dict | list) else str(value)
    if text.startswith(_FORMULA) and not _is_number(text):
        return f"'{text}"  # else a spreadsheet would run it as a formula
    return text


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
