"""Throttling of what needs no login: after a few failures, each further attempt has to wait longer.

An attempt counts as a failure before the password is looked at, and is taken back when it was right: so a hundred
attempts at once are as slow as a hundred in a row.
"""

import hashlib
import ipaddress
import math
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import delete, update

from utcloud.accounts.models import LoginFailure
from utcloud.common.errors import TooMany
from utcloud.db import Tx
from utcloud.db.upsert import insert_if_absent

FORGET_AFTER = timedelta(hours=1)
"""Failures count until there has been none for this long."""


@dataclass(frozen=True, slots=True)
class _Rule:
    free: int
    longest_s: int

    def wait_s(self, failures: int) -> int:
        """Seconds to wait after the last of ``failures``: 1, 2, 4, … once the free ones are used up."""
        beyond = failures - self.free
        return 0 if beyond < 0 else min(2 ** min(beyond, 20), self.longest_s)


_USER = _Rule(free=5, longest_s=300)
_ADDRESS = _Rule(free=30, longest_s=900)
_ANONYMOUS = _Rule(free=20, longest_s=900)


def _network(ip: str) -> str:
    """The address, or for IPv6 its /64: whoever has one of these has them all."""
    try:
        address = ipaddress.ip_address(ip)
    except ValueError:
        return ip[:64]
    return str(ipaddress.ip_network((address, 64), strict=False)) if address.version == 6 else str(address)


def _subjects(username: str, ip: str) -> dict[str, _Rule]:
    """Names are hashed: what was typed may be anything, even a password in the wrong field."""
    subjects = {"user:" + hashlib.sha256(username.encode()).hexdigest(): _USER}
    if ip:
        subjects["ip:" + _network(ip)] = _ADDRESS
    return dict(sorted(subjects.items(), reverse=True))


async def begin(tx: Tx, now: datetime, username: str, ip: str) -> None:
    """Count an attempt to log in; raises TooMany, counting nothing, when it comes too soon."""
    await _count(tx, now, _subjects(username, ip), "There were too many failed logins.")


async def begin_anonymous(tx: Tx, now: datetime, action: str, ip: str) -> None:
    """Count an attempt from this address to do ``action`` without being logged in; raises TooMany as well."""
    if ip:
        await _count(tx, now, {f"{action}:{_network(ip)}": _ANONYMOUS}, "That was tried too often from your address.")


async def forgive_anonymous(tx: Tx, action: str, ip: str) -> None:
    """Take the attempt back: it was a good one."""
    await _forgive(tx, f"{action}:{_network(ip)}")


async def _count(tx: Tx, now: datetime, subjects: dict[str, _Rule], problem: str) -> None:
    for subject, rule in subjects.items():
        await insert_if_absent(tx, LoginFailure, {"subject": subject, "failures": 0, "last_at": now})
        row = await tx.get_one(LoginFailure, subject, with_for_update=True)
        if now - row.last_at > FORGET_AFTER:
            row.failures = 0
        left = rule.wait_s(row.failures) - (now - row.last_at).total_seconds()
        if left > 0:
            wait = math.ceil(left)
            raise TooMany(problem, retry_after_s=wait, cure=f"Wait {wait} seconds and try again.")
        row.failures += 1
        row.last_at = now


async def _forgive(tx: Tx, subject: str) -> None:
    await tx.execute(
        update(LoginFailure)
        .where(LoginFailure.subject == subject, LoginFailure.failures > 0)
        .values(failures=LoginFailure.failures - 1)
    )


async def succeeded(tx: Tx, username: str, ip: str) -> None:
    """Take the attempt back: the user's failures are forgotten, the address has one fewer."""
    by_user, *by_address = _subjects(username, ip)
    await tx.execute(delete(LoginFailure).where(LoginFailure.subject == by_user))
    for subject in by_address:
        await _forgive(tx, subject)


async def forget_old(tx: Tx, now: datetime) -> None:
    """Remove rows that no longer count."""
    await tx.execute(delete(LoginFailure).where(LoginFailure.last_at < now - FORGET_AFTER))
