"""What containers may reach: the internet, and each other within a workload. Not the host, its networks or others."""

import asyncio
import ipaddress
import json
import re
import secrets
import time
from collections.abc import Iterable
from contextlib import aclosing
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

import structlog

from utcloud.site import nft
from utcloud.site.nft import CURE, FirewallFailed

log = structlog.get_logger()

_OLD_PREFIX = "utc"
"""How the names of all sites' bridges began, in one table, before each site of a machine had its own."""
_BRIDGES = re.compile(r"utc|u[0-9a-f]{5}-")
"""How the names of sites' bridges begin."""
_NET = Path("/sys/class/net")
_RULES = """\
add table %(table)s
delete table %(table)s
table %(table)s {
    set within {
        type ifname . ifname
        %(within)s
    }
    set closed4 {
        type ipv4_addr
        flags interval
        auto-merge
        elements = { %(closed4)s }
    }
    set closed6 {
        type ipv6_addr
        flags interval
        auto-merge
        elements = { %(closed6)s }
    }
    %(paces)s
    chain input {
        type filter hook input priority filter - 10; policy accept;
        iifname != "%(prefix)s*" accept
        %(paced_in)s
        ct state established,related accept
        fib daddr . iif type local meta l4proto { tcp, udp } th dport 53 accept comment "the engine's own resolver"
        drop
    }
    chain forward {
        type filter hook forward priority filter - 10; policy accept;
        iifname != "%(prefix)s*" oifname != "%(prefix)s*" accept
        %(paced_in)s
        %(paced_out)s
        ct state established,related accept
        iifname . oifname @within accept comment "a bridge that is filtered like a router"
        oifname "%(prefix)s*" drop
        ip daddr @closed4 drop
        ip6 daddr @closed6 drop
        tcp dport 25 drop comment "mail from a stranger would be the owner's"
    }
    chain output {
        type filter hook output priority filter - 10; policy accept;
        %(paced_out)s
    }
    chain postrouting {
        type nat hook postrouting priority srcnat + 10; policy accept;
        iifname "%(prefix)s*" oifname != "%(prefix)s*" meta nfproto ipv4 masquerade comment "if the engine's is gone"
        iifname "%(prefix)s*" oifname != "%(prefix)s*" ip6 saddr fc00::/7 masquerade
    }
}
"""
_PACE = """\
set %(name)s {
        type ifname
        size 65535
        flags dynamic,timeout
        timeout 1m
    }
"""
"""Bridges over which something went lately, each with how much of its share is used."""
_PRIVATE = (
    *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24"),
    *("192.168.0.0/16", "198.18.0.0/15", "224.0.0.0/4", "240.0.0.0/4"),
    *("::/127", "64:ff9b::/96", "64:ff9b:1::/48", "2002::/16", "fc00::/7", "fe80::/10", "ff00::/8"),
)
"""Not the internet: private, of the link, for tests; and what wraps an IPv4 address into one of IPv6."""
_METADATA = ("169.254.169.254/32", "168.63.129.16/32", "100.100.100.200/32", "192.0.0.192/32", "fd00:ec2::254/128")
"""Where clouds tell a machine its own secrets: most, Azure, Alibaba, Oracle, Amazon over IPv6."""
_WIDEST = {4: 8, 6: 16}
"""A wider on-link network is a tunnel that takes everything, and not a neighbourhood."""
_CHANGING = re.compile(r" (within|sent|received) ")
"""In a removal: of an element of a set that changes all the time."""
_MONITOR_PAUSE_S = 1.0
_BEGUN_S = 0.5
"""By then nft listens: it does not say when it begins."""
_FRESH_S = 60.0
"""A bridge that does not exist yet is on its way for so long."""

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class Firewall(Protocol):
    """Keeps containers away from what is not theirs."""

    notice: str
    """What happened to the rules, in words for the owner of the node; empty when nothing did."""

    async def ensure(self, interface: str | None = None) -> None:
        """Have the rules in force, for ``interface`` too, which may not exist yet. Raises FirewallFailed."""
        ...

    async def watch(self) -> None:
        """Mend the rules as soon as somebody removes them, until cancelled."""
        ...

    async def remove(self) -> None:
        """Take the rules away unless a bridge of ours is left."""
        ...


