"""Measure all figures, or those named on the command line; print a table and write build/bench.json."""

import json
import sys
from collections.abc import Callable
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.bench import figures, hostile, money, reports, scale
from tests.bench.figures import Figure
from tests.bench.stack import Stack

ALONE: dict[tuple[str, ...], Callable[[], list[Figure]]] = {
    ("placement_replicas_per_s", "placement_gang_replicas_per_s"): scale.placement,
    ("miner_list_p95_ms",): scale.miner_lists,
    ("node_reports_core_share", "node_reports_and_polls_core_share"): reports.node_reports,
    ("hostile_body_p99_ms", "hostile_answer_p99_ms"): hostile.hostile_bodies,
    ("accrual_ratio", "accrual_10k_s", "accrual_core_share"): money.accrual,
    ("journal_verify_ratio", "journal_verify_1m_s", "records_p95_ms"): money.journal,
}
"""Those that bring what they need themselves."""
ON_A_STACK: dict[tuple[str, ...], Callable[[Stack], list[Figure]]] = {
    ("charge_lag_s",): figures.charge_lag,
    ("idle_memory_mb", "edge_memory_mb"): figures.idle_memory,
    ("list_page_rps", "list_page_p99_ms"): figures.list_page,
    # The last: it takes the stack down and up again.
    ("notebook_ready_ratio", "notebook_ready_no_quotas_ratio"): figures.notebook_ready,
}


def main(only: list[str]) -> int:
    """Return 0 when every measured figure holds its bar, 1 when one does not, 2 for an unknown name."""
    known = [name for names in (*ALONE, *ON_A_STACK) for name in names]
    if unknown := set(only) - set(known):
        print(f"no figure {', '.join(sorted(unknown))}; there are {', '.join(known)}", file=sys.stderr)
        return 2
    measured: list[Figure] = []
    for names, bench in ALONE.items():
        if not only or set(names) & set(only):
            measured += bench()
    if on_a_stack := [bench for names, bench in ON_A_STACK.items() if not only or set(names) & set(only)]:
        with Stack() as stack:
            for measure in on_a_stack:
                measured += measure(stack)
    target = Path("build/bench.json")
    target.parent.mkdir(exist_ok=True)
    target.write_text(json.dumps({"figures": {one.name: one.as_json() for one in measured}}, indent=2) + "\n")
    table = Table("figure", "value", "unit", "bar", "holds", "how")
    for one in measured:
        table.add_row(one.name, f"{one.value:g}", one.unit, one.bar or "reported", one.verdict, one.how)
    Console(width=160).print(table)
    return 0 if all(one.holds for one in measured) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
