"""Webhooks: where messages about your money go."""

from typing import Annotated

import typer

from utcloud.cli.common import (
    AsCsv,
    AsJson,
    Cursor,
    Limit,
    Since,
    Until,
    connect,
    given,
    listing,
    new_app,
    remove,
    report,
)
from utcloud.cli.output import Column, say

app = new_app("Webhooks: signed messages about your money, to a URL of yours.")
COLUMNS = [
    Column("URL", "url"),
    Column("KINDS", lambda hook: ", ".join(hook["kinds"])),
    Column("ACTIVE", "active"),
    Column("WAITING", "waiting", right=True),
    Column("DEAD", "dead", right=True),
    Column("ID", "id"),
]
DELIVERIES = [
    Column("AT", "created_at"),
    Column("KIND", "kind"),
    Column("TO", "target"),
    Column("STATE", "state"),
    Column("TRIES", "attempts", right=True),
    Column("ANSWER", "status", right=True),
    Column("ERROR", "error"),
    Column("ID", "id"),
]
Ref = Annotated[str, typer.Argument(help="Its URL or id.")]
Kinds = Annotated[
    list[str] | None,
    typer.Option(
        "--kind",
        help="low_balance, stop_announced, workload_stopped, order_settled, recharged or credited; several times for "
        "several.",
    ),
]


@app.command("list")
def list_(limit: Limit = 100, cursor: Cursor = None, as_json: AsJson = False) -> None:
    """List your webhooks."""
    listing("webhooks", COLUMNS, as_json, limit, cursor)


@app.command()
def create(url: Annotated[str, typer.Argument(help="https://…")], kind: Kinds = None, as_json: AsJson = False) -> None:
    """Add a webhook; prints the secret that signs its messages, this once."""
    made = connect().post("webhooks", given(url=url, kinds=kind))
    report(made, as_json, f"Made: {made['id']}\nSecret (shown this once): {made['secret']}")


@app.command()
def change(
    webhook: Ref,
    url: Annotated[str | None, typer.Option(help="Its new URL.")] = None,
    kind: Kinds = None,
    as_json: AsJson = False,
) -> None:
    """Change a webhook's URL, or what it wants to hear of."""
    api = connect()
    hook = api.patch(f"webhooks/{api.find('webhooks', webhook, 'url')['id']}", given(url=url, kinds=kind))
    report(hook, as_json, f"{hook['url']} hears of {', '.join(hook['kinds'])}.")


@app.command()
def rotate(webhook: Ref, as_json: AsJson = False) -> None:
    """Give a webhook a new secret, printed this once; for a day the old one signs as well."""
    api = connect()
    made = api.post(f"webhooks/{api.find('webhooks', webhook, 'url')['id']}/rotate-secret")
    report(made, as_json, f"Secret (shown this once): {made['secret']}")


@app.command()
def switch(
    webhook: Ref,
    on: Annotated[bool, typer.Option("--on/--off", help="Whether it gets messages.")],
    as_json: AsJson = False,
) -> None:
    """Switch a webhook on or off."""
    api = connect()
    hook = api.patch(f"webhooks/{api.find('webhooks', webhook, 'url')['id']}", {"active": on})
    report(hook, as_json, f"{hook['url']} is {'on' if on else 'off'}.")


@app.command()
def test(webhook: Ref) -> None:
    """Send a test message."""
    api = connect()
    hook = api.find("webhooks", webhook, "url")
    api.post(f"webhooks/{hook['id']}/test")
    say(f"A test message is on its way to {hook['url']}: utcloud webhook deliveries")


@app.command()
def delete(webhook: Ref, yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False) -> None:
    """Delete a webhook with what is on its way."""
    remove("webhooks", webhook, yes, "url")


@app.command()
def deliveries(
    state: Annotated[str | None, typer.Option(help="waiting, delivered or dead.")] = None,
    webhook: Annotated[str | None, typer.Option(help="Only to this one: its URL or id.")] = None,
    mail: Annotated[bool, typer.Option("--mail", help="Only those by mail.")] = False,
    since: Since = None,
    until: Until = None,
    csv: AsCsv = False,
    limit: Limit = 100,
    cursor: Cursor = None,
    as_json: AsJson = False,
) -> None:
    """List messages that went out, wait, or were given up."""
    to = connect().find("webhooks", webhook, "url")["id"] if webhook else None
    query = given(state=state, webhook_id=to, channel="mail" if mail else None, since=since, until=until)
    listing("deliveries", DELIVERIES, as_json, limit, cursor, as_csv=csv, **query)


@app.command()
def retry(delivery: Annotated[str, typer.Argument(help="Its id.")], as_json: AsJson = False) -> None:
    """Try a message again that was given up."""
    report(connect().post(f"deliveries/{delivery}/retry"), as_json, "It is on its way again.")
