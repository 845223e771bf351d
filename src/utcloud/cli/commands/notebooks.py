"""Notebooks."""

import time
import webbrowser
from typing import TYPE_CHECKING, Annotated

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
    pause,
    report,
)  # fmt: skip
from utcloud.cli.errors import CliError
from utcloud.cli.output import Column, Json, note, print_json, print_record, print_table, say

if TYPE_CHECKING:
    from utcloud.cli.client import Api

app = new_app("Notebooks: JupyterLab on rented chips.")
_ENDED = ("succeeded", "failed", "stopped")


def _running(notebook: Json) -> str:
    replicas = notebook["replicas"]
    return f"{sum(replica['state'] == 'running' for replica in replicas)}/{len(replicas)}"


COLUMNS = [
    Column("NAME", "name"),
    Column("STATE", "state"),
    Column("RUNNING", _running, right=True),
    Column("REASON", "reason"),
    Column("SPEC", "spec"),
    Column("UNC/HOUR", "price", right=True),
    Column("ALGORITHM", "algorithm"),
    Column("POOL", "pool"),
    Column("SIMULATED", "simulated"),
    Column("CREATED", "created_at"),
    Column("ID", "id"),
]
FIELDS = [
    *(Column(column.title.capitalize(), column.value) for column in COLUMNS[:-1]),
    Column("Image", "image"),
    Column("Dataset", "dataset"),
    Column("Cost so far", "cost"),
    Column("ID", "id"),
]
REPLICAS = [
    Column("SUBTASK", "subtask"),
    Column("STATE", "state"),
    Column("REASON", "reason"),
    Column("NODE", "node"),
    Column("ATTEMPT", "attempt", right=True),
    Column("START", "started_at"),
    Column("END", "ended_at"),
    Column("CAN OPEN", "can_open"),
    Column("ID", "id"),
]
TIMELINE = [
    Column("AT", "at"),
    Column("SUBTASK", "subtask"),
    Column("FROM", "from_state"),
    Column("TO", "to_state"),
    Column("REASON", "reason"),
]
Name = Annotated[str, typer.Argument(help="Name or id.")]
Wait = Annotated[bool, typer.Option("--wait", help="Wait until it is so, and say why it is not yet.")]
Expected = Annotated[
    str | None,
    typer.Option(
        help="UNC per hour and subtask that you expect; nothing is started at another price. Left out: you are asked, "
        "or without a terminal the price of this moment is expected."
    ),
]
Timeout = Annotated[float, typer.Option(min=1, help="With --wait: seconds at most.")]


@app.command("list")
def list_(
    search: Search = None,
    state: Annotated[list[str] | None, typer.Option(help="Only those in this state; repeat.")] = None,
    sort: Sort = None,
    limit: Limit = 100,
    cursor: Cursor = None,
    as_csv: AsCsv = False,
    as_json: AsJson = False,
) -> None:
    """List your notebooks."""
    query = {"search": search, "state": state, "sort": sort}
    listing("notebooks", COLUMNS, as_json, limit, cursor, as_csv=as_csv, **query)


