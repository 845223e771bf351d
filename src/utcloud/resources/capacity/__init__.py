"""The one rule of allocation: what is free on which node, and who gets it.

CPU, memory and disk are counted; chips are given singly. A custom resource is only a name: whatever is called by two
names is still taken once. ``load`` sees the state of many nodes in a few statements (``holdings`` remembers what did
not change); everything else is arithmetic on it.
"""

from utcloud.resources.capacity.holdings import Amounts, tally
from utcloud.resources.capacity.names import Names, contents_of, describe, items_of, names_of, takes
from utcloud.resources.capacity.room import Room, lock_pools, release, reserve
from utcloud.resources.capacity.shortage import Shortage, can_ever_fit, never_fits
from utcloud.resources.capacity.state import (
    CAPACITY_SIGNAL,
    Demand,
    Grant,
    NodeState,
    is_heard,
    is_lost,
    load,
)

__all__ = [
    "CAPACITY_SIGNAL",
    "Amounts",
    "Demand",
    "Grant",
    "Names",
    "NodeState",
    "Room",
    "Shortage",
    "can_ever_fit",
    "contents_of",
    "describe",
    "is_heard",
    "is_lost",
    "items_of",
    "load",
    "lock_pools",
    "names_of",
    "never_fits",
    "release",
    "reserve",
    "takes",
    "tally",
]
