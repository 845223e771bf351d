"""What the server says to people, read from its source: each text as a template, ``Pool {0} has no nodes``."""

import ast
import gc
import re
from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path

from pydantic_core._pydantic_core import list_all_errors

from tests.support.stack import ROOT

SOURCE = ROOT / "src" / "utcloud"

NOT_SHOWN_FILES = (
    "cli/*",  # speaks to whoever typed, in English
    "db/*",  # SQL
    "billing/triggers.py",
    "billing/statement_pdf.py",  # in both languages
    "billing/outbox/mail.py",
    "common/http_probe.py",  # a raw request
    "edge/caddy/certificates.py",  # speaks to whoever starts it, and to the log
    "edge/pages.py",
    "monitoring/*",  # names of metrics
    "server/app.py",  # the OpenAPI document
    "server/events.py",  # the event stream
    "site/agent.py",  # for the agent's log
    "site/records.py",
)
"""Files whose texts no page shows."""

NOT_SHOWN = {
    "delete element * within *",  # nftables
    "list table *",
    "inet utcloud_*",
    "\\tset (within|sent*",
    "set %(name)s {*",
    "limit rate over *",
    "*SELECT {hash}*",
    "typeof(*",
    "CASE *",
    "?ifname *",
    "mount: *",  # what the system said
    "umount: *",
    "open_tree: *",
    "*-src '*",
    "*; charset=*",
    "Bearer *",
    "Value error",
    "utcloud *",  # the name in an authenticator app
    "There was an error parsing the body",
    "attachment; filename*",
    "frame-ancestors 'none'",
    "base-uri 'self'",
    "form-action 'self'",
    "private, no-store",
    "public, max-age=*",
    "token {http.regexp.page.2}",
    "This is not an address of utcloud here. *",
    "There is nothing here.*",
    "a domain needs an internal port, *",
    "the lines of an entry name each account once, *",
    "the store gave other bytes *",
    "replica {0}: *",
    "size({http.request.header.Cookie}) > *",
    "{http.request.header.Cookie}; *",
    "write a host name alone, *",  # of settings, to whoever starts it
    "it needs UTCLOUD_DOMAIN, *",
    "*, where the consoles are, must be *",
    "UTCLOUD_TLS_CERT and UTCLOUD_TLS_KEY are *",
    "a certificate needs UTCLOUD_DOMAIN",
    "add *{*",
    "elements = *",
    "inet utcloud",
    "no token at *",
    "*, cgroup v{*",
    "unknown ({0})",
    "{0} ({1})",
    "the audit trail is append-only",  # what the database says to who changes it by hand
    "these are not the facts of *",
}
"""Texts that no page shows: headers, what only a program or the log reads."""

_PYDANTIC = {
    *("missing", "extra_forbidden", "json_invalid", "model_attributes_type", "model_type", "dict_type", "list_type"),
    *("too_short", "too_long", "enum", "literal_error", "string_type", "string_too_short", "string_too_long"),
    *("string_pattern_mismatch", "string_unicode", "bool_type", "bool_parsing", "int_type", "int_parsing"),
    *("int_parsing_size", "int_from_float", "float_type", "float_parsing", "finite_number", "greater_than"),
    *("greater_than_equal", "less_than", "less_than_equal", "datetime_type", "datetime_parsing", "timezone_aware"),
    *("datetime_from_date_parsing", "union_tag_invalid", "union_tag_not_found"),
}
"""Pydantic's faults that a request or a report can have."""

_LIBRARIES = {"Dictionary", "List", "Method Not Allowed", "Not Found"}
"""Words that pydantic and HTTP fill into texts."""

_NOT_FOR_PEOPLE = {
    "Field",
    "Query",
    "Path",
    "Header",
    "Form",
    "text",
    "compile",
    "CheckConstraint",
    "Index",
    "fullmatch",
}
"""Calls whose texts document, search or constrain."""

Parts = list[str | None]
"""A text's pieces; None stands for a value."""


