"""Simulated chips: device nodes and a list, as the real driver would make them, marked as simulated everywhere."""

import json
import os
import re
import stat
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from utcloud.cli.up.progress import say
from utcloud.common.files import is_ours

# Chip model → the card that carries it, and how many of them.
CARDS = {"BM1684X": ("SC7", 3)}
MOST_CHIPS = 64
LOCAL_MAJORS = range(127, 119, -1)  # For local and experimental use; no driver is ever given one of them by itself.


class ChipError(ValueError):
    """The chips cannot be simulated as asked; the message says why and what to write instead."""


@dataclass(frozen=True)
class SimulatedChip:
    """One simulated chip: `device_path` is its name in a machine of its own, `host_device` the node on this one."""

    index: int
    model: str
    card: str
    serial: str
    device_path: str
    host_device: str


def parse(text: str) -> tuple[str, int]:
    """Model and count of `BM1684X:3`. Raises ChipError for anything else."""
    model, _, count = text.strip().partition(":")
    known = ", ".join(CARDS)
    if model.upper() not in CARDS:
        raise ChipError(f"Simulated chips {text!r}: unknown model {model!r}. Write MODEL:COUNT with one of: {known}.")
    if not re.fullmatch(r"[0-9]{1,6}", count):
        raise ChipError(f"Simulated chips {text!r}: the count is missing or no number. Write, for example, {model}:3.")
    if not 1 <= int(count) <= MOST_CHIPS:
        raise ChipError(f"Simulated chips {text!r}: the count must be from 1 to {MOST_CHIPS}.")
    return model.upper(), int(count)


def create(text: str, listing: Path, dev: Path = Path("/dev")) -> list[SimulatedChip]:
    """Make device nodes for the chips asked for and write them to `listing`. Raises ChipError."""
    model, count = parse(text)
    remove(listing)
    card, per_card = CARDS[model]
    indexes = _free_indexes(dev, count)
    chips = [
        SimulatedChip(
            index=index,
            model=model,
            card=card,
            serial=f"SIMULATED-{card}-{position // per_card:04d}-{position % per_card}",
            device_path=f"/dev/bm-sophon{index}",
            host_device=str(dev / f"bm-sophon{index}"),
        )
        for position, index in enumerate(indexes)
    ]
    # Listed before they exist, so that nothing is left behind if we are interrupted.
    with os.fdopen(os.open(listing, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as out:
        out.write(json.dumps([asdict(chip) for chip in chips], indent=2) + "\n")
    major = _unused_major()
    for chip in chips:
        _make_node(Path(chip.host_device), os.makedev(major, chip.index))
    return chips


def remove(listing: Path) -> int:
    """Remove the device nodes that `listing` names, and the list. Returns how many nodes were removed."""
    removed = 0
    for chip in read(listing):
        node = Path(chip.host_device)
        if node.exists() and stat.S_ISCHR(node.stat().st_mode):
            node.unlink()
            removed += 1
    listing.unlink(missing_ok=True)
    return removed


def read(listing: Path) -> list[SimulatedChip]:
    """The simulated chips that `listing` names; none when there is no such file of our own or it was cut off."""
    if not is_ours(listing):
        return []
    try:
        return [SimulatedChip(**entry) for entry in json.loads(listing.read_text())]
    except (ValueError, TypeError):
        say(f"{listing} cannot be read; if device nodes /dev/bm-sophon* are left from it, remove them by hand.")
        return []


def _free_indexes(dev: Path, count: int) -> Iterator[int]:
    found = 0
    for index in range(4096):
        if found == count:
            return
        if not (dev / f"bm-sophon{index}").exists():
            found += 1
            yield index


def _unused_major(devices: Path = Path("/proc/devices")) -> int:
    taken = {int(line.split()[0]) for line in devices.read_text().splitlines() if re.match(r" *\d+ ", line)}
    return next(major for major in LOCAL_MAJORS if major not in taken)


def _make_node(node: Path, device: int) -> None:
    try:
        os.mknod(node, 0o666 | stat.S_IFCHR, device)
    except PermissionError as error:
        raise ChipError(
            f"Cannot create {node}: simulated chips need device nodes, which only root with CAP_MKNOD may make. "
            "Run as root, or without --simulate-chips."
        ) from error
    node.chmod(0o666)  # mknod obeys the umask; renters' containers run without root.
