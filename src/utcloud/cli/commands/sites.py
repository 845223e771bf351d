"""Sites: places with one engine each."""

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
    listing,
    new_app,
    remove,
    report,
)
from utcloud.cli.output import Column, Json

app = new_app("Sites: places where your servers are.")


def _clock(site: Json) -> str:
    """How far its clock is off."""
    return f"{site['clock_offset_ms'] / 1000:+.1f} s" if site["last_seen_at"] else ""


COLUMNS = [
    Column("NAME", "name"),
    Column("CONNECTED", "connected"),
    Column("NODES", "nodes", right=True),
    Column("MINER", "miner_name"),
    Column("AGENT", "agent_version"),
    Column("LAST SEEN", "last_seen_at"),
    Column(
        "CLOCK", lambda site: f"{site['clock_offset_ms'] / 1000:+.1f} s" if site["last_seen_at"] else "", right=True
    ),
    Column("ID", "id"),
]


@app.command("list")
def list_(
    search: Search = None,
    clock_off: Annotated[bool | None, typer.Option("--clock-off", help="Only those whose clock is wrong.")] = None,
    sort: Sort = None,
    limit: Limit = 100,
    cursor: Cursor = None,
    as_csv: AsCsv = False,
    as_json: AsJson = False,
) -> None:
    """List sites."""
    query = {"search": search, "clock_off": clock_off, "sort": sort}
    listing("sites", COLUMNS, as_json, limit, cursor, as_csv=as_csv, **query)


@app.command()
def create(name: Annotated[str, typer.Argument(help="The new site's name.")], as_json: AsJson = False) -> None:
    """Create a site; the token with which its agent joins is shown once."""
    api = connect()
    made = api.post("sites", {"name": name})
    report(
        made,
        as_json,
        f"Created the site {made['name']}. Its agent's token, shown only now: {made['token']}\n"
        f"There: UTCLOUD_SERVER_URL={api.server} UTCLOUD_AGENT_TOKEN_FILE=… utcloud agent",
    )


@app.command()
def delete(name: Annotated[str, typer.Argument(help="Name or id.")], yes: Yes = False) -> None:
    """Delete a site on which nothing runs, or that is lost."""
    remove("sites", name, yes)
