"""Loop devices and mounts, by the kernel's own calls: two programs less to start for each notebook."""

import ctypes
import errno
import fcntl
import os
import stat
import struct
from pathlib import Path

_CONTROL = "/dev/loop-control"
_MAJOR = 7
_GET_FREE, _CONFIGURE = 0x4C82, 0x4C0A
_TRIM = 0xC0185879
_AUTOCLEAR, _DIRECT_IO = 4, 16
_FLAGS_AT, _NAME_AT, _INFO_SIZE = 52, 56, 232
"""Places in the kernel's ``struct loop_info64``."""
_NOSUID, _NODEV, _NOATIME = 2, 4, 1024
_OPTIONS = b"discard,noinit_itable,errors=remount-ro"
"""What is deleted inside goes back to the host. The inode tables lie in a hole of the file: they are zero already."""
_TRIES = 50

_libc = ctypes.CDLL(None, use_errno=True)


def mount(image: Path, point: Path) -> None:
    """Mount an ext4 image on a loop device that is freed with the mount. Raises OSError."""
    device = _attach(image)
    try:
        flags = _NOSUID | _NODEV | _NOATIME
        node = os.fsencode(Path(f"/proc/self/fd/{device}").readlink())
        if _libc.mount(node, os.fsencode(point), b"ext4", ctypes.c_ulong(flags), _OPTIONS):
            code = ctypes.get_errno()
            raise OSError(code, f"mount: {os.strerror(code)}")
    finally:
        os.close(device)  # without a mount that frees it


def trim(point: Path) -> None:
    """Give back to the host what is free inside; what cannot be given back now can be another time."""
    try:
        folder = os.open(point, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        return
    try:
        _libc.syncfs(folder)  # what was deleted is free only when the journal says so
        fcntl.ioctl(folder, _TRIM, struct.pack("=QQQ", 0, 2**64 - 1, 0))
    except OSError:
        return
    finally:
        os.close(folder)


def unmount(point: Path) -> bool:
    """Take a mount away; False when it is still used. What is not mounted counts as taken away."""
    if _libc.umount2(os.fsencode(point), 0) == 0:
        return True
    code = ctypes.get_errno()
    if code in (errno.EINVAL, errno.ENOENT):
        return True
    if code == errno.EBUSY:
        return False
    raise OSError(code, f"umount: {os.strerror(code)}")


def _attach(image: Path) -> int:
    """An open loop device behind which the image lies. The kernel makes a new one where all are taken."""
    control = os.open(_CONTROL, os.O_RDWR | os.O_CLOEXEC)
    file = os.open(image, os.O_RDWR | os.O_CLOEXEC)
    try:
        for _ in range(_TRIES):
            number = fcntl.ioctl(control, _GET_FREE)
            device = os.open(_node(number), os.O_RDWR | os.O_CLOEXEC)
            try:
                fcntl.ioctl(device, _CONFIGURE, _config(file, image))
            except OSError as error:
                os.close(device)
                if error.errno != errno.EBUSY:  # somebody else was quicker
                    raise
            else:
                return device
    finally:
        os.close(file)
        os.close(control)
    raise OSError(errno.EBUSY, "no free loop device could be had")


def _node(number: int) -> str:
    path = f"/dev/loop{number}"
    if not os.path.exists(path):  # noqa: PTH110 - where nobody makes device files for new devices
        os.mknod(path, 0o660 | stat.S_IFBLK, os.makedev(_MAJOR, number))
    return path


def _config(file: int, image: Path) -> bytes:
    """``struct loop_config``: file, block size (the kernel's choice), ``struct loop_info64``, eight reserved words."""
    info = bytearray(_INFO_SIZE)
    struct.pack_into("=I", info, _FLAGS_AT, _AUTOCLEAR | _DIRECT_IO)
    name = os.fsencode(image)[-63:]
    info[_NAME_AT : _NAME_AT + len(name)] = name
    return struct.pack("=II", file, 0) + bytes(info) + bytes(64)
