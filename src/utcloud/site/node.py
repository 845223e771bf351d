"""What is told of the node: what was found on it, and its engine."""

from collections.abc import Sequence

from utcloud.protocol import ChipReport, NodeReport, ResourceReport
from utcloud.site.devices import best_driver
from utcloud.site.discovery.base import Finding

LABEL_BY_FILES = "utcloud.io/libraries-in-image"
"""Names the models that come into a container as bare device files: the vendor's libraries must be in its image."""

LABEL_NOT_CLEARED = "utcloud.io/memory-not-cleared"
"""Names the models whose memory is not cleared between tenants, because their driver has no way to do it."""


def node_report(
    found: Finding, engine: str, lacks: str, drivers: frozenset[str] = frozenset(), warnings: Sequence[str] = ()
) -> NodeReport:
    """The node as it is. What it ``lacks`` to run containers makes it not ready; trouble with a chip does not."""
    chips = [chip.report for chip in found.chips]
    by_files = sorted({chip.report.model for chip in found.chips if chip.by_engine and not best_driver(chip, drivers)})
    kept = sorted({chip.report.model for chip in found.chips if not chip.scrub})
    own = {LABEL_BY_FILES: ", ".join(by_files), LABEL_NOT_CLEARED: ", ".join(kept)}
    return NodeReport(
        name=found.name[:253],
        ip=found.ip[:64],
        os=found.os[:200],
        kernel=found.kernel[:200],
        architecture=found.architecture[:50],
        labels=found.labels | {key: text[:1000] for key, text in own.items() if text},
        ready=not lacks,
        reason="; ".join(filter(None, [lacks, found.trouble]))[:500],
        engine=engine[:200],
        warnings=[warning[:300] for warning in warnings],
        resources=[*found.resources, *_pieces(chips)],
        chips=chips,
    )


def lasting(node: NodeReport) -> NodeReport:
    """The node without what its chips measure, which is news only for the next heartbeat."""
    return node.model_copy(update={"chips": [chip.model_copy(update={"telemetry": None}) for chip in node.chips]})


def _pieces(chips: list[ChipReport]) -> list[ResourceReport]:
    """How many healthy chips there are of each resource; simulated unless a real one is among them."""
    names = sorted({chip.resource for chip in chips})
    return [
        ResourceReport(
            name=name,
            capacity=sum(chip.resource == name and chip.healthy for chip in chips),
            simulated=all(chip.simulated for chip in chips if chip.resource == name),
        )
        for name in names
    ]
