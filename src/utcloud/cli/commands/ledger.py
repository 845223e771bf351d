"""The journal: list it, and check it from the first entry to the last."""

import asyncio
import json
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
    listing("ledger/entries", ENTRIES, as_json, limit, cursor, as_csv=csv, **query)


@app.command()
def verify(
    database: Annotated[
        str | None,
        typer.Option(help="Read this database itself (a SQLAlchemy URL), without asking the server."),
    ] = None,
    head: Annotated[
        str | None,
        typer.Option(help="A head that an earlier check printed: that entry must still have that hash."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Check the hash chain, sums, balances, meters, orders and keys; name the first row that is wrong, and exit with 1.

    Keep what it prints as head in another place. A journal that was written anew, or whose end was cut off, cannot meet
    it: give it to a later check with --head.
    """
    found = asyncio.run(_directly(database, head)) if database else _by_the_server(head)
    if as_json:
        print_json(found)
    elif found["ok"]:
        count = found["checked"]
        say(f"All {count} entries are right ({found['seconds']:.1f} s). Head: {count}:{found['head']}")
    else:
        fault = found["fault"]
        where = f" (number {fault['seq']})" if fault["seq"] else ""
        note(f"Wrong: {fault['what']} {fault['id']}{where}: {fault['detail']}.")
    if not found["ok"]:
        raise typer.Exit(1)


def _by_the_server(head: str | None) -> dict[str, Any]:
    lines = connect().text("ledger/verification", "application/jsonl", head=head).splitlines()
    found: dict[str, Any] = json.loads(lines[-1])
    return found


async def _directly(url: str, head: str | None) -> dict[str, Any]:
    from utcloud.billing.service import verification_out
    from utcloud.billing.verify import Head, verified
    from utcloud.db import Database

    try:
        known = Head.parse(head) if head else None
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--head") from error
    db = Database(url)
    try:
        return verification_out(await verified(db, known)).model_dump(mode="json")
    finally:
        await db.close()
