"""How far a backup is: on a terminal one line that changes, elsewhere a line for each part."""

import sys
import time

_EVERY_S = 0.2


class Progress:
    """Says on the standard error what is read or written. ``files`` and ``size`` are counted by whoever works."""

    def __init__(self) -> None:
        self.files = self.size = 0
        """Of all parts together. Bytes that were read or written now, not those that were known."""
        self._part, self._shown_at, self._line = "", 0.0, ""
        self._terminal = sys.stderr.isatty()

    def part(self, text: str) -> None:
        """Begin with the next part."""
        self._end_line()
        self._part = text
        if self._terminal:
            self._show()
        else:
            self._write(f"→ {text}\n")

    def count(self, *, files: int = 0, size: int = 0) -> None:
        """So much was done."""
        self.files += files
        self.size += size
        if self._terminal and time.monotonic() > self._shown_at + _EVERY_S:
            self._show()

    def say(self, text: str) -> None:
        """A line of its own."""
        self._end_line()
        self._write(f"  {text}\n")

    def end(self) -> None:
        """Nothing more is shown."""
        self._end_line()
        self._part = ""

    def _show(self) -> None:
        self._shown_at = time.monotonic()
        line = f"→ {self._part}  ({self.files} files, {words(self.size)})"
        self._write("\r" + line.ljust(len(self._line)))
        self._line = line

    def _end_line(self) -> None:
        if self._terminal and self._part:
            self._show()
            self._write("\n")
            self._line = ""

    @staticmethod
    def _write(text: str) -> None:
        sys.stderr.write(text)
        sys.stderr.flush()


def words(size: int) -> str:
    """A number of bytes for people."""
    for unit, factor in (("TB", 10**12), ("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if size >= factor:
            return f"{size / factor:.1f} {unit}"
    return f"{size} bytes"
