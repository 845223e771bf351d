"""The journal: list it, and check it from the first entry to the last."""

import asyncio
import json
from pathlib import Path
from typing import Annotated, Any

import typer

from utcloud.cli.common import AsCsv, AsJson, Cursor, Limit, Since, Until, connect, listing, new_app
from utcloud.cli.output import Column, note, print_json, say

app = new_app("The journal of all money; for operators.")
ENTRIES = [
    Column("NO", "seq", right=True),
    Column("AT", "at"),
    Column("KIND", "kind"),
    Column("CAUSE", "cause_id"),
    Column("POSTINGS", lambda entry: ", ".join(f"{one['account']} {one['amount']}" for one in entry["postings"])),
    Column("NOTE", "note"),
    Column("ID", "id"),
]


@app.command("list")
def list_(
    cause: Annotated[str | None, typer.Option(help="Only of this meter or wallet: its id.")] = None,
    since: Since = None,
    until: Until = None,
    csv: AsCsv = False,
    limit: Limit = 100,
    cursor: Cursor = None,
    as_json: AsJson = False,
) -> None:
    """List the entries, newest first."""
    query = {"cause_id": cause, "since": since, "until": until}
    listing("journal/entries", ENTRIES, as_json, limit, cursor, as_csv=csv, **query)


@app.command()
def verify(
    database: Annotated[
        str | None,
        typer.Option(help="Read this database itself (a SQLAlchemy URL), without asking the server."),
    ] = None,
    heads: Annotated[
        Path | None,
        typer.Option(
            help="A file of heads that a server noted; left out with --database: that of this machine's server, "
            "if the database is its own."
        ),
    ] = None,
    head: Annotated[
        str | None,
        typer.Option(help="A head that an earlier check printed: that entry must still have that hash."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Check the hash chain, facts, balances, meters, orders and keys; name the first row that is wrong, exit with 1.

    The server notes the journal's head each minute in the file journal-heads of its home, and the check compares the
    journal with all of them: one that was written anew, or whose end was cut off, cannot meet them. A head that you
    kept yourself, from an earlier check, a statement or a webhook, goes with --head.
    """
    if heads and not database:
        raise typer.BadParameter("the server reads its own; this goes with --database", param_hint="--heads")
    found = asyncio.run(_directly(database, head, heads)) if database else _by_the_server(head)
    if as_json:
        print_json(found)
    elif found["ok"]:
        count = found["checked"]
        if anchor := found["anchor"]:
            say(f"It meets what {anchor['source']} noted: {anchor['head']}")
        say(f"All {count} entries are right ({found['seconds']:.1f} s). Head: {count}:{found['head']}")
    else:
        fault = found["fault"]
        where = f" (number {fault['seq']})" if fault["seq"] else ""
        note(f"Wrong: {fault['what']} {fault['id']}{where}: {fault['detail']}.")
    if not found["ok"]:
        raise typer.Exit(1)


def _by_the_server(head: str | None) -> dict[str, Any]:
    lines = connect().text("journal/verification", "application/jsonl", head=head).splitlines()
    found: dict[str, Any] = json.loads(lines[-1])
    return found


async def _directly(url: str, head: str | None, heads: Path | None) -> dict[str, Any]:
    from utcloud.billing import anchors
    from utcloud.billing.service import verification_out
    from utcloud.billing.verify import Head, verified
    from utcloud.cli.up.own import become_owner
    from utcloud.common.settings import Settings
    from utcloud.db import Database

    try:
        known = Head.parse(head) if head else None
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--head") from error
    settings = Settings()
    if url == settings.database:
        become_owner(settings)
    if heads is None and url == settings.database:
        heads = anchors.file_of(settings)
    db = Database(url)
    try:
        return verification_out(await verified(db, known, anchors.read(heads) if heads else ())).model_dump(mode="json")
    finally:
        await db.close()
