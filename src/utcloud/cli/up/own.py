"""A user of their own for server, edge and metrics: who gets into one of them is not root, and reads nobody's files.

Root stay `utcloud up` itself, supervisord, the site agent and our own engine, which make containers and firewall rules.
The home is root's, and sticky: the user makes files in it and can neither take away nor replace what root trusts there.
"""

import contextlib
import grp
import os
import pwd
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import utcloud
from utcloud.cli.up.instance import CannotRunError
from utcloud.cli.up.supervise import BIN
from utcloud.common.settings import Settings

_OWN = (
    "utcloud.db", "utcloud.db-wal", "utcloud.db-shm", "utcloud.db-journal", "secret.key", "access.json",
    "journal-heads", "journal-heads.1", "store", "uploads", "edge", "prometheus", "run/serve",
)  # fmt: skip
"""What of a home is the server's, the edge's and the metrics' own."""
_LOW_PORTS = "net_bind_service"
_LET_GO = (
    'grep -E "^(/dev/loop|overlay |fuse-overlayfs |shm |nsfs )" /proc/self/mounts | while read -r _ at _; do used=; '
    'for need in "$@"; do case "$need/" in "$at"/*) used=1;; esac; done; [ "$used" ] || umount -l "$at"; done'
)
"""A view of its own would hold fast what is mounted now. Volumes and containers must be gone once agent and engine let
go of them: else the next mount of a volume is a second one, and two write to it."""
_YAMA = Path("/proc/sys/kernel/yama/ptrace_scope")


@dataclass(frozen=True)
class Account:
    """Who runs something."""

    name: str
    uid: int
    gid: int

    @property
    def is_us(self) -> bool:
        return self.uid == os.geteuid()

    def may_enter(self, folder: Path) -> bool:
        """Whether the folder's mode lets the user through."""
        facts = folder.stat()
        if facts.st_uid == self.uid:
            return bool(facts.st_mode & stat.S_IXUSR)
        groups = {self.gid} | {one.gr_gid for one in grp.getgrall() if self.name in one.gr_mem}
        return bool(facts.st_mode & (stat.S_IXGRP if facts.st_gid in groups else stat.S_IXOTH))


def account(settings: Settings) -> Account:
    """Who runs server, edge and metrics: the user that the settings name, made when missing. Raises CannotRunError."""
    if not settings.user or os.geteuid() != 0:
        return _of(pwd.getpwuid(os.geteuid()))
    try:
        return _of(pwd.getpwnam(settings.user))
    except KeyError:
        pass
    command = ["useradd", "--system", "--user-group", "--no-create-home", "--home-dir", "/nonexistent"]
    command += ["--shell", "/usr/sbin/nologin", "--comment", "utcloud", settings.user]
    try:
        done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
        return _of(pwd.getpwnam(settings.user))
    except (OSError, KeyError) as error:
        said = str(error) if isinstance(error, OSError) else done.stderr.strip()
        raise CannotRunError(
            f"The user {settings.user}, who shall run server, edge and metrics, cannot be made: {said}\n"
            "Make it by hand, or set UTCLOUD_USER=root to let root run them."
        ) from error


def owner(path: Path) -> Account:
    """Who owns a file that is there."""
    facts = path.stat()
    try:
        name = pwd.getpwuid(facts.st_uid).pw_name
    except KeyError:
        name = str(facts.st_uid)
    return Account(name, facts.st_uid, facts.st_gid)


def _of(entry: pwd.struct_passwd) -> Account:
    return Account(entry.pw_name, entry.pw_uid, entry.pw_gid)


def command(who: Account, arguments: list[str], needs: Iterable[Path] = (), *, low_ports: bool = False) -> list[str]:
    """The command that runs ``arguments`` as ``who``, without a way back to root.

    Where a folder above one of ``needs`` is closed to that user, as /root is, the command sees one in its place that
    has these alone. ``low_ports``: it may listen below 1024, or look into one that may.
    """
    if who.is_us:
        return arguments
    kept = f"-all,+{_LOW_PORTS}" if low_ports else "-all"
    drop = ["setpriv", f"--reuid={who.uid}", f"--regid={who.gid}", _groups(who), "--no-new-privs"]
    drop += [f"--bounding-set={kept}", f"--inh-caps={kept}", f"--ambient-caps={kept}", "--"]
    return [*_shown(who, needs), *drop, *arguments]


def open_to_ours(who: Account, arguments: list[str]) -> list[str]:
    """The command, whose sockets other programs of its user may take hold of, as those of root may (Yama's rule 1)."""
    if who.is_us or not _YAMA.exists() or _YAMA.read_text().strip() == "0":
        return arguments
    anybody = "import ctypes, os, sys; ctypes.CDLL(None).prctl(0x59616d61, ctypes.c_ulong(-1), 0, 0, 0); "
    return [sys.executable, "-I", "-S", "-c", anybody + "os.execv(sys.argv[1], sys.argv[1:])", *arguments]


def _groups(who: Account) -> str:
    return "--clear-groups" if who.name.isdigit() else "--init-groups"


def python() -> list[Path]:
    """The folders that our own programs are read from."""
    return [Path(sys.base_prefix).resolve(), Path(sys.prefix), Path(utcloud.__file__).parents[1]]


