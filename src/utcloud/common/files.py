"""Which files may be believed where others may make some too."""

import os
import stat
from pathlib import Path


def is_ours(path: Path) -> bool:
    """Whether there is a file or folder of root's or of this process's own user at ``path``, and no link.

    A home is sticky: the server's user can neither replace nor remove what root made there, but he can make whatever
    does not exist. What root is to obey, such as a list of devices, must be root's own.
    """
    try:
        facts = path.lstat()
    except OSError:
        return False
    return facts.st_uid in (0, os.geteuid()) and not stat.S_ISLNK(facts.st_mode)
