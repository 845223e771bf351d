"""Where a webhook may lead: never into the platform's own network, whatever its name says when it is looked up."""

import asyncio
import ipaddress
import socket
from dataclasses import dataclass
from urllib.parse import urlsplit

import httpx

from utcloud.common.errors import Invalid

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_NAT64 = (ipaddress.ip_network("64:ff9b::/96"), ipaddress.ip_network("64:ff9b:1::/48"))
_COMPATIBLE = ipaddress.ip_network("::/96")


class RefusedAddressError(Exception):
    """The URL's host cannot be found, or lies where webhooks may not go."""


@dataclass(frozen=True, slots=True)
class Target:
    """A URL whose host was looked up: connect to ``url`` and say ``host``."""

    url: httpx.URL
    """With the address instead of the name."""
    host: str
    """For the Host header, with the port where it is not the usual one."""
    name: str
    """For TLS."""


def check_url(url: str) -> None:
    """Raise Invalid, naming the field, unless ``url`` is an http or https URL with a host and no password."""
    try:
        parts = urlsplit(url)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        good = good and url.isprintable() and " " not in url and bool(httpx.URL(url).raw_host)
    except (ValueError, httpx.InvalidURL):
        good = False
    if not good:
        raise Invalid(
            "That is not an http or https URL.", field="url", cure="Write one such as https://example.org/hook."
        )
    if parts.username or parts.password:
        raise Invalid("The URL holds a password.", field="url", cure="Leave it out: messages are signed instead.")


async def look_up(url: str, *, private: bool) -> list[Target]:
    """Find the addresses behind ``url``; raises RefusedAddressError unless all are public or ``private`` is true."""
    parts = httpx.URL(url)
    name = parts.raw_host.decode("ascii")
    port = parts.port or (443 if parts.scheme == "https" else 80)
    try:
        found = await asyncio.get_running_loop().getaddrinfo(name, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise RefusedAddressError(f"the host {name} cannot be found") from error
    addresses = [ipaddress.ip_address(str(entry[4][0]).split("%")[0]) for entry in found]
    if not private and not all(map(is_public, addresses)):
        raise RefusedAddressError(f"the host {name} lies in a private network, where webhooks do not go")
    return [
        Target(parts.copy_with(host=str(address), port=port), parts.netloc.decode("ascii"), name)
        for address in dict.fromkeys(addresses)
    ]


def is_public(address: Address) -> bool:
    """Whether anybody on the internet could mean ``address``; of an IPv4 address in other clothes, that one counts."""
    inner = _inner(address)
    if inner is not None:
        return is_public(inner)
    local = isinstance(address, ipaddress.IPv6Address) and address.is_site_local
    return address.is_global and not address.is_multicast and not local


def _inner(address: Address) -> ipaddress.IPv4Address | None:
    """The IPv4 address that an IPv6 one stands for: mapped, translated, or the end of a tunnel."""
    if isinstance(address, ipaddress.IPv4Address):
        return None
    if address.ipv4_mapped or address.sixtofour:
        return address.ipv4_mapped or address.sixtofour
    if address.teredo:
        return address.teredo[1]
    if any(address in network for network in (*_NAT64, _COMPATIBLE)):
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return None
