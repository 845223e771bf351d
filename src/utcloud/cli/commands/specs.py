"""Specifications: named bundles of resources with a price."""

from typing import Annotated

import typer

from utcloud.cli.common import AsJson, Cursor, Limit, Search, Yes, connect, given, listing, new_app, remove, report
from utcloud.cli.errors import CliError
from utcloud.cli.output import Column, Json, names

app = new_app("Specifications: named bundles of resources with a price.")


def items(spec: Json) -> str:
    """The bundle in one cell."""
    return " + ".join(f"{item['text']} {item['resource']}" for item in spec["items"])


def _fit(spec: Json) -> str | None:
    fit = spec["fit"]
    return f"{fit['now']} now, {fit['at_best']} at best" if fit else None


COLUMNS = [
    Column("NAME", "name"),
    Column("UNC/HOUR", "price", right=True),
    Column("ITEMS", items),
    Column("NODES IT FITS", _fit),
    Column("POOLS", lambda spec: names(spec["pools"])),
    Column("SIMULATED", "simulated"),
    Column("ID", "id"),
]
Price = Annotated[str, typer.Option(help="UNC per hour, such as 1.5.")]
Name = Annotated[str, typer.Argument(help="Name or id.")]


@app.command("list")
def list_(search: Search = None, limit: Limit = 100, cursor: Cursor = None, as_json: AsJson = False) -> None:
    """List specifications."""
    listing("specs", COLUMNS, as_json, limit, cursor, search=search)


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="Such as 0.5CPU-1GB-1TPU1684X.")],
    price: Price,
    item: Annotated[list[str], typer.Option(help="Such as cpu=0.5, memory=1GB or TPU1684X=1; repeat.")],
    description: str = "",
    pool: Annotated[
        list[str] | None, typer.Option(help="Pool that offers it; repeat. Left out: the default pool.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Create a specification."""
    api = connect()
    body = given(
        name=name,
        price=price,
        items=[_item(text) for text in item],
        description=description,
        pool_ids=api.ids("pools", pool),
    )
    made = api.post("specs", body)
    report(made, as_json, f"Created the spec {made['name']} ({items(made)}) for {made['price']} UNC per hour.")


@app.command()
def price(
    name: Name, price: Annotated[str, typer.Argument(help="UNC per hour, such as 1.5.")], as_json: AsJson = False
) -> None:
    """Set a new price; it holds for what starts from now on."""
    api = connect()
    spec = api.patch(f"specs/{api.find('specs', name)['id']}", {"price": price})
    report(spec, as_json, f"{spec['name']} costs {spec['price']} UNC per hour for what starts from now on.")


@app.command()
def delete(name: Name, yes: Yes = False) -> None:
    """Delete a specification that nothing uses."""
    remove("specs", name, yes)


def _item(text: str) -> Json:
    resource, equals, quantity = text.rpartition("=")
    if not equals or not resource:
        raise CliError(f"--item {text!r} is not RESOURCE=QUANTITY.", "Write for example --item memory=1GB.", status=2)
    return {"resource": resource, "quantity": quantity}
