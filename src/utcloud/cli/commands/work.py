"""Work of renters on one's own hardware."""

from typing import Annotated, Any

import typer

from utcloud.cli.common import AsCsv, AsJson, Cursor, Limit, Search, Sort, Yes, confirm, connect, listing, new_app
from utcloud.cli.output import Column, say

app = new_app("What runs on your hardware: never the renters' files or pages.")
COLUMNS = [
    Column("REPLICA", "replica_id"),
    Column("KIND", "kind"),
    Column("USER", "owner_name"),
    Column("GROUP", "group_name"),
    Column("STATE", "state"),
    Column("SINCE", "since"),
    Column("SPEC", "spec"),
    Column("UNC/HOUR", "price", right=True),
    Column("COST", "cost", right=True),
    Column("NODE", "node"),
    Column("POOL", "pool_name"),
    Column("CHIPS", "chips"),
]


@app.command("list")
def list_(
    search: Search = None,
    state: Annotated[list[str] | None, typer.Option(help="Only those in this state; repeat.")] = None,
    kind: Annotated[str | None, typer.Option(help="notebook or task.")] = None,
    node: Annotated[str | None, typer.Option(help="Only those on this node.")] = None,
    pool: Annotated[str | None, typer.Option(help="Only those of this pool.")] = None,
    spec: Annotated[str | None, typer.Option(help="Only those of this specification.")] = None,
    sort: Sort = None,
    limit: Limit = 100,
    cursor: Cursor = None,
    as_csv: AsCsv = False,
    as_json: AsJson = False,
) -> None:
    """List what runs on your hardware and what waits for it."""
    query: dict[str, Any] = {"search": search, "state": state, "kind": kind, "sort": sort}
    for name, path, ref in (("node_id", "nodes", node), ("pool_id", "pools", pool), ("spec_id", "specs", spec)):
        query[name] = connect().find(path, ref)["id"] if ref else None
    listing("replicas", COLUMNS, as_json, limit, cursor, as_csv=as_csv, **query)


@app.command()
def stop(
    replica: Annotated[str, typer.Argument(help="The replica's id.")],
    reason: Annotated[str, typer.Option(help="What its user is told.")],
    yes: Yes = False,
) -> None:
    """Stop a replica on your hardware, and say why."""
    confirm(f"Stop {replica}?", yes)
    connect().post(f"replicas/{replica}/stop", {"reason": reason})
    say(f"Stopping {replica}.")
