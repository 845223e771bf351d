"""Pools: nodes, and the specifications offered on them."""

from enum import StrEnum
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
    connect,
    given,
    listing,
    new_app,
    remove,
    report,
    show,
)
from utcloud.cli.output import Column, Json, names

if TYPE_CHECKING:
    from utcloud.cli.client import Api

app = new_app("Pools: nodes, and the specifications offered on them.")


def _who(pool: Json) -> str:
    return "everybody" if pool["open_to_all"] else names(pool["groups"])


def _offers(key: str) -> Column:
    title = {"notebook_specs": "NOTEBOOK SPECS", "training_specs": "TRAINING SPECS"}[key]
    return Column(title, lambda pool: ", ".join(f"{s['name']} ({s['price']}/h, {_room(s)})" for s in pool[key]))


def _room(spec: Json) -> str:
    return f"{spec['free_now']} of {spec['at_best']} free" if spec["at_best"] else "never fits"


COLUMNS = [
    Column("NAME", "name"),
    Column("DEFAULT", "is_default"),
    Column("OPEN TO", _who),
    Column("NODES", lambda pool: names(pool["nodes"])),
    _offers("notebook_specs"),
    Column("ID", "id"),
]
FIELDS = [
    *COLUMNS[:-1],
    Column("ARRIVING", lambda pool: names(pool["arriving"])),
    _offers("training_specs"),
    Column("MINER", "miner_name"),
    Column("DESCRIPTION", "description"),
    COLUMNS[-1],
]
Name = Annotated[str, typer.Argument(help="Name or id.")]
Nodes = Annotated[list[str] | None, typer.Option("--node", help="A node; repeat. It leaves the pool that it is in.")]
Groups = Annotated[list[str] | None, typer.Option("--group", help="A group that may use it; repeat.")]
NotebookSpecs = Annotated[list[str] | None, typer.Option("--notebook-spec", help="Offered for notebooks; repeat.")]
TrainingSpecs = Annotated[list[str] | None, typer.Option("--training-spec", help="Offered for training; repeat.")]
Open = Annotated[bool | None, typer.Option("--open/--not-open", help="Whether every renter may use it.")]


WhenBusy = Annotated[
    str, typer.Option(help="Nodes on which work runs: refuse, wait until it has ended, or drain them.")
]
Reason = Annotated[str, typer.Option(help="What renters read when nodes are drained.")]
Grace = Annotated[int, typer.Option("--grace", help="Minutes until what still runs on drained nodes is stopped.")]


class Lack(StrEnum):
    NODES = "nodes"
    GROUPS = "groups"


class Part(StrEnum):
    """A pool's lists, as they can be emptied."""

    NODES = "nodes"
    GROUPS = "groups"
    NOTEBOOK_SPECS = "notebook-specs"
    TRAINING_SPECS = "training-specs"


_FIELD = {
    Part.NODES: "node_ids",
    Part.GROUPS: "group_ids",
    Part.NOTEBOOK_SPECS: "notebook_spec_ids",
    Part.TRAINING_SPECS: "training_spec_ids",
}


@app.command("list")
def list_(
    search: Search = None,
    group: Annotated[str | None, typer.Option(help="Only those bound to this group.")] = None,
    spec: Annotated[str | None, typer.Option(help="Only those that offer this specification.")] = None,
    without: Annotated[Lack | None, typer.Option(help="Only those without nodes, or that nobody may use.")] = None,
    sort: Sort = None,
    limit: Limit = 100,
    cursor: Cursor = None,
    as_csv: AsCsv = False,
    as_json: AsJson = False,
) -> None:
    """List pools: a miner's own, or those open to a renter."""
    group_id = connect().find("groups", group)["id"] if group else None
    spec_id = connect().find("specs", spec)["id"] if spec else None
    query = {"search": search, "group_id": group_id, "spec_id": spec_id, "without": without, "sort": sort}
    listing("pools", COLUMNS, as_json, limit, cursor, as_csv=as_csv, **query)


@app.command("show")
def show_(name: Name, as_json: AsJson = False) -> None:
    """Show a pool."""
    api = connect()
    show(api.get(f"pools/{api.find('pools', name)['id']}"), FIELDS, as_json)


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="The new pool's name.")],
    node: Nodes = None,
    group: Groups = None,
    notebook_spec: NotebookSpecs = None,
    training_spec: TrainingSpecs = None,
    open_: Open = None,
    description: str | None = None,
    when_busy: WhenBusy = "refuse",
    reason: Reason = "",
    grace: Grace = 10,
    as_json: AsJson = False,
) -> None:
    """Create a pool."""
    api = connect()
    body = given(name=name, description=description, open_to_all=open_) | _moving(when_busy, reason, grace)
    made = api.post("pools", body | _lists(api, node, group, notebook_spec, training_spec))
    report(made, as_json, f"Created the pool {made['name']}.")


@app.command()
def edit(
    name: Name,
    rename: Annotated[str | None, typer.Option(help="Its new name.")] = None,
    node: Nodes = None,
    group: Groups = None,
    notebook_spec: NotebookSpecs = None,
    training_spec: TrainingSpecs = None,
    open_: Open = None,
    description: str | None = None,
    clear: Annotated[list[Part] | None, typer.Option(help="Empty this list; repeat.")] = None,
    when_busy: WhenBusy = "refuse",
    reason: Reason = "",
    grace: Grace = 10,
    as_json: AsJson = False,
) -> None:
    """Change a pool. A list that is given replaces the old one; a node left out goes to the default pool."""
    api = connect()
    pool = api.find("pools", name)
    body = given(name=rename, description=description, open_to_all=open_) | _moving(when_busy, reason, grace)
    body |= {_FIELD[part]: [] for part in clear or []} | _lists(api, node, group, notebook_spec, training_spec)
    changed = api.patch(f"pools/{pool['id']}", body)
    waiting = (
        f" Nodes that move when their work has ended: {names(changed['arriving'])}." if changed["arriving"] else ""
    )
    report(changed, as_json, f"Changed the pool {changed['name']}.{waiting}")


@app.command()
def delete(name: Name, yes: Yes = False) -> None:
    """Delete a pool; its nodes go to the default pool."""
    remove("pools", name, yes)


def _moving(when_busy: str, reason: str, grace: int) -> Json:
    return {} if when_busy == "refuse" else {"when_busy": when_busy, "reason": reason, "grace_minutes": grace}


def _lists(
    api: "Api",
    nodes: list[str] | None,
    groups: list[str] | None,
    notebook_specs: list[str] | None,
    training_specs: list[str] | None,
) -> Json:
    return given(
        node_ids=api.ids("nodes", nodes),
        group_ids=api.ids("groups", groups),
        notebook_spec_ids=api.ids("specs", notebook_specs),
        training_spec_ids=api.ids("specs", training_specs),
    )
