"""Images that containers are started from."""

from typing import Annotated

import typer

from utcloud.cli.common import AsJson, Cursor, Limit, Search, Yes, connect, given, listing, new_app, remove, report
from utcloud.cli.output import Column

app = new_app("Images that containers are started from.")
COLUMNS = [
    Column("NAME", "name"),
    Column("REFERENCE", "reference"),
    Column("JUPYTER", "jupyter"),
    Column("SHARED", "visibility"),
    Column("DESCRIPTION", "description"),
    Column("ID", "id"),
]


@app.command("list")
def list_(search: Search = None, limit: Limit = 100, cursor: Cursor = None, as_json: AsJson = False) -> None:
    """List images."""
    listing("images", COLUMNS, as_json, limit, cursor, search=search)


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="The image's name here.")],
    reference: Annotated[str, typer.Argument(help="What the sites' engines call it, such as localhost/jupyter:1.")],
    description: str = "",
    jupyter: Annotated[bool, typer.Option("--jupyter/--no-jupyter", help="Whether it runs JupyterLab.")] = True,
    as_json: AsJson = False,
) -> None:
    """Make an image known that the sites' engines already have; for operators."""
    body = {"name": name, "reference": reference, "description": description, "jupyter": jupyter}
    made = connect().post("images", body)
    report(made, as_json, f"The image {made['name']} is known now.")


@app.command()
def update(
    name: Annotated[str, typer.Argument(help="Name or id.")],
    new_name: Annotated[str | None, typer.Option("--name", help="The new name.")] = None,
    reference: Annotated[str | None, typer.Option(help="What the sites' engines call it.")] = None,
    description: Annotated[str | None, typer.Option()] = None,
    jupyter: Annotated[bool | None, typer.Option("--jupyter/--no-jupyter", help="Whether it runs JupyterLab.")] = None,
    as_json: AsJson = False,
) -> None:
    """Change what is known of an image; for operators."""
    api = connect()
    body = given(name=new_name, reference=reference, description=description, jupyter=jupyter)
    changed = api.patch(f"images/{api.find('images', name)['id']}", body)
    report(changed, as_json, f"Changed the image {changed['name']}.")


@app.command()
def delete(name: Annotated[str, typer.Argument(help="Name or id.")], yes: Yes = False) -> None:
    """Forget an image; for operators."""
    remove("images", name, yes)