def bridge_prefix(site_dir: Path) -> str:
    """How the names of this site's bridges begin; kept in ``site_dir`` for as long as there may be any.

    It tells sites of one machine apart, so that each has rules of its own for its own bridges. What a full disk or a
    hand left of the file is not believed: an empty prefix would close every interface of the machine.
    """
    kept = site_dir / "bridge-prefix"
    is_new = not kept.exists()
    if is_new or not _BRIDGES.fullmatch(kept.read_text()):
        older = is_new and (site_dir / "attempts").exists()
        site_dir.mkdir(parents=True, exist_ok=True)
        fresh = kept.with_suffix(".new")
        fresh.write_text(_OLD_PREFIX if older else f"u{secrets.token_hex(3)[:5]}-")
        fresh.replace(kept)
    return kept.read_text()


class Nftables:
    """A table of our own; no other table is read or touched. ``deny`` are further networks that are not reached.

    ``prefix`` is how the names of the bridges begin that it guards (``bridge_prefix``). Over each of them at most
    ``mbit`` megabits a second go out, and as many come in, pages too; 0: as many as the line takes.
    """

    def __init__(self, prefix: str, deny: Iterable[str] = (), mbit: int = 0) -> None:
        self._prefix, self._mbit = prefix, mbit
        self.table = "inet utcloud" if prefix == _OLD_PREFIX else f"inet utcloud_{prefix[1:-1]}"
        """Family and name of the table."""
        self._deny = [ipaddress.ip_network(one, strict=False) for one in deny]
        self._lock = asyncio.Lock()
        self._shown = ""
        """Chains and closed networks as nft lists them, when they were set; empty before."""
        self._closed: list[Network] = []
        self._within: dict[str, float] = {}
        """Each bridge in the set, and when it was put there."""
        self.notice = ""

    async def ensure(self, interface: str | None = None) -> None:
        async with self._lock:
            if interface:
                if self._shown and await self._add(interface):
                    return
                self._within[interface] = time.monotonic()
                await self._apply()
                return
            closed = [*self._deny, *await _neighbours()]
            gone = self._shown != "" and await self._listed() != self._shown
            if gone:
                self._tell()
            if gone or not self._shown or closed != self._closed:
                self._closed = closed
                await self._apply()
            else:
                await self._forget_stale()

    async def watch(self) -> None:
        heard = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._hear(heard))
            while True:
                await heard.wait()
                heard.clear()
                try:
                    await self._mend()
                except FirewallFailed as error:
                    log.error("the firewall's rules cannot be set again", error=str(error))

    async def _hear(self, heard: asyncio.Event) -> None:
        """Set the event when something of our table was removed. Our own changes are heard too, and do no harm."""
        while True:
            heard.set()
            asyncio.get_running_loop().call_later(_BEGUN_S, heard.set)  # what was removed before nft listened
            try:
                async with aclosing(nft.removals()) as removals:
                    async for line in removals:
                        if f"{self.table} " in f"{line.strip()} " and not _CHANGING.search(line):
                            heard.set()
            except (FirewallFailed, OSError) as error:
                log.debug("nft cannot be watched; a look every ten seconds must do", error=str(error))
            await asyncio.sleep(_MONITOR_PAUSE_S)

    async def remove(self) -> None:
        try:
            nft.program()
        except FirewallFailed:
            return
        if self._bridges():
            return
        async with self._lock:
            self._shown = ""
            await nft.run(f"add table {self.table}\ndelete table {self.table}\n")

    async def _mend(self) -> None:
        async with self._lock:
            if self._shown and await self._listed() != self._shown:
                self._tell()
                await self._apply()

    def _tell(self) -> None:
        """Say it on the node: whoever flushes rules once does it again."""
        self.notice = (
            f"somebody removed the firewall's rules at {datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC; they were set again. "
            f"Let what manages this machine's firewall leave the table {self.table} alone"
        )
        log.warning("the firewall's rules were gone; setting them again", table=self.table)

    async def _add(self, interface: str) -> bool:
        """Let a bridge in; False when the table is not as it was."""
        element = f'{{ "{interface}" . "{interface}" }}'
        try:
            listed = await nft.run(f"add element {self.table} within {element}\n{self._listing}")
        except FirewallFailed:
            listed = ""
        self._within[interface] = time.monotonic()
        if _lasting(listed) != self._shown:
            self._tell()
            return False
        return True

    async def _apply(self) -> None:
        now = time.monotonic()
        young = [name for name, since in self._within.items() if now - since < _FRESH_S]
        names = sorted({*self._bridges(), *young})
        self._within = {name: self._within.get(name, now) for name in names}
        pairs = ", ".join(f'"{name}" . "{name}"' for name in names)
        closed = [*map(ipaddress.ip_network, (*_PRIVATE, *_METADATA)), *self._closed]
        parts = {
            "table": self.table,
            "prefix": self._prefix,
            "within": f"elements = {{ {pairs} }}" if pairs else "",
            **self._paces(),
            **{f"closed{v}": ", ".join(sorted({str(one) for one in closed if one.version == v})) for v in (4, 6)},
        }
        await nft.run(_RULES % parts)
        self._shown = await self._listed()  # within the same transaction it would look otherwise

    def _paces(self) -> dict[str, str]:
        """What bounds the bridges' speed: sets, and rules for what comes from them (a replica sends it), and for what
        goes to them. Neither established connections nor the host's own, such as those of the edge, are excepted."""
        if not self._mbit:
            return dict.fromkeys(("paces", "paced_in", "paced_out"), "")
        over = f"limit rate over {self._mbit * 125} kbytes/second burst {self._mbit * 25} kbytes"
        return {
            "paces": "".join(_PACE % {"name": name} for name in ("sent", "received")),
            "paced_in": f'iifname "{self._prefix}*" update @sent {{ iifname {over} }} drop',
            "paced_out": f'oifname "{self._prefix}*" update @received {{ oifname {over} }} drop',
        }

    async def _forget_stale(self) -> None:
        there, now = set(self._bridges()), time.monotonic()
        stale = [name for name, since in self._within.items() if name not in there and now - since > _FRESH_S]
        if not stale:
            return
        pairs = ", ".join(f'"{name}" . "{name}"' for name in stale)
        self._within = {name: since for name, since in self._within.items() if name not in stale}
        try:
            await nft.run(f"delete element {self.table} within {{ {pairs} }}\n")
        except FirewallFailed:
            await self._apply()

    async def _listed(self) -> str:
        try:
            return _lasting(await nft.run(self._listing))
        except FirewallFailed:
            return ""

    @property
    def _listing(self) -> str:
        return f"list table {self.table}\n"

    def _bridges(self) -> list[str]:
        return [path.name for path in _NET.glob(f"{self._prefix}*")]


