"""The audit trail."""

from typing import Annotated

import typer

from utcloud.cli.common import AsJson, Cursor, Limit, connect, listing, new_app, user_named
from utcloud.cli.output import Column

app = new_app("Who changed what, and when.")
COLUMNS = [
    Column("AT", "at"),
    Column("WHO", "actor_name"),
    Column("FROM", "ip"),
    Column("ACTION", "action"),
    Column("ON", lambda event: event["object_name"] or event["object_id"]),
    Column("DETAIL", lambda event: ", ".join(f"{key}={value}" for key, value in event["detail"].items())),
]


@app.command("list")
def list_(
    actor: Annotated[str | None, typer.Option(help="Only of this user.")] = None,
    action: Annotated[str | None, typer.Option(help="Such as spec.create.")] = None,
    object_type: Annotated[str | None, typer.Option(help="Such as pool.")] = None,
    object_id: Annotated[str | None, typer.Option(help="The id of what was changed.")] = None,
    limit: Limit = 100,
    cursor: Cursor = None,
    as_json: AsJson = False,
) -> None:
    """List changes: an operator sees all, others their own."""
    ident = user_named(connect(), actor)["id"] if actor else None
    query = {"actor_id": ident, "action": action, "object_type": object_type, "object_id": object_id}
    listing("audit-events", COLUMNS, as_json, limit, cursor, **query)
