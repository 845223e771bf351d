"""Monthly statements, and sums by day and by what for."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from utcloud.cli.commands.journal import ENTRIES
from utcloud.cli.commands.records import Side
from utcloud.cli.common import (
    AsCsv,
    AsJson,
    Cursor,
    Limit,
    OfWallet,
    Since,
    Until,
    connect,
    listing,
    new_app,
    wallet_id,
)
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
    Column("Journal head", "journal_head"),
]
SUMS = [Column("WHAT", "label"), Column("UNC", "amount", right=True), Column("OF THAT ACCRUING", "accrued", right=True)]
Month = Annotated[str, typer.Argument(help="Such as 2026-01.")]
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
def list_(role: Of = Side.PAYER, wallet: OfWallet = None, csv: AsCsv = False, as_json: AsJson = False) -> None:
    """List the months in which your account moved."""
    listing("statements", MONTHS, as_json, as_csv=csv, role=role, wallet_id=wallet_id(connect(), wallet))


@app.command("show")
def show_(
    month: Month,
    role: Of = Side.PAYER,
    wallet: OfWallet = None,
    pdf: Annotated[Path | None, typer.Option(help="Write it as a PDF into this file.")] = None,
    lang: Annotated[Language, typer.Option(help="The PDF's language.")] = Language.EN,
    as_json: AsJson = False,
) -> None:
    """Show a month's statement, or write it as a PDF."""
    api = connect()
    of = {"role": role, "wallet_id": wallet_id(api, wallet)}
    if pdf is not None:
        pdf.write_bytes(api.content(f"statements/{month}", **of, format="pdf", lang=lang))
        return say(f"Written: {pdf}")
    found = api.get(f"statements/{month}", **of)
    if as_json:
        return print_json(found)
    print_record(found, FACTS)
    return print_table(found["lines"], LINES)


@app.command()
def entries(
    month: Month,
    role: Of = Side.PAYER,
    wallet: OfWallet = None,
    csv: AsCsv = False,
    limit: Limit = 100,
    cursor: Cursor = None,
    as_json: AsJson = False,
) -> None:
    """List the bookings that a month's statement sums up, newest first."""
    query = {"role": role, "wallet_id": wallet_id(connect(), wallet)}
    columns = [*ENTRIES[:3], Column("UNC", "amount", right=True), *ENTRIES[3:]]
    listing(f"statements/{month}/entries", columns, as_json, limit, cursor, as_csv=csv, **query)


@app.command()
def sums(
    by: Annotated[By, typer.Option(help="What to sum up by.")] = By.DAY,
    since: Since = None,
    until: Until = None,
    role: Of = Side.PAYER,
    wallet: OfWallet = None,
    as_json: AsJson = False,
) -> None:
    """Sum up what you paid or earned; the last 30 days unless said otherwise."""
    api = connect()
    of = {"role": role, "wallet_id": wallet_id(api, wallet)}
    found = api.get("analytics/charges", by=by, since=since, until=until, **of)
    if as_json:
        return print_json(found)
    print_table(found["items"], SUMS)
    return say(f"Total: {found['total']} UNC")
