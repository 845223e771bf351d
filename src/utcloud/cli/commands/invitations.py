"""Invitations: links that make their holders users, once."""

from typing import Annotated

import typer

from utcloud.cli.commands.users import Groups, Roles
from utcloud.cli.common import (
    AsCsv,
    AsJson,
    Cursor,
    Limit,
    PasswordStdin,
    Search,
    Sort,
    ask_password,
    connect,
    given,
    listing,
    new_app,
    report,
    show,
)
from utcloud.cli.output import Column, names, say

app = new_app("Invitations: links that make their holders users, once.")
COLUMNS = [
    Column("CODE", lambda one: f"{one['hint']}…"),
    Column("STATUS", "status"),
    Column("E-MAIL", "email"),
    Column("ROLES", "roles"),
    Column("GROUPS", lambda one: names(one["groups"])),
    Column("UNC", "grant", right=True),
    Column("BY", "created_by"),
    Column("EXPIRES", "expires_at"),
    Column("ACCEPTED BY", "username"),
    Column("ID", "id"),
]
OFFER = [
    Column("Invited by", "invited_by"),
    Column("E-mail", "email"),
    Column("Roles", "roles"),
    Column("Groups", "groups"),
    Column("UNC", "grant"),
    Column("Expires", "expires_at"),
]
Code = Annotated[str, typer.Argument(help="The code, or the whole link.")]
Server = Annotated[str | None, typer.Option(help="Address of the server. Left out: this machine's.")]


@app.command("list")
def list_(
    search: Search = None,
    status: Annotated[str | None, typer.Option(help="open, accepted, revoked or expired.")] = None,
    sort: Sort = None,
    limit: Limit = 100,
    cursor: Cursor = None,
    as_csv: AsCsv = False,
    as_json: AsJson = False,
) -> None:
    """List invitations."""
    query = {"search": search, "status": status, "sort": sort}
    listing("invitations", COLUMNS, as_json, limit, cursor, as_csv=as_csv, **query)


@app.command()
def create(
    email: Annotated[str | None, typer.Option(help="Of whom you invite.")] = None,
    role: Roles = None,
    group: Groups = None,
    grant: Annotated[str | None, typer.Option(help="So many UNC are in the new wallet, such as 10.")] = None,
    days: Annotated[int | None, typer.Option(min=1, max=90, help="The link ends after so many days; 7.")] = None,
    as_json: AsJson = False,
) -> None:
    """Invite somebody; the link is shown once."""
    api = connect()
    body = given(email=email, roles=role, group_ids=api.ids("groups", group), grant=grant, expires_in_days=days)
    made = api.post("invitations", body)
    report(made, as_json, f"Send this link, shown only now; it ends {made['expires_at']}:\n{made['url']}")


@app.command()
def revoke(
    ref: Annotated[str, typer.Argument(help="Id, or the first characters of the code.", metavar="INVITATION")],
) -> None:
    """Take an invitation back."""
    api = connect()
    found = api.find("invitations", ref.rstrip("…"), "hint")
    api.delete(f"invitations/{found['id']}")
    say(f"Took the invitation {found['hint']}… back.")


@app.command("show")
def show_(code: Code, server: Server = None, as_json: AsJson = False) -> None:
    """Show what an invitation offers. No login is needed."""
    from utcloud.cli.client import stranger

    show(stranger(server).get(f"invitations/code/{_secret(code)}"), OFFER, as_json)


@app.command()
def accept(
    code: Code,
    username: Annotated[str, typer.Argument(help="Lower-case letters, digits, dot, dash, underscore.")],
    display_name: str | None = None,
    server: Server = None,
    password_stdin: PasswordStdin = False,
    as_json: AsJson = False,
) -> None:
    """Become a user by an invitation. No login is needed; log in afterwards."""
    from utcloud.cli.client import stranger

    password = ask_password(password_stdin, new=True)
    body = given(code=_secret(code), username=username, display_name=display_name, password=password)
    made = stranger(server).post("invitations/accept", body)
    report(made, as_json, f"Welcome, {made['username']}. Now: utcloud login {made['username']}")


def _secret(code: str) -> str:
    return code.rpartition("#")[2]
