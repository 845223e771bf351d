"""Groups of users, who share pools."""

from typing import Annotated

import typer

from utcloud.cli.common import (
    AsJson,
    Cursor,
    Limit,
    Search,
    Yes,
    connect,
    given,
    listing,
    new_app,
    remove,
    report,
    show,
)
from utcloud.cli.output import Column, Json

app = new_app("Groups of users, who share pools and assets.")
COLUMNS = [
    Column("NAME", "name"),
    Column("MEMBERS", "members", right=True),
    Column("DESCRIPTION", "description"),
    Column("CREATED", "created_at"),
    Column("ID", "id"),
]
FIELDS = [
    *(column for column in COLUMNS if column.title != "MEMBERS"),
    Column("MEMBERS", lambda group: _names(group, "member")),
    Column("MANAGERS", lambda group: _names(group, "manager")),
]
Name = Annotated[str, typer.Argument(help="Name or id.")]


@app.command("list")
def list_(search: Search = None, limit: Limit = 100, cursor: Cursor = None, as_json: AsJson = False) -> None:
    """List groups."""
    listing("groups", COLUMNS, as_json, limit, cursor, search=search)


@app.command("show")
def show_(name: Name, as_json: AsJson = False) -> None:
    """Show a group and its users."""
    api = connect()
    show(api.get(f"groups/{api.find('groups', name)['id']}"), FIELDS, as_json)


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="The new group's name.")],
    user: Annotated[list[str] | None, typer.Option(help="A member; repeat.")] = None,
    description: str | None = None,
    as_json: AsJson = False,
) -> None:
    """Create a group."""
    api = connect()
    made = api.post("groups", given(name=name, user_ids=api.ids("users", user, "username"), description=description))
    report(made, as_json, f"Created the group {made['name']} with {len(made['members'])} members.")


@app.command()
def edit(
    name: Name,
    rename: Annotated[str | None, typer.Option(help="Its new name.")] = None,
    user: Annotated[list[str] | None, typer.Option(help="All members from now on; repeat.")] = None,
    add: Annotated[list[str] | None, typer.Option(help="One more member; repeat.")] = None,
    drop: Annotated[list[str] | None, typer.Option(help="One member less; repeat.")] = None,
    description: str | None = None,
    as_json: AsJson = False,
) -> None:
    """Change a group's name, description or members."""
    api = connect()
    found = api.find("groups", name)
    members = api.ids("users", user, "username")
    if add or drop:
        kept = members or [one["user"]["id"] for one in api.get(f"groups/{found['id']}")["members"]]
        gone = set(api.ids("users", drop or [], "username") or [])
        members = [
            ident
            for ident in dict.fromkeys(kept + (api.ids("users", add or [], "username") or []))
            if ident not in gone
        ]
    changed = api.patch(f"groups/{found['id']}", given(name=rename, user_ids=members, description=description))
    report(changed, as_json, f"Changed the group {changed['name']}: {len(changed['members'])} members.")


@app.command()
def delete(name: Name, yes: Yes = False) -> None:
    """Delete a group."""
    remove("groups", name, yes)


def _names(group: Json, role: str) -> str:
    return ", ".join(one["user"]["username"] for one in group["members"] if one["role"] == role)
