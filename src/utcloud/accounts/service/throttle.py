"""Throttling of what needs no login: after a few failures, each further attempt has to wait longer.

An attempt counts as a failure before the password is looked at, and is taken back when it was right: so a hundred
attempts at once are as slow as a hundred in a row.

Nobody can keep another from logging in. Failures count for a name *in a network*, so a stranger uses up his own; what
counts for the name from everywhere has far more free ones, and is there for guesses that come from many networks. A
browser that has logged in before shows a device cookie (``devices``) and has a count of its own, which nobody else can
use up. On the machine, ``utcloud user unlock`` forgets all counts of a name.

The counts lie in the database, so that they hold for all server processes and over a restart: the ``limits`` library
has no such store, and knows fixed windows instead of growing waits.
"""

import hashlib
import ipaddress
import math
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, delete, or_, update
from sqlalchemy.engine import CursorResult

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


_HERE = _Rule(free=5, longest_s=300)
"""A name in one network, or on one device."""
_EVERYWHERE = _Rule(free=100, longest_s=60)
"""A name, whoever asks from wherever."""
_NETWORK = _Rule(free=30, longest_s=900)
_ANONYMOUS = _Rule(free=20, longest_s=900)
_OWN = _Rule(free=20, longest_s=300)
_SECOND = _Rule(free=10, longest_s=600)
"""A second step, whoever asks from wherever: who comes so far knows the password, so it is no stranger's to use up."""
_FAILED = "There were too many failed logins."


@dataclass(frozen=True, slots=True)
class Attempt:
    """Who tries to prove that they are ``username``: from which address, with which device that is known."""

    username: str
    ip: str
    device: str = ""
    """Of a browser that has logged in by this name before, as ``devices.recognised`` says; empty: it has not."""
    second: bool = False
    """It is the second step: the password was right."""

    @property
    def _name(self) -> str:
        return _of_name(self.username)

    def counts(self) -> dict[str, _Rule]:
        """Where it counts, in the order in which rows are locked. The first is forgotten when the password is right."""
        if self.second:
            return {f"{self._name}:second" + (f":{self.device}" if self.device else ""): _SECOND}
        if self.device:
            return {f"{self._name}:device:{self.device}": _HERE}
        if not self.ip:
            return {self._name: _HERE}
        network = network_of(self.ip)
        return {f"{self._name}:from:{network}": _HERE, self._name: _EVERYWHERE, f"ip:{network}": _NETWORK}


def network_of(ip: str) -> str:
    """The address, or for IPv6 its /64: whoever has one of these has them all."""
    try:
        address = ipaddress.ip_address(ip)
    except ValueError:
        return ip[:64]
    if address.version == 6 and address.ipv4_mapped:
        return str(address.ipv4_mapped)
    return str(ipaddress.ip_network((address, 64), strict=False)) if address.version == 6 else str(address)


def _of_name(username: str) -> str:
    """Names are hashed: what was typed may be anything, even a password in the wrong field."""
    return "user:" + hashlib.sha256(username.encode(errors="replace")).hexdigest()


async def require(tx: Tx, now: datetime, attempt: Attempt) -> None:
    """Raise TooMany when an attempt comes too soon. Writes nothing, so that those who knock on cost a look each."""
    for subject, rule in attempt.counts().items():
        row = await tx.get(LoginFailure, subject)
        if row is not None and now - row.last_at <= FORGET_AFTER:
            _require(row, rule, now, _FAILED)


async def begin(tx: Tx, now: datetime, attempt: Attempt) -> None:
    """Count an attempt to log in; raises TooMany, counting nothing, when it comes too soon."""
    await _count(tx, now, attempt.counts(), _FAILED)


async def succeeded(tx: Tx, attempt: Attempt) -> None:
    """Take the attempt back: the user's failures from here are forgotten, all else has one fewer."""
    here, *others = attempt.counts()
    await tx.execute(delete(LoginFailure).where(LoginFailure.subject == here))
    for subject in others:
        await _forgive(tx, subject)


async def unlock(tx: Tx, username: str) -> int:
    """Forget all failed logins by this name, from wherever; return how many counts there were."""
    name = _of_name(username)
    every: ColumnElement[bool] = or_(LoginFailure.subject == name, LoginFailure.subject.startswith(f"{name}:"))
    result = await tx.execute(delete(LoginFailure).where(every, LoginFailure.failures > 0))
    return result.rowcount if isinstance(result, CursorResult) else 0


async def begin_anonymous(tx: Tx, now: datetime, action: str, ip: str) -> None:
    """Count an attempt from this address to do ``action`` without being logged in; raises TooMany as well."""
    if ip:
        await _count(tx, now, {f"{action}:{network_of(ip)}": _ANONYMOUS}, "That was tried too often from your address.")


async def begin_own(tx: Tx, now: datetime, action: str, user_id: str) -> None:
    """Count that a user does ``action``; raises TooMany when it is done too often. Time alone makes it forgotten."""
    await _count(tx, now, {f"{action}:{user_id}": _OWN}, "You did that too often.")


async def forgive_anonymous(tx: Tx, action: str, ip: str) -> None:
    """Take the attempt back: it was a good one."""
    await _forgive(tx, f"{action}:{network_of(ip)}")


async def _count(tx: Tx, now: datetime, subjects: dict[str, _Rule], problem: str) -> None:
    for subject, rule in subjects.items():
        await insert_if_absent(tx, LoginFailure, {"subject": subject, "failures": 0, "last_at": now})
        row = await tx.get_one(LoginFailure, subject, with_for_update=True)
        if now - row.last_at > FORGET_AFTER:
            row.failures = 0
        _require(row, rule, now, problem)
        row.failures += 1
        row.last_at = now


def _require(row: LoginFailure, rule: _Rule, now: datetime, problem: str) -> None:
    left = rule.wait_s(row.failures) - (now - row.last_at).total_seconds()
    if left > 0:
        wait = math.ceil(left)
        raise TooMany(problem, retry_after_s=wait, cure=f"Wait {wait} seconds and try again.")


async def _forgive(tx: Tx, subject: str) -> None:
    await tx.execute(
        update(LoginFailure)
        .where(LoginFailure.subject == subject, LoginFailure.failures > 0)
        .values(failures=LoginFailure.failures - 1)
    )


async def forget_old(tx: Tx, now: datetime) -> None:
    """Remove rows that no longer count."""
    await tx.execute(delete(LoginFailure).where(LoginFailure.last_at < now - FORGET_AFTER))
