"""What the lists of this room share: one page as JSON, or all rows as a file."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from fastapi import Response
from pydantic import BaseModel

from utcloud.common import export
from utcloud.common.paging import Page
from utcloud.db import Database, Tx

T = TypeVar("T", bound=BaseModel)
Read = Callable[[Tx, int, str | None], Awaitable[tuple[list[T], str | None]]]
"""Takes a transaction, a limit and a cursor; returns one page's rows and the next cursor, or None."""


async def listed(
    db: Database, read: Read[T], shape: type[T], name: str, file: export.FileKind | None, limit: int, cursor: str | None
) -> Page[T] | Response:
    """One page of what ``read`` gives, or with ``file`` all of it as the file ``<name>.<file>``."""

    async def load(limit: int, cursor: str | None) -> tuple[list[T], str | None]:
        async with db.read() as tx:
            return await read(tx, limit, cursor)

    if file:
        return export.response(file, shape, load, name)
    items, after = await load(limit, cursor)
    return Page(items=items, next_cursor=after)
