"""One plain line for each thing that takes time: `→ building the image …  done (41 s)`."""

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

_open: list[str] = []


def say(text: str = "") -> None:
    """Print a line for a person, at once; during a step, below the step's line."""
    if _open and _open[-1]:
        _write("\n")
        _open[-1] = ""
    _write(text + "\n")


@contextmanager
def step(what: str) -> Iterator[None]:
    """Say what begins, and then whether and how fast it was done."""
    started = time.monotonic()
    _write(f"→ {what} …")
    _open.append(what)
    word = "failed"
    try:
        yield
        word = "done"
    finally:
        unbroken = _open.pop()
        _write(f"{'' if unbroken else f'→ {what} …'}  {word} ({time.monotonic() - started:.0f} s)\n")


def _write(text: str) -> None:
    """Print at once. A reader that has gone away must not stop what is being done half-way."""
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115, PTH123
