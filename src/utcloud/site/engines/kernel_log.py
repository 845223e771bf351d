"""The kernel's own word that a container ran out of memory.

Some engines miss it (conmon 2.1.6 on cgroup v1 was seen to), so the kernel's log is asked as well.
"""

import os


def saw_out_of_memory(container_id: str, path: str = "/dev/kmsg") -> bool:
    """Whether the kernel logged that it killed a process of this container because of its memory limit."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    except OSError:
        return False
    wanted = container_id.encode()
    try:
        while True:
            try:
                record = os.read(handle, 8192)
            except BrokenPipeError:
                continue  # the ring went on while we read; the next read starts at the oldest record left
            except OSError:
                return False
            if not record:
                return False
            if b"oom-kill:" in record and wanted in record:
                return True
    finally:
        os.close(handle)
