"""System resources as they were found, and a miner's own names for them."""

from typing import Annotated

import typer

from utcloud.cli.common import (
    AsCsv,
    AsJson,
    Cursor,
    Limit,
    Search,
    Sort,
    Yes,
    connect,
    given,
    listing,
    new_app,
    remove,
    report,
)
from utcloud.cli.output import Column, names

app = new_app("System resources, and your own names for them.")
SYSTEM = [
    Column("SYSTEM RESOURCE", "name"),
    Column("CAPACITY", "usage.capacity_text", right=True),
    Column("FREE", "usage.free_text", right=True),
    Column("NODES", lambda item: names(item["nodes"])),
    Column("ALSO NAMED", "custom_names"),
    Column("SIMULATED", "simulated"),
]
CUSTOM = [
    Column("NAME", "name"),
    Column("SYSTEM RESOURCE", "system_resource"),
    Column("CAPACITY", "usage.capacity_text", right=True),
    Column("FREE", "usage.free_text", right=True),
    Column("NODES", lambda item: names(item["nodes"]) or "all that have it"),
    Column("SPECS", "used_by_specs"),
    Column("SIMULATED", "simulated"),
    Column("ID", "id"),
]


@app.command("list")
def list_(
    custom: Annotated[bool, typer.Option("--custom", help="One's own names instead.")] = False,
    search: Search = None,
    sort: Sort = None,
    limit: Limit = 100,
    cursor: Cursor = None,
    as_csv: AsCsv = False,
    as_json: AsJson = False,
) -> None:
    """List system resources, or with --custom one's own names for them."""
    path, columns = ("custom-resources", CUSTOM) if custom else ("system-resources", SYSTEM)
    listing(path, columns, as_json, limit, cursor, as_csv=as_csv, search=search, sort=sort)


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="Such as TPU1684X.")],
    system: Annotated[str, typer.Option(help="The system resource, such as sophgo.com/bm1684x.")],
    node: Annotated[list[str] | None, typer.Option(help="Only on this node; repeat. Left out: on all.")] = None,
    description: str = "",
    as_json: AsJson = False,
) -> None:
    """Give a system resource a name of one's own."""
    api = connect()
    body = {
        "name": name,
        "system_resource": system,
        "node_ids": api.ids("nodes", node or []),
        "description": description,
    }
    made = api.post("custom-resources", body)
    report(made, as_json, f"Created the custom resource {name}: {made['usage']['capacity_text']} in all.")


@app.command()
def edit(
    name: Annotated[str, typer.Argument(help="Name or id.")],
    node: Annotated[list[str] | None, typer.Option(help="Only on this node; repeat.")] = None,
    all_nodes: Annotated[bool, typer.Option("--all-nodes", help="On all nodes that have the resource.")] = False,
    description: str | None = None,
    as_json: AsJson = False,
) -> None:
    """Change on which nodes a custom resource holds. What runs keeps what it has."""
    api = connect()
    body = given(node_ids=[] if all_nodes else api.ids("nodes", node), description=description)
    changed = api.patch(f"custom-resources/{api.find('custom-resources', name)['id']}", body)
    report(
        changed, as_json, f"Changed the custom resource {changed['name']}: {changed['usage']['capacity_text']} in all."
    )


@app.command()
def delete(name: Annotated[str, typer.Argument(help="Name or id.")], yes: Yes = False) -> None:
    """Delete a custom resource that no specification uses."""
    remove("custom-resources", name, yes)
