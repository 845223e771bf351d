"""Fault credits: what goes back to the renter when an attempt ended by the miner's or the platform's fault."""

from utcloud.billing.models import Meter
from utcloud.billing.solvency import MS_PER_HOUR, elapsed_ms
from utcloud.common.money import amount_for

FAULTS = {
    "node_lost": "its node was lost",
    "vanished": "its container vanished from the engine",
    "engine": "the container engine failed",
    "device": "a chip failed",
    "image": "the image could not be had",
    "files": "its files could not be had",
    "ready_timeout": "its page did not answer in time",
    "endpoint": "its site named a place that is no page's",
}
"""Causes of an end for which the renter is not to blame, in words. Any other is his own: exited, stopped, oom …"""

POLICIES = ("none", "last_hour", "whole")


def credit_for(meter: Meter, policy: str) -> int:
    """What ``policy`` gives back of ``meter``, which has ended and is settled, in micro-UNC."""
    paid = meter.settled - meter.credited
    if meter.cause not in FAULTS or policy == "none":
        return 0
    if policy == "whole":
        return paid
    before = amount_for(meter.price, elapsed_ms(meter) - MS_PER_HOUR)
    return max(paid - before, 0)  # what was waived lay at the end: it was not paid, and does not go back
