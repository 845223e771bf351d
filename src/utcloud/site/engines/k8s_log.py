"""The end of a log in the k8s-file format: ``<time> <stream> <P or F> <text>``, where P means that the line goes on.

Podman 4.3 garbles the tail of a log whose lines were written in parts, as unbuffered programs do, so it is read here.
"""

import os
from pathlib import Path

_WINDOW = 256 * 1024


def tail(path: Path, lines: int) -> str:
    """Return the last lines that the container wrote, at most; a line longer than the window loses its beginning."""
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(size - _WINDOW, 0))
        content = file.read()
    rows = content.split(b"\n")
    if size > _WINDOW:
        rows = rows[1:]  # the first one was cut
    whole: list[bytes] = [b""]
    for row in rows:
        parts = row.split(b" ", 3)
        if len(parts) < 4:
            continue
        whole[-1] += parts[3]
        if parts[2] == b"F":
            whole.append(b"")
    if not whole[-1]:
        whole.pop()
    text = b"\n".join(whole[-lines:])
    return text.decode(errors="replace") + ("\n" if text else "")
