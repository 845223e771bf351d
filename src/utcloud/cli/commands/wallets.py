"""Wallets: the machine hours of users and groups."""

from enum import StrEnum
from typing import Annotated

import typer

from utcloud.cli.common import (
    AsCsv,
    AsJson,
    Cursor,
    Limit,
    Search,
    Sort,
    connect,
    given,
    listing,
    new_app,
    report,
    show,
)
from utcloud.cli.output import Column, Json, print_json, print_table

app = new_app("Machine hours: what users and groups have, counted in UNC.")
COLUMNS = [
    Column("OWNER", "owner_name"),
    Column("KIND", "owner"),
    Column("AVAILABLE", "available", right=True),
    Column("BALANCE", "balance", right=True),
    Column("ACCRUED", "accrued", right=True),
    Column("HELD", "held", right=True),
    Column("UNC/HOUR", "burn_per_hour", right=True),
    Column("RUNS OUT", "runs_out_at"),
    Column("ID", "id"),
]
FIELDS = [
    *COLUMNS,
    Column("Pays up to (UNC/hour)", "max_price"),
    Column("Pays in pools", lambda wallet: ", ".join(pool["name"] for pool in wallet["pools"])),
]
CAPS = [
    Column("OF", "of"),
    Column("SET BY", "set_by"),
    Column("PERIOD", "period"),
    Column("CAP", "limit", right=True),
    Column("SPENT", "spent", right=True),
    Column("LEFT", "left", right=True),
    Column("BEGINS ANEW", "renews_at"),
]
User = Annotated[str, typer.Argument(help="Name of a user or group, or the wallet's id.")]
Amount = Annotated[str, typer.Argument(help="UNC, such as 10 or 0.5.")]
Note = Annotated[str, typer.Option(help="Why.")]


class Owner(StrEnum):
    USER = "user"
    GROUP = "group"


@app.command("show")
def show_(
    user: Annotated[
        str | None, typer.Argument(help="Name of a user or group, or the wallet's id. Left out: your own.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show a wallet."""
    api = connect()
    wallet = api.get("wallets/mine") if user is None else api.find("wallets", user, "owner_name")
    show(wallet, FIELDS if wallet["owner"] == "group" else COLUMNS, as_json)


@app.command("list")
def list_(
    owner: Annotated[Owner | None, typer.Option(help="Only those of users, or of groups.")] = None,
    mine: Annotated[bool, typer.Option("--mine", help="Only your own and those of your groups.")] = False,
    search: Search = None,
    sort: Sort = None,
    csv: AsCsv = False,
    limit: Limit = 100,
    cursor: Cursor = None,
    as_json: AsJson = False,
) -> None:
    """List wallets."""
    query = given(owner=owner, mine=mine or None, search=search, sort=sort)
    listing("wallets", COLUMNS, as_json, limit, cursor, as_csv=csv, **query)


@app.command()
def recharge(user: User, amount: Amount, note: Note = "", as_json: AsJson = False) -> None:
    """Put machine hours into a wallet; a group's manager puts his own into that of the group."""
    _book(user, amount, note, "recharge", as_json)


@app.command()
def deduct(user: User, amount: Amount, note: Note = "", as_json: AsJson = False) -> None:
    """Take machine hours out of a wallet."""
    _book(user, amount, note, "deduct", as_json)


@app.command()
def warn(user: User, amount: Amount, as_json: AsJson = False) -> None:
    """Warn the owner when less than so much is available; 0: only when it runs out within the hour."""
    api = connect()
    made = api.patch(f"wallets/{api.find('wallets', user, 'owner_name')['id']}", {"low_balance": amount})
    report(made, as_json, f"{made['owner_name']} is warned below {made['low_balance']} UNC.")


@app.command()
def pays(
    group: Annotated[str, typer.Argument(help="The group's name, or its wallet's id.")],
    pool: Annotated[
        list[str] | None, typer.Option(help="A pool in which it pays at any price: name or id; repeat.")
    ] = None,
    no_pool: Annotated[bool, typer.Option("--no-pool", help="It pays at any price in no pool.")] = False,
    max_price: Annotated[
        str | None, typer.Option(help="The most per hour and replica that it pays in any pool (UNC); none: in none.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Say where a group's wallet pays; what is left out stays as it is. For the group's managers."""
    api = connect()
    wallet = api.find("wallets", group, "owner_name")
    body: Json = {}
    if pool or no_pool:
        body["pool_ids"] = [api.find("pools", one)["id"] for one in pool or ()]
    if max_price is not None:
        body["max_price"] = None if max_price == "none" else max_price
    show(api.patch(f"wallets/{wallet['id']}", body), FIELDS, as_json)


@app.command()
def caps(user: User, as_json: AsJson = False) -> None:
    """Show the spending caps of a wallet."""
    api = connect()
    found = api.get(f"wallets/{api.find('wallets', user, 'owner_name')['id']}/caps")
    _show_caps(found, as_json)


@app.command()
def cap(
    user: User,
    daily: Annotated[str | None, typer.Option(help="The most in a UTC day. Left out: no cap.")] = None,
    monthly: Annotated[str | None, typer.Option(help="The most in a UTC month. Left out: no cap.")] = None,
    total: Annotated[str | None, typer.Option(help="The most ever. Left out: no cap.")] = None,
    member: Annotated[str | None, typer.Option(help="Only of this member of the group: user name.")] = None,
    each: Annotated[
        bool, typer.Option("--each", help="Of each member of the group that has none of their own.")
    ] = False,
    as_keeper: Annotated[
        bool, typer.Option("--as-keeper", help="As an operator: those that the owner or a manager set.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Set the spending caps of a wallet, or of members of the group that owns it. An operator's are theirs to lift."""
    api = connect()
    wallet = api.find("wallets", user, "owner_name")
    body = given(daily=daily, monthly=monthly, total=total, set_by="keeper" if as_keeper else None)
    if each:
        body["user_id"] = "*"
    if member:
        inside = api.get(f"groups/{wallet['owner_id']}")["members"]
        found = [one["user"]["id"] for one in inside if member in (one["user"]["id"], one["user"]["username"])]
        body["user_id"] = found[0] if found else member
    _show_caps(api.put(f"wallets/{wallet['id']}/caps", body), as_json)


_OF = {"": "all", "*": "each"}


def _show_caps(found: Json, as_json: bool) -> None:
    if as_json:
        return print_json(found)
    rows = [
        {
            "of": _OF.get(cap["user_id"] or "", cap["user_name"]),
            "set_by": cap["set_by"],
            "period": period,
            **cap[period],
        }
        for cap in found["items"]
        for period in ("daily", "monthly", "total")
        if cap[period]
    ]
    return print_table(rows, CAPS)


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
