"""Opaque, time-ordered ids: ``nb_01jd3v6q8r…`` is a prefix and a 26-character ULID in lower case."""

import secrets
import threading
import time

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_lock = threading.Lock()
_last = 0


def new_id(prefix: str) -> str:
    """Return a new id: it sorts after all others of this process, and to the millisecond among other processes'."""
    global _last
    with _lock:
        drawn = (time.time_ns() // 1_000_000) << 80 | secrets.randbits(80)
        value = _last = max(drawn, _last + 1 + secrets.randbits(64))
    digits = []
    for _ in range(26):
        digits.append(_ALPHABET[value & 31])
        value >>= 5
    return f"{prefix}_{''.join(reversed(digits))}"


def new_secret() -> str:
    """Return 256 bits of randomness, safe in URLs, cookies and headers."""
    return secrets.token_urlsafe(32)
