"""Commands that nouns have alike: each is added to a noun's group of commands."""

from collections.abc import Sequence
from typing import Annotated

import typer

from utcloud.cli.common import AsJson, Yes, connect, remove, report, show
from utcloud.cli.errors import CliError
from utcloud.cli.output import Column, Json, print_json, print_table

Ref = Annotated[str, typer.Argument(help="Name or id.", metavar="NAME")]


def add_show(app: typer.Typer, path: str, fields: Sequence[Column], text: str, key: str = "name") -> None:
    """``show``: one of the things at ``path``, found by its id or its ``key``."""

    @app.command("show", help=text)
    def show_(ref: Ref, as_json: AsJson = False) -> None:
        api = connect()
        show(api.get(f"{path}/{api.find(path, ref, key)['id']}"), fields, as_json)


def add_delete(app: typer.Typer, path: str, text: str, key: str = "name") -> None:
    """``delete``: one of the things at ``path``."""

    @app.command("delete", help=text)
    def delete(ref: Ref, yes: Yes = False) -> None:
        remove(path, ref, yes, key)


def add_quota(app: typer.Typer, path: str, text: str, key: str = "name") -> None:
    """``quota``: what a user or a group may use at once, and uses now."""

    @app.command("quota", help=text)
    def quota(
        ref: Ref,
        resource: Annotated[
            list[str] | None, typer.Option(help="Such as cpu=8, memory=32GB or TPU1684X=2; cpu= for no limit; repeat.")
        ] = None,
        notebooks: Annotated[int | None, typer.Option(min=0, help="So many at once.")] = None,
        tasks: Annotated[int | None, typer.Option(min=0, help="So many at once.")] = None,
        clear: Annotated[bool, typer.Option("--clear", help="Forget the limits there were.")] = False,
        as_json: AsJson = False,
    ) -> None:
        api = connect()
        found = api.find(path, ref, key)
        url = f"{path}/{found['id']}/quota"
        now = api.get(url)
        if not clear and resource is None and notebooks is None and tasks is None:
            return print_json(now) if as_json else _print_quota(now)
        before = {"resources": {}, "notebooks": None, "tasks": None} if clear else now
        resources = dict(before["resources"])
        for one in resource or []:
            name, equals, quantity = one.rpartition("=")
            if not equals or not name:
                raise CliError(f"{one!r} is not RESOURCE=QUANTITY.", "Write for example memory=32GB.", status=2)
            resources[name] = quantity
        body = {
            "resources": {name: quantity for name, quantity in resources.items() if quantity},
            "notebooks": before["notebooks"] if notebooks is None else notebooks,
            "tasks": before["tasks"] if tasks is None else tasks,
        }
        return report(api.put(url, body), as_json, f"Changed the quota of {found[key]}.")


def _print_quota(quota: Json) -> None:
    used = quota["used"]
    names = dict.fromkeys([*quota["resources"], *used["resources"]])
    rows = [
        {"what": name, "most": quota["resources"].get(name), "used": used["resources"].get(name, "0")} for name in names
    ]
    rows += [{"what": kind, "most": quota[kind], "used": used[kind]} for kind in ("notebooks", "tasks")]
    columns = [
        Column("WHAT", "what"),
        Column("AT MOST", lambda row: "any" if row["most"] is None else row["most"], right=True),
        Column("IN USE", "used", right=True),
    ]
    print_table(rows, columns)
