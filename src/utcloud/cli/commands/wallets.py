"""Wallets: the machine hours of users."""

from typing import Annotated

import typer

from utcloud.cli.common import AsJson, Cursor, Limit, Search, connect, listing, new_app, report, show
from utcloud.cli.output import Column

app = new_app("Machine hours: what users have, counted in UNC.")
COLUMNS = [
    Column("USER", "owner_name"),
    Column("AVAILABLE", "available", right=True),
    Column("BALANCE", "balance", right=True),
    Column("ACCRUED", "accrued", right=True),
    Column("HELD", "held", right=True),
    Column("UNC/HOUR", "burn_per_hour", right=True),
    Column("RUNS OUT", "runs_out_at"),
    Column("ID", "id"),
]
User = Annotated[str, typer.Argument(help="User name, or the wallet's id.")]
Amount = Annotated[str, typer.Argument(help="UNC, such as 10 or 0.5.")]
Note = Annotated[str, typer.Option(help="Why.")]


@app.command("show")
def show_(
    user: Annotated[str | None, typer.Argument(help="User name, or the wallet's id. Left out: your own.")] = None,
    as_json: AsJson = False,
) -> None:
    """Show a wallet."""
    api = connect()
    wallet = api.get("wallets/mine") if user is None else api.find("wallets", user, "owner_name")
    show(wallet, COLUMNS, as_json)


@app.command("list")
def list_(search: Search = None, limit: Limit = 100, cursor: Cursor = None, as_json: AsJson = False) -> None:
    """List wallets."""
    listing("wallets", COLUMNS, as_json, limit, cursor, search=search)


@app.command()
def recharge(user: User, amount: Amount, note: Note = "", as_json: AsJson = False) -> None:
    """Put machine hours into a user's wallet."""
    _book(user, amount, note, "recharge", as_json)


@app.command()
def deduct(user: User, amount: Amount, note: Note = "", as_json: AsJson = False) -> None:
    """Take machine hours out of a user's wallet."""
    _book(user, amount, note, "deduct", as_json)


def _book(user: str, amount: str, note: str, kind: str, as_json: bool) -> None:
    api = connect()
    wallet = api.find("wallets", user, "owner_name")
    made = api.post("recharges", {"wallet_id": wallet["id"], "amount": amount, "note": note, "kind": kind})
    if as_json:
        return report(made, True, "")
    now = api.get(f"wallets/{wallet['id']}")
    return report(
        made, False, f"{made['amount']} UNC booked; {now['owner_name']} has {now['available']} UNC available."
    )
