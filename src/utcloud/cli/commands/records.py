"""What went into wallets, what went out of them, and what was earned."""

from enum import StrEnum
from typing import Annotated

import typer

from utcloud.cli.common import (
    AsCsv,
    AsJson,
    Cursor,
    Limit,
    OfWallet,
    Search,
    Since,
    Sort,
    Until,
    connect,
    listing,
    new_app,
    show,
    user_named,
    wallet_id,
)
from utcloud.cli.output import Column

recharges = new_app("Machine hours that were put into wallets.")
charges = new_app("Consumption records: what replicas cost, to the micro-UNC.")
earnings = new_app("What miners and the platform earned.")
RECHARGES = [
    Column("AT", "at"),
    Column("OWNER", "owner_name"),
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
    Column("CREDITED", "credited", right=True),
    Column("PAID", "paid", right=True),
    Column("PAYER", lambda charge: charge["group_name"] or charge["payer_name"]),
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


@recharges.command("list")
def list_recharges(
    search: Search = None,
    wallet: OfWallet = None,
    since: Since = None,
    until: Until = None,
    sort: Sort = None,
    csv: AsCsv = False,
    limit: Limit = 100,
    cursor: Cursor = None,
    as_json: AsJson = False,
) -> None:
    """List recharges and deductions."""
    of_wallet = wallet_id(connect(), wallet)
    query = {"search": search, "wallet_id": of_wallet, "since": since, "until": until, "sort": sort}
    listing("recharges", RECHARGES, as_json, limit, cursor, as_csv=csv, **query)


@charges.command("list")
def list_charges(
    role: Annotated[Side | None, typer.Option(help="Only those that you pay, or that are paid to you.")] = None,
    notebook: Annotated[str | None, typer.Option(help="Only of this notebook: name or id.")] = None,
    order: Annotated[str | None, typer.Option(help="Only of this order: its id.")] = None,
    wallet: OfWallet = None,
    open_: Annotated[bool | None, typer.Option("--open/--ended", help="Only those that go on, or have ended.")] = None,
    search: Search = None,
    since: Since = None,
    until: Until = None,
    sort: Sort = None,
    csv: AsCsv = False,
    limit: Limit = 100,
    cursor: Cursor = None,
    as_json: AsJson = False,
) -> None:
    """List consumption records."""
    api = connect()
    query = {
        "role": role,
        "workload_id": api.find("notebooks", notebook)["id"] if notebook else None,
        "order_id": order,
        "wallet_id": wallet_id(api, wallet),
        "open": open_,
        "search": search,
        "since": since,
        "until": until,
        "sort": sort,
    }
    listing("charges", CHARGES, as_json, limit, cursor, as_csv=csv, **query)


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
