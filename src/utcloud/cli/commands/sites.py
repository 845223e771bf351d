"""Sites: places with one engine each."""

from typing import Annotated
from urllib.parse import urlsplit

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
    Column("PAGES IN", lambda site: ", ".join(site["page_networks"])),
    Column("FLAGS", lambda site: "; ".join(site["flags"])),
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
        f"There: UTCLOUD_SERVER_URL={_seen_from_there(api.server)} UTCLOUD_AGENT_TOKEN_FILE=… utcloud agent\n"
        "Pages of notebooks on servers away from the platform do not open yet.",
    )


@app.command("rotate-token")
def rotate_token(name: Annotated[str, typer.Argument(help="Name or id.")], as_json: AsJson = False) -> None:
    """Give a site's agent another token, shown once; the one before is good for ten minutes more."""
    api = connect()
    site = api.find("sites", name)
    made = api.post(f"sites/{site['id']}/token")
    report(
        made,
        as_json,
        f"The new token of the site {made['name']}, shown only now: {made['token']}\n"
        "Write it into the file that UTCLOUD_AGENT_TOKEN_FILE names there; the agent reads it by itself.",
    )


@app.command()
def networks(
    name: Annotated[str, typer.Argument(help="Name or id.")],
    cidrs: Annotated[
        list[str] | None, typer.Argument(help="Such as 10.244.0.0/16; none: its pages do not open.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Say in which networks pages of a site may be, so that the platform's edge goes there; for operators."""
    api = connect()
    site = api.find("sites", name)
    changed = api.put(f"sites/{site['id']}/networks", {"networks": cidrs or []})
    text = ", ".join(changed["page_networks"])
    report(
        changed,
        as_json,
        f"Pages of the site {site['name']} may be in {text}."
        if text
        else f"Pages of the site {site['name']} do not open.",
    )


def _seen_from_there(server: str) -> str:
    """The platform's address as another server must write it: loopback is that server itself."""
    host = urlsplit(server).hostname or ""
    here = host == "localhost" or host.endswith(".localhost") or host.startswith("127.") or host == "::1"
    return "https://ADDRESS-OF-THIS-PLATFORM" if here else server


@app.command()
def delete(name: Annotated[str, typer.Argument(help="Name or id.")], yes: Yes = False) -> None:
    """Delete a site on which nothing runs, or that is lost."""
    remove("sites", name, yes)
