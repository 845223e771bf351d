"""The seam between the agent and the hardware."""

import hashlib
import socket
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


class Discovery(Protocol):
    """One way of looking for hardware. Called every few seconds in a thread: quick, and harmless to the hardware."""

    def find(self) -> Finding:
        """Look now. Nothing there is an empty Finding; an error is logged and the last finding is kept."""
        ...


def machine_mark() -> str:
    """Eight characters that stay the same on this machine and differ elsewhere. The machine id itself is not told."""
    try:
        ident = Path("/etc/machine-id").read_text().strip()
    except OSError:
        ident = ""
    return hashlib.sha256(f"utcloud\0{ident or socket.gethostname()}".encode()).hexdigest()[:8]
