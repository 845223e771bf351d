"""The hash chain of the journal: each entry's hash covers the entry, its postings and the hash of the one before.

Whoever changes, removes or puts in an entry breaks the chain from there on.
"""

import hashlib
import json
from collections.abc import Iterable
from datetime import datetime

from utcloud.common.clock import to_ms

START = "0" * 64
"""Stands for the hash before the first entry."""

_canonical = json.JSONEncoder(separators=(",", ":")).encode


def entry_hash(
    before: str,
    *,
    seq: int,
    ident: str,
    key: str,
    kind: str,
    cause_type: str,
    cause_id: str,
    note: str,
    actor_id: str,
    actor_name: str,
    at: datetime | int,
    lines: Iterable[tuple[str, int]],
) -> str:
    """SHA-256, in hex, over ``before`` and the entry in canonical form: a JSON array in ASCII without spaces.

    ``at``: a moment, or milliseconds since the epoch. ``lines``: account id and micro-UNC, in any order.
    """
    at_ms = to_ms(at) if isinstance(at, datetime) else at
    form = [1, before, seq, ident, key, kind, cause_type, cause_id, note, actor_id, actor_name, at_ms, sorted(lines)]
    return hashlib.sha256(_canonical(form).encode()).hexdigest()
