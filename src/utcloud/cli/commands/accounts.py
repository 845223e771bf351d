"""Who one is: login, logout, whoami, password."""

import platform
from typing import Annotated

import typer

from utcloud.cli.common import AsJson, PasswordStdin, ask_code, ask_password, show


def login(
    username: Annotated[str | None, typer.Argument(help="Asked for when left out.")] = None,
    server: Annotated[str | None, typer.Option(help="Address of the server. Left out: this machine's.")] = None,
    password_stdin: PasswordStdin = False,
    days: Annotated[int, typer.Option(min=1, max=3650, help="The login ends after so many days.")] = 90,
) -> None:
    """Log in; the token is kept in UTCLOUD_HOME/cli.json, readable by you alone.

    With a second factor its code is asked for; standard input holds it on a line after the password.
    """
    from utcloud.cli import login_file
    from utcloud.cli.client import Api
    from utcloud.cli.output import say
    from utcloud.cli.processes import load_settings

    settings = load_settings()
    address = (server or login_file.default_server(settings)).rstrip("/").removesuffix("/api/v1")
    name = username or typer.prompt("User name")
    body = {
        "username": name,
        "password": ask_password(password_stdin),
        "name": f"cli {platform.node()}"[:64],
        "expires_in_days": days,
    }
    made = Api(address, None).login(body, ask_code)
    login_file.write(settings, login_file.Login(address, name, made["token"], made["id"]))
    say(f"Logged in to {address} as {name}.")


def logout() -> None:
    """Log out: the token is revoked and forgotten."""
    from utcloud.cli import login_file
    from utcloud.cli.client import Api
    from utcloud.cli.errors import CliError
    from utcloud.cli.output import note, say
    from utcloud.cli.processes import load_settings

    settings = load_settings()
    kept = login_file.read(settings)
    if kept is None:
        return say("You were not logged in.")
    login_file.forget(settings)
    try:
        Api(kept.server, kept.token).delete(f"auth/tokens/{kept.token_id}")
    except CliError as error:
        return note(f"Forgotten here, but not revoked: {error.detail}")
    return say(f"Logged out of {kept.server}.")


def whoami(as_json: AsJson = False) -> None:
    """Show who is logged in."""
    from utcloud.cli.client import connect
    from utcloud.cli.output import Column, names

    api = connect()
    fields = [
        Column("Server", lambda _: api.server),
        Column("User", "username"),
        Column("Name", "display_name"),
        Column("Roles", "roles"),
        Column("Groups", lambda user: names(user["groups"])),
        Column("ID", "id"),
    ]
    show(api.me(), fields, as_json)


def password(
    password_stdin: PasswordStdin = False,
    keep_tokens: Annotated[bool, typer.Option("--keep-tokens", help="Do not revoke your API tokens.")] = False,
) -> None:
    """Change one's own password; standard input holds the old one and the new one, a line each.

    Browsers are logged out, opened pages close, and API tokens are revoked, that of this login too.
    """
    from utcloud.cli import login_file
    from utcloud.cli.client import connect
    from utcloud.cli.output import say
    from utcloud.cli.processes import load_settings

    api = connect()
    old = ask_password(password_stdin)
    new = ask_password(password_stdin, new=True)
    api.post("auth/password", {"current_password": old, "new_password": new, "revoke_tokens": not keep_tokens})
    if keep_tokens:
        return say("Your password is changed. Your API tokens go on to work.")
    settings = load_settings()
    if not settings.token:
        login_file.forget(settings)
    return say("Your password is changed, and your API tokens are revoked. Log in again: utcloud login")


COMMANDS = [login, logout, whoami, password]
