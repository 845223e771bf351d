"""Applications of those who want to become users."""

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

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
from utcloud.cli.errors import CliError
from utcloud.cli.output import Column, Json

if TYPE_CHECKING:
    from utcloud.cli.client import Api

app = new_app("Applications of those who want to become users.")
COLUMNS = [
    Column("USERNAME", "username"),
    Column("NAME", "display_name"),
    Column("E-MAIL", "email"),
    Column("STATUS", "status"),
    Column("NOTE", "note"),
    Column("AT", "created_at"),
    Column("DECIDED BY", "decided_by"),
    Column("ID", "id"),
]
FIELDS = [
    *COLUMNS[:-1],
    Column("DECIDED", "decided_at"),
    Column("REASON", "reason"),
    Column("UNC", "grant"),
    Column("FROM", "ip"),
    COLUMNS[-1],
]
Name = Annotated[str, typer.Argument(help="User name, or the application's id.")]


class Status(StrEnum):
    """How far an application is."""

    WAITING = "waiting"
    APPROVED = "approved"
    REJECTED = "rejected"


def register(
    username: Annotated[str, typer.Argument(help="Lower-case letters, digits, dot, dash, underscore.")],
    display_name: str | None = None,
    email: str | None = None,
    note: Annotated[str | None, typer.Option(help="Who you are and what for; an operator reads it.")] = None,
    server: Annotated[str | None, typer.Option(help="Address of the server. Left out: this machine's.")] = None,
    password_stdin: PasswordStdin = False,
    as_json: AsJson = False,
) -> None:
    """Ask to become a user; an operator decides. No login is needed."""
    from utcloud.cli.client import stranger

    password = ask_password(password_stdin, new=True)
    body = given(username=username, display_name=display_name, email=email, note=note, password=password)
    made = stranger(server).post("applications", body)
    text = "Your application waits for an operator. `utcloud login` will say what became of it."
    report(made, as_json, text)


@app.command("list")
def list_(
    search: Search = None,
    status: Annotated[Status | None, typer.Option(help="Only these.")] = None,
    sort: Sort = None,
    limit: Limit = 100,
    cursor: Cursor = None,
    as_csv: AsCsv = False,
    as_json: AsJson = False,
) -> None:
    """List applications, newest first."""
    query = {"search": search, "status": status, "sort": sort}
    listing("applications", COLUMNS, as_json, limit, cursor, as_csv=as_csv, **query)


@app.command("show")
def show_(name: Name, as_json: AsJson = False) -> None:
    """Show an application; by a user name, the one that waits, else the last."""
    show(_find(connect(), name), FIELDS, as_json)


@app.command()
def approve(
    name: Name,
    grant: Annotated[str | None, typer.Option(help="So many UNC go into the new wallet, such as 10.")] = None,
    role: Roles = None,
    group: Groups = None,
    note: Annotated[str | None, typer.Option(help="Stands in the record of the grant.")] = None,
    as_json: AsJson = False,
) -> None:
    """Make an applicant a user, with a first grant of machine hours."""
    api = connect()
    found = _find(api, name)
    body = given(grant=grant, roles=role, group_ids=api.ids("groups", group), note=note)
    done = api.post(f"applications/{found['id']}/approve", body)
    report(done, as_json, f"{done['username']} is a user now, with {done['grant']} UNC.")


@app.command()
def reject(
    name: Name,
    reason: Annotated[str, typer.Option(help="The applicant reads it when he tries to log in.")] = "",
    as_json: AsJson = False,
) -> None:
    """Reject an application; the user name is free again."""
    api = connect()
    done = api.post(f"applications/{_find(api, name)['id']}/reject", {"reason": reason})
    report(done, as_json, f"Rejected the application of {done['username']}.")


def _find(api: "Api", ref: str) -> Json:
    found = [one for one in api.every("applications", search=ref) if one["username"] == ref]
    if not found and ref.startswith("app_"):
        return dict(api.get(f"applications/{ref}"))
    if not found:
        raise CliError(f"Nobody named {ref!r} has applied.", "See `utcloud application list`.")
    return next((one for one in found if one["status"] == Status.WAITING), found[0])
