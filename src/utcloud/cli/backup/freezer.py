"""A small program that freezes a file system and is sure to thaw it, whatever becomes of the backup that started it.

``python freezer.py DESCRIPTOR SECONDS``: says ``frozen``; thaws when its standard input ends or the time is over, and
says ``thawed`` or ``late``. It imports nothing of ours, so that it starts at once.
"""

import contextlib
import fcntl
import os
import select
import signal
import sys

FREEZE, THAW = 0xC0045877, 0xC0045878


def main() -> int:
    """Freeze, wait, thaw."""
    folder, seconds = int(sys.argv[1]), float(sys.argv[2])
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    try:
        fcntl.ioctl(folder, FREEZE, 0)
    except OSError as error:
        os.write(1, f"refused {error.strerror}\n".encode())
        return 1
    word = b"late\n"
    try:
        os.write(1, b"frozen\n")
        if select.select([0], [], [], seconds)[0]:
            word = b"thawed\n"
    finally:
        fcntl.ioctl(folder, THAW, 0)
    with contextlib.suppress(BrokenPipeError):  # who asked is gone
        os.write(1, word)
    return 0


if __name__ == "__main__":
    sys.exit(main())