@app.command("show")
def show_(name: Name, as_json: AsJson = False) -> None:
    """Show a notebook, its subtasks and its history."""
    api = connect()
    detail = api.get(f"notebooks/{api.find('notebooks', name)['id']}")
    if as_json:
        return print_json(detail)
    print_record(detail, FIELDS)
    print_table(detail["replicas"], REPLICAS)
    print_table(detail["timeline"], TIMELINE)
    if detail["log_tail"]:
        say(f"\nThe end of its log:\n{detail['log_tail']}")
    return None


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="The new notebook's name.")],
    spec: Annotated[str, typer.Option(help="Specification: name or id.")],
    algorithm: Annotated[str | None, typer.Option(help="Algorithm: name or id; NAME:3 for version 3.")] = None,
    dataset: Annotated[str | None, typer.Option(help="Dataset: name or id; NAME:3 for version 3.")] = None,
    image: Annotated[str | None, typer.Option(help="Image. Left out: the only one, or jupyter.")] = None,
    pool: Annotated[str | None, typer.Option(help="Pool. Left out: the one with most of the spec free.")] = None,
    tasks: Annotated[int, typer.Option(min=1, max=32, help="Number of subtasks, each with its own chips.")] = 1,
    group: Annotated[str | None, typer.Option(help="The group that pays. Left out: you.")] = None,
    quota_of: Annotated[
        str | None, typer.Option(help="The group whose quota counts, when you pay. Left out: it is found.")
    ] = None,
    max_cost: Annotated[str | None, typer.Option(help="It is stopped before it costs more (UNC).")] = None,
    max_hours: Annotated[float | None, typer.Option(help="It is stopped after so many hours.")] = None,
    description: str = "",
    expected_price: Expected = None,
    yes: Yes = False,
    start: Annotated[bool, typer.Option("--start/--no-start", help="Whether to start it at once.")] = True,
    wait: Wait = False,
    timeout: Timeout = 600,
    as_json: AsJson = False,
) -> None:
    """Create a notebook and start it."""
    api = connect()
    pool_id, offer = _offer(api, pool, spec)
    body = given(
        name=name,
        description=description,
        pool_id=pool_id,
        spec_id=offer["id"],
        image_id=_image(api, image),
        tasks=tasks,
        payer="group" if group else None,
        group_id=api.find("groups", group or quota_of or "")["id"] if group or quota_of else None,
        max_cost=max_cost,
        max_hours=max_hours,
        start=start,
        expected_price=_agreed(offer["price"], tasks, expected_price, yes) if start else expected_price,
        **_version(api, "algorithm", algorithm),
        **_version(api, "dataset", dataset),
    )
    made = api.post("notebooks", body)
    if wait and start:
        made = _wait(api, made["id"], "running", timeout)
    report(made, as_json, f"The notebook {made['name']} is {_state(made)}")


@app.command()
def start(
    name: Name,
    expected_price: Expected = None,
    yes: Yes = False,
    wait: Wait = False,
    timeout: Timeout = 600,
    as_json: AsJson = False,
) -> None:
    """Start a notebook again, with its files as they were."""
    api = connect()
    found = api.find("notebooks", name)
    price = _agreed(found["price"], len(found["replicas"]), expected_price, yes)
    notebook = api.post(f"notebooks/{found['id']}/start", {"expected_price": price})
    if wait:
        notebook = _wait(api, notebook["id"], "running", timeout)
    report(notebook, as_json, f"The notebook {notebook['name']} is {_state(notebook)}")


@app.command()
def stop(
    name: Name,
    reason: Annotated[str, typer.Option(help="For another's notebook: why.")] = "",
    wait: Wait = False,
    timeout: Timeout = 120,
    as_json: AsJson = False,
) -> None:
    """Stop a notebook; its files stay."""
    api = connect()
    notebook = api.post(f"notebooks/{api.find('notebooks', name)['id']}/stop", {"reason": reason})
    if wait:
        notebook = _wait(api, notebook["id"], "stopped", timeout)
    report(notebook, as_json, f"The notebook {notebook['name']} is {_state(notebook)}")


@app.command("open")
def open_(
    name: Name,
    subtask: Annotated[str | None, typer.Option(help="Subtask: name or replica id. Left out: the only one.")] = None,
    browser: Annotated[bool, typer.Option("--browser", help="Open it in this machine's browser.")] = False,
    as_json: AsJson = False,
) -> None:
    """Print a link that opens the notebook once, within a minute."""
    api = connect()
    notebook = api.find("notebooks", name)
    body = {"replica_id": _replica(notebook, subtask)} if subtask else {}
    opening = api.post(f"notebooks/{notebook['id']}/open", body)
    if browser:
        webbrowser.open(opening["url"])
    report(opening, as_json, opening["url"])


