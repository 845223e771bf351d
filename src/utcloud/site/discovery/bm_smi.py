"""What Sophgo's `bm-smi` says, in its text format: one line for each chip, and no terminal needed."""

import re
import shutil
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from utcloud.site.discovery.base import number

log = structlog.get_logger()

_LIMIT_S = 2.0
_LEAST_PAUSE_S = 10.0
_PLACES = ("bm-smi", "/opt/sophon/libsophon-current/bin/bm-smi")
_LINE = re.compile(r"^\s*\S.*? chip\d+: (?P<chip>\d+) (?P<rest>.+?)\s*$", re.MULTILINE)
_MEMORY = re.compile(r"(\d+)MB")
_FIELDS = 15
_MIB = 2**20


@dataclass(frozen=True, slots=True)
class Reading:
    """One chip's line; None or empty is what the tool does not know (``N/A``) or could not read (``F``)."""

    bus_id: str = ""
    status: str = ""
    """``Active`` or ``Fault``."""
    temperature_c: float | None = None
    power_w: float | None = None
    """Of the chip's tensor unit alone."""
    utilization_percent: float | None = None
    memory_used_bytes: int | None = None
    memory_total_bytes: int | None = None


class BmSmi:
    """Runs the tool where there is one, for at most 2 s and at most every 10 s; its absence is no error.

    ``run`` takes the command and returns its output; it may raise OSError or SubprocessError.
    """

    def __init__(self, run: Callable[[list[str]], str] | None = None):
        self._run = run or _run
        self._asked_at = -_LEAST_PAUSE_S
        self._readings: dict[int, Reading] = {}

    def read(self, last: int) -> dict[int, Reading]:
        """The readings of chips 0 to ``last``, by index; those of the last time when that was just now."""
        now = time.monotonic()
        if now - self._asked_at < _LEAST_PAUSE_S:
            return self._readings
        self._asked_at = now
        tool = next(filter(None, map(shutil.which, _PLACES)), None)
        if tool is None and self._run is _run:
            return {}
        try:
            text = self._run([tool or "bm-smi", "--start_dev=0", f"--last_dev={last}", "--text_format"])
            self._readings = parse(text)
        except (OSError, subprocess.SubprocessError) as error:
            log.warning("bm-smi does not work", error=str(error))
            self._readings = {}
        return self._readings


def parse(text: str) -> dict[int, Reading]:
    """Readings by chip index. A line that is not as it should be is left out.

    After the chip's index come: bus id, status, temperatures of board and chip, the tensor unit's power and voltage,
    ECC, corrections, utilisation, least, greatest and current clock, current, used and total memory.
    """
    return {int(line["chip"]): _reading(line["rest"].split()) for line in _LINE.finditer(text) if _is_whole(line)}


def _is_whole(line: re.Match[str]) -> bool:
    return len(line["rest"].split()) == _FIELDS


def _reading(words: list[str]) -> Reading:
    used, total = (_MEMORY.fullmatch(word) for word in words[13:15])
    return Reading(
        bus_id="" if words[0] in ("N/A", "F") else words[0],
        status=words[1],
        temperature_c=_amount(words[3], "C"),
        power_w=_amount(words[4], "W"),
        utilization_percent=_amount(words[8], "%"),
        memory_used_bytes=int(used[1]) * _MIB if used else None,
        memory_total_bytes=int(total[1]) * _MIB if total and int(total[1]) else None,
    )


def _amount(word: str, unit: str) -> float | None:
    return number(word.removesuffix(unit)) if word.endswith(unit) else None


def _run(command: list[str]) -> str:
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=_LIMIT_S,
        stdin=subprocess.DEVNULL,
        check=True,
    )
    return done.stdout
