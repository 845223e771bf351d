"""One plain line for each thing that takes time: `→ building the image …  done (41 s)`."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager


def say(text: str = "") -> None:
    """Print a line for a person, at once."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


@contextmanager
def step(what: str) -> Iterator[None]:
    """Say what begins, and then whether and how fast it was done."""
    started = time.monotonic()
    sys.stdout.write(f"→ {what} …")
    sys.stdout.flush()
    try:
        yield
    except BaseException:
        say(f"  failed ({_seconds(started)})")
        raise
    say(f"  done ({_seconds(started)})")


def _seconds(started: float) -> str:
    return f"{time.monotonic() - started:.0f} s"
