"""Simulated chips, for trying things out: those that ``utcloud up --simulate-chips`` wrote down."""

from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, Field, TypeAdapter

from utcloud.protocol import ChipReport
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


class SimulatedDiscovery:
    """Every chip it finds says that it is simulated. Its uid names the machine too: serials repeat elsewhere."""

    def __init__(self, file: Path, machine: str | None = None):
        self._file = file
        self._machine = machine or machine_mark()

    def find(self) -> Finding:
        try:
            content = self._file.read_bytes()
        except FileNotFoundError:
            return Finding()
        return Finding(chips=[self._chip(chip) for chip in _CHIPS.validate_json(content)])

    def _chip(self, chip: SimulatedChip) -> FoundChip:
        report = ChipReport(
            uid=f"simulated-{self._machine}-{chip.serial}",
            resource=resource_of(chip.model),
            index=chip.index,
            model=chip.model,
            card=chip.card,
            serial=chip.serial,
            device_paths=[chip.device_path],
            healthy=Path(chip.host_device).exists(),
            simulated=True,
        )
        return FoundChip(report, (chip.host_device,), renumber=True)
