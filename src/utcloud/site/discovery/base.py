"""The seam between the agent and the hardware."""

import hashlib
import math
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from utcloud.protocol import ChipReport, ResourceReport


@dataclass(frozen=True, slots=True)
class FoundChip:
    """A chip and the host's device files behind its ``device_paths``, in the same order."""

    report: ChipReport
    host_devices: tuple[str, ...]
    renumber: bool = False
    """Whether a container sees its device files counted from 0, whatever their number is on the host."""
    shared_devices: tuple[str, ...] = ()
    """Device files that every container with such a chip needs as well, under their own names, once."""
    by_engine: Mapping[str, str] = field(default_factory=dict)
    """How to ask an engine for it, best way first, where that is better than device files: the name of a device driver
    of the Docker API and what that one calls the chip: ``{"cdi": "nvidia.com/gpu=GPU-…", "nvidia": "GPU-…"}``."""
    scrub: Callable[[], None] | None = None
    """Clears what the last tenant left in it, blocking; raises when it could not. None: its driver cannot."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What one way of looking found on this node. Facts about the node itself come from the host only."""

    resources: list[ResourceReport] = field(default_factory=list)
    chips: list[FoundChip] = field(default_factory=list)
    labels: dict[str, str] = field(default_factory=dict)
    os: str = ""
    kernel: str = ""
    architecture: str = ""
    ip: str = ""
    name: str = ""
    trouble: str = ""
    """What was wrong while looking, in words for the owner of the node."""


class Discovery(Protocol):
    """One way of looking for hardware, harmless to it.

    Called every ten seconds in a thread, never twice at a time. What raises, takes longer than a few seconds or answers
    nonsense does no harm to the rest: its last finding is kept, and the node says so.
    """

    def find(self) -> Finding:
        """Look now. Nothing there is an empty Finding."""
        ...


def machine_mark() -> str:
    """Eight characters that stay the same on this machine and differ elsewhere. The machine id itself is not told."""
    try:
        ident = Path("/etc/machine-id").read_text().strip()
    except OSError:
        ident = ""
    return hashlib.sha256(f"utcloud\0{ident or socket.gethostname()}".encode()).hexdigest()[:8]


def number(text: str) -> float | None:
    """The number at the start of a driver's text, such as ``45 C``; None when there is none."""
    words = text.split()
    try:
        value = float(words[0])
    except (IndexError, ValueError):
        return None
    return value if math.isfinite(value) else None
