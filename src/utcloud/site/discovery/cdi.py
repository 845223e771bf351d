"""Which devices the machine's CDI files offer to container engines (Container Device Interface)."""

import json
import re
from collections.abc import Iterable
from pathlib import Path

FOLDERS = (Path("/etc/cdi"), Path("/var/run/cdi"))
"""Where engines look by default; later ones override earlier ones, which does not matter for names."""

_KIND = re.compile(r'^\s*"?kind"?:\s*["\']?([\w./-]+)', re.MULTILINE)
_NAME = re.compile(r'^[\s-]*"?name"?:\s*["\']?([\w.:-]+)', re.MULTILINE)


def names(folders: Iterable[Path] = FOLDERS) -> frozenset[str]:
    """Fully qualified names such as ``nvidia.com/gpu=GPU-…``. A file that cannot be read offers nothing."""
    found: set[str] = set()
    for folder in folders:
        for file in (*folder.glob("*.json"), *folder.glob("*.yaml")):
            try:
                text = file.read_text()
                kind, devices = _from_json(text) if file.suffix == ".json" else _from_yaml(text)
            except (OSError, ValueError, TypeError, KeyError, AttributeError):
                continue
            found.update(f"{kind}={name}" for name in devices if kind)
    return frozenset(found)


def _from_json(text: str) -> tuple[str, list[str]]:
    spec = json.loads(text)
    return spec["kind"], [device["name"] for device in spec["devices"]]


def _from_yaml(text: str) -> tuple[str, list[str]]:
    """``kind`` and the names of devices are the only keys of these names in a CDI file but for network devices'."""
    kind = _KIND.search(text)
    return kind[1] if kind else "", _NAME.findall(text)
