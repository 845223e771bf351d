"""Waiting for a page to answer."""

import asyncio

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
    try:
        async with asyncio.timeout(_PATIENCE_S):
            reader, writer = await asyncio.open_connection(host, port)
            try:
                writer.write(f"GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\nConnection: close\r\n\r\n".encode())
                line = await reader.readline()
            finally:
                writer.close()
    except (OSError, TimeoutError, ValueError):
        return False
    parts = line.split(maxsplit=2)
    return len(parts) >= 2 and parts[0].startswith(b"HTTP/") and parts[1].isdigit() and int(parts[1]) < 500
