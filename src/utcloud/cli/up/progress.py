"""One plain line for each thing that takes time: `→ building the image …  done (41 s)`."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

_open: list[str] = []


def say(text: str = "") -> None:
    """Print a line for a person, at once; during a step, below the step's line."""
    if _open and _open[-1]:
        sys.stdout.write("\n")
        _open[-1] = ""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


@contextmanager
def step(what: str) -> Iterator[None]:
    """Say what begins, and then whether and how fast it was done."""
    started = time.monotonic()
    sys.stdout.write(f"→ {what} …")
    sys.stdout.flush()
    _open.append(what)
    word = "failed"
    try:
        yield
        word = "done"
    finally:
        unbroken = _open.pop()
        sys.stdout.write(f"{'' if unbroken else f'→ {what} …'}  {word} ({time.monotonic() - started:.0f} s)\n")
        sys.stdout.flush()
