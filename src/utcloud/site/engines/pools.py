"""Out of which networks an engine gives containers their addresses: its address pools."""

import ipaddress
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

_FILES = (
    Path("/usr/share/containers/containers.conf"),
    Path("/etc/containers/containers.conf"),
    Path("/etc/containers/containers.conf.d"),
)
_PODMAN = ("10.89.0.0/16", "10.90.0.0/15", "10.92.0.0/14", "10.96.0.0/11", "10.128.0.0/9")
"""Podman's own pools; 10.88.0.0/16 is its first network, which we do not use."""
_DOCKER = (*(f"172.{second}.0.0/16" for second in range(17, 32)), "192.168.0.0/16")


def of_podman(url: str, files: Iterable[Path] = _FILES) -> tuple[str, ...]:
    """The pools that the last of its configuration files names, else Podman's own. One that is ours has its own file,
    beside its socket at ``url``."""
    found: tuple[str, ...] = _PODMAN
    for path in (*files, Path(url.removeprefix("unix://")).with_name("containers.conf")):
        for file in sorted(path.glob("*.conf")) if path.is_dir() else [path]:
            try:
                read = tomllib.loads(file.read_text()).get("network", {}).get("default_subnet_pools")
            except (OSError, ValueError, AttributeError):
                continue
            if isinstance(read, list):
                found = _sound(one.get("base") for one in read if isinstance(one, dict)) or found
    return found


def of_docker(info: Mapping[str, Any]) -> tuple[str, ...]:
    """The pools that Docker's description names, else Docker's own."""
    named = info.get("DefaultAddressPools") or []
    return _sound(one.get("Base") for one in named if isinstance(one, dict)) or _DOCKER


def _sound(bases: Iterable[Any]) -> tuple[str, ...]:
    found = []
    for base in bases:
        try:
            found.append(str(ipaddress.ip_network(str(base), strict=False)))
        except ValueError:
            continue
    return tuple(found)
