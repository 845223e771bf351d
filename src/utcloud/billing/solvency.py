"""What a wallet can still pay for: pure arithmetic in whole micro-UNC and milliseconds."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from utcloud.billing.models import Meter
from utcloud.common.clock import to_ms
from utcloud.common.money import amount_for
from utcloud.protocol import SILENT_AFTER_S

_MS_PER_HOUR = 3_600_000
_FAR_MS = 1000 * 365 * 86_400_000


def elapsed_ms(meter: Meter) -> int:
    """The milliseconds that ``meter`` has counted: from its start to its end, or to what was last witnessed."""
    until = meter.ended_at or meter.witnessed_until
    if meter.started_at is None or until is None:
        return 0
    return max(to_ms(until) - to_ms(meter.started_at), 0)


def amount(meter: Meter) -> int:
    """What ``meter`` has cost so far, or in the end: the one formula, in micro-UNC."""
    return amount_for(meter.price, elapsed_ms(meter))


def outstanding(meter: Meter) -> int:
    """The part of it that is not in the journal yet. Negative when more was settled than the end turned out to cost."""
    return amount(meter) - meter.settled - meter.waived


def runs(meter: Meter, now: datetime) -> bool:
    """Whether it accrues at ``now``: started, not ended, and its site heard of late."""
    if meter.closed or meter.started_at is None or meter.ended_at or meter.witnessed_until is None:
        return False
    return now - meter.witnessed_until <= timedelta(seconds=SILENT_AFTER_S)


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


def outlook(balance: int, open_meters: Iterable[Meter], now: datetime) -> Outlook:
    """Look at a wallet of ``balance`` micro-UNC with its meters that are not closed.

    ``runs_out_at`` counts what runs as running on, witnessed or not: until that millisecond all can be paid, and
    at most a micro-UNC of each meter is left then. A meter of a silent site stands still.
    """
    accrued = held = burn = 0
    left = balance * _MS_PER_HOUR
    now_ms = to_ms(now)
    for meter in open_meters:
        accrued += outstanding(meter)
        held += meter.hold
        if runs(meter, now) and meter.price and meter.started_at:
            burn += meter.price
            left += (meter.settled + meter.waived) * _MS_PER_HOUR - meter.price * (now_ms - to_ms(meter.started_at))
        else:
            left -= outstanding(meter) * _MS_PER_HOUR
    runs_out_at = None
    if burn:
        ms = min(max(left // burn, -now_ms), _FAR_MS)
        runs_out_at = now + timedelta(milliseconds=ms)
    return Outlook(
        accrued=accrued,
        held=held,
        available=max(balance - accrued - held, 0),
        burn_per_hour=burn,
        runs_out_at=runs_out_at,
    )
