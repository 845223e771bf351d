"""Secrets at rest, sealed with the server's own key: a database that is read, or a copy of it, gives none of them away.

The key is ``UTCLOUD_SECRET_KEY``, or is made once and kept in ``secret.key`` in the home folder. ``db.SealedText`` is a
column of such secrets.
"""

import base64
import contextlib
import os
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from utcloud.common.ids import new_secret
from utcloud.common.settings import Settings

MARK = "sealed:"
"""How the text of a sealed column begins; what does not was written by an older version, in clear."""
_REMEMBERED = 20_000


class Sealer:
    """Seals and opens with the key of ``settings``, looked for at first use. Remembers what it opened of late."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._ready: dict[str, tuple[Fernet, Callable[[str], str | None]]] = {}

    def close(self, purpose: str, text: str) -> str:
        """``text`` sealed for one purpose, behind the mark."""
        return MARK + self._of(purpose)[0].encrypt(text.encode()).decode()

    def open(self, purpose: str, kept: str) -> str | None:
        """What ``close`` was given; None when it was sealed with another key or for another purpose."""
        return self._of(purpose)[1](kept.removeprefix(MARK))

    def _of(self, purpose: str) -> tuple[Fernet, Callable[[str], str | None]]:
        if purpose not in self._ready:
            fernet = _fernet(self._settings, purpose)
            self._ready[purpose] = fernet, lru_cache(maxsize=_REMEMBERED)(lambda sealed: _opened(fernet, sealed))
        return self._ready[purpose]


def seal(settings: Settings, purpose: str, text: str) -> str:
    """``text`` sealed for one purpose; what is sealed for another cannot be put in its place."""
    return _fernet(settings, purpose).encrypt(text.encode()).decode()


def unseal(settings: Settings, purpose: str, sealed: str) -> str | None:
    """What was sealed; None when it was sealed with another key, or is none of ours."""
    return _opened(_fernet(settings, purpose), sealed)


def derived_key(settings: Settings, purpose: str) -> bytes:
    """32 bytes for one purpose, derived from the server's key."""
    key = settings.secret_key.encode() or _kept_key(settings.secret_key_file)
    return HKDF(SHA256(), length=32, salt=None, info=f"utcloud {purpose}".encode()).derive(key)


def _fernet(settings: Settings, purpose: str) -> Fernet:
    return Fernet(base64.urlsafe_b64encode(derived_key(settings, purpose)))


def _opened(fernet: Fernet, sealed: str) -> str | None:
    with contextlib.suppress(InvalidToken):
        return fernet.decrypt(sealed.encode()).decode()
    return None


@lru_cache(maxsize=16)
def _kept_key(path: Path) -> bytes:
    """The key in ``path``, made when there is none; two processes that make one at once agree on one."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_name(f"{path.name}.{new_secret()[:8]}.draft")
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(new_secret() + "\n")
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):
            path.hardlink_to(draft)
        draft.unlink()
    return path.read_bytes().strip()


def write_secret(path: Path, text: str) -> None:
    """Write ``text`` so that only its owner can read it, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(".new")
    draft.unlink(missing_ok=True)  # a link of whoever may write there would lead elsewhere
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600), "w") as file:
        file.write(text)
    draft.replace(path)
