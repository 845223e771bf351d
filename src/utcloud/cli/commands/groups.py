"""Groups of users, who share pools."""

from typing import TYPE_CHECKING, Annotated

import typer

from utcloud.cli.common import AsCsv, AsJson, Cursor, Limit, Search, Sort, connect, given, listing, new_app, report
from utcloud.cli.nouns import Ref, add_delete, add_quota, add_show
from utcloud.cli.output import Column, Json

if TYPE_CHECKING:
    from utcloud.cli.client import Api

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


@app.command("list")
def list_(
    search: Search = None,
    mine: Annotated[bool, typer.Option("--mine", help="Only those that one is in.")] = False,
    sort: Sort = None,
    limit: Limit = 100,
    cursor: Cursor = None,
    as_csv: AsCsv = False,
    as_json: AsJson = False,
) -> None:
    """List groups: all for miners and operators, for others those that one is in."""
    listing("groups", COLUMNS, as_json, limit, cursor, as_csv=as_csv, search=search, mine=mine or None, sort=sort)


add_show(app, "groups", FIELDS, "Show a group and its members.")


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="The new group's name.")],
    user: Annotated[list[str] | None, typer.Option(help="A member; repeat.")] = None,
    manager: Annotated[list[str] | None, typer.Option(help="A member who may bring in others; repeat.")] = None,
    description: str | None = None,
    as_json: AsJson = False,
) -> None:
    """Create a group."""
    api = connect()
    made = api.post("groups", given(name=name, description=description, **_people(api, user, manager)))
    report(made, as_json, f"Created the group {made['name']} with {len(made['members'])} members.")


@app.command()
def edit(
    name: Ref,
    rename: Annotated[str | None, typer.Option(help="Its new name.")] = None,
    user: Annotated[list[str] | None, typer.Option(help="All members from now on; repeat.")] = None,
    manager: Annotated[list[str] | None, typer.Option(help="All managers from now on; repeat.")] = None,
    add: Annotated[list[str] | None, typer.Option(help="User name of one more member; repeat.")] = None,
    drop: Annotated[list[str] | None, typer.Option(help="User name of one member less; repeat.")] = None,
    description: str | None = None,
    as_json: AsJson = False,
) -> None:
    """Change a group. Its managers may --add and --drop members, operators everything."""
    api = connect()
    url = f"groups/{api.find('groups', name)['id']}"
    if body := given(name=rename, description=description, **_people(api, user, manager)):
        api.patch(url, body)
    for username in add or []:
        api.post(f"{url}/members", {"username": username})
    if drop:
        there = {one["user"]["username"]: one["user"]["id"] for one in api.get(url)["members"]}
        for username in drop:
            api.delete(f"{url}/members/{there.get(username, username)}")
    changed = api.get(url)
    report(changed, as_json, f"Changed the group {changed['name']}: {len(changed['members'])} members.")


add_quota(app, "groups", "Show what the members of a group may use at once in its name, or set it.")
add_delete(app, "groups", "Delete a group that nothing uses.")


def _people(api: "Api", users: list[str] | None, managers: list[str] | None) -> Json:
    return {"user_ids": api.ids("users", users, "username"), "manager_ids": api.ids("users", managers, "username")}


def _names(group: Json, role: str) -> str:
    return ", ".join(one["user"]["username"] for one in group["members"] if one["role"] == role)
