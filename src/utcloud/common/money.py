"""UNC as an integer of micro-UNC. Never a float."""

import re
from decimal import Decimal
from typing import Annotated, Any

from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema

MICRO = 1_000_000
MAX_MICRO = 10**15
"""The most that one amount may be: a thousand million UNC, far inside 64 bits."""

_MS_PER_HOUR = 3_600_000
_PATTERN = re.compile(r"([0-9]{1,10})(?:\.([0-9]{1,6}))?")


def parse_unc(text: str) -> int:
    """Turn ``"1.5"`` into 1_500_000 micro-UNC.

    Raises ValueError, in words for a person, for anything but a plain non-negative decimal of at most six places.
    """
    match = _PATTERN.fullmatch(text.strip())
    if match is None:
        raise ValueError("write an amount of UNC such as 1.5, with at most six decimals and no sign")
    micro = int(match[1]) * MICRO + int((match[2] or "").ljust(6, "0"))
    if micro > MAX_MICRO:
        raise ValueError(f"at most {MAX_MICRO // MICRO} UNC")
    return micro


def format_unc(micro: int) -> str:
    """Turn 1_500_000 into ``"1.5"``: as few decimals as are exact."""
    sign = "-" if micro < 0 else ""
    whole, rest = divmod(abs(micro), MICRO)
    return f"{sign}{whole}.{rest:06d}".rstrip("0").rstrip(".") if rest else f"{sign}{whole}"


def amount_for(price_per_hour: int, elapsed_ms: int) -> int:
    """What ``elapsed_ms`` milliseconds cost at ``price_per_hour`` micro-UNC, rounded down to the micro-UNC."""
    return price_per_hour * max(elapsed_ms, 0) // _MS_PER_HOUR


def _validate(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, (str, int, Decimal)):
        raise ValueError('write an amount of UNC as a decimal string such as "1.5"')
    return parse_unc(str(value))


Unc = Annotated[
    int,
    PlainSerializer(format_unc, return_type=str),
    WithJsonSchema({"type": "string", "pattern": r"^-?\d+(\.\d{1,6})?$", "examples": ["1.5"]}),
]
"""micro-UNC inside, a decimal string of UNC in JSON. For answers."""

UncInput = Annotated[
    int,
    BeforeValidator(_validate),
    PlainSerializer(format_unc, return_type=str),
    WithJsonSchema({"type": "string", "pattern": r"^\d{1,10}(\.\d{1,6})?$", "maxLength": 17, "examples": ["1.5"]}),
]
"""The same, read from a request: non-negative, at most six decimals."""
