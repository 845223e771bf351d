"""Quantities of resources: CPU in millicores, memory in bytes, everything else in whole pieces."""

import re
from decimal import Decimal
from functools import lru_cache

CPU, MEMORY, DISK = "cpu", "memory", "disk"
SHARED_MEMORY = "shared-memory"
"""A part of a container's memory that its processes share: it lies within ``memory`` and is not counted twice."""
BASIC = (CPU, MEMORY, DISK)
"""What every machine has, in the order in which it is shown."""
_MAX = 2**53
_SUFFIXES = {
    "": 1,
    **{unit: 1000**power for power, unit in enumerate(("K", "M", "G", "T"), 1)},
    **{unit + "B": 1000**power for power, unit in enumerate(("K", "M", "G", "T"), 1)},
    **{unit + "I": 1024**power for power, unit in enumerate(("K", "M", "G", "T"), 1)},
    **{unit + "IB": 1024**power for power, unit in enumerate(("K", "M", "G", "T"), 1)},
    "B": 1,
}
_NUMBER = re.compile(r"([0-9]{1,16}(?:\.[0-9]{1,6})?)\s*([A-Za-z]{0,3})")


def unit_of(resource: str) -> str:
    """The base unit that a resource is counted in: ``millicores``, ``bytes`` or ``pieces``."""
    if resource == CPU:
        return "millicores"
    return "bytes" if resource in (MEMORY, DISK, SHARED_MEMORY) else "pieces"


def parse_quantity(resource: str, text: str) -> int:
    """Turn what a person typed into base units: ``cpu 0.5`` → 500, ``memory 1GB`` → 1_000_000_000, ``gpu 2`` → 2.

    CPU also takes ``500m``. Memory takes B, KB, MB, GB, TB (powers of 1000) and Ki, Mi, Gi, Ti (powers of 1024).
    Raises ValueError in words for a person.
    """
    match = _NUMBER.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"write a positive quantity of {resource} such as {_example(resource)}")
    number, suffix = Decimal(match[1]), match[2]
    if resource == CPU:
        if suffix not in ("", "m"):
            raise ValueError("write CPU in cores, such as 0.5, or in millicores, such as 500m")
        exact = number if suffix == "m" else number * 1000
    elif unit_of(resource) == "bytes":
        if suffix.upper() not in _SUFFIXES:
            raise ValueError(f"unknown unit {suffix}: write {resource} such as 1GB, 512MB or 1GiB")
        exact = number * _SUFFIXES[suffix.upper()] // 1  # a tenth of a GiB is no whole number of bytes
    else:
        if suffix:
            raise ValueError("it is counted in whole pieces, such as 1")
        if number % 1:
            raise ValueError("it is given whole: its driver has no partitions; write a whole number such as 1")
        exact = number
    value = int(exact)
    if value != exact or value <= 0:
        raise ValueError(f"write a positive quantity of {resource} such as {_example(resource)}")
    if value > _MAX:
        raise ValueError(f"that is more {resource} than any machine has")
    return value


@lru_cache(10_000)
def format_quantity(resource: str, value: int) -> str:
    """Turn base units into what a person reads: 500 millicores → ``0.5``, 1_000_000_000 bytes → ``1GB``."""
    if resource == CPU:
        return f"{Decimal(value) / 1000:f}".rstrip("0").rstrip(".") if value % 1000 else str(value // 1000)
    if unit_of(resource) == "pieces":
        return str(value)
    for base, units in ((1000, ("TB", "GB", "MB", "KB")), (1024, ("TiB", "GiB", "MiB", "KiB"))):
        for power, unit in zip((4, 3, 2, 1), units, strict=True):
            tenths, rest = divmod(value * 10, base**power)
            if not rest and 10 <= tenths < 10 * base:
                return f"{Decimal(tenths) / 10:f}".removesuffix(".0") + unit
    if value < 1024:
        return f"{value}B"
    power, unit = next((power, unit) for power, unit in ((3, "GiB"), (2, "MiB"), (1, "KiB")) if value >= 1024**power)
    return f"{Decimal(value) / 1024**power:.1f}{unit}"


def about_bytes(value: int) -> str:
    """A size as a person reads it, with one decimal at most: 1_234_000_000 → ``1.2 GB``."""
    for unit, factor in (("TB", 10**12), ("GB", 10**9), ("MB", 10**6), ("KB", 10**3)):
        if value >= factor:
            return f"{value / factor:.1f}".removesuffix(".0") + f" {unit}"
    return f"{value} B"


def _example(resource: str) -> str:
    return {"millicores": "0.5", "bytes": "1GB", "pieces": "1"}[unit_of(resource)]
