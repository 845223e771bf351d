"""Which files of a home a backup holds: all but what can be made anew, or belongs to this machine and this boot.

What is not named here is kept, so that a file that a later version adds, such as a key, is not forgotten.
"""

import grp
import os
import pwd
import stat
from collections.abc import Callable
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

from utcloud.cli.backup.databases import Place
from utcloud.cli.up.instance import UNFINISHED_BEFORE, UNFINISHED_RESTORE
from utcloud.common.settings import Settings

BEFORE = "before-restore-"
"""How the folder begins into which a restore puts what was there."""
OF_THE_SERVER = ("store", "uploads", "edge", "prometheus")
"""The folders of a home that belong to the server's user."""
_MADE_ANEW = (
    "engine", "logs", "prometheus", "simulated-chips.json", "lost+found", "edge/locks",
    UNFINISHED_RESTORE, UNFINISHED_BEFORE, f"{BEFORE}*",
    "site/cache", "site/contents", "site/images", "site/mounts", "site/volumes", "site/agent.lock",
    "run/*.pid", "run/lock", "run/backup*", "run/environment.json", "run/tables-before.json", "run/ports.json",
    "journal-heads", "journal-heads.1",
    "run/caddy.json", "run/prometheus.yml", "run/supervisord.conf", "run/edge-routes", "run/serve",
)  # fmt: skip
"""The engine's images are built and pulled again; volumes, contents' sources and settings are kept in their own way.
The journal's heads are of the journal that goes on here: one younger than the backup's would condemn what is
restored."""


@dataclass(frozen=True)
class Home:
    """A home as its settings describe it."""

    settings: Settings

    @property
    def path(self) -> Path:
        return self.settings.home

    @property
    def place(self) -> Place:
        return Place.of(self.settings.database)

    @property
    def has_database(self) -> bool:
        """A home of a site alone has none."""
        return bool(self.settings.database_url) or (self.path / "utcloud.db").exists()

    @property
    def scratch(self) -> Path:
        """Where secrets may lie for a moment."""
        self.settings.run_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        return self.settings.run_dir

    def keep(self) -> Callable[[str, os.stat_result], bool]:
        """Whether a path below the home goes into a backup as it is."""
        elsewhere = list(_MADE_ANEW)
        for path in (self._store_folder, self.place.file):
            if path and path.is_relative_to(self.path):
                relative = str(path.relative_to(self.path))
                elsewhere += [relative, *(f"{relative}-{end}" for end in ("wal", "shm", "journal"))]

        def wanted(path: str, facts: os.stat_result) -> bool:
            if not (stat.S_ISREG(facts.st_mode) or stat.S_ISDIR(facts.st_mode) or stat.S_ISLNK(facts.st_mode)):
                return False
            return not any(fnmatch(path, one) for one in elsewhere)

        return wanted

    @property
    def _store_folder(self) -> Path | None:
        return None if "://" in self.settings.store else Path(self.settings.store)


def owner_names(uid: int, gid: int) -> dict[str, str]:
    """The names of an owner, since numbers differ from machine to machine; root has the same one everywhere."""
    found: dict[str, str] = {}
    for key, number, look in (("user", uid, pwd.getpwuid), ("group", gid, grp.getgrgid)):
        if number:
            try:
                found[key] = look(number)[0]
            except KeyError:
                continue
    return found
