"""The hash chain of the journal: each entry's hash covers the entry, its facts, its postings and the hash of the one
before.

Whoever changes, removes or puts in an entry breaks the chain from there on.
"""

import hashlib
import json
from collections.abc import Iterable
from datetime import datetime
from json.encoder import encode_basestring_ascii as quoted

from utcloud.common.clock import to_ms

START = "0" * 64
"""Stands for the hash before the first entry."""

_canonical = json.JSONEncoder(separators=(",", ":"), sort_keys=True).encode


def canonical(value: dict[str, object] | list[object]) -> str:
    """Facts as they are kept and hashed: a JSON object in ASCII, its names in order, without spaces."""
    return _canonical(value)


def entry_hash(
    before: str,
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
    facts: str | None,
) -> str:
    """SHA-256, in hex, over ``before`` and the entry in canonical form: a JSON array in ASCII without spaces.

    ``at``: a moment, or milliseconds since the epoch. ``lines``: account id and micro-UNC, in any order. ``facts``:
    what ``canonical`` made of them; None for an entry from before there were any, whose form is version 1.
    """
    at_ms = to_ms(at) if isinstance(at, datetime) else at
    pairs = ",".join([f"[{quoted(account)},{amount}]" for account, amount in sorted(lines)])
    made = form(before, seq, ident, key, kind, cause_type, cause_id, note, actor_id, actor_name, at_ms, pairs, facts)
    return hashlib.sha256(made.encode()).hexdigest()


def form(
    before: str,
    seq: int,
    ident: str,
    key: str,
    kind: str,
    cause_type: str,
    cause_id: str,
    note: str,
    actor_id: str,
    actor_name: str,
    at_ms: int,
    pairs: str,
    facts: str | None,
) -> str:
    """What is hashed: as the JSON encoder would put it, in half the time. ``pairs``: the lines in order, as JSON."""
    return (
        f"[{'1' if facts is None else '2'},{quoted(before)},{seq},{quoted(ident)},{quoted(key)},{quoted(kind)},"
        f"{quoted(cause_type)},{quoted(cause_id)},{quoted(note)},{quoted(actor_id)},{quoted(actor_name)},{at_ms},"
        f"[{pairs}]" + ("]" if facts is None else f",{facts}]")
    )
