"""One raw HTTP request, of which no more than the first line of the answer is read."""

import asyncio


async def status_of(host: str, port: int, path: str, *, token: str = "", patience_s: float) -> int | None:
    """The status with which ``GET path`` is answered within ``patience_s`` seconds; None when there is no such answer.

    ``host`` is an address, of IPv6 without brackets. ``token`` is sent as JupyterLab wants it. Whoever answers is not
    trusted: a line is at most 64 KiB.
    """
    named = f"[{host}]" if ":" in host else host
    lines = [f"GET {path} HTTP/1.1", f"Host: {named}:{port}"]
    if token:
        lines.append(f"Authorization: token {token}")
    lines.append("Connection: close")
    try:
        async with asyncio.timeout(patience_s):
            reader, writer = await asyncio.open_connection(host, port)
            try:
                writer.write("\r\n".join([*lines, "", ""]).encode())
                line = await reader.readline()
            finally:
                writer.close()
    except (OSError, TimeoutError, ValueError):
        return None
    parts = line.split(maxsplit=2)
    is_http = len(parts) >= 2 and parts[0].startswith(b"HTTP/") and parts[1].isdigit()
    return int(parts[1]) if is_http else None
