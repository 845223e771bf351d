"""What containers may reach: the internet, and each other within a workload. Not the host, its LAN or other tenants."""

import asyncio
import shutil
from pathlib import Path
from typing import Protocol

import structlog

log = structlog.get_logger()

PREFIX = "utc"
"""Every bridge of ours has a name that begins so."""
_TABLE = "inet utcloud"
_NET = Path("/sys/class/net")
_RULES = """\
add table inet utcloud
delete table inet utcloud
table inet utcloud {
    set within {
        type ifname . ifname
        %(elements)s
    }
    chain input {
        type filter hook input priority filter - 10; policy accept;
        iifname != "utc*" accept
        ct state established,related accept
        fib daddr . iif type local meta l4proto { tcp, udp } th dport 53 accept comment "the engine's own resolver"
        drop
    }
    chain forward {
        type filter hook forward priority filter - 10; policy accept;
        iifname != "utc*" oifname != "utc*" accept
        ct state established,related accept
        iifname . oifname @within accept comment "a bridge that is filtered like a router"
        oifname "utc*" drop
        ip daddr { 0.0.0.0/8, 10.0.0.0/8, 100.64.0.0/10, 127.0.0.0/8, 169.254.0.0/16, 172.16.0.0/12, \
192.168.0.0/16, 224.0.0.0/4, 240.0.0.0/4 } drop
        ip6 daddr { ::/127, fc00::/7, fe80::/10, ff00::/8 } drop
    }
}
"""
CURE = "Without it, containers could reach the host. Install nftables (apt-get install nftables) and run as root."


class FirewallFailed(Exception):  # noqa: N818
    """The rules could not be set, so no container may start. The text says the cure."""


class Firewall(Protocol):
    """Keeps containers away from what is not theirs."""

    async def ensure(self, interface: str | None = None) -> None:
        """Have the rules in force, for ``interface`` too, which may not exist yet. Raises FirewallFailed."""
        ...

    async def remove(self) -> None:
        """Take the rules away unless a bridge of ours is left."""
        ...


class Nftables:
    """A table of our own; no other table is read or touched."""

    def __init__(self) -> None:
        self._lock = asyncio.Lock()
        self._applied = False

    async def ensure(self, interface: str | None = None) -> None:
        async with self._lock:
            if self._applied and await self._still(interface):
                return
            names = sorted({*_bridges(), *([interface] if interface else [])})
            pairs = ", ".join(f'"{name}" . "{name}"' for name in names)
            await _nft(_RULES % {"elements": f"elements = {{ {pairs} }}" if pairs else ""})
            self._applied = True

    async def remove(self) -> None:
        if not shutil.which("nft") or _bridges():
            return
        await _nft(f"add table {_TABLE}\ndelete table {_TABLE}\n")
        self._applied = False

    @staticmethod
    async def _still(interface: str | None) -> bool:
        question = f"list chain {_TABLE} forward\n"
        if interface:
            question = f'add element {_TABLE} within {{ "{interface}" . "{interface}" }}\n' + question
        try:
            await _nft(question)
        except FirewallFailed:
            log.warning("the firewall table was gone; setting it again", table=_TABLE)
            return False
        return True


def _bridges() -> list[str]:
    return [path.name for path in _NET.glob(f"{PREFIX}*")]


async def _nft(script: str) -> None:
    program = shutil.which("nft", path="/usr/sbin:/sbin:/usr/bin:/bin:/usr/local/sbin")
    if program is None:
        raise FirewallFailed(f"nft is missing. {CURE}")
    process = await asyncio.create_subprocess_exec(
        program,
        "-f",
        "-",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    _, errors = await process.communicate(script.encode())
    if process.returncode:
        detail = errors.decode(errors="replace").strip().splitlines()
        raise FirewallFailed(f"nft refused the rules: {detail[0] if detail else process.returncode}. {CURE}")
