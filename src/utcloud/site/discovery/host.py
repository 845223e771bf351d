"""The machine itself: CPU, memory, disk, name and address."""

import os
import platform
import shutil
import socket
from pathlib import Path

from utcloud.common.quantity import CPU, DISK, MEMORY
from utcloud.protocol import ResourceReport
from utcloud.site.discovery.base import Finding
from utcloud.site.disks import images_size, reserve

_LEAST_RESERVE = 512 * 2**20


class HostDiscovery:
    """Reports what containers may have, not all that there is.

    A tenth of the memory, at least 512 MiB, stays with the host: a host out of memory takes every tenant along; so does
    a full disk. CPU is not held back, because a busy CPU only slows.
    """

    def __init__(self, disk: Path, proc: Path = Path("/proc"), etc: Path = Path("/etc")):
        self._disk = disk
        self._proc = proc
        self._etc = etc

    def find(self) -> Finding:
        memory = self._memory()
        memory = max(memory - max(memory // 10, _LEAST_RESERVE), 0)
        architecture = platform.machine()
        name = socket.gethostname()
        return Finding(
            resources=[
                ResourceReport(name=CPU, capacity=len(os.sched_getaffinity(0)) * 1000),
                ResourceReport(name=MEMORY, capacity=memory),
                ResourceReport(name=DISK, capacity=self._for_volumes()),
            ],
            labels={"utcloud.io/arch": architecture, "utcloud.io/os": "linux", "utcloud.io/hostname": name[:253]},
            os=self._os_name(),
            kernel=platform.release(),
            architecture=architecture,
            ip=_primary_ip(),
            name=name,
        )

    def _for_volumes(self) -> int:
        """What volumes may take together: the disk less a reserve and what else lies on it, in whole GB."""
        usage = shutil.disk_usage(self._existing(self._disk))
        others = max(usage.used - images_size(self._disk), 0)
        return max(usage.total - reserve(usage.total) - others, 0) // 10**9 * 10**9

    def _memory(self) -> int:
        for line in (self._proc / "meminfo").read_text().splitlines():
            if line.startswith("MemTotal:"):
                return int(line.split()[1]) * 1024
        raise ValueError("no MemTotal in meminfo")

    def _os_name(self) -> str:
        try:
            lines = (self._etc / "os-release").read_text().splitlines()
        except OSError:
            return platform.system()
        values = dict(line.split("=", 1) for line in lines if "=" in line)
        return values.get("PRETTY_NAME", platform.system()).strip('"')

    @staticmethod
    def _existing(path: Path) -> Path:
        while not path.exists():
            path = path.parent
        return path


def _primary_ip() -> str:
    """The address this machine would reach the world from. Nothing is sent."""
    for family, target in ((socket.AF_INET, "192.0.2.1"), (socket.AF_INET6, "2001:db8::1")):
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            try:
                probe.connect((target, 9))
            except OSError:
                continue
            return str(probe.getsockname()[0])
    return ""
