"""Notices: what happened to one's money, and what of it comes by mail."""

from enum import StrEnum
from typing import Annotated

import typer

from utcloud.cli.common import AsCsv, AsJson, Cursor, Limit, Since, Until, connect, given, listing, new_app, show
from utcloud.cli.output import Column, say

app = new_app("Notices: what happened to your money, and what of it comes by mail.")
COLUMNS = [
    Column("AT", "at"),
    Column("KIND", "kind"),
    Column("WALLET OF", "owner_name"),
    Column("WHAT", lambda one: ", ".join(f"{key} {value}" for key, value in one["detail"].items() if value)),
    Column("READ", "seen"),
]
SETTINGS = [
    Column("By mail", "mail"),
    Column("Language", "language"),
    Column("Mail server", "mail_possible"),
    Column("Not read", "unseen"),
]


class Kind(StrEnum):
    LOW_BALANCE = "low_balance"
    STOP_ANNOUNCED = "stop_announced"
    WORKLOAD_STOPPED = "workload_stopped"
    ORDER_SETTLED = "order_settled"
    RECHARGED = "recharged"
    CREDITED = "credited"


class Language(StrEnum):
    EN = "en"
    ZH = "zh"


@app.command("list")
def list_(
    kind: Annotated[Kind | None, typer.Option(help="Only of this kind.")] = None,
    since: Since = None,
    until: Until = None,
    csv: AsCsv = False,
    limit: Limit = 50,
    cursor: Cursor = None,
    as_json: AsJson = False,
) -> None:
    """List what happened to your money, newest first."""
    listing("notices", COLUMNS, as_json, limit, cursor, as_csv=csv, kind=kind, since=since, until=until)


@app.command()
def read() -> None:
    """Say that you have read all notices."""
    connect().post("notices/seen")
    say("All notices are read.")


@app.command()
def mail(
    kind: Annotated[list[Kind] | None, typer.Option(help="Comes by mail; repeat. Left out: as it was.")] = None,
    none: Annotated[bool, typer.Option("--none", help="Nothing comes by mail.")] = False,
    lang: Annotated[Language | None, typer.Option(help="The language of mail.")] = None,
    as_json: AsJson = False,
) -> None:
    """Show, or choose, what comes by mail and in which language."""
    api = connect()
    wanted = given(mail=[] if none else kind, language=lang)
    found = api.patch("notices/settings", wanted) if wanted else api.get("notices/settings")
    show(found, SETTINGS, as_json)
