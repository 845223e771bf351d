"""Users."""

from enum import StrEnum
from typing import Annotated

import typer

from utcloud.cli.common import (
    AsJson,
    Cursor,
    Limit,
    PasswordStdin,
    Search,
    Yes,
    ask_password,
    confirm,
    connect,
    given,
    listing,
    new_app,
    remove,
    report,
    show,
    user_named,
)  # fmt: skip
from utcloud.cli.output import Column, names

app = new_app("Users of the platform.")
COLUMNS = [
    Column("USERNAME", "username"),
    Column("NAME", "display_name"),
    Column("ROLES", "roles"),
    Column("STATUS", "status"),
    Column("GROUPS", lambda user: names(user["groups"])),
    Column("E-MAIL", "email"),
    Column("CREATED", "created_at"),
    Column("ID", "id"),
]
Name = Annotated[str, typer.Argument(help="User name or id.")]
Groups = Annotated[list[str] | None, typer.Option("--group", help="A group to be in; repeat.")]


class Role(StrEnum):
    """What a user may be."""

    OPERATOR = "operator"
    MINER = "miner"
    RENTER = "renter"


Roles = Annotated[list[Role] | None, typer.Option("--role", help="Repeat for several. Left out: renter.")]


@app.command("list")
def list_(search: Search = None, limit: Limit = 100, cursor: Cursor = None, as_json: AsJson = False) -> None:
    """List users."""
    listing("users", COLUMNS, as_json, limit, cursor, search=search)


@app.command("show")
def show_(user: Name, as_json: AsJson = False) -> None:
    """Show a user."""
    api = connect()
    show(api.get(f"users/{user_named(api, user)['id']}"), COLUMNS, as_json)


@app.command()
def create(
    username: Annotated[str, typer.Argument(help="Lower-case letters, digits, dot, dash, underscore.")],
    role: Roles = None,
    group: Groups = None,
    display_name: str | None = None,
    email: str | None = None,
    password_stdin: PasswordStdin = False,
    as_json: AsJson = False,
) -> None:
    """Create a user. The password is generated and shown once, or read with --password-stdin."""
    api = connect()
    body = given(
        username=username,
        roles=role,
        group_ids=api.ids("groups", group),
        display_name=display_name,
        email=email,
        password=ask_password(True) if password_stdin else None,
    )
    made = api.post("users", body)
    shown = f"\nPassword, shown only now: {made['initial_password']}" if made.get("initial_password") else ""
    report(made, as_json, f"Created the user {made['username']}.{shown}")


@app.command()
def edit(
    user: Name,
    role: Annotated[list[Role] | None, typer.Option("--role", help="All roles from now on; repeat.")] = None,
    group: Annotated[list[str] | None, typer.Option("--group", help="All groups from now on; repeat.")] = None,
    no_groups: Annotated[bool, typer.Option("--no-groups", help="Leave all groups.")] = False,
    display_name: str | None = None,
    email: str | None = None,
    as_json: AsJson = False,
) -> None:
    """Change a user's name, e-mail, roles or groups."""
    api = connect()
    groups = [] if no_groups else api.ids("groups", group)
    body = given(roles=role, group_ids=groups, display_name=display_name, email=email)
    changed = api.patch(f"users/{user_named(api, user)['id']}", body)
    report(changed, as_json, f"Changed the user {changed['username']}.")


@app.command()
def freeze(user: Name, yes: Yes = False, as_json: AsJson = False) -> None:
    """Freeze a user: he can no longer log in, and what he runs is stopped."""
    api = connect()
    found = user_named(api, user)
    confirm(f"Freeze {found['username']} and stop what he runs?", yes)
    report(api.post(f"users/{found['id']}/freeze"), as_json, f"Froze the user {found['username']}.")


@app.command()
def unfreeze(user: Name, as_json: AsJson = False) -> None:
    """Let a frozen user in again."""
    api = connect()
    found = user_named(api, user)
    report(api.post(f"users/{found['id']}/unfreeze"), as_json, f"The user {found['username']} may log in again.")


@app.command()
def reset_password(user: Name, yes: Yes = False, as_json: AsJson = False) -> None:
    """Give a user a new, generated password; it is shown once."""
    api = connect()
    found = user_named(api, user)
    confirm(f"Give {found['username']} a new password?", yes)
    made = api.post(f"users/{found['id']}/reset-password")
    report(made, as_json, f"New password of {found['username']}, shown only now: {made['password']}")


@app.command()
def delete(user: Name, yes: Yes = False) -> None:
    """Delete a user who owns nothing any more."""
    remove("users", user, yes, "username")
