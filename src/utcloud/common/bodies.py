"""How large a request's body may be, and how slowly it may come.

``server.bodies`` holds every request to its allowance. It begins as a stranger's; whoever has proved who is asking
raises it with ``allow``, before a byte of the body is read.
"""

from collections.abc import MutableMapping
from dataclasses import dataclass
from typing import Any

OPEN = 64 * 2**10
"""Bytes from somebody who has not proved who they are."""
JSON = 2**20
"""Bytes from a user who is logged in."""
REPORT = 16 * 2**20
"""Bytes of a site's report, after its token: a thousand nodes of eight chips with their labels have a third of that."""
OFF_LOOP = 256 * 2**10
"""What is larger is parsed in a thread."""
GRACE_S = 10.0
"""So long a body may take, and a second more for each ``SLOWEST`` bytes of it that have come."""
SLOWEST = 1024
"""Bytes per second."""

_KEY = "utcloud.body"


@dataclass(slots=True)
class Allowance:
    """What one request's body may be."""

    most: int = OPEN
    grace_s: float = GRACE_S


def begin(scope: MutableMapping[str, Any]) -> Allowance:
    """Give the request of an ASGI ``scope`` a stranger's allowance; an object of its own, since scopes are copied."""
    allowance = scope[_KEY] = Allowance()
    return allowance


def allow(scope: MutableMapping[str, Any], most: int, grace_s: float = GRACE_S) -> None:
    """Let the body of this request have ``most`` bytes. Call it once it is known who is asking."""
    allowance = scope.get(_KEY)
    if isinstance(allowance, Allowance):
        allowance.most, allowance.grace_s = most, grace_s
