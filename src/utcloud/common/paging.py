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
    if not isinstance(key, list) or len(key) != size or not all(isinstance(part, str | int | None) for part in key):
        raise Invalid("The cursor is not one that this list gave out.", field="cursor", cure="Begin again without it.")
    return key
