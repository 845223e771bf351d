"""Nodes: the servers of one's sites."""

from collections.abc import Callable
from enum import StrEnum
from typing import Annotated, Any

import typer

from utcloud.cli.common import (
    AsCsv,
    AsJson,
    Cursor,
    Limit,
    Search,
    Sort,
    Yes,
    confirm,
    connect,
    given,
    listing,
    new_app,
    report,
)
from utcloud.cli.errors import CliError
from utcloud.cli.output import Column, Json, print_json, print_record, print_table, say

app = new_app("Servers that were found at one's sites.")


def _free(node: Json) -> str:
    return ", ".join(f"{use['resource']} {use['free_text']}/{use['capacity_text']}" for use in node["resources"])


def _labels(key: str) -> Callable[[Json], str]:
    return lambda node: ", ".join(f"{name}={value}" for name, value in node[key].items())


def _work(node: Json) -> str:
    """Whether new work comes to it."""
    if node["moving_to"]:
        return f"moves to {node['moving_to']['name']}"
    if node["drain_at"]:
        return "drains" if node["replicas"] else "drained"
    return "cordoned" if node["cordoned"] else "open"


def _of_chip(name: str, unit: str, most: str = "", base: int = 1) -> Callable[[Json], str]:
    """What it measures, and the most that it can be where that is known: ``12/30 W``."""

    def text(chip: Json) -> str:
        known = [f"{chip[key] / base:.0f}" for key in (name, most) if key and chip[key] is not None]
        return f"{'/'.join(known)}{unit}" if known else ""

    return text


COLUMNS = [
    Column("NAME", "name"),
    Column("STATUS", "status"),
    Column("NEW WORK", _work),
    Column("IP", "ip"),
    Column("SITE", "site_name"),
    Column("POOL", "pool_name"),
    Column("REPLICAS", "replicas", right=True),
    Column("FREE/CAPACITY", _free),
    Column("SIMULATED", "simulated"),
    Column("ID", "id"),
]
FIELDS = [
    Column("Name", "name"),
    Column("Host name", "hostname"),
    Column("Status", "status"),
    Column("Reason", "reason"),
    Column("Since", "since"),
    Column("Left out", "flags"),
    Column("Advice", "advice"),
    Column("New work", _work),
    Column("Cordoned for", "cordon_reason"),
    Column("Drained at", "drain_at"),
    Column("Drained for", "drain_reason"),
    Column("Replicas", "replicas"),
    Column("IP", "ip"),
    Column("System", lambda node: f"{node['os']}, {node['kernel']}, {node['architecture']}"),
    Column("Engine", "engine"),
    Column("Agent", "agent_version"),
    Column("Site", "site_name"),
    Column("Pool", "pool_name"),
    Column("Labels", _labels("labels")),
    Column("Own labels", _labels("own_labels")),
    Column("ID", "id"),
]
RESOURCES = [
    Column("RESOURCE", "resource"),
    Column("CAPACITY", "capacity_text", right=True),
    Column("ALLOCATED", "allocated_text", right=True),
    Column("FREE", "free_text", right=True),
    Column("SIMULATED", "simulated"),
]
CHIPS = [
    Column("CHIP", "index", right=True),
    Column("MODEL", "model"),
    Column("RESOURCE", "resource"),
    Column("CARD", "card"),
    Column("SERIAL", "serial"),
    Column("BUS", "bus_id"),
    Column("DEVICES", "device_paths"),
    Column("HEALTHY", "healthy"),
    Column("USED BY", "used_by"),
    Column("MEMORY", _of_chip("memory_used_bytes", " GiB", "memory_bytes", 2**30), right=True),
    Column("TEMPERATURE", _of_chip("temperature_c", " °C"), right=True),
    Column("POWER", _of_chip("power_w", " W", "power_limit_w"), right=True),
    Column("USE", _of_chip("utilization_percent", " %"), right=True),
    Column("SIMULATED", "simulated"),
]
Node = Annotated[str, typer.Argument(help="Name or id.")]
Grace = Annotated[int, typer.Option(min=0, max=10_080, help="Minutes until what still runs there is stopped.")]


class Status(StrEnum):
    READY = "ready"
    NOT_READY = "not_ready"
    LOST = "lost"
    GONE = "gone"
    REMOVED = "removed"


class WhenBusy(StrEnum):
    REFUSE = "refuse"
    WAIT = "wait"
    DRAIN = "drain"


@app.command("list")
def list_(
    search: Search = None,
    status: Annotated[Status | None, typer.Option(help="Only those in this status.")] = None,
    pool: Annotated[str | None, typer.Option(help="Only those of this pool.")] = None,
    site: Annotated[str | None, typer.Option(help="Only those of this site.")] = None,
    cordoned: Annotated[
        bool | None, typer.Option("--cordoned/--open", help="Only those that take no new work, or that do.")
    ] = None,
    flagged: Annotated[bool | None, typer.Option("--flagged", help="Only those that report nonsense.")] = None,
    advised: Annotated[bool | None, typer.Option("--advised", help="Only those with advice for their miner.")] = None,
    unhealthy: Annotated[bool | None, typer.Option("--unhealthy", help="Only those with an unhealthy chip.")] = None,
    sort: Sort = None,
    limit: Limit = 100,
    cursor: Cursor = None,
    as_csv: AsCsv = False,
    as_json: AsJson = False,
) -> None:
    """List nodes; removed ones by --status removed."""
    query: dict[str, Any] = {"search": search, "status": status, "sort": sort}
    query |= {"cordoned": cordoned, "flagged": flagged, "advised": advised, "unhealthy": unhealthy}
    query["pool_id"] = connect().find("pools", pool)["id"] if pool else None
    query["site_id"] = connect().find("sites", site)["id"] if site else None
    listing("nodes", COLUMNS, as_json, limit, cursor, as_csv=as_csv, **query)


