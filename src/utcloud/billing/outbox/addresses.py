"""Where a webhook may lead: never into the platform's own network, whatever its name says when it is looked up."""

import asyncio
import ipaddress
import socket
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

from utcloud.common.errors import Invalid


class RefusedAddressError(Exception):
    """The URL's host cannot be found, or lies where webhooks may not go."""


@dataclass(frozen=True, slots=True)
class Target:
    """A URL whose host was looked up: connect to ``address`` and say ``host``."""

    url: str
    """With the address instead of the name."""
    host: str
    """For the Host header, with the port where it is not the usual one."""
    name: str
    """For TLS."""


def check_url(url: str) -> SplitResult:
    """The parts of an http or https URL with a host and no password; raises Invalid naming the field."""
    try:
        parts = urlsplit(url)
        good = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0 and url.isprintable()
    except ValueError:
        good = False
    if not good or " " in url:
        raise Invalid(
            "That is not an http or https URL.", field="url", cure="Write one such as https://example.org/hook."
        )
    if parts.username or parts.password:
        raise Invalid("The URL holds a password.", field="url", cure="Leave it out: messages are signed instead.")
    return parts


async def look_up(url: str, *, private: bool) -> list[Target]:
    """Find the addresses behind ``url``; raises RefusedAddressError unless all are public or ``private`` is true."""
    parts = urlsplit(url)
    name = parts.hostname or ""
    port = parts.port or (443 if parts.scheme == "https" else 80)
    try:
        found = await asyncio.get_running_loop().getaddrinfo(name, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise RefusedAddressError(f"the host {name} cannot be found") from error
    addresses = [ipaddress.ip_address(str(entry[4][0]).split("%")[0]) for entry in found]
    if not private and not all(address.is_global and not address.is_multicast for address in addresses):
        raise RefusedAddressError(f"the host {name} lies in a private network, where webhooks do not go")
    host = parts.netloc.rpartition("@")[2]
    return [
        Target(parts._replace(netloc=f"{_literal(address)}:{port}").geturl(), host, name)
        for address in dict.fromkeys(addresses)
    ]


def _literal(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> str:
    return f"[{address}]" if address.version == 6 else str(address)
