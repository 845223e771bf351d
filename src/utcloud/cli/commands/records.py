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
    report,
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
HELD = [Column("MINER", "miner_name"), Column("UNC", "amount", right=True), Column("SUSPENDED", "suspended")]
Miner = Annotated[str, typer.Argument(help="The miner's user name or id.")]
Reason = Annotated[str, typer.Option(help="Why; it stands in the journal and in the audit trail.")]
EARNINGS = [
    Column("Miner", "miner_name"),
    Column("Balance", "balance"),
    Column("Accruing", "accrued"),
    Column("Held", "held"),
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


@earnings.command("held")
def list_held(limit: Limit = 100, cursor: Cursor = None, as_json: AsJson = False) -> None:
    """List what is held of the earnings of suspended miners; for operators."""
    listing("earnings/held", HELD, as_json, limit, cursor)


@earnings.command()
def release(miner: Miner, reason: Reason, as_json: AsJson = False) -> None:
    """Release what is held of a miner's earnings to him; for operators."""
    _decide(miner, "miner", reason, as_json)


@earnings.command("return")
def return_(miner: Miner, reason: Reason, as_json: AsJson = False) -> None:
    """Return what is held of a miner's earnings to those who paid; for operators."""
    _decide(miner, "payers", reason, as_json)


def _decide(miner: str, to: str, reason: str, as_json: bool) -> None:
    api = connect()
    user = user_named(api, miner)
    decided = api.post(f"earnings/held/{user['id']}", {"to": to, "reason": reason})
    where = "released to him" if to == "miner" else "returned to those who paid"
    report(decided, as_json, f"What was held of the earnings of {user['username']} is {where}.")


@earnings.command()
def platform(as_json: AsJson = False) -> None:
    """Show what the platform earned; for operators."""
    show(connect().get("earnings/platform"), PLATFORM, as_json)