def _lasting(listed: str) -> str:
    """The table's listing without the sets that change all the time."""
    return re.sub(r"\tset (within|sent|received) \{.*?\n\t\}", "", listed, flags=re.DOTALL)


async def _neighbours() -> list[Network]:
    """The networks that the host itself is on: whoever is there is the owner's, public address or not."""
    found: set[Network] = set()
    for family in ("-4", "-6"):
        try:
            process = await asyncio.create_subprocess_exec(
                *("ip", "-j", family, "route", "show", "table", "all"),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.DEVNULL,
            )
            said, _ = await process.communicate()
            routes = json.loads(said or b"[]")
        except (OSError, ValueError):
            continue
        found.update(network for route in routes if (network := _on_link(route)))
    return sorted(found, key=str)


def _on_link(route: dict[str, object]) -> Network | None:
    """The network of a route that leads to neighbours, and not over one of them; not one of a site's bridges."""
    if "gateway" in route or "via" in route or "nexthops" in route or _BRIDGES.match(str(route.get("dev", ""))):
        return None
    if route.get("type", "unicast") not in ("unicast", "local") or route.get("dev") == "lo":
        return None
    try:
        network = ipaddress.ip_network(str(route.get("dst")), strict=False)
    except ValueError:  # default
        return None
    return network if network.prefixlen >= _WIDEST[network.version] else None


__all__ = ["CURE", "Firewall", "FirewallFailed", "Nftables", "bridge_prefix"]
