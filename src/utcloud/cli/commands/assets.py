"""Algorithms, datasets and models: the same commands for each."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from utcloud.cli.common import (
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
)
from utcloud.cli.output import Column, Json, print_json, print_record, print_table, size

if TYPE_CHECKING:
    from utcloud.cli.client import Api

COLUMNS = [
    Column("NAME", "name"),
    Column("LATEST", "latest.number", right=True),
    Column("SIZE", lambda asset: _size(asset["latest"]), right=True),
    Column("FILES", "latest.files", right=True),
    Column("SHARED", lambda asset: (asset["group"] or {}).get("name") or asset["visibility"]),
    Column("OWNER", "owner_name"),
    Column("DESCRIPTION", "description"),
    Column("CREATED", "created_at"),
    Column("ID", "id"),
]
VERSIONS = [
    Column("VERSION", "number", right=True),
    Column("STATUS", "status"),
    Column("REASON", "reason"),
    Column("SIZE", lambda version: _size(version), right=True),
    Column("FILES", "files", right=True),
    Column("NOTE", "note"),
    Column("CREATED", "created_at"),
]
Name = Annotated[str, typer.Argument(help="Name or id.")]
Group = Annotated[str | None, typer.Option(help="The group that it is shared with.")]
Preset = Annotated[bool, typer.Option("--preset", help="For everybody, kept by operators.")]


class Visibility(StrEnum):
    """Who may use it."""

    PRIVATE = "private"
    GROUP = "group"
    PRESET = "preset"


def _size(version: Json | None) -> str | None:
    return None if version is None else size(version["size"])


def _sharing(api: "Api", visibility: Visibility | None, group: str | None, preset: bool) -> Json:
    """The fields that say who may use it; empty when nothing was said."""
    wanted = "preset" if preset else visibility or ("group" if group else None)
    return given(visibility=wanted, group_id=api.find("groups", group)["id"] if group else None)


def _commands(noun: str, text: str) -> typer.Typer:
    app, path = new_app(text), f"{noun}s"

    @app.command("list", help=f"List {path}: your own, and those shared with you.")
    def list_(
        search: Search = None,
        preset: Annotated[bool, typer.Option("--preset", help="Only preset ones.")] = False,
        sort: Sort = None,
        limit: Limit = 100,
        cursor: Cursor = None,
        as_json: AsJson = False,
    ) -> None:
        visibility = "preset" if preset else None
        listing(path, COLUMNS, as_json, limit, cursor, search=search, visibility=visibility, sort=sort)

    @app.command("show", help=f"Show a{'n' if noun[0] == 'a' else ''} {noun} and its versions.")
    def show_(name: Name, as_json: AsJson = False) -> None:
        api = connect()
        detail = api.get(f"{path}/{api.find(path, name)['id']}")
        if as_json:
            return print_json(detail)
        print_record(detail, COLUMNS)
        print_table(detail["all_versions"], VERSIONS)
        return None

    @app.command(help=f"Upload a folder or an archive as a new version; the {noun} is made when there is none.")
    def upload(
        source: Annotated[Path, typer.Argument(exists=True, help="A folder, or a .zip, .tar or .tar.gz file.")],
        name: Annotated[str | None, typer.Option(help="Left out: the folder's or file's name.")] = None,
        description: Annotated[str, typer.Option(help="For a new one.")] = "",
        note: Annotated[str, typer.Option(help="What this version is.")] = "",
        visibility: Annotated[Visibility | None, typer.Option(help="For a new one. Left out: private.")] = None,
        group: Group = None,
        preset: Preset = False,
        as_json: AsJson = False,
    ) -> None:
        from utcloud.cli import upload as transfer

        api = connect()
        shared = _sharing(api, visibility, group, preset) or {"visibility": "private"}
        title = name or transfer.default_name(source)
        version = transfer.upload(api, path, title, source, {"description": description, **shared}, note)
        report(version, as_json, f"{title} version {version['number']}: {version['files']} files, {_size(version)}.")

    @app.command("update", help=f"Rename, describe or share a{'n' if noun[0] == 'a' else ''} {noun}.")
    def update_(
        name: Name,
        new_name: Annotated[str | None, typer.Option("--name", help="The new name.")] = None,
        description: Annotated[str | None, typer.Option()] = None,
        visibility: Annotated[Visibility | None, typer.Option()] = None,
        group: Group = None,
        preset: Preset = False,
        as_json: AsJson = False,
    ) -> None:
        api = connect()
        body = given(name=new_name, description=description) | _sharing(api, visibility, group, preset)
        changed = api.patch(f"{path}/{api.find(path, name)['id']}", body)
        report(changed, as_json, f"Changed the {noun} {changed['name']}.")

    @app.command(help=f"Delete a{'n' if noun[0] == 'a' else ''} {noun} that nothing uses.")
    def delete(name: Name, yes: Yes = False) -> None:
        remove(path, name, yes)

    return app


algorithms = _commands("algorithm", "Algorithms: code and compiled models.")
datasets = _commands("dataset", "Datasets: mounted read-only at /datasets.")
models = _commands("model", "Models that training made or that were uploaded.")
