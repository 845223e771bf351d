"""Users."""

from enum import StrEnum
from typing import Annotated

import typer

from utcloud.cli.commands.storage import COLUMNS as STORAGE
from utcloud.cli.common import (
    AsCsv,
    AsJson,
    Cursor,
    Limit,
    PasswordStdin,
    Search,
    Sort,
    Yes,
    ask_password,
    confirm,
    connect,
    given,
    listing,
    new_app,
    report,
    show,
    user_named,
)
from utcloud.cli.nouns import add_delete, add_quota, add_show
from utcloud.cli.output import Column, Json, names, say

app = new_app("Users of the platform.")
COLUMNS = [
    Column("USERNAME", "username"),
    Column("NAME", "display_name"),
    Column("ROLES", "roles"),
    Column("STATUS", "status"),
    Column("GROUPS", lambda user: names(user["groups"])),
    Column("E-MAIL", "email"),
    Column("LAST SEEN", "last_seen_at"),
    Column("SECOND FACTOR", "second_factor"),
    Column("CREATED", "created_at"),
    Column("ID", "id"),
]
FIELDS = [*COLUMNS[:-1], Column("WHY FROZEN", "frozen_reason"), COLUMNS[-1]]
Name = Annotated[str, typer.Argument(help="User name or id.")]
Groups = Annotated[list[str] | None, typer.Option("--group", help="A group to be in; repeat.")]


class Role(StrEnum):
    """What a user may be."""

    OPERATOR = "operator"
    MINER = "miner"
    RENTER = "renter"


Roles = Annotated[list[Role] | None, typer.Option("--role", help="Repeat for several. Left out: renter.")]


@app.command("list")
def list_(
    search: Search = None,
    role: Annotated[Role | None, typer.Option(help="Only those who have this role.")] = None,
    frozen: Annotated[bool | None, typer.Option("--frozen/--active", help="Only frozen, or only active ones.")] = None,
    group: Annotated[str | None, typer.Option(help="Only those in this group.")] = None,
    sort: Sort = None,
    limit: Limit = 100,
    cursor: Cursor = None,
    as_csv: AsCsv = False,
    as_json: AsJson = False,
) -> None:
    """List users."""
    group_id = connect().find("groups", group)["id"] if group else None
    status = None if frozen is None else "frozen" if frozen else "active"
    query = {"search": search, "role": role, "status": status, "group_id": group_id, "sort": sort}
    listing("users", COLUMNS, as_json, limit, cursor, as_csv=as_csv, **query)


add_show(app, "users", FIELDS, "Show a user.", "username")


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
def freeze(
    user: Name,
    reason: Annotated[str, typer.Option(help="The user reads it when he tries to log in.")] = "",
    keep_running: Annotated[bool, typer.Option("--keep-running", help="Let what he runs go on, at his cost.")] = False,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Freeze a user: he can no longer log in, and what he runs is stopped or kept."""
    api = connect()
    found = user_named(api, user)
    confirm(f"Freeze {found['username']} and {'keep' if keep_running else 'stop'} what he runs?", yes)
    body = {"running": "keep" if keep_running else "stop", "reason": reason}
    report(api.post(f"users/{found['id']}/freeze", body), as_json, f"Froze the user {found['username']}.")


@app.command()
def unfreeze(user: Name, as_json: AsJson = False) -> None:
    """Let a frozen user in again."""
    api = connect()
    found = user_named(api, user)
    report(api.post(f"users/{found['id']}/unfreeze"), as_json, f"The user {found['username']} may log in again.")


@app.command()
def reset_password(
    user: Name,
    keep_tokens: Annotated[bool, typer.Option("--keep-tokens", help="Do not revoke the user's API tokens.")] = False,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Give a user a new, generated password, shown once. Sessions and API tokens end, opened pages close."""
    api = connect()
    found = user_named(api, user)
    what = "Sessions end" if keep_tokens else "Sessions and API tokens end"
    confirm(f"Give {found['username']} a new password? {what}, opened pages close.", yes)
    made = api.post(f"users/{found['id']}/reset-password", {"revoke_tokens": not keep_tokens})
    report(made, as_json, f"New password of {found['username']}, shown only now: {made['password']}")


@app.command()
def reset_second_factor(user: Name, yes: Yes = False, as_json: AsJson = False) -> None:
    """Take a user's second factor away who has lost it. Browser sessions end."""
    api = connect()
    found = user_named(api, user)
    confirm(f"Take the second factor of {found['username']} away? A password is enough to log in then.", yes)
    changed = api.post(f"users/{found['id']}/reset-second-factor")
    report(changed, as_json, f"The user {found['username']} has no second factor any more.")


@app.command()
def unlock(
    username: Annotated[str, typer.Argument(help="User name.")],
    second_factor: Annotated[
        bool, typer.Option("--second-factor", help="Take the user's second factor away too, which was lost.")
    ] = False,
) -> None:
    """Forget the failed logins by a user's name, on the server's machine itself: no login is needed, nor the server."""
    from utcloud.cli import processes

    forgotten = processes.unlock(username, with_second_factor=second_factor)
    say(f"The user {username} may log in at once." if forgotten else f"Nothing kept {username} from logging in.")
    if second_factor:
        say(f"The user {username} has no second factor any more.")


@app.command("storage")
def storage_(
    user: Name,
    max_bytes: Annotated[str | None, typer.Option("--bytes", help="So much, such as 500GB.")] = None,
    max_files: Annotated[int | None, typer.Option("--files", min=0, help="So many files.")] = None,
    default: Annotated[bool, typer.Option("--default", help="Forget what was set: as everybody.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show what a user keeps in algorithms, datasets and models, or set how much he may."""
    api = connect()
    found = user_named(api, user)
    url = f"users/{found['id']}/storage"
    now = api.get(url)
    if not default and max_bytes is None and max_files is None:
        return show(now, STORAGE, as_json)
    own = {"max_bytes": None, "max_files": None} if default else _own(now)
    body = own | given(max_bytes=max_bytes, max_files=max_files)
    return report(api.put(url, body), as_json, f"Changed what {found['username']} may keep.")


def _own(storage: Json) -> Json:
    own = storage["own_bytes"]
    return {"max_bytes": None if own is None else str(own), "max_files": storage["own_files"]}


add_quota(app, "users", "Show what a user may use at once, or set it.", "username")
add_delete(app, "users", "Delete a user who owns nothing any more.", "username")
