"""A user id of the host for each workload, so that tenants share no limit that the kernel counts by user."""

import json
import secrets
from collections.abc import Callable, Iterable
from pathlib import Path

from utcloud.site.engines.base import Bind

FIRST, LAST = 200_000, 1_999_999
"""Above what hosts give to people and services, and within what old archive formats can write down."""
NAME = "jovyan"
_PASSWD = f"""\
root:x:0:0:root:/root:/usr/sbin/nologin
{NAME}:x:{{id}}:{{id}}:{NAME}:/home/{NAME}:/bin/bash
nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin
"""
_GROUP = f"""\
root:x:0:
tty:x:5:
{NAME}:x:{{id}}:
nogroup:x:65534:
"""


class Ids:
    """``ids/ids.json``: workload → its id and volumes. An id is given anew only when nothing of it is left.

    ``taken`` are ranges of the host that others use, as ``/etc/subuid`` names them.
    """

    def __init__(self, folder: Path, subuid: Path = Path("/etc/subuid")):
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o711)
        self._file = folder / "ids.json"
        self._taken = [*_ranges(subuid)]
        try:
            kept = json.loads(self._file.read_text())
            self._next: int = int(kept["next"])
            self._workloads: dict[str, tuple[int, set[str]]] = {
                name: (int(number), set(volumes)) for name, (number, volumes) in kept["workloads"].items()
            }
        except (OSError, ValueError, KeyError, TypeError):
            # Not from the start: volumes may be left of ids that nobody remembers.
            self._next, self._workloads = FIRST + secrets.randbelow(LAST - FIRST), {}

    def of(self, workload_id: str, volumes: Iterable[str]) -> int:
        """The id of a workload, which is going to use these volumes."""
        number, known = self._workloads.get(workload_id) or (self._fresh(), set())
        if workload_id not in self._workloads or not known.issuperset(volumes):
            self._workloads[workload_id] = number, known | set(volumes)
            self._save()
        return number

    def drop(self, volume: str) -> None:
        """A volume is gone."""
        for _, volumes in self._workloads.values():
            volumes.discard(volume)

    def trim(self, in_use: Callable[[str], bool]) -> None:
        """Forget the workloads that are neither in use nor have a volume."""
        kept = {name: one for name, one in self._workloads.items() if one[1] or in_use(name)}
        if len(kept) < len(self._workloads):
            self._workloads = kept
            self._save()

    def names(self, number: int) -> list[Bind]:
        """The files by which programs inside know the id's name: ssh and git refuse to work for a nameless one."""
        binds = []
        for name, text in (("passwd", _PASSWD), ("group", _GROUP)):
            path = self._folder / f"{name}-{number}"
            if not path.exists():
                fresh = path.with_suffix(".new")
                fresh.write_text(text.format(id=number))
                fresh.chmod(0o644)
                fresh.replace(path)
            binds.append(Bind(str(path), f"/etc/{name}", read_only=True))
        return binds

    def _fresh(self) -> int:
        used = {number for number, _ in self._workloads.values()}
        for _ in range(LAST - FIRST + 1):
            number, self._next = self._next, FIRST if self._next >= LAST else self._next + 1
            if number not in used and not any(number in taken for taken in self._taken):
                return number
        raise RuntimeError("every user id of the range is in use")

    def _save(self) -> None:
        rows = {name: (number, sorted(volumes)) for name, (number, volumes) in self._workloads.items()}
        fresh = self._file.with_suffix(".new")
        fresh.write_text(json.dumps({"next": self._next, "workloads": rows}))
        fresh.replace(self._file)
        used = {str(number) for number, _ in self._workloads.values()}
        for path in self._folder.glob("*-*"):
            if path.suffix != ".new" and path.name.partition("-")[2] not in used:
                path.unlink(missing_ok=True)


def _ranges(subuid: Path) -> Iterable[range]:
    try:
        lines = subuid.read_text().splitlines()
    except OSError:
        return
    for line in lines:
        parts = line.split(":")
        if len(parts) == 3 and parts[1].isdigit() and parts[2].isdigit():
            yield range(int(parts[1]), int(parts[1]) + int(parts[2]))
