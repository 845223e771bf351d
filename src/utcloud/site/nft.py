"""The nft program: setting rules, reading them, and hearing of changes."""

import asyncio
import contextlib
import shutil
from collections.abc import AsyncGenerator
from typing import cast

CURE = "Without it, containers could reach the host. Install nftables (apt-get install nftables) and run as root."
_PATH = "/usr/sbin:/sbin:/usr/bin:/bin:/usr/local/sbin"


class FirewallFailed(Exception):  # noqa: N818
    """The rules could not be set, so no container may start. The text says the cure."""


def program() -> str:
    """Where nft is. Raises FirewallFailed when it is nowhere."""
    found = shutil.which("nft", path=_PATH)
    if found is None:
        raise FirewallFailed(f"nft is missing. {CURE}")
    return found


async def run(script: str) -> str:
    """Run a script as one transaction and return what it lists. Raises FirewallFailed."""
    process = await asyncio.create_subprocess_exec(
        program(),
        "--stateless",
        "--numeric",
        "-f",
        "-",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    said, errors = await process.communicate(script.encode())
    if process.returncode:
        detail = errors.decode(errors="replace").strip().splitlines()
        raise FirewallFailed(f"nft refused the rules: {detail[0] if detail else process.returncode}. {CURE}")
    return said.decode(errors="replace")


async def removals() -> AsyncGenerator[str, None]:
    """Yield a line for each table, chain or rule that somebody removes. Ends when nft does."""
    process = await asyncio.create_subprocess_exec(
        program(),
        "monitor",
        "destroy",
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        async for line in cast("asyncio.StreamReader", process.stdout):
            yield line.decode(errors="replace")
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
