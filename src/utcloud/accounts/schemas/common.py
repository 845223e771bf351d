"""What the fields of many shapes have in common."""

import unicodedata
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import Path, Query
from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    model_validator,
)

from utcloud.common.patterns import said

_UNSEEN = r"\x00-\x1f\x7f-\x9f\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff"
"""Control characters, and what makes two names look alike: of no width, or turning the direction of writing."""

_USERNAME = said(
    r"^[a-z0-9][a-z0-9._-]*$",
    "write lower-case letters, digits, dots, dashes and underscores, with a letter or digit first",
)
Username = Annotated[str, Field(min_length=2, max_length=64, pattern=_USERNAME, examples=["alice"])]


_MOST_DECOMPOSED = 256
"""Characters of a name of 64 at most; composing takes the square of a text's length."""


def _composed(value: Any) -> Any:
    """One way of writing what looks the same: é, not e and an accent. What is too long anyway stays as it is."""
    if isinstance(value, str) and len(value) <= _MOST_DECOMPOSED:
        return unicodedata.normalize("NFC", value)
    return value


_NAME = said(
    rf"^[^\s{_UNSEEN}]([^{_UNSEEN}]*[^\s{_UNSEEN}])?$",
    "write a name without characters that cannot be seen, and without a space at either end",
)
Name = Annotated[
    Annotated[str, Field(min_length=1, max_length=64, pattern=_NAME, examples=["lab"])], BeforeValidator(_composed)
]
"""Nothing that cannot be seen, and no space at either end."""
Password = Annotated[str, Field(min_length=10, max_length=256, examples=["correct horse battery"])]
NO_NUL = said(r"^[^\x00]*$", "it has a NUL character, which cannot be kept")
"""A NUL character cannot be kept in PostgreSQL, and means nothing to a person."""
Text = Annotated[str, Field(max_length=2000, pattern=NO_NUL)]
ShortText = Annotated[
    str, Field(max_length=255, pattern=said(rf"^[^{_UNSEEN}]*$", "it has characters that cannot be seen"))
]
_LABEL = r"[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?"
_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_EMAIL = said(rf"^$|^{_ATOM}(\.{_ATOM})*@{_LABEL}(\.{_LABEL})*$", "write an e-mail address such as alice@example.org")
Email = Annotated[str, Field(max_length=254, pattern=_EMAIL, examples=["alice@example.org"])]
"""As browsers know it (the HTML standard's valid e-mail address), or empty."""
Search = Annotated[str | None, Query(max_length=100, pattern=NO_NUL, description="Part of a name, in any case.")]

_IDENT = said(r"^[A-Za-z0-9_-]+$", "that is not an id: ids are letters, digits, dashes and underscores")
Ident = Annotated[str, Field(min_length=1, max_length=64, pattern=_IDENT)]
"""An id as we give them out."""
IdPath = Annotated[str, Path(min_length=1, max_length=64, pattern=_IDENT)]
IdQuery = Annotated[str | None, Query(min_length=1, max_length=64, pattern=_IDENT)]
GroupIds = Annotated[list[Ident], Field(max_length=100, fail_fast=True)]
Cursor = Annotated[str | None, Query(max_length=1000, description="`next_cursor` of the page before.")]


def _not_a_number(value: Any) -> Any:
    """Pydantic would take a bare number for seconds since 1970."""
    if isinstance(value, str) and value.strip().lstrip("+-").replace(".", "", 1).isdigit():
        raise ValueError("write a moment such as 2026-01-31T12:00:00Z")
    return value


def _utc(moment: datetime) -> datetime:
    """The moment in UTC; what lies beyond the calendar there is the calendar's end."""
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        return moment.replace(tzinfo=UTC)


Moment = Annotated[
    Annotated[AwareDatetime, AfterValidator(_utc), BeforeValidator(_not_a_number)] | None,
    Query(description="RFC 3339, such as 2026-01-31T12:00:00Z."),
]
"""A query's moment; comes in UTC."""


_MOST_UNKNOWN = 20


class Input(BaseModel):
    """A request's body: unknown fields are refused, so that a typing error is not silently lost.

    Every list, text and number in it has a bound (``tests/server/test_bounds.py``).
    """

    model_config = ConfigDict(extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def _few_fields(cls, value: Any) -> Any:
        """Each unknown field is named in an error of its own: not a hundred thousand of them."""
        if isinstance(value, dict) and len(value) > len(cls.model_fields) + _MOST_UNKNOWN:
            raise ValueError("there are far more fields than are known here")
        return value
