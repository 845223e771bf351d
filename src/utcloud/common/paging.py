"""Lists answer ``{"items": […], "next_cursor": …}`` to ``?limit=&cursor=``."""

import base64
import json
from typing import Annotated, Generic, TypeVar

from pydantic import BaseModel, Field

from utcloud.common.errors import Invalid

T = TypeVar("T")
MAX_LIMIT = 500
Limit = Annotated[int, Field(ge=1, le=MAX_LIMIT)]


class Page(BaseModel, Generic[T]):
    """One page of a list. ``next_cursor`` is null on the last page."""

    items: list[T]
    next_cursor: str | None = None


def encode_cursor(*key: str | int | None) -> str:
    """Pack the sort key of a page's last row."""
    return base64.urlsafe_b64encode(json.dumps(key).encode()).decode().rstrip("=")


def decode_cursor(cursor: str, size: int) -> list[str | int | None]:
    """Unpack a cursor of ``size`` parts; raises Invalid for anything that was not made by ``encode_cursor``."""
    try:
        key = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except ValueError:
        key = None
    if not isinstance(key, list) or len(key) != size or not all(map(_storable, key)):
        raise not_ours()
    return key


def not_ours() -> Invalid:
    """What is said to a cursor that no list gave out."""
    return Invalid("The cursor is not one that this list gave out.", field="cursor", cure="Begin again without it.")


def _storable(part: object) -> bool:
    """Whether every database takes ``part`` as a value: no NUL, no half of a character, no number beyond 64 bits."""
    if isinstance(part, str):
        return "\0" not in part and part == part.encode(errors="ignore").decode()
    return part is None or (isinstance(part, int) and -(2**63) <= part < 2**63)
