"""Tells sense from nonsense in what an agent reports."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from utcloud.common.texts import clean
from utcloud.protocol import ChipReport, ChipTelemetry, NodeReport

_MOST = 2**53
_MOST_INDEX = 1_000_000
_LABEL = 255
_BOUNDS: dict[str, tuple[float, float]] = {
    "temperature_c": (-100, 300),
    "power_w": (0, 100_000),
    "power_limit_w": (0, 100_000),
    "utilization_percent": (0, 100),
    "memory_used_bytes": (0, _MOST),
}


@dataclass(slots=True)
class Seen:
    """A node as it was reported, without what makes no sense."""

    report: NodeReport
    resources: dict[str, tuple[int, bool]] = field(default_factory=dict)
    """Name → capacity, simulated."""
    chips: dict[str, ChipReport] = field(default_factory=dict)
    """By uid."""
    labels: dict[str, str] = field(default_factory=dict)
    flags: list[str] = field(default_factory=list)


def sensible(reports: Sequence[NodeReport], flags: Mapping[int, Sequence[str]]) -> dict[str, Seen]:
    """Nodes by name, with each duplicate and each impossible number taken out and flagged.

    ``flags``: what was found before, by position.
    """
    seen: dict[str, Seen] = {}
    uids: set[str] = set()
    for place, report in enumerate(reports):
        name = clean(report.name, 253) or "unnamed"
        if name in seen:
            seen[name].flags.append("was reported twice; the first report holds")
            continue
        node = seen[name] = Seen(report, flags=list(flags.get(place, ())))
        _take_labels(node)
        _take_resources(node)
        _take_chips(node, uids)
    _flag_serials(seen)
    return seen


def _take_labels(node: Seen) -> None:
    for key, value in node.report.labels.items():
        if len(key) > _LABEL or len(value) > _LABEL:
            node.flags.append(f"label {clean(key, 60)} was cut: it has more than {_LABEL} characters")
        node.labels[clean(key, _LABEL)] = clean(value, _LABEL)


def _take_resources(node: Seen) -> None:
    for resource in node.report.resources:
        title = clean(resource.name, 253)
        if not title:
            node.flags.append("a resource left out: its name is blank")
        elif title in node.resources:
            node.flags.append(f"resource {title} was reported twice; the first holds")
        elif resource.capacity > _MOST:
            node.flags.append(f"resource {title} left out: its capacity is more than any machine has")
        else:
            node.resources[title] = (resource.capacity, resource.simulated)


def _take_chips(node: Seen, uids: set[str]) -> None:
    for chip in node.report.chips:
        uid = clean(chip.uid, 253)
        if not uid or not clean(chip.resource, 253):
            node.flags.append(f"chip {uid or chip.index} left out: its uid or resource is blank")
        elif uid in uids:
            node.flags.append(f"chip {uid} was reported twice; the first holds")
        elif chip.index > _MOST_INDEX or (chip.memory_bytes or 0) > _MOST:
            node.flags.append(f"chip {uid} left out: its index or memory is impossible")
        else:
            uids.add(uid)
            node.chips[uid] = chip
            node.flags += [f"chip {uid}: {name} makes no sense" for name in absurd(chip.telemetry)]


def _flag_serials(seen: dict[str, Seen]) -> None:
    """A serial number on two nodes is somebody's mistake. Chips of one card may share theirs, and parts of one chip."""
    places: dict[str, set[str]] = defaultdict(set)
    for name, node in seen.items():
        for chip in node.chips.values():
            if chip.serial and not chip.simulated:
                places[chip.serial].add(name)
    for name, node in seen.items():
        for serial in sorted({chip.serial for chip in node.chips.values()}):
            others = sorted(places[serial] - {name})
            if others:
                node.flags.append(f"serial number {clean(serial, 100)} is reported of {clean(others[0], 100)} too")


def absurd(telemetry: ChipTelemetry | None) -> list[str]:
    """The values that no chip can have."""
    if telemetry is None:
        return []
    return [name for name in _BOUNDS if not _possible(name, getattr(telemetry, name))]


def _possible(name: str, value: float | None) -> bool:
    least, most = _BOUNDS[name]
    return value is None or least <= value <= most  # false for NaN


def measurements(reports: Sequence[NodeReport]) -> dict[str, dict[str, float]]:
    """What the chips measure, by uid, without what makes no sense; empty when nothing is measured."""
    found: dict[str, dict[str, float]] = {}
    for report in reports:
        for chip in report.chips:
            if chip.telemetry is None:
                continue
            values = {name: value for name, value in chip.telemetry if value is not None and _possible(name, value)}
            if values:
                found.setdefault(clean(chip.uid, 253), values)
    return found
