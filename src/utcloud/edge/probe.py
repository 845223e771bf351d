"""Asks a replica's page, as the edge would, whether it answers."""

import asyncio

from utcloud.common import addresses
from utcloud.common.http_probe import status_of

PATIENCE_S = 2.0
_AT_ONCE = 32


async def answering(pages: dict[str, tuple[str, str]], path: str) -> set[str]:
    """Which of these pages answer ``GET path``, each ``(address:port, token)`` by any key; all are asked at once."""
    gate = asyncio.Semaphore(_AT_ONCE)

    async def ask(upstream: str, token: str) -> bool:
        async with gate:
            return await _answers(upstream, token, path)

    found = await asyncio.gather(*(ask(*page) for page in pages.values()))
    return {key for key, answered in zip(pages, found, strict=True) if answered}


async def _answers(upstream: str, token: str, path: str) -> bool:
    """Whether the page opens to who has its token: a status below 400."""
    place = addresses.endpoint(upstream)
    if place is None:
        return False
    status = await status_of(str(place.address), place.port, path, token=token, patience_s=PATIENCE_S)
    return status is not None and status < 400
