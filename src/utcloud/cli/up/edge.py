"""The edge as one machine runs it: where it listens, and Caddy's configuration in a file."""

import json
from pathlib import Path
from typing import Any

from utcloud.cli.up import ports
from utcloud.common.settings import Settings
from utcloud.edge.caddy import base_config, binary

__all__ = ["addresses", "binary", "config", "port", "write"]


def config(settings: Settings, web: Path, internal_port: int) -> dict[str, Any]:
    """Caddy's configuration for the addresses that this machine has. `web` holds the built pages; `internal_port`
    serves metrics on loopback."""
    here = settings.model_copy(update={"bind": addresses(settings)})
    return base_config(here, web, internal_port=internal_port)


def write(path: Path, settings: Settings, web: Path, internal_port: int) -> None:
    """Write the configuration where the edge process reads it."""
    path.write_text(json.dumps(config(settings, web, internal_port), indent=2) + "\n")


def addresses(settings: Settings) -> list[str]:
    """The addresses to listen on that this machine has; a public domain means all, unless they were named."""
    if settings.domain and "bind" not in settings.model_fields_set:
        return ["0.0.0.0"]  # noqa: S104
    return [address for address in settings.bind if ports.exists(address)]


def port(settings: Settings) -> int:
    """The port that the edge listens on."""
    return 443 if settings.domain else settings.port
