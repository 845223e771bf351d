"""API tokens, for scripts."""

from typing import Annotated

import typer

from utcloud.cli.common import (
    AsJson,
    Cursor,
    Limit,
    PasswordStdin,
    Yes,
    ask_code,
    ask_password,
    confirm,
    connect,
    listing,
    new_app,
    report,
)  # fmt: skip
from utcloud.cli.errors import CliError
from utcloud.cli.output import Column, say

app = new_app("API tokens, for scripts.")
COLUMNS = [
    Column("NAME", "name"),
    Column("BEGINS", "hint"),
    Column("CREATED", "created_at"),
    Column("ENDS", lambda token: token["expires_at"] or "never"),
    Column("LAST USED", "last_used_at"),
    Column("REVOKED", "revoked_at"),
    Column("ID", "id"),
]


@app.command("list")
def list_(limit: Limit = 100, cursor: Cursor = None, as_json: AsJson = False) -> None:
    """List your tokens."""
    listing("auth/tokens", COLUMNS, as_json, limit, cursor)


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="What it is for.")],
    days: Annotated[int, typer.Option(min=0, max=3650, help="It ends after so many days; 0: never.")] = 90,
    password_stdin: PasswordStdin = False,
    as_json: AsJson = False,
) -> None:
    """Make a token, against your password; it is shown once."""
    api = connect()
    username = api.me()["username"]
    body = {"username": username, "password": ask_password(password_stdin), "name": name}
    made = api.login(body | {"expires_in_days": days or None}, ask_code)
    report(made, as_json, f"The token {made['name']}, shown only now: {made['token']}")


@app.command()
def revoke(token: Annotated[str, typer.Argument(help="Name or id.")], yes: Yes = False) -> None:
    """End a token."""
    api = connect()
    alive = [item for item in api.every("auth/tokens") if item["revoked_at"] is None]
    found = [item for item in alive if token in (item["id"], item["name"])]
    if len(found) != 1:
        many = "".join(f"\n  {item['id']}" for item in found)
        raise CliError(
            f"Several tokens are named {token!r}:{many}" if found else f"There is no token {token!r}.",
            "Use one of these ids." if found else "See: utcloud token list",
        )
    confirm(f"End the token {found[0]['name']}?", yes)
    api.delete(f"auth/tokens/{found[0]['id']}")
    say(f"The token {found[0]['name']} no longer works.")