@app.command("show")
def show_(node: Node, as_json: AsJson = False) -> None:
    """Show a node, its resources, its chips and what they last measured."""
    api = connect()
    detail = api.get(f"nodes/{api.find('nodes', node)['id']}")
    if as_json:
        return print_json(detail)
    print_record(detail, FIELDS)
    print_table(detail["resources"], RESOURCES)
    if detail["chips"]:
        work = api.every("replicas", node_id=detail["id"]) if detail["replicas"] else []
        users = {one["attempt_id"]: one["group_name"] or one["owner_name"] for one in work}
        for chip in detail["chips"]:
            chip["used_by"] = users.get(chip["attempt_id"], "in use") if chip["in_use"] else ""
        print_table(detail["chips"], CHIPS)
    return None


@app.command()
def label(
    node: Node,
    labels: Annotated[list[str], typer.Argument(help="name=value to set it, name- to take it away.")],
    as_json: AsJson = False,
) -> None:
    """Change a node's own labels."""
    api = connect()
    found = api.find("nodes", node)
    own: dict[str, str] = dict(found["own_labels"])
    for one in labels:
        name, equals, value = one.partition("=")
        if equals:
            own[name] = value
        elif name.endswith("-"):
            own.pop(name[:-1], None)
        else:
            raise CliError(f"{one!r} is not a label.", "Write name=value, or name- to take it away.")
    changed = api.patch(f"nodes/{found['id']}", {"own_labels": own})
    report(changed, as_json, f"{changed['name']}: {_labels('own_labels')(changed) or 'no labels of its own'}")


@app.command()
def cordon(
    node: Node, reason: Annotated[str, typer.Option(help="For your colleagues.")] = "", as_json: AsJson = False
) -> None:
    """Let no new work come to a node; what runs there goes on."""
    report(_do(node, "cordon", {"reason": reason}), as_json, f"No new work comes to {node}.")


@app.command()
def uncordon(node: Node, as_json: AsJson = False) -> None:
    """Let new work come again; calls off a drain or a move that waits."""
    report(_do(node, "uncordon"), as_json, f"{node} takes new work.")


@app.command()
def drain(
    node: Node,
    reason: Annotated[str, typer.Option(help="What the renters are told.")],
    grace: Grace = 10,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Empty a node: renters are told now, and what still runs after the grace is stopped, files kept."""
    confirm(f"Drain {node} in {grace} minutes?", yes)
    done = _do(node, "drain", {"reason": reason, "grace_minutes": grace})
    told = f"{done['replicas']} replicas" if done["replicas"] != 1 else "1 replica"
    report(done, as_json, f"{done['name']} is drained in {grace} minutes; {told} there.")


@app.command()
def move(
    node: Node,
    pool: Annotated[str, typer.Argument(help="The pool that it goes to: name or id.")],
    when_busy: Annotated[WhenBusy, typer.Option(help="What becomes of work on it.")] = WhenBusy.REFUSE,
    reason: Annotated[str | None, typer.Option(help="What the renters are told when it is drained.")] = None,
    grace: Grace = 10,
    as_json: AsJson = False,
) -> None:
    """Bring a node into another pool."""
    body = given(pool_id=connect().find("pools", pool)["id"], when_busy=when_busy, reason=reason, grace_minutes=grace)
    done = _do(node, "move", body)
    waits = done["moving_to"]
    text = f"{done['name']} goes to pool {pool} when nothing is held there." if waits else f"{node} is in pool {pool}."
    report(done, as_json, text)


@app.command()
def remove(node: Node, yes: Yes = False) -> None:
    """Remove a node; what its agent says of it is ignored until it is restored."""
    api = connect()
    found = api.find("nodes", node)
    confirm(f"Remove the node {found['name']}?", yes)
    api.delete(f"nodes/{found['id']}")
    say(f"Removed the node {found['name']}.")


@app.command()
def restore(node: Node, as_json: AsJson = False) -> None:
    """Take a removed node back."""
    api = connect()
    removed = [one for one in api.every("nodes", status="removed") if node in (one["id"], one["name"])]
    if len(removed) != 1:
        what = "Several removed nodes are" if removed else "No removed node is"
        raise CliError(f"{what} named {node!r}.", "See: utcloud node list --status removed")
    done = api.post(f"nodes/{removed[0]['id']}/restore")
    report(done, as_json, f"{done['name']} is taken back; it is there as soon as its agent names it.")


def _do(node: str, action: str, body: Json | None = None) -> Json:
    api = connect()
    done: Json = api.post(f"nodes/{api.find('nodes', node)['id']}/{action}", body)
    return done
