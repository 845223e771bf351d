"""Quantities as a person writes and reads them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from utcloud.common.quantity import format_quantity, parse_quantity, unit_of

CHIP = "sophgo.com/bm1684x"
ODD = ["", " ", "0", "-1", "+1", "NaN", "inf", "1e400", "1e3", "0x10", "1,5", "1 000"]
ODD += ["1.", ".5", "1__0", "²", "١", "\0"]


@pytest.mark.parametrize(
    ("resource", "text", "value"),
    [
        ("cpu", "0.5", 500),
        ("cpu", " 500m ", 500),
        ("cpu", "4", 4000),
        ("memory", "1GB", 10**9),
        ("memory", "1 gib", 2**30),
        ("memory", "1.5Mi", 3 * 2**19),
        ("memory", "512", 512),
        ("memory", "931.3GiB", 999_975_760_691),
        ("disk", "2T", 2 * 10**12),
        ("shared-memory", "64MiB", 2**26),
        (CHIP, "2", 2),
        (CHIP, "2.0", 2),
    ],
)
def test_what_is_typed_becomes_base_units(resource: str, text: str, value: int) -> None:
    assert parse_quantity(resource, text) == value


@pytest.mark.parametrize(
    ("resource", "text"),
    [
        *((resource, text) for resource in ("cpu", "memory", "shared-memory", CHIP) for text in ODD),
        ("cpu", "1GB"),
        ("cpu", "0.0005"),
        ("memory", "1.0000001GB"),
        ("memory", "1PB"),
        ("memory", "9007199254740993"),
        (CHIP, "0.5"),
        (CHIP, "1m"),
    ],
)
def test_what_makes_no_sense_is_refused_in_words(resource: str, text: str) -> None:
    with pytest.raises(ValueError, match=r"^[a-z]\S+ .*\w$") as caught:
        parse_quantity(resource, text)
    said = str(caught.value)
    assert resource in said.lower() or "cores" in said or said.startswith("it is ")


@given(st.sampled_from(["cpu", "memory", "shared-memory", "disk", CHIP]), st.text(max_size=20))
def test_no_text_makes_a_fault(resource: str, text: str) -> None:
    try:
        value = parse_quantity(resource, text)
    except ValueError as error:
        assert str(error)
    else:
        assert 0 < value <= 2**53


@given(st.sampled_from(["cpu", CHIP]), st.integers(1, 10**15))
def test_what_is_shown_of_counts_can_be_typed(resource: str, value: int) -> None:
    assert parse_quantity(resource, format_quantity(resource, value)) == value


@given(st.integers(1, 2**53))
def test_what_is_shown_of_bytes_can_be_typed_and_is_near_enough(value: int) -> None:
    shown = parse_quantity("memory", format_quantity("memory", value))
    assert abs(shown - value) <= value // 10


def test_units() -> None:
    names = ("cpu", "memory", "disk", "shared-memory", CHIP)
    assert [unit_of(name) for name in names] == ["millicores", "bytes", "bytes", "bytes", "pieces"]
