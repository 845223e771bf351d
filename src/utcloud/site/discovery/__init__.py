"""What a node has: built-in ways to find it, and plug-ins under the entry-point group ``utcloud.discovery``."""

from collections.abc import Callable
from importlib.metadata import entry_points

import structlog

from utcloud.common.settings import Settings
from utcloud.site.discovery.base import Discovery, Finding
from utcloud.site.discovery.host import HostDiscovery
from utcloud.site.discovery.nvidia import NvidiaDiscovery
from utcloud.site.discovery.simulated import SimulatedDiscovery
from utcloud.site.discovery.sophgo import SophgoDiscovery

log = structlog.get_logger()
GROUP = "utcloud.discovery"


def all_discoveries(settings: Settings) -> list[Discovery]:
    """The built-in ones and every installed plug-in: a callable that takes the settings and returns a Discovery."""
    found: list[Discovery] = [
        HostDiscovery(settings.site_dir),
        NvidiaDiscovery(),
        SophgoDiscovery(),
        SimulatedDiscovery(settings.simulated_chips_file),
    ]
    for entry in entry_points(group=GROUP):
        try:
            make: Callable[[Settings], Discovery] = entry.load()
            found.append(make(settings))
        except Exception as error:
            log.exception("a discovery plug-in cannot be loaded", plugin=entry.value)
            found.append(_Broken(f"the discovery plug-in {entry.value} cannot be loaded: {error}"))
    return found


class _Broken:
    """Stands for a plug-in that could not be loaded, so that the node says so."""

    def __init__(self, trouble: str):
        self._trouble = trouble[:300]

    def find(self) -> Finding:
        return Finding(trouble=self._trouble)


__all__ = ["GROUP", "all_discoveries"]
