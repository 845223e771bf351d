"""What the first visitor needs: both addresses and the first operator's name and password."""

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True)
class Access:
    """The content of access.json."""

    api_url: str
    admin_url: str
    console_url: str
    username: str
    password: str


def of(origin: str, username: str, password: str) -> Access:
    """Access through the edge at `origin`, such as http://localhost:8080."""
    return Access(
        api_url=f"{origin}/api/v1",
        admin_url=f"{origin}/admin/",
        console_url=f"{origin}/console/",
        username=username,
        password=password,
    )


def write(path: Path, access: Access) -> None:
    """Write access.json so that only its owner may ever read it."""
    draft = path.with_suffix(".draft")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        json.dump(asdict(access), file, indent=2)
        file.write("\n")
    draft.replace(path)


def read(path: Path) -> Access | None:
    """What access.json says, or None when it is not there or cannot be read."""
    try:
        return Access(**json.loads(path.read_text()))
    except (OSError, ValueError, TypeError):
        return None
