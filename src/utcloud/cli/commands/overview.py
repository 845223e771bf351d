"""What one sees first."""

from typing import Annotated

import typer

from utcloud.cli.common import AsJson, show


def overview(
    miner: Annotated[bool, typer.Option("--miner", help="As a miner sees it.")] = False, as_json: AsJson = False
) -> None:
    """Show how things stand."""
    from utcloud.cli.common import connect
    from utcloud.cli.output import Column, Json

    def states(key: str) -> Column:
        def counts(item: Json) -> str:
            return ", ".join(f"{count} {state}" for state, count in item[key].items() if count) or "none"

        return Column(key.capitalize(), counts)

    def usage(item: Json) -> str:
        return ", ".join(f"{u['resource']} {u['allocated_text']}/{u['capacity_text']}" for u in item["usage"])

    if miner:
        fields = [
            Column("Nodes ready", lambda item: f"{item['nodes_ready']} of {item['nodes_total']}"),
            Column("Replicas", lambda item: f"{item['running_replicas']} running, {item['waiting_replicas']} waiting"),
            Column("Users", "users"),
            Column("In use", usage),
            Column("Earned today", "earnings_today"),
            Column("This month", "earnings_month"),
            Column("Simulated", "simulated"),
        ]
        return show(connect().get("overview/miner"), fields, as_json)
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
