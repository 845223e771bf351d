"""Monthly statements, and sums by day and by what for."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from utcloud.cli.commands.records import Side
from utcloud.cli.common import AsJson, connect, listing, new_app
from utcloud.cli.output import Column, print_json, print_record, print_table, say

app = new_app("Monthly statements of your wallet, or of your earnings.")
MONTHS = [
    Column("MONTH", "month"),
    Column("CAME IN", "incoming", right=True),
    Column("WENT OUT", "outgoing", right=True),
    Column("CLOSING", "closing", right=True),
]
LINES = [
    Column("FROM", "at"),
    Column("KIND", "kind"),
    Column("WHAT", "text"),
    Column("SPEC", "spec"),
    Column("UNC/HOUR", "price", right=True),
    Column("UNC", "amount", right=True),
]
FACTS = [
    Column("Month", "month"),
    Column("Of", "owner_name"),
    Column("Opening", "opening"),
    Column("Came in", "incoming"),
    Column("Went out", "outgoing"),
    Column("Closing", "closing"),
]
SUMS = [Column("WHAT", "label"), Column("UNC", "amount", right=True), Column("OF THAT ACCRUING", "accrued", right=True)]
Of = Annotated[Side, typer.Option("--role", help="Your wallet (payer), or your earnings as a miner (payee).")]


class By(StrEnum):
    DAY = "day"
    SPEC = "spec"
    NODE = "node"
    RENTER = "renter"
    MINER = "miner"
    WORKLOAD = "workload"


class Language(StrEnum):
    EN = "en"
    ZH = "zh"


@app.command("list")
def list_(role: Of = Side.PAYER, as_json: AsJson = False) -> None:
    """List the months in which your account moved."""
    listing("statements", MONTHS, as_json, 100, None, role=role)


@app.command("show")
def show_(
    month: Annotated[str, typer.Argument(help="Such as 2026-01.")],
    role: Of = Side.PAYER,
    pdf: Annotated[Path | None, typer.Option(help="Write it as a PDF into this file.")] = None,
    lang: Annotated[Language, typer.Option(help="The PDF's language.")] = Language.EN,
    as_json: AsJson = False,
) -> None:
    """Show a month's statement, or write it as a PDF."""
    api = connect()
    if pdf is not None:
        pdf.write_bytes(api.content(f"statements/{month}", role=role, format="pdf", lang=lang))
        return say(f"Written: {pdf}")
    found = api.get(f"statements/{month}", role=role)
    if as_json:
        return print_json(found)
    print_record(found, FACTS)
    return print_table(found["lines"], LINES)


@app.command()
def sums(
    by: Annotated[By, typer.Option(help="What to sum up by.")] = By.DAY,
    since: Annotated[str | None, typer.Option(help="From this moment on, such as 2026-01-01T00:00:00Z.")] = None,
    until: Annotated[str | None, typer.Option(help="Until before this moment.")] = None,
    role: Of = Side.PAYER,
    as_json: AsJson = False,
) -> None:
    """Sum up what you paid or earned; the last 30 days unless said otherwise."""
    found = connect().get("analytics/charges", by=by, since=since, until=until, role=role)
    if as_json:
        return print_json(found)
    print_table(found["items"], SUMS)
    return say(f"Total: {found['total']} UNC")
