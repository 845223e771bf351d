"""Moving what an older version kept in a plain folder: copied, compared, and only then removed."""

import os
import secrets
import shutil
import stat
import subprocess
from pathlib import Path


def take_over(old: Path, new: Path) -> None:
    """Copy the folder ``old`` to ``new``, on another disk, compare them, and remove ``old``.

    ``new`` appears under its name only when it is whole; where it is there already the copy had ended. Nobody may write
    to either. Raises OSError or ValueError, and then ``old`` is as it was.
    """
    if not new.exists():
        fresh = new.with_name(f".new-{new.name}-{secrets.token_hex(4)}")
        try:
            _run("cp", "--archive", "--no-target-directory", "--", str(old), str(fresh))
            os.sync()
            if _inventory(old) != _inventory(fresh):
                raise ValueError("the copy is not the same as the folder")
            fresh.rename(new)
            os.sync()
        finally:
            if fresh.exists():
                shutil.rmtree(fresh, ignore_errors=True)
    gone = old.with_name(f".old-{old.name}-{secrets.token_hex(4)}")
    old.rename(gone)
    shutil.rmtree(gone, ignore_errors=True)


def give_to(folder: Path, owner: int) -> None:
    """Make all of a folder ``owner``'s, unless it is; links are not followed. Nobody may write to it meanwhile."""
    if folder.stat().st_uid != owner:  # the folder itself is changed last
        _run("chown", "--recursive", "--no-dereference", "-P", "--", f"{owner}:{owner}", str(folder))


def sizes_of(folder: Path) -> list[int]:
    """What each file and folder below a folder takes on disk; what vanishes meanwhile does not count."""
    sizes: list[int] = []
    seen: set[int] = set()
    for place, folders, names in os.walk(folder):
        for name in (*folders, *names):
            try:
                facts = os.lstat(f"{place}/{name}")
            except OSError:
                continue
            if facts.st_nlink > 1 and not stat.S_ISDIR(facts.st_mode):
                if facts.st_ino in seen:
                    continue
                seen.add(facts.st_ino)
            sizes.append(facts.st_blocks * 512)
    return sizes


def _inventory(root: Path) -> dict[str, tuple[int, int, int, str]]:
    """What lies below a folder: kind, mode, owner and, where they mean something, size or target of a link."""
    found: dict[str, tuple[int, int, int, str]] = {}
    for place, folders, names in os.walk(root):
        for name in (*folders, *names):
            path = f"{place}/{name}"
            facts = os.lstat(path)
            size = facts.st_size if stat.S_ISREG(facts.st_mode) else 0
            target = str(Path(path).readlink()) if stat.S_ISLNK(facts.st_mode) else ""
            found[os.path.relpath(path, root)] = (facts.st_mode, facts.st_uid, size, target)
    return found


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
    if done.returncode:
        raise OSError(f"{command[0]}: {done.stderr.strip()[-300:]}")
