"""What one sees first."""

from typing import Annotated

import typer

from utcloud.cli.common import AsJson, show


def overview(
    miner: Annotated[bool, typer.Option("--miner", help="As a miner sees it.")] = False, as_json: AsJson = False
) -> None:
    """Show how things stand."""
    from utcloud.cli.common import connect
    from utcloud.cli.output import Column, Json, print_table

    def states(key: str) -> Column:
        def counts(item: Json) -> str:
            return ", ".join(f"{count} {state}" for state, count in item[key].items() if count) or "none"

        return Column(key.capitalize(), counts)

    def usage(item: Json) -> str:
        return ", ".join(f"{u['resource']} {u['allocated_text']}/{u['capacity_text']}" for u in item["usage"])

    attention = [
        Column("NEEDS ATTENTION", lambda item: item["kind"].replace("_", " ")),
        Column("COUNT", lambda item: item["count"] or None, right=True),
        Column("WHERE", "object_name"),
        Column("WHY", "detail"),
    ]
    if miner:
        fields = [
            Column("Nodes ready", lambda item: f"{item['nodes_ready']} of {item['nodes_total']}"),
            Column("Replicas", lambda item: f"{item['running_replicas']} running, {item['waiting_replicas']} waiting"),
            Column("Sites", "sites"),
            Column("Chips", lambda item: f"{item['chips_busy']} of {item['chips_total']} in use"),
            Column("Users", "users"),
            Column("In use", usage),
            Column("Earned today", "earnings_today"),
            Column("This month", "earnings_month"),
            Column("Simulated", "simulated"),
        ]
        found = connect().get("overview/miner")
        show(found, fields, as_json)
        return print_table(found["attention"], attention) if found["attention"] and not as_json else None
    fields = [
        states("notebooks"),
        states("tasks"),
        Column("Algorithms", "algorithms"),
        Column("Datasets", "datasets"),
        Column("Images", "images"),
        Column("UNC available", "available"),
        Column("UNC per hour", "burn_per_hour"),
        Column("Runs out", "runs_out_at"),
    ]
    return show(connect().get("overview"), fields, as_json)


COMMANDS = [overview]
