"""Closes the streams that Caddy holds open to a container, such as the WebSocket of a terminal.

Caddy looks at the cookie only when a stream begins, and has no way of its own to end one stream: ``stream_close_delay``
and a new configuration end all of a handler's. So its connections to the container are shut down from outside, by way
of the kernel: ``pidfd_getfd`` gives us the same socket, and ``shutdown`` ends it for Caddy as if the container had
closed it. That needs root, or the user that Caddy runs as.
"""

import contextlib
import ctypes
import os
import re
import socket
import struct
from collections.abc import Iterable, Iterator
from pathlib import Path

from utcloud.common import addresses
from utcloud.common.settings import Settings

_PIDFD_GETFD = 438
"""The system call's number, the same on every architecture."""
_ESTABLISHED = "01"
_libc = ctypes.CDLL(None, use_errno=True)


def close_streams(settings: Settings, upstreams: Iterable[str]) -> int:
    """Shut down Caddy's connections to these ``address:port``; return how many there were.

    Raises OSError when Caddy's process cannot be looked into. Nothing happens when no Caddy runs.
    """
    places = filter(None, map(addresses.endpoint, upstreams))
    wanted = {(_as_ipv6(place.address), place.port) for place in places}
    pid = _caddy(settings) if wanted else None
    if pid is None:
        return 0
    closed = 0
    process = os.pidfd_open(pid)
    try:
        for number in _sockets(pid, wanted):
            closed += _shut(process, number)
    finally:
        os.close(process)
    return closed


def _as_ipv6(address: addresses.Address) -> bytes:
    return address.packed if address.version == 6 else bytes(10) + b"\xff\xff" + address.packed


def _caddy(settings: Settings) -> int | None:
    """The process that listens at Caddy's admin socket; None when none does."""
    with socket.socket(socket.AF_UNIX) as asking:
        asking.settimeout(1)
        try:
            asking.connect(str(settings.edge_admin_socket))
        except OSError:
            return None
        pid, _, _ = struct.unpack("3i", asking.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i")))
    return int(pid) or None


def _sockets(pid: int, wanted: set[tuple[bytes, int]]) -> Iterator[int]:
    """The numbers of the process's open files that are connections to what is wanted."""
    inodes = {f"socket:[{inode}]" for end, inode in _connections(pid) if end in wanted}
    if not inodes:
        return
    for file in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # closed meanwhile
            if str(file.readlink()) in inodes:
                yield int(file.name)


def _connections(pid: int) -> Iterator[tuple[tuple[bytes, int], str]]:
    """The far end and the inode of each established TCP connection that the process's network knows."""
    for table in ("tcp", "tcp6"):
        with contextlib.suppress(FileNotFoundError):  # a kernel without IPv6
            for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
                fields = line.split()
                if fields[3] == _ESTABLISHED:
                    host, port = fields[2].split(":")
                    yield (_address(host), int(port, 16)), fields[9]


def _address(text: str) -> bytes:
    """``/proc/net`` writes each four bytes of an address as a number of this machine."""
    packed = b"".join(struct.pack("=I", int(word, 16)) for word in re.findall("." * 8, text))
    return packed if len(packed) == 16 else bytes(10) + b"\xff\xff" + packed


def _shut(process: int, number: int) -> bool:
    """Shut one of the process's sockets down; False when it is gone already."""
    own = _libc.syscall(_PIDFD_GETFD, process, number, 0)
    if own < 0:
        error = ctypes.get_errno()
        if error == 9:  # EBADF: closed meanwhile
            return False
        raise OSError(error, os.strerror(error))
    with socket.socket(fileno=own) as connection, contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
        return True
    return False
