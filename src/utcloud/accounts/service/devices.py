"""Device cookies: how a browser shows that somebody has logged in with it by a certain name before.

The value is a random mark and its signature with the user's own password hash, which is as secret as a key and salted:
nothing more is kept, and a changed password voids all of them. A device cookie logs nobody in; it only gives its
browser a count of failed logins of its own (``throttle``), as OWASP's device cookies do.
"""

import hmac
from datetime import timedelta

from utcloud.accounts.models import User
from utcloud.common.ids import new_secret

LIFETIME = timedelta(days=365)


def issue(user: User) -> str:
    """The value of a new device cookie for a browser in which ``user`` has just logged in."""
    mark = new_secret()[:22]
    return f"{mark}.{_signature(user, mark)}"


def recognised(user: User | None, value: str | None) -> str:
    """The mark of a device with which ``user`` has logged in before; empty when ``value`` proves no such thing."""
    mark, _, signature = (value or "").partition(".")
    if user is None or not mark or len(mark) > 22 or not signature.isascii():
        return ""
    return mark if hmac.compare_digest(_signature(user, mark), signature) else ""


def _signature(user: User, mark: str) -> str:
    said = "\0".join(("device", user.id, mark))
    return hmac.digest(user.password_hash.encode(), said.encode(), "sha256").hex()
