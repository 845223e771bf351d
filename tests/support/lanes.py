"""The three lanes of the tests: fast, standard, long. See CONTRIBUTING.

``fast`` leaves out containers, browsers, whatever else starts programs, and what is slow; it knows SQLite alone.
``standard`` is what CI runs: all but ``long``, with PostgreSQL where a test is marked ``postgres``. ``long`` runs
everything, at full counts.
"""

from enum import StrEnum

from hypothesis import settings


class Lane(StrEnum):
    """How much of everything is tried."""

    FAST = "fast"
    STANDARD = "standard"
    LONG = "long"


LEFT_OUT = {
    Lane.FAST: {"containers", "browser", "programs", "slow", "long"},
    Lane.STANDARD: {"long"},
    Lane.LONG: set[str](),
}
"""Markers of the tests that a lane does not run."""

DATABASES = {Lane.FAST: "sqlite", Lane.STANDARD: "marked", Lane.LONG: "both"}

_PROFILES = {Lane.FAST: ("dev", 0.2), Lane.STANDARD: ("ci", 1), Lane.LONG: ("long", 20)}
"""Hypothesis profile by lane, and its examples as a multiple of what a test asks for."""

_chosen = Lane.STANDARD


def choose(lane: Lane) -> None:
    """Set the lane of this test run. Called once, before tests are imported."""
    global _chosen
    _chosen = lane
    for name, factor in _PROFILES.values():
        settings.register_profile(name, max_examples=max(5, int(25 * factor)), deadline=None, print_blob=True)
    settings.load_profile(_PROFILES[lane][0])


def chosen() -> Lane:
    """The lane of this test run."""
    return _chosen


def amount(small: int, whole: int) -> int:
    """How many times to try: ``whole`` in the long lane, ``small`` in the others."""
    return whole if _chosen is Lane.LONG else small


def examples(count: int) -> int:
    """Hypothesis examples for a test that wants ``count`` in the standard lane; at least five."""
    return max(5, int(count * _PROFILES[_chosen][1]))
