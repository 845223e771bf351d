"""Nodes: the servers of one's sites."""

from typing import Annotated

import typer

from utcloud.cli.common import AsJson, Cursor, Limit, Search, connect, listing, new_app
from utcloud.cli.output import Column, Json, print_json, print_record, print_table

app = new_app("Servers that were found at one's sites.")


def _free(node: Json) -> str:
    return ", ".join(f"{use['resource']} {use['free_text']}/{use['capacity_text']}" for use in node["resources"])


def _labels(node: Json) -> str:
    return ", ".join(f"{key}={value}" for key, value in node["labels"].items())


COLUMNS = [
    Column("NAME", "name"),
    Column("STATUS", "status"),
    Column("IP", "ip"),
    Column("SITE", "site_name"),
    Column("POOL", "pool_name"),
    Column("FREE/CAPACITY", _free),
    Column("SIMULATED", "simulated"),
    Column("ID", "id"),
]
FIELDS = [
    Column("Name", "name"),
    Column("Status", "status"),
    Column("Reason", "reason"),
    Column("Since", "since"),
    Column("IP", "ip"),
    Column("System", lambda node: f"{node['os']}, {node['kernel']}, {node['architecture']}"),
    Column("Engine", "engine"),
    Column("Site", "site_name"),
    Column("Pool", "pool_name"),
    Column("Labels", _labels),
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
    Column("DEVICES", "device_paths"),
    Column("HEALTHY", "healthy"),
    Column("IN USE", "in_use"),
    Column("SIMULATED", "simulated"),
]


@app.command("list")
def list_(search: Search = None, limit: Limit = 100, cursor: Cursor = None, as_json: AsJson = False) -> None:
    """List nodes."""
    listing("nodes", COLUMNS, as_json, limit, cursor, search=search)


@app.command("show")
def show_(node: Annotated[str, typer.Argument(help="Name or id.")], as_json: AsJson = False) -> None:
    """Show a node, its resources and its chips."""
    api = connect()
    detail = api.get(f"nodes/{api.find('nodes', node)['id']}")
    if as_json:
        return print_json(detail)
    print_record(detail, FIELDS)
    print_table(detail["resources"], RESOURCES)
    if detail["chips"]:
        print_table(detail["chips"], CHIPS)
    return None
