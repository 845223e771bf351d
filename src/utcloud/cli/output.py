"""Tables for people, JSON for scripts."""

import json
import re
import sys
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

Json = dict[str, Any]
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")
_COLOURS = {
    "running": "green", "ready": "green", "active": "green", "succeeded": "green",
    "failed": "red", "not_ready": "red", "lost": "red", "gone": "red", "frozen": "red",
    "pending": "yellow", "assigned": "yellow", "starting": "yellow", "stopping": "yellow", "processing": "yellow",
}  # fmt: skip


class Column(NamedTuple):
    """A heading, and where its value is: a dotted path into the item, or a function of it."""

    title: str
    value: str | Callable[[Json], Any]
    right: bool = False

    def of(self, item: Json) -> Text:
        """The cell's text."""
        if callable(self.value):
            return _shown(self.value(item))
        found: Any = item
        for key in self.value.split("."):
            found = found.get(key) if isinstance(found, dict) else None
        return _shown(found)


def size(number: float) -> str:
    """Bytes as a person reads them."""
    for unit in ("B", "KB", "MB"):
        if number < 1000:
            return f"{number:.0f} {unit}"
        number /= 1000
    return f"{number:.1f} GB"


def names(items: Iterable[Json], key: str = "name") -> str:
    """The names of several things in one cell."""
    return ", ".join(str(item[key]) for item in items)


def print_json(value: Any) -> None:
    """Exactly what the API answered."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False, indent=2) + "\n")


def say(text: str) -> None:
    """A line for a person, on the standard output."""
    sys.stdout.write(_clean(text) + "\n")
    sys.stdout.flush()


def note(text: str) -> None:
    """A line for a person, on the standard error."""
    sys.stderr.write(_clean(text) + "\n")
    sys.stderr.flush()


def print_table(items: Sequence[Json], columns: Sequence[Column]) -> None:
    """One line for each item; in a pipe, as wide as needed."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for column in columns:
        table.add_column(column.title, justify="right" if column.right else "left", overflow="fold")
    for item in items:
        table.add_row(*(column.of(item) for column in columns))
    if items:
        _console().print(table)
    else:
        note("Nothing there.")


def print_record(item: Json, fields: Sequence[Column]) -> None:
    """One item, a line for each field."""
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for field in fields:
        table.add_row(field.title, field.of(item))
    _console().print(table)


def _console() -> Console:
    return Console(file=sys.stdout, width=None if sys.stdout.isatty() else 10_000, highlight=False)


def _shown(value: Any) -> Text:
    if value is None or value == "" or value == []:
        return Text("–", style="dim")
    if isinstance(value, bool):
        return Text("yes" if value else "no")
    if isinstance(value, list):
        return Text(", ".join(_clean(str(part)) for part in value))
    if isinstance(value, str) and _TIME.fullmatch(value):
        return Text(datetime.fromisoformat(value).astimezone().strftime("%Y-%m-%d %H:%M:%S"))
    text = _clean(str(value))
    return Text(text, style=_COLOURS.get(text, ""))


def _clean(text: str) -> str:
    """Without control characters: another's text must not steer this terminal."""
    return "".join(char if char.isprintable() or char == "\n" else "�" for char in text)
