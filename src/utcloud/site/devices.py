"""From chips to what a container sees of them."""

import os
import re
import stat
from collections import Counter
from dataclasses import dataclass, field

from utcloud.site.discovery.base import FoundChip
from utcloud.site.engines.base import Bind, Device, DeviceRequest
from utcloud.site.errors import CannotRun

_NUMBERED = re.compile(r"(.*?)(\d+)")


@dataclass(slots=True)
class Given:
    """What a container gets for its chips."""

    devices: list[Device] = field(default_factory=list)
    binds: list[Bind] = field(default_factory=list)
    groups: list[int] = field(default_factory=list)
    requests: list[DeviceRequest] = field(default_factory=list)
    simulated: list[str] = field(default_factory=list)
    """Models of those chips that are simulated."""


def give(uids: list[str], chips: dict[str, FoundChip], drivers: frozenset[str] = frozenset()) -> Given:
    """Map the chips so that the container sees only them, in this order, numbered from 0 where that is their way.

    A chip that one of the engine's device ``drivers`` can bring is left to that; any other comes by its device files.
    Raises CannotRun with cause ``device`` when a chip is gone or its device file cannot be used.
    """
    given = Given()
    seen: Counter[str] = Counter()
    asked: dict[str, list[str]] = {}
    shared: dict[str, None] = {}
    for uid in uids:
        chip = chips.get(uid)
        if chip is None:
            raise CannotRun("device", f"The chip {uid} is no longer on this node: it was removed, or its driver is.")
        if driver := best_driver(chip, drivers):
            asked.setdefault(driver, []).append(chip.by_engine[driver])
            continue
        shared |= dict.fromkeys(chip.shared_devices)
        for path, host_path in zip(chip.report.device_paths, chip.host_devices, strict=True):
            target = path
            if chip.renumber and (match := _NUMBERED.fullmatch(path)):
                target = f"{match[1]}{seen[match[1]]}"
                seen[match[1]] += 1
            _add(given, host_path, target, simulated=chip.report.simulated)
        if chip.report.simulated:
            given.simulated.append(chip.report.model)
    for path in shared:
        _add(given, path, path, simulated=False)
    given.requests = [DeviceRequest(driver, tuple(names)) for driver, names in asked.items()]
    return given


def best_driver(chip: FoundChip, drivers: frozenset[str]) -> str:
    """The engine's device driver that brings this chip, by the chip's own preference; empty where there is none."""
    return next((driver for driver in chip.by_engine if driver in drivers), "")


def _add(given: Given, host_path: str, target: str, *, simulated: bool) -> None:
    if Device(host_path, target) in given.devices or Bind(host_path, target) in given.binds:
        return  # parts of one chip share its device file
    try:
        facts = os.stat(host_path)  # noqa: PTH116
        if simulated and facts.st_mode & 0o666 != 0o666:
            os.chmod(host_path, 0o666)  # noqa: PTH101, S103 - it stands for nothing
            facts = os.stat(host_path)  # noqa: PTH116
    except OSError as error:
        raise CannotRun("device", f"The device file {host_path} cannot be used: {error.strerror}.") from error
    if not stat.S_ISCHR(facts.st_mode) and not stat.S_ISBLK(facts.st_mode):
        given.binds.append(Bind(host_path, target))
        return
    if facts.st_mode & 0o006 != 0o006:
        if facts.st_mode & 0o060 != 0o060 or facts.st_gid == 0:
            raise CannotRun(
                "device",
                f"The device file {host_path} is open to root only. "
                "Give it to a group of its own, or to all, with a udev rule (mode 0660 or 0666).",
            )
        given.groups.append(facts.st_gid)
    given.devices.append(Device(host_path, target))
