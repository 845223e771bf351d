"""What the fields of many shapes have in common."""

from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import Path, Query
from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field

_UNSEEN = r"\x00-\x1f\x7f-\x9f\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff"
"""Control characters, and what makes two names look alike: of no width, or turning the direction of writing."""

Username = Annotated[str, Field(min_length=2, max_length=64, pattern=r"^[a-z0-9][a-z0-9._-]*$", examples=["alice"])]
Name = Annotated[
    str,
    Field(
        min_length=1,
        max_length=64,
        pattern=rf"^[^\s{_UNSEEN}]([^{_UNSEEN}]*[^\s{_UNSEEN}])?$",
        examples=["lab"],
    ),
]
"""Nothing that cannot be seen, and no space at either end."""
Password = Annotated[str, Field(min_length=10, max_length=256, examples=["correct horse battery"])]
NO_NUL = r"^[^\x00]*$"
"""A NUL character cannot be kept in PostgreSQL, and means nothing to a person."""
Text = Annotated[str, Field(max_length=2000, pattern=NO_NUL)]
ShortText = Annotated[str, Field(max_length=255, pattern=rf"^[^{_UNSEEN}]*$")]
_LABEL = r"[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?"
_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
Email = Annotated[
    str,
    Field(
        max_length=254,
        pattern=rf"^$|^{_ATOM}(\.{_ATOM})*@{_LABEL}(\.{_LABEL})*$",
        examples=["alice@example.org"],
    ),
]
"""As browsers know it (the HTML standard's valid e-mail address), or empty."""
Search = Annotated[str | None, Query(max_length=100, pattern=NO_NUL, description="Part of a name, in any case.")]

Ident = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9_-]+$")]
"""An id as we give them out."""
IdPath = Annotated[str, Path(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9_-]+$")]
IdQuery = Annotated[str | None, Query(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9_-]+$")]
GroupIds = Annotated[list[Ident], Field(max_length=100)]
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


class Input(BaseModel):
    """A request's body: unknown fields are refused, so that a typing error is not silently lost."""

    model_config = ConfigDict(extra="forbid")
