"""Orders: what each start of a workload was to cost, and what it did."""

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
    Search,
    Since,
    Sort,
    Until,
    Yes,
    confirm,
    connect,
    given,
    listing,
    new_app,
    report,
    show,
    user_named,
    wallet_id,
)
from utcloud.cli.output import Column, print_json, print_record, print_table

app = new_app("Orders: one for each start of a notebook or task.")
COLUMNS = [
    Column("CREATED", "created_at"),
    Column("WORKLOAD", "workload"),
    Column("SPEC", "spec"),
    Column("TASKS", "tasks", right=True),
    Column("UNC/HOUR", "unit_price", right=True),
    Column("STATE", "state"),
    Column("COST", "cost", right=True),
    Column("CREDITED", "credited", right=True),
    Column("STARS", "stars", right=True),
    Column("ID", "id"),
]
FIELDS = [
    *COLUMNS,
    Column("Renter", "owner_name"),
    Column("Miner", "miner_name"),
    Column("Paid by", lambda order: order["group_name"] or order["owner_name"]),
    Column("Estimate", "estimate"),
    Column("Most cost", "max_cost"),
    Column("Most hours", "max_hours"),
    Column("Caps", lambda order: "; ".join(order["caps"])),
    Column("Waived", "waived"),
    Column("Seconds", "seconds"),
    Column("Ended", "settled_at"),
    Column("Reason", "reason"),
    Column("Comment", "comment"),
]
LINES = [
    Column("REPLICA", "replica"),
    Column("ATTEMPT", "attempt", right=True),
    Column("START", "started_at"),
    Column("END", "ended_at"),
    Column("FORMULA", "formula"),
    Column("WAIVED", "waived", right=True),
    Column("CREDITED", "credited", right=True),
    Column("PAID", "paid", right=True),
    Column("NOTE", "note"),
]
PRICES = [Column("SINCE", "since"), Column("UNC/HOUR", "price", right=True), Column("BY", "by")]
RATINGS = [
    Column("Average", "average"),
    Column("Ratings", "count"),
    Column("Stars", lambda found: ", ".join(f"{stars}: {count}" for stars, count in found["stars"].items())),
]
ESTIMATE = [
    Column("UNC/hour", "price"),
    Column("Hours", "hours"),
    Column("Cost", "cost"),
    Column("Held at the start", "hold"),
    Column("Available", "available"),
    Column("Hours possible", "hours_possible"),
    Column("Then ends", "ends_by"),
    Column("Refused", "refusal"),
    Column("What to do", "cure"),
]
Order = Annotated[str, typer.Argument(help="The order's id.")]


@app.command("list")
def list_(
    role: Annotated[Side | None, typer.Option(help="Your own (payer), or those on your hardware (payee).")] = None,
    state: Annotated[str | None, typer.Option(help="open or settled.")] = None,
    wallet: OfWallet = None,
    rated: Annotated[
        bool | None, typer.Option("--rated/--unrated", help="Only those with, or without a rating.")
    ] = None,
    since: Since = None,
    until: Until = None,
    search: Search = None,
    sort: Sort = None,
    csv: AsCsv = False,
    limit: Limit = 100,
    cursor: Cursor = None,
    as_json: AsJson = False,
) -> None:
    """List orders."""
    paid_by = wallet_id(connect(), wallet)
    query = given(role=role, state=state, search=search, sort=sort, wallet_id=paid_by, rated=rated)
    query |= given(since=since, until=until)
    listing("orders", COLUMNS, as_json, limit, cursor, as_csv=csv, **query)


@app.command("show")
def show_(order: Order, as_json: AsJson = False) -> None:
    """Show an order and how its cost comes about, attempt by attempt."""
    found = connect().get(f"orders/{order}")
    if as_json:
        return print_json(found)
    print_record(found, FIELDS)
    replicas = [line for part in found["subtasks"] for line in part["replicas"]]
    return print_table([attempt for line in replicas for attempt in line["attempts"]], LINES)


@app.command()
def entries(
    order: Order, csv: AsCsv = False, limit: Limit = 100, cursor: Cursor = None, as_json: AsJson = False
) -> None:
    """List an order's journal entries, newest first."""
    listing(f"orders/{order}/entries", ENTRIES, as_json, limit, cursor, as_csv=csv)


@app.command()
def ratings(
    miner: Annotated[str | None, typer.Option(help="Only of this miner: user name or id.")] = None,
    pool: Annotated[str | None, typer.Option(help="Only of this pool: name or id.")] = None,
    as_json: AsJson = False,
) -> None:
    """Show what renters gave to a miner, to a pool, or to all."""
    api = connect()
    query = given(
        miner_id=user_named(api, miner)["id"] if miner else None,
        pool_id=api.find("pools", pool)["id"] if pool else None,
    )
    show(api.get("ratings", **query), RATINGS, as_json)


@app.command()
def rate(
    order: Order,
    stars: Annotated[int, typer.Argument(min=1, max=5, help="1 (bad) to 5 (good).")],
    comment: Annotated[str, typer.Option(help="What you think of it; the miner reads it.")] = "",
    as_json: AsJson = False,
) -> None:
    """Rate an order of yours that has ended."""
    made = connect().post(f"orders/{order}/rating", {"stars": stars, "comment": comment})
    report(made, as_json, f"Rated {made['workload']} with {made['stars']} of 5 stars.")


@app.command()
def credit(
    order: Order,
    amount: Annotated[str, typer.Argument(help="UNC, such as 1.5: at most what was paid.")],
    reason: Annotated[str, typer.Option(help="Why; renter and miner read it.")],
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Give back some of what was paid for an order that has ended; for operators."""
    confirm(f"Give {amount} UNC of the order {order} back, from what its miner and the platform got?", yes)
    made = connect().post(f"orders/{order}/credit", {"amount": amount, "reason": reason})
    report(made, as_json, f"{amount} UNC credited; {made['workload']} now costs {made['cost']} UNC.")


@app.command()
def prices(spec: Annotated[str, typer.Argument(help="The specification's id.")], as_json: AsJson = False) -> None:
    """Show which prices a specification had."""
    found = connect().get(f"specs/{spec}/prices")
    if as_json:
        return print_json(found)
    return print_table(found["items"], PRICES)


@app.command()
def estimate(
    pool: Annotated[str, typer.Argument(help="The pool's name or id.")],
    spec: Annotated[str, typer.Argument(help="The specification's name or id.")],
    hours: Annotated[float, typer.Option(help="For how long.")] = 1.0,
    tasks: Annotated[int, typer.Option(min=1, help="How many replicas.")] = 1,
    group: Annotated[str | None, typer.Option(help="The group that pays. Left out: you.")] = None,
    max_cost: Annotated[str | None, typer.Option(help="It is stopped before it costs more (UNC).")] = None,
    max_hours: Annotated[float | None, typer.Option(help="It is stopped after so many hours.")] = None,
    as_json: AsJson = False,
) -> None:
    """Say what a start would cost, and how long it could run."""
    api = connect()
    found = api.find("pools", pool)
    offered = [one for one in found["notebook_specs"] if spec in (one["id"], one["name"])]
    paid_by = {"payer": "group", "group_id": api.find("groups", group)["id"]} if group else {}
    body = {"pool_id": found["id"], "spec_id": offered[0]["id"] if offered else spec, "hours": hours, "tasks": tasks}
    body |= given(max_cost=max_cost, max_hours=max_hours)
    show(api.post("estimates", body | paid_by), ESTIMATE, as_json)
