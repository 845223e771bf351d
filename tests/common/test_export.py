"""Lists as files."""

import csv
import io
import json
from collections.abc import Sequence
from typing import Any

import pytest
from pydantic import BaseModel

from utcloud.common import export


class Row(BaseModel):
    text: str = ""
    more: str | None = None
    number: int = 0
    several: list[str] = []
    yes: bool = False


async def as_file(kind: export.FileKind, *pages: Sequence[Row]) -> str:
    async def load(limit: int, cursor: str | None) -> tuple[Sequence[BaseModel], str | None]:
        at = int(cursor or 0)
        return pages[at], str(at + 1) if at + 1 < len(pages) else None

    answer = export.response(kind, Row, load, "rows")
    return "".join([str(part) async for part in answer.body_iterator])


@pytest.mark.parametrize(
    ("text", "cell"),
    [
        ("", ""),
        ("plain", "plain"),
        ('a, "b"\nc', 'a, "b"\nc'),
        ("=1+1", "'=1+1"),
        ("+49 30", "'+49 30"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("-cmd", "'-cmd"),
        ("\t=1", "'\t=1"),
        ("\r=1", "'\r=1"),
        ("\n=1", "'\n=1"),
        ("-1.5", "-1.5"),
        ("עברית 数据", "עברית 数据"),
    ],
)
async def test_a_cell_is_never_a_formula(text: str, cell: str) -> None:
    """A spreadsheet runs nothing, numbers stay numbers, and what is empty stays empty."""
    (row,) = csv.DictReader(io.StringIO(await as_file(export.FileKind.CSV, [Row(text=text)])))
    assert row["text"] == cell


async def test_all_pages_are_in_it() -> None:
    pages = [[Row(number=1, several=["=a"], yes=True)], [Row(number=2, more="x")]]
    rows = list(csv.DictReader(io.StringIO(await as_file(export.FileKind.CSV, *pages))))
    assert [(row["number"], row["several"], row["yes"], row["more"]) for row in rows] == [
        ("1", '["=a"]', "true", ""),
        ("2", "[]", "false", "x"),
    ]
    lines = (await as_file(export.FileKind.JSONL, *pages)).splitlines()
    found: list[dict[str, Any]] = [json.loads(line) for line in lines]
    assert [one["number"] for one in found] == [1, 2]
