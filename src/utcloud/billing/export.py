"""Lists as CSV: streamed, one row at a time, safe to open in a spreadsheet."""

import csv
import io
from collections.abc import AsyncIterator, Sequence
from datetime import datetime

from fastapi import Request
from fastapi.responses import StreamingResponse
from pydantic import BaseModel


def wanted(request: Request, format_: str | None) -> bool:
    """Whether the caller asked for CSV, by ``?format=csv`` or by ``Accept: text/csv``."""
    return format_ == "csv" or (format_ is None and "text/csv" in request.headers.get("accept", ""))


def response(shape: type[BaseModel], batches: AsyncIterator[Sequence[BaseModel]], name: str) -> StreamingResponse:
    """The rows of ``batches`` under the field names of ``shape``, as the file ``name``."""
    headers = {"Content-Disposition": f'attachment; filename="{name}"', "Vary": "Accept"}
    return StreamingResponse(_lines(shape, batches), media_type="text/csv; charset=utf-8", headers=headers)


async def _lines(shape: type[BaseModel], batches: AsyncIterator[Sequence[BaseModel]]) -> AsyncIterator[str]:
    fields = list(shape.model_fields)
    yield _text([fields])
    async for batch in batches:
        yield _text([[_cell(row[field]) for field in fields] for row in (item.model_dump() for item in batch)])


def _text(rows: list[list[str]]) -> str:
    buffer = io.StringIO()
    csv.writer(buffer).writerows(rows)
    return buffer.getvalue()


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    if isinstance(value, bool):
        return str(value).lower()
    text = str(value)
    if text[:1] in "=+-@\t\r" and not _is_number(text):
        return f"'{text}"  # else a spreadsheet would run it as a formula
    return text


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
