"""One's own second factor. Passkeys are made and used in a browser."""

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from utcloud.cli.common import (
    AsJson,
    PasswordStdin,
    Yes,
    ask_code,
    ask_password,
    confirm,
    connect,
    new_app,
    report,
    show,
)
from utcloud.cli.output import Column, print_json, say

if TYPE_CHECKING:
    from utcloud.cli.client import Api

app = new_app("Your second factor: an authenticator app, passkeys, recovery codes.")
FIELDS = [
    Column("Authenticator app", lambda one: f"since {one['totp_since']}" if one["totp_since"] else "no"),
    Column("Passkeys", lambda one: ", ".join(key["name"] for key in one["passkeys"]) or "none"),
    Column("Recovery codes left", "recovery_codes_left"),
    Column("Demanded of you", "demanded"),
]


def _proven(api: "Api", path: str, password_stdin: bool) -> Any:
    """Post to a path that wants the password once more and, where there is one, the second step."""
    from utcloud.cli.client import with_code

    body = {"password": ask_password(password_stdin)}
    return with_code(lambda sent: api.post(f"auth/second-factor/{path}", sent), body, ask_code)


@app.command("show")
def show_(as_json: AsJson = False) -> None:
    """Show what you have."""
    show(connect().get("auth/second-factor"), FIELDS, as_json)


@app.command()
def set_up(password_stdin: PasswordStdin = False, as_json: AsJson = False) -> None:
    """Set up an authenticator app, such as Aegis, FreeOTP or Google Authenticator.

    A person types the app's code at once; a script goes on with `utcloud second-factor confirm`.
    """
    api = connect()
    made = _proven(api, "totp", password_stdin)
    if as_json:
        return print_json(made)
    say(f"Type this secret into your authenticator app:\n\n  {made['secret']}\n")
    say(f"or give it this address:\n\n  {made['uri']}\n")
    if not sys.stdin.isatty():
        return say("It counts once you have confirmed it: utcloud second-factor confirm CODE")
    return _confirm(api, typer.prompt("The app's code"), as_json)


@app.command("confirm")
def confirm_(code: Annotated[str, typer.Argument(help="The app's present code.")], as_json: AsJson = False) -> None:
    """Confirm the authenticator app that is being set up, by its code."""
    _confirm(connect(), code, as_json)


def _confirm(api: "Api", code: str, as_json: bool) -> None:
    made = api.post("auth/second-factor/totp/confirm", {"code": code})
    codes = made["recovery_codes"]
    report(made, as_json, "From now on a login takes a code of the app." + (f"\n\n{_told(codes)}" if codes else ""))


@app.command()
def recovery_codes(password_stdin: PasswordStdin = False, yes: Yes = False, as_json: AsJson = False) -> None:
    """Make new recovery codes, shown once; those of before no longer work."""
    api = connect()
    confirm("Make new recovery codes? Those of before no longer work.", yes)
    made = _proven(api, "recovery-codes", password_stdin)
    report(made, as_json, _told(made["recovery_codes"]))


@app.command()
def remove(
    passkey: Annotated[
        str | None, typer.Option(help="A passkey's name or id. Left out: the authenticator app.")
    ] = None,
    password_stdin: PasswordStdin = False,
    yes: Yes = False,
) -> None:
    """Remove the authenticator app, or a passkey."""
    from utcloud.cli.errors import CliError

    api = connect()
    path, what = "totp/remove", "authenticator app"
    if passkey:
        listed = api.get("auth/second-factor")["passkeys"]
        found = [one for one in listed if passkey in (one["id"], one["name"])]
        if len(found) != 1:
            raise CliError(f"There is not one passkey {passkey!r}.", "Use an id of: utcloud second-factor show --json")
        path, what = f"passkeys/{found[0]['id']}/remove", f"passkey {found[0]['name']}"
    confirm(f"Remove the {what}?", yes)
    _proven(api, path, password_stdin)
    say(f"Removed the {what}.")


def _told(codes: list[str]) -> str:
    listed = "\n".join(f"  {code}" for code in codes)
    return f"Recovery codes, shown only now. Each lets you in once if you lose the rest; keep them safe:\n\n{listed}"
