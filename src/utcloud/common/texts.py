"""Texts that others wrote, made such that every database can hold them and every page and terminal can show them."""

import re

_UNFIT = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")
"""Control characters but tabs and new lines, and halves of characters."""
_LINE_ENDS = re.compile("\r\n?")


def clean(text: str, length: int) -> str:
    """Text on one line that every database can hold and a person can see; empty when nothing of it can be seen."""
    if not text.isprintable():
        text = "".join(one if one.isprintable() else " " * one.isspace() for one in text)
    return text.strip()[:length].rstrip()


def plain(text: str) -> str:
    """Text of any number of lines without control characters but tabs and new lines, and without half characters.

    A carriage return counts as a new line, so that a line that a program wrote over is still seen.
    """
    if text.isprintable() or _UNFIT.search(text) is None:
        return text
    return _UNFIT.sub("", _LINE_ENDS.sub("\n", text))