def _shown(who: Account, needs: Iterable[Path]) -> list[str]:
    needs = list(needs)
    closed: dict[Path, list[Path]] = {}
    for need in sorted(set(needs)):
        above = next((one for one in reversed(need.parents) if one.exists() and not who.may_enter(one)), None)
        if above is not None and not any(need.is_relative_to(one) for one in closed.get(above, [])):
            closed.setdefault(above, []).append(need)
    steps: list[str] = []
    given: list[str] = []
    for above, inside in closed.items():
        first = len(given) + 1
        given += [str(above), *map(str, inside)]
        numbers = range(first + 1, first + 1 + len(inside))
        for number in numbers:
            steps += [f'mkdir "$s/{number}"', f'mount --rbind "${{{number}}}" "$s/{number}"']
        steps.append(f'mount -t tmpfs -o mode=0755,size=1m none "${{{first}}}"')
        for number in numbers:
            steps += [f'mkdir -p "${{{number}}}"', f'mount --move "$s/{number}" "${{{number}}}"']
    if not given:
        return []
    given += map(str, needs)
    begin = [_LET_GO, "s=$(mktemp -d /run/utcloud.XXXXXX)", 'mount -t tmpfs -o mode=0700,size=1m none "$s"']
    end = ['umount "$s"', 'rmdir "$s"', f"shift {len(given)}", 'exec "$@"']
    script = " && ".join([*begin, *steps, *end])  # in one line, as supervisord's file wants it
    return ["unshare", "--mount", "--propagation", "slave", "sh", "-c", script, "sh", *given]


def check(settings: Settings, who: Account) -> None:
    """Raise CannotRunError unless ``who`` reaches our programs, the home and a certificate's files."""
    if who.is_us:
        return
    for file in filter(None, (settings.tls_cert, settings.tls_key)):
        try:
            with acting_as(who):
                file.read_bytes()
        except PermissionError as error:
            raise CannotRunError(
                f"The user {who.name}, who runs the server, cannot read {file}, and so could not take a renewed one.\n"
                f"chgrp {who.name} {file} and chmod 640 {file}, and let {who.name} into the folders above it."
            ) from error
    tried = [sys.executable, "-c", "import utcloud.common.settings, os, sys; os.chdir(sys.argv[1])", str(settings.home)]
    try:
        done = subprocess.run(
            command(who, tried, [*python(), settings.home]), capture_output=True, text=True, cwd="/", check=False
        )
        said = "" if done.returncode == 0 else done.stderr.strip()[-500:] or f"it ended with {done.returncode}"
    except OSError as error:
        said = str(error)
    if said:
        raise CannotRunError(
            f"The user {who.name}, who shall run server, edge and metrics, cannot: {said}\n"
            f"Put {sys.prefix} and UTCLOUD_HOME where every user may go, such as /opt and /srv, or set "
            "UTCLOUD_USER=root."
        )


def adopt(settings: Settings, who: Account) -> None:
    """Give the parts of a home to who uses them, whoever made them: an older version, a restore, another user."""
    home, serve = settings.home, settings.serve_dir
    shutil.rmtree(settings.run_dir / "edge-routes", ignore_errors=True)  # where an older version had them
    for folder in (home / "edge", home / "prometheus", serve):
        folder.mkdir(mode=0o700, exist_ok=True)
    for name in _OWN:
        _give(home / name, who)
    if "://" not in settings.store:
        _give(Path(settings.store), who)
    for folder in (home / "edge", home / "prometheus", serve):
        _close(folder)
    settings.site_dir.mkdir(exist_ok=True)
    settings.site_dir.chmod(0o700)
    own = os.geteuid()
    os.chown(home, own, who.gid)
    home.chmod(0o711 if who.is_us else 0o1771)
    os.chown(settings.run_dir, own, who.gid)
    settings.run_dir.chmod(0o700 if who.is_us else 0o750)


def _close(folder: Path) -> None:
    """Let only its owner into a folder. He may have put a link to another in its place: that is not followed."""
    try:
        place = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError as error:
        raise CannotRunError(f"{folder} is no folder: look what is there, and remove it.") from error
    os.fchmod(place, 0o700)
    os.close(place)


def share(path: Path, who: Account) -> None:
    """Let ``who`` read a file that we wrote, and nobody else."""
    os.chown(path, os.geteuid(), who.gid)
    path.chmod(0o600 if who.is_us else 0o640)


def _give(path: Path, who: Account) -> None:
    """The file or folder with all in it; a folder that is the user's already is left alone, for it may be large."""
    try:
        facts = path.lstat()
    except FileNotFoundError:
        return
    if facts.st_uid == who.uid:
        return
    if stat.S_ISDIR(facts.st_mode):
        for folder, folders, files, place in os.fwalk(path, topdown=False):
            for name in (*folders, *files):
                os.chown(name, who.uid, who.gid, dir_fd=place, follow_symlinks=False)
            del folder
    os.chown(path, who.uid, who.gid, follow_symlinks=False)


@contextlib.contextmanager
def acting_as(who: Account) -> Iterator[None]:
    """Be ``who`` for a while, for the kernel's checks of files. Nothing may be imported meanwhile: it may be closed."""
    before = os.geteuid(), os.getegid()
    if who.uid == before[0] or before[0] != 0:
        yield
        return
    os.setegid(who.gid)
    os.seteuid(who.uid)
    try:
        yield
    finally:
        os.seteuid(before[0])
        os.setegid(before[1])


def become_owner(settings: Settings) -> None:
    """Run this very command again as who owns the SQLite database, where root was asked to work on it.

    Root may not open another user's files in a sticky folder as SQLite does (``fs.protected_regular``), and need not be
    root for it. Nothing happens without such a database, and to whoever is not root.
    """
    file = settings.home / "utcloud.db"
    if settings.database_url or os.geteuid() != 0 or not file.exists() or file.stat().st_uid == 0:
        return
    arguments = [str(BIN / "utcloud"), *sys.argv[1:]]
    again = command(owner(file), arguments, [*python(), settings.home])
    given = {"UTCLOUD_HOME": str(settings.home), "HOME": str(settings.serve_dir)}
    os.execvpe(again[0], again, {**os.environ, **given})  # noqa: S606
