"""Work of renters on one's own hardware."""

from typing import Annotated

import typer

from utcloud.cli.common import AsJson, Cursor, Limit, Search, Yes, confirm, connect, listing, new_app
from utcloud.cli.output import Column, say

app = new_app("What runs on your hardware: never the renters' files or pages.")
COLUMNS = [
    Column("REPLICA", "replica_id"),
    Column("KIND", "kind"),
    Column("USER", "owner_name"),
    Column("STATE", "state"),
    Column("SINCE", "since"),
    Column("SPEC", "spec"),
    Column("UNC/HOUR", "price", right=True),
    Column("NODE", "node"),
    Column("CHIPS", "chips"),
]


@app.command("list")
def list_(search: Search = None, limit: Limit = 100, cursor: Cursor = None, as_json: AsJson = False) -> None:
    """List what runs and waits on your hardware."""
    listing("replicas", COLUMNS, as_json, limit, cursor, search=search)


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
