"""Asks a replica's page, as the edge would, whether it answers."""

import asyncio

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
    """Whether the page opens to who has its token: a status below 400. Reads no more than the first line."""
    host, _, port = upstream.rpartition(":")
    try:
        async with asyncio.timeout(PATIENCE_S):
            reader, writer = await asyncio.open_connection(host.strip("[]"), int(port))
            try:
                request = (
                    f"GET {path} HTTP/1.1\r\nHost: {upstream}\r\nAuthorization: token {token}\r\nConnection: close"
                )
                writer.write(f"{request}\r\n\r\n".encode())
                line = await reader.readline()
            finally:
                writer.close()
    except (OSError, TimeoutError, ValueError):
        return False
    parts = line.split(maxsplit=2)
    return len(parts) >= 2 and parts[0].startswith(b"HTTP/") and parts[1].isdigit() and int(parts[1]) < 400