@app.command()
def delete(name: Name, yes: Yes = False) -> None:
    """Delete a notebook and its files."""
    api = connect()
    notebook = api.find("notebooks", name)
    confirm(f"Delete the notebook {notebook['name']} and all files in it?", yes)
    api.delete(f"notebooks/{notebook['id']}")
    say(f"Deleted the notebook {notebook['name']}.")


def _state(notebook: Json) -> str:
    return f"{notebook['state']}: {notebook['reason']}" if notebook["reason"] else f"{notebook['state']}."


def _agreed(price: str, tasks: int, expected: str | None, yes: bool) -> str:
    """The price at which to start: what was expected, or what it costs when somebody there says that it shall."""
    if expected is None:
        each = f"{price} UNC per hour" + (f" for each of {tasks} subtasks" if tasks > 1 else "")
        confirm(f"It costs {each}. Start it?", yes)
    return expected or price


def _offer(api: "Api", pool: str | None, spec: str) -> tuple[str, Json]:
    """The id of the pool, and the specification that it offers."""
    pools = [api.find("pools", pool)] if pool else list(api.every("pools"))
    offers = [
        (each, offer) for each in pools for offer in each["notebook_specs"] if spec in (offer["id"], offer["name"])
    ]
    if not offers:
        known = sorted({offer["name"] for each in pools for offer in each["notebook_specs"]})
        raise CliError(
            f"No pool that is open to you offers {spec!r} for notebooks.",
            f"Offered are: {', '.join(known)}" if known else "Ask the operator to open a pool to you.",
        )
    if len({offer["price"] for _, offer in offers}) > 1:
        listed = ", ".join(f"{each['name']} ({offer['price']} UNC/hour)" for each, offer in offers)
        raise CliError(f"Several pools offer {spec!r}: {listed}", "Choose one with --pool.")
    freest, offer = max(offers, key=lambda pair: pair[1]["free_now"])
    return freest["id"], offer


def _image(api: "Api", image: str | None) -> str:
    if image:
        return str(api.find("images", image)["id"])
    images = [each for each in api.every("images") if each["jupyter"]]
    chosen = images if len(images) == 1 else [each for each in images if each["name"] == "jupyter"]
    if len(chosen) != 1:
        known = ", ".join(each["name"] for each in images) or "none"
        raise CliError(f"Which image? There are: {known}", "Choose one with --image.")
    return str(chosen[0]["id"])


def _version(api: "Api", kind: str, ref: str | None) -> Json:
    """The fields of a request that name an asset and its version."""
    if not ref:
        return {}
    name, colon, number = ref.rpartition(":")
    if not (colon and number.isdecimal()):
        name, number = ref, ""
    return given(**{f"{kind}_id": api.find(f"{kind}s", name)["id"], f"{kind}_version": int(number) if number else None})


def _replica(notebook: Json, subtask: str) -> str:
    for replica in notebook["replicas"]:
        if subtask in (replica["id"], replica["subtask"]):
            return str(replica["id"])
    known = ", ".join(replica["subtask"] for replica in notebook["replicas"])
    raise CliError(f"{notebook['name']} has no subtask {subtask!r}.", f"There are: {known}")


def _wait(api: "Api", ident: str, wanted: str, timeout: float) -> Json:
    """Wait for a state, saying on the way where each subtask stands and why."""
    deadline = time.monotonic() + timeout
    said: dict[str, str] = {}
    while True:
        notebook: Json = api.get(f"notebooks/{ident}")
        for replica in notebook["replicas"]:
            line = f"{replica['subtask']}: {_state(replica)}"
            if said.get(replica["id"]) != line:
                said[replica["id"]] = line
                note(line)
        if notebook["state"] == wanted:
            return notebook
        if notebook["state"] in _ENDED:
            raise CliError(
                f"The notebook {notebook['name']} is {_state(notebook)}", f"See: utcloud notebook show {ident}"
            )
        if time.monotonic() > deadline:
            raise CliError(
                f"After {timeout:.0f} s the notebook {notebook['name']} is {_state(notebook)}",
                f"It goes on; see: utcloud notebook show {ident}",
            )
        pause()
