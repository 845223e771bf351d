"""What went into wallets, what went out of them, and what was earned."""

import sys
from enum import StrEnum
from typing import Annotated, Any

import typer

from utcloud.cli.common import AsJson, Cursor, Limit, Search, connect, listing, new_app, show, user_named
from utcloud.cli.output import Column

recharges = new_app("Machine hours that were put into wallets.")
charges = new_app("Consumption records: what replicas cost, to the micro-UNC.")
earnings = new_app("What miners and the platform earned.")
AsCsv = Annotated[bool, typer.Option("--csv", help="Print all of them as CSV.")]
RECHARGES = [
    Column("AT", "at"),
    Column("USER", "owner_name"),
    Column("KIND", "kind"),
    Column("UNC", "amount", right=True),
    Column("BY", "actor_name"),
    Column("NOTE", "note"),
]
CHARGES = [
    Column("WORKLOAD", "workload"),
    Column("SUBTASK", "subtask"),
    Column("ATTEMPT", "attempt", right=True),
    Column("SPEC", "spec"),
    Column("UNC/HOUR", "price", right=True),
    Column("START", "started_at"),
    Column("END", lambda charge: charge["ended_at"] or ("running" if charge["open"] else None)),
    Column("SECONDS", "seconds", right=True),
    Column("UNC", "amount", right=True),
    Column("PAYER", "payer_name"),
    Column("PAYEE", "payee_name"),
    Column("SIMULATED", "simulated"),
]
EARNINGS = [
    Column("Miner", "miner_name"),
    Column("Balance", "balance"),
    Column("Accruing", "accrued"),
    Column("Today", "today"),
    Column("This month", "this_month"),
]
PLATFORM = [Column("Fees", "fees"), Column("Issued", "issued"), Column("Journal sum", "journal_sum")]


class Side(StrEnum):
    """On which side of a charge one stands."""

    PAYER = "payer"
    PAYEE = "payee"


def _records(
    path: str, columns: list[Column], csv: bool, as_json: bool, limit: int, cursor: str | None, query: dict[str, Any]
) -> None:
    if csv:
        sys.stdout.write(connect().text(path, "text/csv", **query))
    else:
        listing(path, columns, as_json, limit, cursor, **query)


@recharges.command("list")
def list_recharges(
    search: Search = None, csv: AsCsv = False, limit: Limit = 100, cursor: Cursor = None, as_json: AsJson = False
) -> None:
    """List recharges and deductions."""
    _records("recharges", RECHARGES, csv, as_json, limit, cursor, {"search": search})


@charges.command("list")
def list_charges(
    role: Annotated[Side | None, typer.Option(help="Only those that you pay, or that are paid to you.")] = None,
    notebook: Annotated[str | None, typer.Option(help="Only of this notebook: name or id.")] = None,
    open_: Annotated[bool | None, typer.Option("--open/--ended", help="Only those that go on, or have ended.")] = None,
    csv: AsCsv = False,
    limit: Limit = 100,
    cursor: Cursor = None,
    as_json: AsJson = False,
) -> None:
    """List consumption records."""
    workload = connect().find("notebooks", notebook)["id"] if notebook else None
    query = {"role": role, "workload_id": workload, "open": open_}
    _records("charges", CHARGES, csv, as_json, limit, cursor, query)


@earnings.command("show")
def show_earnings(
    miner: Annotated[str | None, typer.Option(help="Another miner's; for operators.")] = None, as_json: AsJson = False
) -> None:
    """Show what a miner earned."""
    api = connect()
    ident = user_named(api, miner)["id"] if miner else None
    show(api.get("earnings", miner_id=ident), EARNINGS, as_json)


@earnings.command()
def platform(as_json: AsJson = False) -> None:
    """Show what the platform earned; for operators."""
    show(connect().get("earnings/platform"), PLATFORM, as_json)