@cache
def texts() -> dict[str, str]:
    """Every template, with the place where it is first said."""
    found = dict.fromkeys(_pydantics(), "pydantic")
    for path in sorted(SOURCE.rglob("*.py")):
        name = path.relative_to(SOURCE).as_posix()
        if any(fnmatchcase(name, pattern) for pattern in NOT_SHOWN_FILES):
            continue
        for node in _said(_tree(path)):
            for template in map(_template, _parts(node)):
                if _is_text(template):
                    found.setdefault(template, f"src/utcloud/{name}:{node.lineno}")
    return found


def _pydantics() -> Iterator[str]:
    for error in list_all_errors():
        if error["type"] in _PYDANTIC:
            for plural in ("", "s"):
                message = error["message_template_python"].replace("{expected_plural}", plural)
                yield _template([None if part.startswith("{") else part for part in re.split(r"(\{\w+\})", message)])


def constants() -> set[str]:
    """Every string in the source, for words that are filled into texts."""
    trees = map(_tree, SOURCE.rglob("*.py"))
    every = (node.value for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Constant))
    return {value.strip(_EDGES) for value in every if isinstance(value, str)} | _LIBRARIES


@cache
def _tree(path: Path) -> ast.Module:
    """A file's source, parsed. Garbage that is collected meanwhile may print a traceback, for which Python parses too:
    Python 3.11 fails at that (cpython issue 106905)."""
    gc.disable()
    try:
        return ast.parse(path.read_text())
    finally:
        gc.enable()


def _said(node: ast.AST) -> Iterator[ast.expr]:
    """The outermost texts below ``node``, without documentation, logs and the like."""
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        return
    if isinstance(node, ast.Call):
        called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        owner = node.func.value if isinstance(node.func, ast.Attribute) else None
        if called in _NOT_FOR_PEOPLE or (isinstance(owner, ast.Name) and owner.id == "log"):
            return
    if isinstance(node, ast.JoinedStr | ast.Constant) or _is_sum(node):
        assert isinstance(node, ast.expr)
        yield node
        for inner in _values(node):
            yield from _said(inner)
        return
    for name, child in ast.iter_fields(node):
        if name not in ("annotation", "returns"):
            for one in child if isinstance(child, list) else [child]:
                if isinstance(one, ast.AST):
                    yield from _said(one)


def _is_sum(node: ast.AST) -> bool:
    return isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add)


def _values(node: ast.expr) -> Iterator[ast.expr]:
    """What is filled into a text."""
    if isinstance(node, ast.JoinedStr):
        for value in node.values:
            yield from _values(value)
    elif isinstance(node, ast.FormattedValue):
        yield from _values(node.value)
    elif isinstance(node, ast.BinOp) and _is_sum(node):
        yield from _values(node.left)
        yield from _values(node.right)
    elif isinstance(node, ast.IfExp):
        yield node.test
        yield from _values(node.body)
        yield from _values(node.orelse)
    elif not isinstance(node, ast.Constant):
        yield node


def _parts(node: ast.expr) -> list[Parts]:
    """The forms that a text may take: one for each choice in it, as between singular and plural."""
    if isinstance(node, ast.Constant):
        return [[node.value if isinstance(node.value, str) else None]]
    if isinstance(node, ast.JoinedStr):
        return _joined(_parts(value) for value in node.values)
    if isinstance(node, ast.FormattedValue):
        return _parts(node.value)
    if isinstance(node, ast.BinOp) and _is_sum(node):
        return _joined([_parts(node.left), _parts(node.right)])
    if isinstance(node, ast.IfExp):
        return _parts(node.body) + _parts(node.orelse)
    return [[None]]


def _joined(pieces: Iterable[list[Parts]]) -> list[Parts]:
    forms: list[Parts] = [[]]
    for piece in pieces:
        forms = [form + more for form in forms for more in piece]
    return forms


_EDGES = " ;:,"
"""What joins texts, and belongs to none of them."""


def _template(parts: Parts) -> str:
    text, count, after_value = "", 0, False
    for part in parts:
        if part is None and not after_value:
            text += f"{{{count}}}"
            count += 1
        elif part:
            text += part
        after_value = part is None or (after_value and not part)
    return text.strip(_EDGES)


def _is_text(template: str) -> bool:
    words = re.sub(r"\{\d\}", "", template)
    is_prose = " " in template.strip() and re.search(r"[a-z]{2}|\(", words)
    return bool(is_prose) and not any(fnmatchcase(template, pattern) for pattern in NOT_SHOWN)
