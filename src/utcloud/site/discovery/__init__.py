"""What a node has: built-in ways to find it, and plug-ins under the entry-point group ``utcloud.discovery``."""

from collections.abc import Callable
from importlib.metadata import entry_points

import structlog

from utcloud.common.settings import Settings
from utcloud.site.discovery.base import Discovery
from utcloud.site.discovery.host import HostDiscovery
from utcloud.site.discovery.simulated import SimulatedDiscovery
from utcloud.site.discovery.sophgo import SophgoDiscovery

log = structlog.get_logger()
GROUP = "utcloud.discovery"


def all_discoveries(settings: Settings) -> list[Discovery]:
    """The built-in ones and every installed plug-in: a callable that takes the settings and returns a Discovery."""
    found: list[Discovery] = [
        HostDiscovery(settings.site_dir),
        SophgoDiscovery(),
        SimulatedDiscovery(settings.simulated_chips_file),
    ]
    for entry in entry_points(group=GROUP):
        try:
            make: Callable[[Settings], Discovery] = entry.load()
            found.append(make(settings))
        except Exception:
            log.exception("a discovery plug-in cannot be loaded", plugin=entry.value)
    return found


__all__ = ["GROUP", "all_discoveries"]
