"""The audit trail."""

from typing import Annotated

import typer

from utcloud.cli.common import AsCsv, AsJson, Cursor, Limit, Sort, listing, new_app
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
    search: Annotated[str | None, typer.Option(help="Part of an object's or a user's name, or of an action.")] = None,
    since: Annotated[str | None, typer.Option(help="From this moment on, such as 2026-01-31T12:00:00Z.")] = None,
    until: Annotated[str | None, typer.Option(help="Before this moment.")] = None,
    actor: Annotated[str | None, typer.Option(help="Only of users whose name contains this.")] = None,
    action: Annotated[str | None, typer.Option(help="Such as spec.create.")] = None,
    object_type: Annotated[str | None, typer.Option(help="Such as pool.")] = None,
    object_id: Annotated[str | None, typer.Option(help="The id of what was changed.")] = None,
    ip: Annotated[str | None, typer.Option(help="From this address.")] = None,
    sort: Sort = None,
    limit: Limit = 100,
    cursor: Cursor = None,
    as_csv: AsCsv = False,
    as_json: AsJson = False,
) -> None:
    """List changes: an operator sees all, others what they did and what was done to what is theirs."""
    query = {
        "search": search,
        "since": since,
        "until": until,
        "actor": actor,
        "action": action,
        "object_type": object_type,
        "object_id": object_id,
        "ip": ip,
        "sort": sort,
    }
    listing("audit-events", COLUMNS, as_json, limit, cursor, as_csv=as_csv, **query)
