"""``$UTCLOUD_HOME/cli.json``: where ``utcloud login`` keeps the token, readable by its owner alone."""

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from utcloud.cli.up import access
from utcloud.common.settings import Settings


@dataclass(frozen=True)
class Login:
    """A token for one server."""

    server: str
    username: str
    token: str
    token_id: str


def path(settings: Settings) -> Path:
    return settings.home / "cli.json"


def read(settings: Settings) -> Login | None:
    """The login that is kept, or None."""
    try:
        return Login(**json.loads(path(settings).read_text()))
    except (OSError, ValueError, TypeError):
        return None


def write(settings: Settings, login: Login) -> None:
    """Keep a login, so that nobody else may ever read it."""
    file = path(settings)
    file.parent.mkdir(parents=True, exist_ok=True)
    draft = file.with_suffix(".draft")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as target:
        json.dump(asdict(login), target, indent=2)
    draft.replace(file)


def forget(settings: Settings) -> None:
    path(settings).unlink(missing_ok=True)


def default_server(settings: Settings) -> str:
    """The server of this machine: as the environment says, as ``utcloud up`` wrote it down, or the default."""
    if settings.server_url:
        return settings.server_url.rstrip("/")
    known = access.read(settings.home / "access.json")
    return known.api_url.removesuffix("/api/v1") if known else settings.console_origin
