"""AMD GPUs, through what the kernel's amdgpu driver shows in sysfs. An example of a discovery plug-in, in one file.

Written from the kernel's documentation of amdgpu and tested on a tree laid out as it describes, with recorded values.
It has never run on a real chip.
"""

from pathlib import Path

from utcloud.common.settings import Settings
from utcloud.protocol import ChipReport, ChipTelemetry
from utcloud.site.discovery.base import Finding, FoundChip, machine_mark, number


class AmdDiscovery:
    """One chip for each card of ``/sys/class/drm`` that the amdgpu driver drives."""

    def __init__(self, settings: Settings, sys: Path = Path("/sys/class/drm"), dev: Path = Path("/dev")):
        self._sys = sys
        self._dev = dev

    def find(self) -> Finding:
        devices = [card / "device" for card in sorted(self._sys.glob("card*")) if card.name[4:].isdigit()]
        driven = [device for device in devices if _uevent(device).get("DRIVER") == "amdgpu"]
        chips = [self._chip(index, device) for index, device in enumerate(driven)]
        return Finding(chips=[chip for chip in chips if chip])

    def _chip(self, index: int, device: Path) -> FoundChip | None:
        render = next((path.name for path in device.glob("drm/renderD*")), None)
        if render is None:
            return None  # it only drives a screen
        uevent = _uevent(device)
        bus, unique = uevent.get("PCI_SLOT_NAME", ""), _text(device / "unique_id")
        memory = number(_text(device / "mem_info_vram_total"))
        report = ChipReport(
            # It must never change and be nobody else's: where the chip has no number of its own, its place has one.
            uid=f"amd-{unique}" if unique else f"amd-{machine_mark()}-{bus or index}",
            resource="amd.com/gpu",
            index=index,
            model=_text(device / "product_name") or f"AMD GPU {uevent.get('PCI_ID', '')}".strip(),
            serial=_text(device / "serial_number"),
            bus_id=bus,
            memory_bytes=None if memory is None else int(memory),
            device_paths=[f"/dev/dri/{render}"],
            telemetry=_measured(device),
        )
        return FoundChip(report, (str(self._dev / "dri" / render),), shared_devices=(str(self._dev / "kfd"),))


def _measured(device: Path) -> ChipTelemetry:
    sensors = next(iter(sorted(device.glob("hwmon/hwmon*"))), device)
    average, now = _scaled(sensors / "power1_average", 1e6), _scaled(sensors / "power1_input", 1e6)
    used = number(_text(device / "mem_info_vram_used"))
    return ChipTelemetry(
        temperature_c=_scaled(sensors / "temp1_input", 1000),
        power_w=now if average is None else average,
        power_limit_w=_scaled(sensors / "power1_cap", 1e6),
        utilization_percent=number(_text(device / "gpu_busy_percent")),
        memory_used_bytes=None if used is None else int(used),
    )


def _scaled(file: Path, unit: float) -> float | None:
    value = number(_text(file))
    return None if value is None else value / unit


def _uevent(device: Path) -> dict[str, str]:
    lines = _text(device / "uevent").splitlines()
    return dict(line.split("=", 1) for line in lines if "=" in line)


def _text(file: Path) -> str:
    """A small file's text; empty where there is none or the driver does not give it now."""
    try:
        return file.read_text(errors="replace").strip()
    except OSError:
        return ""
