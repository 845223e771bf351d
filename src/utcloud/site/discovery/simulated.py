"""Simulated chips, for trying things out: those that ``utcloud up --simulate-chips`` wrote down."""

import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, Field, TypeAdapter

from utcloud.common.files import is_ours
from utcloud.protocol import ChipReport, ChipTelemetry
from utcloud.site.discovery.base import Finding, FoundChip, machine_mark
from utcloud.site.discovery.sophgo import resource_of


class SimulatedChip(BaseModel):
    """One entry of the file, which is a JSON list of these."""

    index: int = Field(ge=0)
    model: Annotated[str, Field(min_length=1, max_length=100)]
    card: str = ""
    serial: Annotated[str, Field(min_length=1, max_length=100)]
    device_path: str
    """Its name as a real one would have it: ``/dev/bm-sophon0``."""
    host_device: str
    """The device file that stands for it on this machine."""


_CHIPS = TypeAdapter(list[SimulatedChip])
_GIB = 2**30
_MEMORY = {"BM1684": 12 * _GIB, "BM1684X": 16 * _GIB, "BM1688": 8 * _GIB}
_POWER_LIMIT_W = 30.0


class SimulatedDiscovery:
    """Every chip it finds says that it is simulated. Its uid names the machine too: serials repeat elsewhere."""

    def __init__(self, file: Path, machine: str | None = None, now: Callable[[], float] = time.time):
        self._file = file
        self._machine = machine or machine_mark()
        self._now = now

    def find(self) -> Finding:
        if not is_ours(self._file):
            return Finding()
        content = self._file.read_bytes()
        return Finding(chips=[self._chip(chip) for chip in _CHIPS.validate_json(content)])

    def _chip(self, chip: SimulatedChip) -> FoundChip:
        memory = _MEMORY.get(chip.model, 16 * _GIB)
        healthy = Path(chip.host_device).exists()
        report = ChipReport(
            uid=f"simulated-{self._machine}-{chip.serial}",
            resource=resource_of(chip.model),
            index=chip.index,
            model=chip.model,
            card=chip.card,
            serial=chip.serial,
            bus_id=f"000:{chip.index + 1:02x}:00.0",
            memory_bytes=memory,
            device_paths=[chip.device_path],
            healthy=healthy,
            simulated=True,
            telemetry=_measured(chip.index, memory, self._now()) if healthy else None,
        )
        memory_file = self._file.with_name("simulated-memory") / chip.serial.replace("/", "_")
        return FoundChip(report, (chip.host_device,), renumber=True, scrub=lambda: memory_file.unlink(missing_ok=True))


def _measured(index: int, memory: int, now: float) -> ChipTelemetry:
    """What such a chip might measure: swings between a tenth and two thirds of its power, each chip in its own time."""
    share = 0.38 + 0.22 * math.sin(now / 90 + 2.1 * index) + 0.06 * math.sin(now / 17 + index)
    return ChipTelemetry(
        temperature_c=round(38 + 34 * share, 1),
        power_w=round(_POWER_LIMIT_W * (0.2 + 0.7 * share), 1),
        power_limit_w=_POWER_LIMIT_W,
        utilization_percent=round(100 * share),
        memory_used_bytes=int(memory * (0.05 + 0.6 * share)),
    )
