"""Sophgo chips on PCIe cards, through the device, proc and sysfs files of the vendor's driver (libsophon) and `bm-smi`.

Written from the vendor's documentation and the driver's source, tested on trees and output as these give them. It has
never run on a real chip.
"""

import os
import re
from pathlib import Path

from utcloud.protocol import ChipReport, ChipTelemetry
from utcloud.site.discovery.base import Finding, FoundChip, machine_mark, number
from utcloud.site.discovery.bm_smi import BmSmi, Reading

MODELS = {
    "0x1684": "BM1684",
    "0x1684x": "BM1684X",
    "0x1686": "BM1684X",
    "0x1686a200": "BM1688",
    "0x1688": "BM1688",
}
"""By what the driver's ``chipid`` says."""
_DEVICE = re.compile(r"bm-sophon(\d+)")
_USAGE = re.compile(r'"usage"\s*:\s*(\d+)')
_GIB = 2**30


def resource_of(model: str) -> str:
    """The system resource that a Sophgo model is a piece of: ``BM1684X`` → ``sophgo.com/bm1684x``."""
    return f"sophgo.com/{model.lower()}"


class SophgoDiscovery:
    """One chip for each ``/dev/bm-sophonN``, described by ``/proc/bmsophon/cardM/bmsophonN/*`` where it is there.

    Utilisation comes from sysfs, used memory from `bm-smi`, which also fills what the other two lack.
    """

    def __init__(
        self,
        dev: Path = Path("/dev"),
        proc: Path = Path("/proc/bmsophon"),
        machine: str | None = None,
        sys: Path = Path("/sys/class/bm-sophon"),
        smi: BmSmi | None = None,
    ):
        self._dev = dev
        self._machine = machine or machine_mark()
        self._proc = proc
        self._sys = sys
        self._smi = smi or BmSmi()

    def find(self) -> Finding:
        if not self._proc.is_dir():
            return Finding()  # no driver is loaded; a device file alone may be a simulated one
        names = os.listdir(self._dev)  # noqa: PTH208 - names only; a stat of each would cost far more
        indexes = sorted(int(match[1]) for name in names if (match := _DEVICE.fullmatch(name)))
        if not indexes:
            return Finding()
        readings = self._smi.read(indexes[-1])
        return Finding(chips=[self._chip(index, readings.get(index, Reading())) for index in indexes])

    def _chip(self, index: int, reading: Reading) -> FoundChip:
        folder = next(iter(self._proc.glob(f"card*/bmsophon{index}")), None)
        chip_id = self._fact(folder, "chipid").lower()
        model = MODELS.get(chip_id, f"unknown ({chip_id})" if chip_id else "unknown")
        serial, bus = self._fact(folder, "sn"), self._fact(folder, "dbdf") or reading.bus_id
        # All chips of a card may carry the card's serial number, so the place on the bus makes it unique.
        place = bus or str(index)
        name = f"/dev/bm-sophon{index}"
        status = self._fact(folder, "status") or reading.status
        report = ChipReport(
            uid=f"sophgo-{serial or self._machine}-{place}",
            resource=resource_of(model) if chip_id in MODELS else "sophgo.com/unknown",
            index=index,
            model=model[:100],
            card=self._fact(folder, "board_type")[:100],
            serial=serial[:100],
            bus_id=bus[:100],
            memory_bytes=self._memory(folder) or reading.memory_total_bytes,
            device_paths=[name],
            healthy=folder is not None and status in ("Active", ""),
            telemetry=self._telemetry(index, folder, reading),
        )
        return FoundChip(report, (str(self._dev / f"bm-sophon{index}"),), renumber=True)

    def _telemetry(self, index: int, folder: Path | None, reading: Reading) -> ChipTelemetry:
        temperature = self._fact(folder, "chip_temp")
        degrees = number(temperature)
        if degrees is not None and temperature.endswith("mC"):
            degrees /= 1000
        alone = self._fact(folder, "chip_num_on_card") == "1"
        # What a card draws is its chip's when that is alone on it; else only what the driver knows of the one chip.
        power = number(self._fact(folder, "board_power")) if alone else None
        for name in ("chip_power", "tpu_power"):
            power = number(self._fact(folder, name)) if power is None else power
        usage = self._usage(index)
        return ChipTelemetry(
            temperature_c=reading.temperature_c if degrees is None else degrees,
            power_w=reading.power_w if power is None else power,
            power_limit_w=number(self._fact(folder, "maxboardp")) if alone else None,
            utilization_percent=reading.utilization_percent if usage is None else usage,
            memory_used_bytes=reading.memory_used_bytes,
        )

    def _usage(self, index: int) -> float | None:
        """``"usage": 12, "avusage": 3``: the first is that of the last half second; other text where it is off."""
        try:
            text = (self._sys / f"bm-sophon{index}" / "device" / "npu_usage").read_text(errors="replace")
        except OSError:
            return None
        found = _USAGE.search(text)
        return float(found[1]) if found else None

    def _memory(self, folder: Path | None) -> int | None:
        """``4g, 4g, 4g, 4g, 16g``: four regions and their sum."""
        total = re.fullmatch(r"(\d+)g", self._fact(folder, "ddr_capacity").rpartition(",")[2].strip())
        return int(total[1]) * _GIB if total and int(total[1]) else None

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
