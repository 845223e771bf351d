"""One instance of utcloud on this machine: its folders, its environment, and what it was started with."""

import json
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from fcntl import LOCK_EX, LOCK_NB, flock
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from utcloud.cli.up import engine as engines
from utcloud.cli.up.supervise import MARK, Supervisor
from utcloud.common.files import is_ours
from utcloud.common.settings import Settings

if TYPE_CHECKING:
    from utcloud.cli.up.own import Account

UNFINISHED_RESTORE = "run/restoring"
"""The folder that lies in a home as long as a restore of it has not ended: where the server's user can make none."""
UNFINISHED_BEFORE = "restoring"
"""The same of older versions, where that user can make one as well."""
LONGEST_SOCKET_PATH = 107  # Linux: 108 bytes with the closing zero.
SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class CannotRunError(RuntimeError):
    """utcloud cannot run as asked; the message says why, and the cure."""


@dataclass
class Instance:
    """The instance that the settings describe."""

    settings: Settings
    supervisor: Supervisor = field(init=False)

    def __post_init__(self) -> None:
        self.supervisor = Supervisor(self.home)

    @property
    def home(self) -> Path:
        """Where all state lives."""
        return self.settings.home

    @cached_property
    def account(self) -> "Account":
        """Who runs server, edge and metrics. Raises CannotRunError."""
        from utcloud.cli.up import own

        return own.account(self.settings)

    @property
    def access_file(self) -> Path:
        """Addresses and first credentials."""
        return self.home / "access.json"

    @property
    def started_with(self) -> Path:
        """The settings of the last start, for `down` and `status` in another shell."""
        return self.home / "run" / "environment.json"

    @property
    def own_engine(self) -> Path:
        """The folder of our own Podman, whether it is used or not."""
        return self.home / "engine"

    def make_folders(self) -> None:
        """Make what all processes expect to be there. Raises CannotRunError."""
        longest = str(self.settings.edge_admin_socket)
        if len(longest.encode()) > LONGEST_SOCKET_PATH:
            raise CannotRunError(f"UTCLOUD_HOME={self.home} is too long for sockets inside it: choose a shorter path.")
        try:
            for name in (".", "run", "logs", "edge"):
                (self.home / name).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise CannotRunError(
                f"UTCLOUD_HOME={self.home} cannot be used ({error.strerror}). Choose another."
            ) from error
        for name in ("run", "logs"):
            folder = self.home / name
            if folder.stat().st_mode & 0o027:  # what runs already may have opened it to a user of its own
                folder.chmod(0o700)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Only one `up` or `down` of this instance at a time. Raises CannotRunError."""
        with (self.home / "run" / "lock").open("w") as lock:
            try:
                flock(lock, LOCK_EX | LOCK_NB)
            except BlockingIOError as error:
                raise CannotRunError(
                    f"Another `utcloud up` or `down` of {self.home} is at work. Wait for it."
                ) from error
            yield

    def environment(self, engine: engines.Engine | None = None) -> dict[str, str]:
        """What every process of this instance gets."""
        environment = engines.environment(self.own_engine) if engine and engine.own else dict(os.environ)
        path = os.environ.get("PATH", "")
        environment["PATH"] = f"{path}:{SYSTEM_PATH}" if path else SYSTEM_PATH
        environment.pop("UTCLOUD_TOKEN", None)
        environment.pop("PYTHONDONTWRITEBYTECODE", None)  # compiled files make every restart quicker
        environment |= _as_environment(self.settings)
        if engine:
            environment["UTCLOUD_ENGINE_URL"] = engine.url
        environment[MARK] = str(self.home)
        return environment

    def known_engine(self) -> engines.Engine:
        """The engine that the settings name; our own when it is that."""
        url, own = self.settings.engine_url, self.own_engine
        return engines.Engine(url, own if url == engines.own_url(own) else None)

    def remember(self, environment: dict[str, str]) -> None:
        """Keep the settings of this start."""
        kept = {name: value for name, value in environment.items() if name.startswith("UTCLOUD_") and name != MARK}
        self.started_with.touch(mode=0o600)
        self.started_with.write_text(json.dumps(kept, indent=2) + "\n")

    def remembered(self) -> "Instance":
        """This instance with the settings it was started with; as it is, when it never was."""
        try:
            kept: dict[str, str] = json.loads(self.started_with.read_text())
        except (OSError, ValueError):
            return self
        before = Path(kept.get("UTCLOUD_HOME", self.home))
        if kept.get("UTCLOUD_ENGINE_URL") == engines.own_url(before / "engine"):
            kept["UTCLOUD_ENGINE_URL"] = engines.own_url(self.own_engine)
        kept["UTCLOUD_HOME"] = str(self.home)  # it may have been moved
        return Instance(from_environment(kept))


def unfinished_restore(home: Path) -> Path | None:
    """The folder of a restore that has not ended. What others than root, or we, made or could change is none."""
    for name in (UNFINISHED_RESTORE, UNFINISHED_BEFORE):
        folder = home / name
        if all(_is_ours_alone(one) for one in (folder, *folder.parents[: name.count("/")])):
            return folder
    return None


def _is_ours_alone(folder: Path) -> bool:
    if not is_ours(folder):
        return False
    mode = folder.lstat().st_mode
    return stat.S_ISDIR(mode) and not mode & 0o022


def _as_environment(settings: Settings) -> dict[str, str]:
    """The settings that differ from their defaults, as the variables that give them."""
    values = settings.model_dump(mode="json", exclude_unset=True, exclude={"token"})
    values["home"] = str(settings.home)
    return {
        f"UTCLOUD_{name.upper()}": value if isinstance(value, str) else json.dumps(value)
        for name, value in values.items()
        if value is not None
    }


def from_environment(variables: dict[str, str]) -> Settings:
    """Settings out of variables alone, whatever this shell's own say."""
    before = {name: value for name, value in os.environ.items() if name.startswith("UTCLOUD_")}
    for name in before:
        del os.environ[name]
    os.environ.update(variables)
    try:
        return Settings()
    finally:
        for name in variables:
            os.environ.pop(name, None)
        os.environ.update(before)
