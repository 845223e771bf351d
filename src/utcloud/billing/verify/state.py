"""What a check of the journal goes by, and what it finds."""

import re
from dataclasses import dataclass
from datetime import datetime

from utcloud.billing import chain


@dataclass(frozen=True, slots=True)
class Head:
    """An entry's number and its hash; written ``7:5feceb66…``."""

    seq: int
    hash: str

    @classmethod
    def parse(cls, text: str) -> "Head":
        """Raises ValueError, in words for a person."""
        seq, _, hash_ = text.strip().partition(":")
        if not (seq.isascii() and seq.isdigit() and len(seq) < 19 and re.fullmatch("[0-9a-f]{64}", hash_)):
            raise ValueError("write the number of an entry and its hash, such as 7:5feceb66… with all 64 digits")
        return cls(int(seq), hash_)

    def __str__(self) -> str:
        return f"{self.seq}:{self.hash}" if self.seq else ""


@dataclass(frozen=True, slots=True)
class Anchor:
    """A head that was noted outside of the database: where, and when."""

    head: Head
    source: str
    """A file's path; empty: by the person who asks."""
    at: datetime | None = None

    def __str__(self) -> str:
        if self.at is None:
            return self.source or "the head that was given"
        return f"{self.source} of {self.at:%Y-%m-%d %H:%M:%S} UTC"


@dataclass(frozen=True, slots=True)
class Fault:
    """A row that is wrong. ``what``: entry, posting, account, meter or order."""

    what: str
    ident: str
    seq: int | None
    detail: str


@dataclass(frozen=True, slots=True)
class Verification:
    """How far the check has come; ``done`` at its end. ``head`` is the hash of the last entry that was checked.

    ``anchor`` is the newest head that was noted outside of the database and that the journal meets.
    """

    entries: int = 0
    checked: int = 0
    head: str = chain.START
    seconds: float = 0.0
    done: bool = False
    fault: Fault | None = None
    anchor: Anchor | None = None
