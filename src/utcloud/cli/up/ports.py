"""TCP ports: who has one, and which are free."""

import errno
import ipaddress
import socket


def busy(address: str, port: int) -> bool:
    """Whether something already listens on `port` of `address`."""
    with _listener(address) as listener:
        try:
            listener.bind((address, port))
        except OSError as error:
            return error.errno == errno.EADDRINUSE
    return False


def exists(address: str) -> bool:
    """Whether this machine has the address (::1 is often switched off)."""
    with _listener(address) as listener:
        try:
            listener.bind((address, 0))
        except OSError:
            return False
    return True


def free(preferred: int) -> int:
    """A free loopback port: the preferred one where possible; 0 prefers none."""
    if 0 < preferred <= 65535 and not busy("127.0.0.1", preferred):
        return preferred
    with _listener("127.0.0.1") as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def joined(address: str, port: int) -> str:
    """`127.0.0.1:8080`, `[::1]:8080`."""
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def _listener(address: str) -> socket.socket:
    family = socket.AF_INET6 if ipaddress.ip_address(address).version == 6 else socket.AF_INET
    try:
        listener = socket.socket(family, socket.SOCK_STREAM)
    except OSError:  # no IPv6 in this kernel: any bind to it then fails as "not there"
        return socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if family == socket.AF_INET6:
        listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    return listener
