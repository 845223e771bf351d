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
_READ_ONLY, _NOSUID, _NODEV, _NOATIME = 1, 2, 4, 1024
_DETACH = 2
_OPEN_TREE, _CLONE = 428, 1
_THAW = 0xC0045878
_OPTIONS = b"discard,noinit_itable,errors=remount-ro"
"""What is deleted inside goes back to the host. The inode tables lie in a hole of the file: they are zero already."""
_TRIES = 50

_libc = ctypes.CDLL(None, use_errno=True)


def claim(image: Path) -> int | None:
    """Open an image for oneself alone; None while somebody else has it.

    The lock is the open file's: a loop device holds it on, until the last mount of the image is gone. So an image is
    never mounted twice, whoever mounted it and whatever became of that process. Close what you get. Raises OSError.
    """
    file = os.open(image, os.O_RDWR | os.O_CLOEXEC)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if attached(image):  # by a version that took no lock
            os.close(file)
            return None
    except BlockingIOError:
        os.close(file)
        return None
    except BaseException:
        os.close(file)
        raise
    return file


def attached(image: Path) -> bool:
    """Whether a loop device stands before the image."""
    for backing in Path("/sys/block").glob("loop*/loop/backing_file"):
        try:
            if backing.read_text().rstrip("\n") == str(image.resolve()):
                return True
        except OSError:
            continue
    return False


def mount(image: Path, point: Path, file: int, *, read_only: bool = False) -> None:
    """Mount an ext4 image on a loop device that is freed with the mount. ``file`` is what ``claim`` gave.

    Raises OSError.
    """
    device = _attach(image, file)
    try:
        flags = _NOSUID | _NODEV | _NOATIME | (_READ_ONLY if read_only else 0)
        node = os.fsencode(Path(f"/proc/self/fd/{device}").readlink())
        if _libc.mount(node, os.fsencode(point), b"ext4", ctypes.c_ulong(flags), _OPTIONS):
            code = ctypes.get_errno()
            raise OSError(code, f"mount: {os.strerror(code)}")
    finally:
        os.close(device)  # without a mount that frees it


def detach(point: Path) -> None:
    """Take a mount out of sight; it ends when its last open file is closed. What is not mounted is let be."""
    _libc.umount2(os.fsencode(point), _DETACH)


def clone(point: Path) -> int:
    """An open folder: the root of what is mounted at ``point``, in a mount of its own that nobody else sees.

    Others may unmount ``point`` meanwhile; the image stays claimed until the folder and all opened below it are closed.
    Raises OSError.
    """
    tree = _libc.syscall(_OPEN_TREE, -100, os.fsencode(point), ctypes.c_uint(_CLONE | os.O_CLOEXEC))
    if tree < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"open_tree: {os.strerror(code)}")
    try:
        return os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=tree)
    finally:
        os.close(tree)


def sync(folder: int) -> None:
    """Bring to the disk what was written to the file system of an open folder."""
    _libc.syncfs(folder)


def thaw(folder: int) -> bool:
    """Let others write to a file system that was frozen; False when it was not."""
    try:
        fcntl.ioctl(folder, _THAW, 0)
    except OSError:
        return False
    return True


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


def _attach(image: Path, file: int) -> int:
    """An open loop device behind which the image lies. The kernel makes a new one where all are taken."""
    control = os.open(_CONTROL, os.O_RDWR | os.O_CLOEXEC)
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
