"""Where a webhook may lead: never into the platform's own network, whatever its name says when it is looked up."""

import asyncio
import contextlib
import ipaddress
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit
from weakref import WeakKeyDictionary

import aiodns
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


LOOK_UP_S = 3.0
"""For one look-up, however many servers are asked for it."""
LOOK_UPS_EACH = 2
_places: dict[str, tuple[asyncio.Semaphore, int]] = {}
_resolvers: WeakKeyDictionary[asyncio.AbstractEventLoop, aiodns.DNSResolver] = WeakKeyDictionary()


@asynccontextmanager
async def _place_of(user_id: str) -> AsyncIterator[None]:
    """One of the user's places to look a name up; forgotten when nobody has or wants one."""
    semaphore, wanted = _places.get(user_id) or (asyncio.Semaphore(LOOK_UPS_EACH), 0)
    _places[user_id] = semaphore, wanted + 1
    try:
        async with semaphore:
            yield
    finally:
        semaphore, wanted = _places.pop(user_id)
        if wanted > 1:
            _places[user_id] = semaphore, wanted - 1


async def resolve(name: str) -> list[Address]:
    """The addresses of a host; raises OSError within ``LOOK_UP_S`` when there are none.

    By c-ares on the event loop: the system's ``getaddrinfo`` blocks one of a few threads until its servers answer, and
    one user's names can keep all of them busy.
    """
    with contextlib.suppress(ValueError):
        return [ipaddress.ip_address(name)]
    loop = asyncio.get_running_loop()
    if loop not in _resolvers:
        _resolvers[loop] = aiodns.DNSResolver(timeout=LOOK_UP_S / 2, tries=2)
    try:
        async with asyncio.timeout(LOOK_UP_S):
            found = await _resolvers[loop].getaddrinfo(name, type=socket.SOCK_STREAM)
    except (aiodns.error.DNSError, TimeoutError) as error:
        raise OSError(name) from error
    texts = [str(bytes(node.addr[0]), "ascii") for node in found.nodes]
    return [ipaddress.ip_address(text.split("%")[0]) for text in texts]


async def close_resolver() -> None:
    """Give up the look-ups of this event loop; one that is needed again is made anew."""
    resolver = _resolvers.pop(asyncio.get_running_loop(), None)
    if resolver is not None:
        await resolver.close()


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


async def look_up(url: str, *, private: bool, user_id: str = "") -> list[Target]:
    """Find the addresses behind ``url``; raises RefusedAddressError unless all are public or ``private`` is true.

    ``user_id``: who wants it; the look-ups of one user beyond two at a time wait for one another. Whether a name is not
    there or leads into a private network is not said: it would tell the names in there.
    """
    parts = httpx.URL(url)
    name = parts.raw_host.decode("ascii")
    port = parts.port or (443 if parts.scheme == "https" else 80)
    refused = RefusedAddressError(f"the host {name} cannot be found, or lies where webhooks do not go")
    try:
        async with _place_of(user_id):
            addresses = await resolve(name.strip("[]"))
    except (OSError, UnicodeError) as error:
        raise refused from error
    if not addresses or (not private and not all(map(is_public, addresses))):
        raise refused
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
