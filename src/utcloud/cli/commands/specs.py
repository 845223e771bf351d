"""Specifications: named bundles of resources with a price."""

from typing import Annotated

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
from utcloud.cli.errors import CliError
from utcloud.cli.output import Column, Json, names, print_json, print_record, print_table

app = new_app("Specifications: named bundles of resources with a price.")


def items(spec: Json) -> str:
    """The bundle in one cell."""
    return " + ".join(f"{item['text']} {item['resource']}" for item in spec["items"])


def _fit(spec: Json) -> str | None:
    fit = spec["fit"]
    return f"{fit['now']} now, {fit['at_best']} at best, {fit['never']} never" if fit else None


COLUMNS = [
    Column("NAME", "name"),
    Column("UNC/HOUR", "price", right=True),
    Column("SUGGESTED", "suggested_price", right=True),
    Column("ITEMS", items),
    Column("NODES IT FITS", _fit),
    Column("POOLS", lambda spec: names(spec["pools"])),
    Column("USED BY", "used_by", right=True),
    Column("SIMULATED", "simulated"),
    Column("ID", "id"),
]
FIELDS = [*COLUMNS[:-1], Column("MINER", "miner_name"), Column("DESCRIPTION", "description"), COLUMNS[-1]]
LINES = [
    Column("RESOURCE", "resource"),
    Column("QUANTITY", "text", right=True),
    Column("UNIT PRICE", lambda line: f"{line['unit_price']} a {line['unit']}", right=True),
    Column("UNC/HOUR", "amount", right=True),
]
UNIT_PRICES = [
    Column("RESOURCE", "resource"),
    Column("STANDS FOR", lambda one: "" if one["resource"] == one["system_resource"] else one["system_resource"]),
    Column("UNC/HOUR", "price", right=True),
    Column("FOR A", "unit"),
]
Price = Annotated[str | None, typer.Option(help="UNC per hour, such as 1.5. Left out: what the unit prices suggest.")]
Items = Annotated[list[str], typer.Option("--item", help="Such as cpu=0.5, memory=1GB or TPU1684X=1; repeat.")]
Pools = Annotated[list[str] | None, typer.Option("--pool", help="Pool that offers it; repeat.")]
Name = Annotated[str, typer.Argument(help="Name or id.")]


@app.command("list")
def list_(
    search: Search = None,
    pool: Annotated[str | None, typer.Option(help="Only those that this pool offers.")] = None,
    resource: Annotated[str | None, typer.Option(help="Only those that name this resource.")] = None,
    never_fits: Annotated[
        bool | None, typer.Option("--never-fits", help="Only those that a pool offers and none of its nodes can hold.")
    ] = None,
    sort: Sort = None,
    limit: Limit = 100,
    cursor: Cursor = None,
    as_csv: AsCsv = False,
    as_json: AsJson = False,
) -> None:
    """List specifications."""
    pool_id = connect().find("pools", pool)["id"] if pool else None
    query = {"search": search, "pool_id": pool_id, "resource": resource, "never_fits": never_fits, "sort": sort}
    listing("specs", COLUMNS, as_json, limit, cursor, as_csv=as_csv, **query)


@app.command("show")
def show_(name: Name, as_json: AsJson = False) -> None:
    """Show a specification."""
    api = connect()
    show(api.get(f"specs/{api.find('specs', name)['id']}"), FIELDS, as_json)


@app.command()
def preview(item: Items, as_json: AsJson = False) -> None:
    """Show on how many nodes a bundle would fit and what it might cost; nothing is made."""
    shown = connect().post("specs/preview", {"items": [_item(text) for text in item]})
    if as_json:
        return print_json(shown)
    fields = [
        Column("Nodes it fits", _fit),
        Column("Why never", "detail"),
        Column("Suggested", "suggested_price"),
        Column("Without a unit price", "missing"),
    ]
    print_record(shown, fields)
    return print_table(shown["lines"], LINES) if shown["lines"] else None


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="Such as 0.5CPU-1GB-1TPU1684X.")],
    item: Items,
    price: Price = None,
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
def edit(
    name: Name,
    rename: Annotated[str | None, typer.Option(help="Its new name.")] = None,
    price: Annotated[str | None, typer.Option(help="UNC per hour, for what starts from now on.")] = None,
    description: str | None = None,
    pool: Pools = None,
    no_pool: Annotated[bool, typer.Option("--no-pool", help="Take it out of all pools.")] = False,
    as_json: AsJson = False,
) -> None:
    """Change a specification. Pools that are given replace the old ones."""
    api = connect()
    pool_ids = [] if no_pool else api.ids("pools", pool)
    body = given(name=rename, price=price, description=description, pool_ids=pool_ids)
    spec = api.patch(f"specs/{api.find('specs', name)['id']}", body)
    report(spec, as_json, f"Changed the spec {spec['name']}.")


@app.command()
def unit_prices(
    price: Annotated[
        list[str] | None, typer.Argument(help="Such as cpu=0.1 (a core) or memory=0.05 (a GB); cpu= takes it away.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show what an hour of each resource costs, or set some of these. They suggest prices of specifications."""
    api = connect()
    page = api.get("unit-prices")
    if price:
        now = {one["resource"]: one["price"] for one in page["items"]}
        for text in price:
            resource, amount = _pair(text, "cpu=0.1")
            now[resource] = amount or None
        page = api.put("unit-prices", [{"resource": name, "price": one} for name, one in now.items()])
    if as_json:
        return print_json(page)
    return print_table(page["items"], UNIT_PRICES)


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
    resource, quantity = _pair(text, "memory=1GB")
    return {"resource": resource, "quantity": quantity}


def _pair(text: str, example: str) -> tuple[str, str]:
    resource, equals, value = text.rpartition("=")
    if not equals or not resource:
        raise CliError(f"{text!r} is not RESOURCE=VALUE.", f"Write for example {example}.", status=2)
    return resource, value
