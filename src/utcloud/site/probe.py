"""Waiting for a page to answer."""

import asyncio

from utcloud.common.http_probe import status_of

_PAUSE_S = 0.02
_PATIENCE_S = 5.0


async def until_answers(host: str, port: int, path: str) -> None:
    """Return as soon as ``GET path`` is answered with any HTTP status below 500. Waits for ever; set a limit around it.

    One raw connection every 20 ms: until the port is open that costs a refused SYN, and the first answer is seen at
    once.
    """
    while not await _answers(host, port, path):  # noqa: ASYNC110 - nobody on this side could set an event
        await asyncio.sleep(_PAUSE_S)


async def _answers(host: str, port: int, path: str) -> bool:
    status = await status_of(host, port, path, patience_s=_PATIENCE_S)
    return status is not None and status < 500
