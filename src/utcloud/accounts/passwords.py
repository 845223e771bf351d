"""Passwords: argon2id in a few threads of its own, so that hashing never holds up the event loop."""

import asyncio
import secrets
from concurrent.futures import ThreadPoolExecutor

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

hasher = PasswordHasher()
_threads = ThreadPoolExecutor(max_workers=2, thread_name_prefix="argon2")
"""Each hash takes 64 MiB for a moment: two at a time bound both memory and CPU."""

_ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"
_nobodys_hash: str | None = None


def generate(parts: int = 4) -> str:
    """A password that can be read out: ``k7mqp-x2w9d-…``. Each part has 24.8 bits."""
    return "-".join("".join(secrets.choice(_ALPHABET) for _ in range(5)) for _ in range(parts))


async def hash_password(password: str) -> str:
    """Hash ``password`` for keeping."""
    return await asyncio.get_running_loop().run_in_executor(_threads, hasher.hash, password)


async def verify(password_hash: str | None, password: str) -> bool:
    """Whether ``password`` is the one behind ``password_hash``.

    With None (no such user) it does the same work and answers False, so that time does not tell who exists.
    """
    return await asyncio.get_running_loop().run_in_executor(_threads, _verify, password_hash, password)


def _verify(password_hash: str | None, password: str) -> bool:
    global _nobodys_hash
    if password_hash is None:
        _nobodys_hash = _nobodys_hash or hasher.hash(generate())
    try:
        matches = hasher.verify(password_hash or _nobodys_hash or "", password)
    except (VerificationError, InvalidHashError):
        return False
    return matches and password_hash is not None


def needs_rehash(password_hash: str) -> bool:
    """Whether ``password_hash`` was made with other parameters than today's."""
    return hasher.check_needs_rehash(password_hash)
