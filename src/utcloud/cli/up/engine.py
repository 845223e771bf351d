"""The container engine: find one that answers, or configure our own Podman.

Our own Podman keeps all it writes under one folder, so that it neither sees nor disturbs what else runs on the
machine, and so that `down` can leave nothing behind.
"""

import json
import os
import resource
import shutil
from dataclasses import dataclass
from pathlib import Path

from utcloud.cli.up.unixhttp import answers
from utcloud.common.files import is_ours

CGROUP_V2_MARK = Path("/sys/fs/cgroup/cgroup.controllers")
KNOWN_SOCKETS = (Path("/var/run/docker.sock"), Path("/run/podman/podman.sock"))
CAP_SYS_RESOURCE = 24
PING = "/_ping"


class EngineError(RuntimeError):
    """No container engine can be used; the message says what to do."""


@dataclass(frozen=True)
class Engine:
    """Where containers run. `own` is the folder of our own Podman, None for an engine somebody else runs."""

    url: str
    own: Path | None = None

    @property
    def socket(self) -> Path:
        """The API socket's path."""
        return Path(self.url.removeprefix("unix://"))


def detect(home: Path, engine_url: str | None, known: tuple[Path, ...] = KNOWN_SOCKETS) -> Engine:
    """The engine to use: the one asked for, else one already running, else our own Podman under `home`.

    Raises EngineError when the one asked for does not answer, or when there is none and no Podman to start.
    """
    if engine_url:
        return _asked_for(engine_url)
    own = home / "engine"
    if is_ours(own) and (own / "storage").exists():
        # Volumes and images are already here: an engine that appeared since must not make them vanish.
        return Engine(own_url(own), own)
    for path in known:
        if answers(path, PING):
            return Engine(f"unix://{path}")
    if not shutil.which("podman"):
        raise EngineError("There is no container engine: install podman (or Docker), then run this again.")
    return Engine(own_url(own), own)


def own_url(own: Path) -> str:
    """Where our own Podman answers."""
    return f"unix://{own}/podman.sock"


def _asked_for(engine_url: str) -> Engine:
    if not engine_url.startswith("unix://"):
        raise EngineError(f"UTCLOUD_ENGINE_URL must look like unix:///run/podman/podman.sock, not {engine_url!r}.")
    engine = Engine(engine_url)
    if not answers(engine.socket, PING):
        raise EngineError(
            f"No container engine answers at UTCLOUD_ENGINE_URL={engine_url}. Start it, or unset the variable."
        )
    return engine


def runtime(cgroup_v2: bool | None = None) -> str:
    """The OCI runtime this machine can use: crun only understands pure cgroup v2, runc both."""
    v2 = CGROUP_V2_MARK.exists() if cgroup_v2 is None else cgroup_v2
    if v2 and shutil.which("crun"):
        return "crun"
    if shutil.which("runc"):
        return "runc"
    raise EngineError("No OCI runtime for this machine's cgroups: install runc (or crun, with cgroup v2).")


def own_limits() -> list[str]:
    """Our own hard limits as Podman's ulimits: the most that may be given on without CAP_SYS_RESOURCE.

    Podman itself lowers its number of processes to the kernel's highest pid.
    """
    files, processes = (resource.getrlimit(kind)[1] for kind in (resource.RLIMIT_NOFILE, resource.RLIMIT_NPROC))
    highest_pid = int(Path("/proc/sys/kernel/pid_max").read_text())
    processes = highest_pid if processes == resource.RLIM_INFINITY else min(processes, highest_pid)
    limits = {"nproc": processes} | ({} if files == resource.RLIM_INFINITY else {"nofile": files})
    return [f"{name}={limit}:{limit}" for name, limit in limits.items()]


def may_raise_limits(status: Path = Path("/proc/self/status")) -> bool:
    """Whether we hold CAP_SYS_RESOURCE, without which Podman's default ulimits cannot be set."""
    for line in status.read_text().splitlines():
        if line.startswith("CapEff:"):
            return bool(int(line.split()[1], 16) >> CAP_SYS_RESOURCE & 1)
    return False


def storage_driver(home: Path) -> tuple[str, str | None]:
    """Podman's storage driver for files under `home`, and the helper program it needs, if any."""
    if _filesystem(home) != "overlay":
        return "overlay", None
    fuse = shutil.which("fuse-overlayfs")
    if fuse and Path("/dev/fuse").exists():
        return "overlay", fuse
    return "vfs", None


def _filesystem(path: Path) -> str:
    """The type of the file system that holds `path`, as the kernel names it."""
    best, kind = "", ""
    target = str(path.resolve())
    for line in Path("/proc/mounts").read_text().splitlines():
        _, mountpoint, fstype, *_ = line.split()
        inside = mountpoint == "/" or target == mountpoint or target.startswith(mountpoint + "/")
        if inside and len(mountpoint) >= len(best):
            best, kind = mountpoint, fstype
    return kind


def write_config(own: Path) -> None:
    """Write containers.conf and storage.conf of our own Podman into `own`."""
    own.mkdir(parents=True, exist_ok=True)
    if not is_ours(own):
        raise EngineError(f"{own} was made by another user: look what is in it, remove it, then run this again.")
    scratch = own / "tmp"
    ulimits = "" if may_raise_limits() else f"default_ulimits = {json.dumps(own_limits())}\n"
    (own / "containers.conf").write_text(
        f"""# Written by `utcloud up`.
[containers]
{ulimits}log_driver = "k8s-file"

[engine]
runtime = "{runtime()}"
cgroup_manager = "cgroupfs"
events_logger = "file"
events_logfile_path = "{own}/events.log"
tmp_dir = "{scratch}"
static_dir = "{own}/storage/libpod"
volume_path = "{own}/storage/volumes"

[network]
network_backend = "netavark"
network_config_dir = "{own}/networks"
"""
    )
    driver, program = storage_driver(own)
    options = f'\n[storage.options.overlay]\nmount_program = "{program}"\n' if program else ""
    (own / "storage.conf").write_text(
        f'[storage]\ndriver = "{driver}"\ngraphroot = "{own}/storage"\nrunroot = "{own}/run"\n{options}'
    )


def environment(own: Path) -> dict[str, str]:
    """The environment in which `podman` works on our own engine."""
    return {
        **os.environ,
        "CONTAINERS_CONF": str(own / "containers.conf"),
        "CONTAINERS_STORAGE_CONF": str(own / "storage.conf"),
    }


def service_command(engine: Engine) -> list[str]:
    """The command that serves our own Podman's API until it is stopped."""
    return ["podman", "system", "service", "--time=0", engine.url]
