"""What a wallet can still pay for: pure arithmetic in whole micro-UNC and milliseconds."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from utcloud.billing.models import Meter
from utcloud.common.clock import to_ms
from utcloud.common.money import amount_for
from utcloud.protocol import SILENT_AFTER_S

MS_PER_HOUR = 3_600_000
FAR_MS = 1000 * 365 * 86_400_000
"""What lasts longer is said to last so long: the calendar ends."""


class Interval(Protocol):
    """What the formula needs of a meter, or of a row of its columns."""

    @property
    def price(self) -> int: ...
    @property
    def started_at(self) -> datetime | None: ...
    @property
    def witnessed_until(self) -> datetime | None: ...
    @property
    def ended_at(self) -> datetime | None: ...
    @property
    def silent_ms(self) -> int: ...


def elapsed_ms(meter: Interval) -> int:
    """The milliseconds that ``meter`` has counted: from its start to its end, or to what was last witnessed, less its
    site's silence."""
    until = meter.ended_at or meter.witnessed_until
    if meter.started_at is None or until is None:
        return 0
    return max(to_ms(until) - to_ms(meter.started_at) - meter.silent_ms, 0)


def amount(meter: Interval) -> int:
    """What ``meter`` has cost so far, or in the end: the one formula, in micro-UNC."""
    return amount_for(meter.price, elapsed_ms(meter))


def runs(meter: Meter, now: datetime) -> bool:
    """Whether it accrues at ``now``: started, not ended, and its site heard of late."""
    if meter.closed or meter.started_at is None or meter.ended_at or meter.heard_at is None:
        return False
    return now - meter.heard_at <= timedelta(seconds=SILENT_AFTER_S)


def elapsed_by(meter: Meter, now: datetime) -> int:
    """The same as ``elapsed_ms``, and for what runs the time since its site was heard: it goes on, witnessed or not."""
    if not runs(meter, now) or meter.heard_at is None:
        return elapsed_ms(meter)
    return elapsed_ms(meter) + max(to_ms(now) - to_ms(meter.heard_at), 0)


@dataclass(frozen=True, slots=True)
class Use:
    """What some open meters come to. Amounts in micro-UNC. ``sums`` computes the same in the database."""

    meters: int = 0
    accrued: int = 0
    """Used and witnessed, not in the journal yet."""
    held: int = 0
    burn: int = 0
    """Per hour, of what runs."""
    owed: int = 0
    """Not in the journal yet when what runs is counted until now, witnessed or not; each meter rounded down."""
    rest: int = 0
    """What that rounding left out, in parts of a micro-UNC: 3 600 000 are one."""

    def __add__(self, other: "Use") -> "Use":
        return Use(*(getattr(self, name) + getattr(other, name) for name in self.__slots__))

    @classmethod
    def of(cls, open_meters: Iterable[Meter], now: datetime) -> "Use":
        meters = accrued = held = burn = owed = rest = 0
        for meter in open_meters:
            meters += 1
            accrued += amount(meter) - meter.settled - meter.waived
            held += meter.hold
            whole, part = divmod(meter.price * elapsed_by(meter, now), MS_PER_HOUR)
            if runs(meter, now):
                burn += meter.price
                rest += part
            owed += whole - meter.settled - meter.waived
        return cls(meters, accrued, held, burn, owed, rest)


@dataclass(frozen=True, slots=True)
class Outlook:
    """A wallet's state. Amounts in micro-UNC."""

    accrued: int
    """Used and witnessed, not yet in the journal."""
    held: int
    available: int
    """What a new task could count on; never below zero."""
    burn_per_hour: int
    runs_out_at: datetime | None
    """When balance and use meet, if all goes on as it does; None when nothing runs that costs."""


def outlook(balance: int, use: Use, now: datetime) -> Outlook:
    """Look at a wallet of ``balance`` micro-UNC with the ``use`` of its open meters.

    ``runs_out_at`` counts what runs as running on, witnessed or not: until that millisecond all can be paid, and
    at most a micro-UNC of each meter is left then. A meter of a silent site stands still.
    """
    return Outlook(
        accrued=use.accrued,
        held=use.held,
        available=max(balance - use.accrued - use.held, 0),
        burn_per_hour=use.burn,
        runs_out_at=used_up_at(balance - use.owed, use, now),
    )


def used_up_at(left: int, use: Use, now: datetime) -> datetime | None:
    """When ``left`` micro-UNC, as of ``now``, are used up by what runs; None when nothing runs that costs."""
    if not use.burn:
        return None
    ms = (left * MS_PER_HOUR - use.rest) // use.burn
    return now + timedelta(milliseconds=min(max(ms, -to_ms(now)), FAR_MS))
