"""Sophgo chips, through the device and proc files of the vendor's driver (libsophon).

Written from the vendor's documentation and tested on trees laid out as it describes. It has never run on a real chip.
"""

import re
from pathlib import Path

from utcloud.protocol import ChipReport
from utcloud.site.discovery.base import Finding, FoundChip, machine_mark

MODELS = {"0x1684": "BM1684", "0x1686": "BM1684X", "0x1688": "BM1688"}
_DEVICE = re.compile(r"bm-sophon(\d+)")


def resource_of(model: str) -> str:
    """The system resource that a Sophgo model is a piece of: ``BM1684X`` → ``sophgo.com/bm1684x``."""
    return f"sophgo.com/{model.lower()}"


class SophgoDiscovery:
    """One chip for each ``/dev/bm-sophonN``, described by ``/proc/bmsophon/cardM/bmsophonN/*`` where it is there."""

    def __init__(self, dev: Path = Path("/dev"), proc: Path = Path("/proc/bmsophon"), machine: str | None = None):
        self._dev = dev
        self._machine = machine or machine_mark()
        self._proc = proc

    def find(self) -> Finding:
        if not self._proc.is_dir():
            return Finding()  # no driver is loaded; a device file alone may be a simulated one
        found = ((int(match[1]), path) for path in self._dev.iterdir() if (match := _DEVICE.fullmatch(path.name)))
        return Finding(chips=[self._chip(index, path) for index, path in sorted(found)])

    def _chip(self, index: int, device: Path) -> FoundChip:
        folder = next(iter(self._proc.glob(f"card*/bmsophon{index}")), None)
        chip_id = self._fact(folder, "chipid").lower()
        model = MODELS.get(chip_id, f"unknown ({chip_id})" if chip_id else "unknown")
        serial, bus = self._fact(folder, "sn"), self._fact(folder, "dbdf")
        # All chips of a card may carry the card's serial number, so the place on the bus makes it unique.
        place = bus or str(index)
        name = f"/dev/bm-sophon{index}"
        report = ChipReport(
            uid=f"sophgo-{serial or self._machine}-{place}",
            resource=resource_of(model) if chip_id in MODELS else "sophgo.com/unknown",
            index=index,
            model=model,
            card=self._fact(folder, "board_type")[:100],
            serial=serial[:100],
            bus_id=bus[:100],
            device_paths=[name],
            healthy=folder is not None,
        )
        return FoundChip(report, (str(device),), renumber=True)

    @staticmethod
    def _fact(folder: Path | None, name: str) -> str:
        """The value of a proc file of the chip or else of its card; empty when neither can be read."""
        for place in (folder, folder.parent) if folder else ():
            try:
                text = (place / name).read_text(errors="replace").strip("\0 \n\t")
            except OSError:
                continue
            if text and text.upper() not in ("N/A", "NA"):
                return text.rpartition(":")[2].strip() if name != "dbdf" else text
        return ""
