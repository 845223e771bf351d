"""What the commands of all nouns share."""

import re
import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from utcloud.cli.output import Column, Json, note, print_json, print_record, print_table, say

if TYPE_CHECKING:
    from utcloud.cli.client import Api

AsJson = Annotated[bool, typer.Option("--json", help="Print the API's JSON.")]
Limit = Annotated[int, typer.Option(min=1, max=500, help="How many at most.")]
Cursor = Annotated[str | None, typer.Option(help="Begin where the last page ended.")]
Search = Annotated[str | None, typer.Option(help="Only those whose name contains this.")]
Sort = Annotated[str | None, typer.Option(help="A field's name, such as name; with - before it, the other way round.")]
AsCsv = Annotated[bool, typer.Option("--csv", help="Print all of them as CSV.")]
POLL_S = 0.3
"""Between two questions to the server about something that takes its time."""
_DAY = re.compile(r"\d{4}-\d\d-\d\d")


def _moment(text: str | None) -> str | None:
    """A day is its first moment, in UTC."""
    return f"{text}T00:00:00Z" if text and _DAY.fullmatch(text) else text


Since = Annotated[
    str | None,
    typer.Option(callback=_moment, help="From this day (UTC) or moment on: 2026-01-31 or 2026-01-31T12:00:00Z."),
]
Until = Annotated[str | None, typer.Option(callback=_moment, help="Until before this day (UTC) or moment.")]
OfWallet = Annotated[str | None, typer.Option("--wallet", help="Only of this wallet: a user's or group's name, or id.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
PasswordStdin = Annotated[bool, typer.Option("--password-stdin", help="Read the password from standard input.")]


def connect() -> "Api":
    """The server that one is logged in to. Imported here, so that help is quick."""
    from utcloud.cli import client

    return client.connect()


def pause() -> None:
    """Wait before the server is asked again what has become of something."""
    time.sleep(POLL_S)


def new_app(text: str) -> typer.Typer:
    """A noun's group of commands."""
    return typer.Typer(help=text, no_args_is_help=True)


def listing(
    path: str,
    columns: Sequence[Column],
    as_json: bool,
    limit: int = 100,
    cursor: str | None = None,
    *,
    as_csv: bool = False,
    **query: Any,
) -> None:
    """Print one page of a list, and say when there is more; as CSV, all of it."""
    if as_csv:
        for part in connect().parts(path, "text/csv", **query):
            sys.stdout.write(part)
        return
    page = connect().get(path, limit=limit, cursor=cursor, **query)
    if as_json:
        print_json(page)
        return
    print_table(page["items"], columns)
    if page["next_cursor"]:
        note(f"There is more: --cursor {page['next_cursor']}, or a higher --limit (at most 500).")


def show(item: Json, fields: Sequence[Column], as_json: bool) -> None:
    """Print one item."""
    if as_json:
        print_json(item)
    else:
        print_record(item, fields)


def report(item: Any, as_json: bool, text: str) -> None:
    """Say that something was done; for scripts, print what the API answered."""
    if as_json:
        print_json(item)
    else:
        say(text)


def remove(path: str, ref: str, yes: bool, key: str = "name") -> None:
    """Delete the thing that is named; ask first when a person is there."""
    api = connect()
    noun = path.removesuffix("s").replace("-", " ")
    item = api.find(path, ref, key)
    confirm(f"Delete the {noun} {item[key]}?", yes)
    api.delete(f"{path}/{item['id']}")
    say(f"Deleted the {noun} {item[key]}.")


def confirm(question: str, yes: bool) -> None:
    """Ask, unless nobody is there to answer."""
    if not yes and sys.stdin.isatty():
        typer.confirm(question, abort=True)


def ask_password(stdin: bool, *, new: bool = False) -> str:
    """A password, typed unseen or read as one line."""
    if stdin or not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\r\n")
    text: str = typer.prompt("New password" if new else "Password", hide_input=True, confirmation_prompt=new)
    return text


def ask_code() -> str:
    """The code of the second step, typed or read as one line."""
    if not sys.stdin.isatty():
        return sys.stdin.readline().strip()
    text: str = typer.prompt("Code of your authenticator app, or a recovery code")
    return text.strip()


def given(**fields: Any) -> Json:
    """A request's body without what was left out."""
    return {name: value for name, value in fields.items() if value is not None}


def wallet_id(api: "Api", ref: str | None) -> str | None:
    """The id of the wallet of a user or a group; None stays None."""
    return api.find("wallets", ref, "owner_name")["id"] if ref else None


def user_named(api: "Api", ref: str) -> Json:
    return api.find("users", ref, "username")
