"""Reads a report so that one bad chip does not silence a site.

Most reports are sound and are read in one go. In others, each value that is not what it should be is left out, or cut
where it is too long, and a flag on its node says so. A report with more faults than that is worth is refused, and so is
one of more values than any site has, before they take memory.
"""

import hashlib
import json
import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from utcloud.common.errors import Invalid
from utcloud.protocol import SiteReport
from utcloud.resources.reports import sense

MOST_FAULTS = 200
"""So many values are left out or cut at most: each costs some work."""
MOST_VALUES = 500_000
MOST_DEPTH = 32
"""A thousand nodes of eight chips with their labels have 200,000 values; the deepest lies six deep."""
_ROUNDS = 4
"""What is cut may hide a fault behind it; a thing whose needed part was left out is left out in the next round."""
_TOKEN = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*(?:"|$)|[\[\]{},]', re.DOTALL)
_PIECE = 2**18
_NEW_EACH_TIME: dict[str, Any] = {"nodes": {"__all__": {"chips": {"__all__": {"telemetry"}}}}}
_Path = tuple[int | str, ...]


@dataclass(slots=True)
class Incoming:
    """A report, and what of it could not be read: by position of the node."""

    report: SiteReport
    flags: dict[int, list[str]] = field(default_factory=dict)
    _digest: tuple[str, str] | None = None

    def digest(self) -> tuple[str, str]:
        """Two marks of 32 characters each: of the nodes without what they measure, and of all else but the time."""
        if self._digest is None:
            self._digest = self._make_digest()
        return self._digest

    def _make_digest(self) -> tuple[str, str]:
        nodes = self.report.model_dump_json(include={"nodes"}, exclude=_NEW_EACH_TIME)
        absurd = [names for node in self.report.nodes for chip in node.chips if (names := sense.absurd(chip.telemetry))]
        rest = self.report.model_dump_json(exclude={"nodes", "sent_at"})
        return _mark(f"{nodes}{absurd or ''}{self.flags or ''}"), _mark(rest)


def _mark(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def parse(body: bytes) -> Incoming:
    """Read a report's JSON; raises Invalid when it is no report at all, or one of too many faults."""
    _require_bounded(body)
    try:
        incoming = Incoming(SiteReport.model_validate_json(body))
    except ValidationError:
        incoming = _leniently(body)
    incoming.digest()
    return incoming


def _require_bounded(body: bytes) -> None:
    """Raise Invalid for JSON of too many values, or nested too deeply, without making them.

    Each value but the first comes after one of ``[ { ,``: few of these are few values. Where there are many, those
    inside of texts are told apart.
    """
    marks = 0
    for begin in range(0, len(body), _PIECE):
        piece = body[begin : begin + _PIECE]
        marks += piece.count(b",") + piece.count(b"[") + piece.count(b"{")
        if marks > MOST_VALUES:
            break
    else:
        return
    values = depth = 0
    for token in _TOKEN.finditer(body):
        mark = body[token.start()]
        if mark in b"[{":
            depth += 1
        elif mark in b"]}":
            depth -= 1
        values += mark in b"[{,"
        if values > MOST_VALUES:
            raise Invalid(f"The report has more than {MOST_VALUES} values.", cure="Send a SiteReport.")
        if depth > MOST_DEPTH:
            raise Invalid("The report is nested too deeply.", cure="Send a SiteReport.")


def _leniently(body: bytes) -> Incoming:
    try:
        read = json.loads(body)
        data = _with_whole_characters(read)
    except (ValueError, RecursionError) as error:
        raise Invalid("The report is not JSON.", cure="Send a SiteReport as JSON in UTF-8.") from error
    if not isinstance(data, dict):
        raise Invalid("The report is not a JSON object.", cure="Send a SiteReport.")
    flags: dict[int, list[str]] = defaultdict(list)
    """By ``id`` of the node's raw object: positions change while nodes are left out."""
    if data != read:
        flags[_SITE].append("half a character was replaced: a text is not Unicode")
    taken: set[tuple[int, int | str]] = set()
    faults = 0
    for _ in range(_ROUNDS):
        try:
            report = SiteReport.model_validate(data)
        except ValidationError as error:
            faults += error.error_count()
            if faults > MOST_FAULTS:
                raise Invalid(f"The report has more than {MOST_FAULTS} faults.", cure="Send a SiteReport.") from None
            _mend(data, error, flags, taken)
            continue
        return Incoming(report, _by_position(data.get("nodes", []), flags))
    raise Invalid("The report has faults within faults.", cure="Send a SiteReport.")


def _with_whole_characters(value: Any) -> Any:
    """The same with U+FFFD in place of lone surrogates, which JSON can write and no database can hold."""
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, list):
        return [_with_whole_characters(one) for one in value]
    if isinstance(value, dict):
        return {_with_whole_characters(key): _with_whole_characters(one) for key, one in value.items()}
    return value


_SITE = 0
"""In place of a node's ``id``: what cannot be told of one node."""


def _by_position(nodes: list[Any], flags: dict[int, list[str]]) -> dict[int, list[str]]:
    found = {place: flags[id(node)] for place, node in enumerate(nodes) if id(node) in flags}
    if nodes and flags.get(_SITE):
        found[0] = flags[_SITE] + found.get(0, [])
    return found


def _mend(
    data: dict[str, Any], error: ValidationError, flags: dict[int, list[str]], taken: set[tuple[int, int | str]]
) -> None:
    """Take out, or cut, each value that ``error`` names; raises Invalid for those without which there is no report.

    ``taken`` remembers what was taken out: that it is missing then is no news.
    """
    dropped: dict[int, tuple[list[Any], set[int]]] = {}
    for fault in error.errors(include_url=False, include_input=False):
        where: _Path = tuple(part for part in fault["loc"] if part != "[key]")
        most = fault.get("ctx", {}).get("max_length")
        cut = fault["type"] in ("too_long", "string_too_long") and most is not None
        mark = (id(_at(data, where[:-1])), where[-1] if where else "")
        known = mark in taken
        taken.add(mark)
        if fault["type"] == "missing":
            where = where[:-1]
        if len(where) < 2 and not cut:
            name = str(fault["loc"][0]) if fault["loc"] else None
            raise Invalid(f"The report cannot be read: {fault['msg']}.", field=name, cure="Send a SiteReport.")
        if not known:
            flags[_node_id(data, where)].append(_words(data, where, fault["msg"], cut=cut))
        _take_out(data, where, most if cut else None, dropped)
    for items, places in dropped.values():
        items[:] = [item for place, item in enumerate(items) if place not in places]


def _take_out(
    data: dict[str, Any], where: _Path, most: int | None, dropped: dict[int, tuple[list[Any], set[int]]]
) -> None:
    parent = _at(data, where[:-1])
    key = where[-1]
    if isinstance(parent, list) and isinstance(key, int) and key < len(parent):
        if most is None:
            dropped.setdefault(id(parent), (parent, set()))[1].add(key)
        else:
            parent[key] = _cut(parent[key], most)
    elif isinstance(parent, dict) and key in parent:
        if most is None:
            del parent[key]
        else:
            parent[key] = _cut(parent[key], most)


def _cut(value: Any, most: int) -> Any:
    return dict(list(value.items())[:most]) if isinstance(value, dict) else value[:most]


def _at(data: Any, where: Iterable[int | str]) -> Any:
    for part in where:
        try:
            data = data[part]
        except (KeyError, IndexError, TypeError):
            return None
    return data


def _node_id(data: dict[str, Any], where: _Path) -> int:
    """Which node's fault it is. A node that is itself left out cannot carry a flag."""
    return id(_at(data, where[:2])) if where[0] == "nodes" and len(where) > 2 else _SITE


def _words(data: dict[str, Any], where: _Path, message: str, *, cut: bool) -> str:
    inside = where[2:] if where[0] == "nodes" and len(where) > 2 else where
    text = ".".join(str(part)[:80] for part in inside)
    if len(inside) > 1 and inside[0] in ("chips", "resources"):
        item = _at(data, where[:4])
        name = item.get("uid", item.get("name")) if isinstance(item, dict) else None
        rest = ".".join(str(part)[:80] for part in inside[2:])
        which = name or inside[1]
        text = f"{f'chip {which}' if inside[0] == 'chips' else f'resource {which}'}{f': {rest}' if rest else ''}"
    return f"{text} was {'cut' if cut else 'left out'}: {message[0].lower()}{message[1:]}"
