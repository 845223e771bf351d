"""Bounds of what a message may hold, beside those that a field's own type gives."""

from typing import Any

from pydantic import BeforeValidator
from pydantic_core import PydanticKnownError

INT64 = 2**63 - 1
"""The most that a column of whole numbers holds."""


def few(most: int) -> BeforeValidator:
    """Refuse a mapping of more than ``most`` before its values are looked at.

    Pydantic's own ``max_length`` counts the good ones alone: a million bad ones make a million errors.
    """

    def check(value: Any) -> Any:
        if isinstance(value, dict) and len(value) > most:
            length = len(value)
            context = {"field_type": "Dictionary", "max_length": most, "actual_length": length}
            raise PydanticKnownError("too_long", context)
        return value

    return BeforeValidator(check)
