"""Addresses that somebody else names: read to what they are, and kept only as built anew from that.

An allow-list says where the edge may go (a site's networks); what stands in ``NEVER`` and the machine's own addresses
are refused whatever it says.
"""

import ipaddress
import re
import socket
from collections.abc import Iterable
from dataclasses import dataclass

from utcloud.common.errors import Invalid

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

NEVER: tuple[Network, ...] = tuple(
    ipaddress.ip_network(one)
    for one in (
        "0.0.0.0/8",  # this network, unspecified
        "127.0.0.0/8",  # loopback
        "169.254.0.0/16",  # link-local, with the metadata services of most clouds
        "192.0.0.0/24",  # protocol assignments
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, broadcast
        "100.100.100.200/32",  # metadata of Alibaba's cloud
        "168.63.129.16/32",  # wire server of Azure
        "::/96",  # unspecified, loopback, IPv4-compatible
        "::ffff:0:0/96",  # IPv4-mapped
        "::ffff:0:0:0/96",  # IPv4-translated
        "64:ff9b::/96",  # NAT64
        "64:ff9b:1::/48",  # NAT64 for local use
        "100::/64",  # discard
        "2001::/32",  # Teredo
        "2002::/16",  # 6to4
        "fe80::/10",  # link-local
        "fec0::/10",  # site-local
        "ff00::/8",  # multicast
        "fd00:ec2::254/128",  # metadata of AWS
        "fd20:ce::254/128",  # metadata of Google's cloud
    )
)
"""Where no container of a tenant's can be: loopback, link-local, and IPv4 in other clothes."""

_ENDPOINT = re.compile(r"(?:([0-9.]{7,15})|\[([0-9A-Fa-f:.]{2,45})\]):([1-9][0-9]{0,4})")
MOST_NETWORKS = 64


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An address and a port. ``str`` gives the one way to write it."""

    address: Address
    port: int

    def __str__(self) -> str:
        host = f"[{self.address}]" if self.address.version == 6 else str(self.address)
        return f"{host}:{self.port}"


def endpoint(text: str) -> Endpoint | None:
    """What ``text`` (``10.89.0.2:8888``, ``[fd00::2]:8888``) names; None when it is no address and port.

    No names, no scope ids, no digits but ASCII's.
    """
    found = _ENDPOINT.fullmatch(text)
    if found is None or int(found[3]) > 65535:
        return None
    try:
        address: Address = ipaddress.IPv4Address(found[1]) if found[1] else ipaddress.IPv6Address(found[2])
    except ValueError:
        return None
    return Endpoint(address, int(found[3]))


def is_never(address: Address) -> bool:
    """Whether no container can have ``address``, whoever says so."""
    return any(address in network for network in NEVER)


def is_own(address: Address) -> bool:
    """Whether ``address`` is one of this machine's own, on whatever interface.

    The kernel is asked for the source address of a way there: to oneself it is the address itself. Nothing is sent.
    """
    family = socket.AF_INET6 if address.version == 6 else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as asked:
            asked.connect((str(address), 9))
            return bool(ipaddress.ip_address(asked.getsockname()[0].partition("%")[0]) == address)
    except OSError:
        return False  # there is no way to it at all


def is_within(address: Address, networks: Iterable[str]) -> bool:
    """Whether ``address`` lies in one of ``networks``."""
    return any(address in ipaddress.ip_network(one) for one in networks)


def network(text: str) -> str:
    """The one way to write a network in which containers may be. Raises ValueError, in words, for any other."""
    try:
        if "%" in text:
            raise ValueError
        found = ipaddress.ip_network(text.strip())
    except ValueError:
        raise ValueError(f"{text[:60]!r} is no network such as 10.244.0.0/16") from None
    clash = next((one for one in NEVER if one.num_addresses > 1 and _overlap(found, one)), None)
    if clash:
        raise ValueError(f"{found} has addresses of {clash}, where no container can be")
    return str(found)


def _overlap(one: Network, other: Network) -> bool:
    return one.version == other.version and one[0] <= other[-1] and other[0] <= one[-1]  # type: ignore[operator]


def networks(texts: Iterable[str], field: str = "networks") -> list[str]:
    """Networks as they are kept: each once, in order. Raises Invalid that names the first that cannot be."""
    found: dict[str, None] = {}
    for place, text in enumerate(texts):
        try:
            found[network(text)] = None
        except ValueError as error:
            raise Invalid(
                f"{error}.", field=f"{field}.{place}", cure="Write the networks of the site's containers, as CIDRs."
            ) from None
    return sorted(found, key=lambda one: (":" in one, ipaddress.ip_network(one)))
