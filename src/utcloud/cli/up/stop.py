"""`utcloud down`: stop everything in good order, and leave nothing but data behind."""

import contextlib
import json
import os
import subprocess
import time
from pathlib import Path
from urllib.parse import urlencode

from utcloud.cli.up import chips, engine, network, supervise, unixhttp
from utcloud.cli.up.instance import CannotRunError, Instance
from utcloud.cli.up.progress import say, step
from utcloud.common.files import is_ours
from utcloud.common.settings import Settings

DRAIN_SECONDS = 60
HOME_LABEL = "utcloud.home"  # the agent puts it on every container of this home
# The agent is drained before; the server hears of it; the edge and the rest serve nobody any more.
ORDER = ("edge", "prometheus", "node_exporter", "server", "engine")
SOCKETS = ("serve/server.sock", "serve/edge-admin.sock", "supervisor.sock", "server.sock", "edge-admin.sock")
"""The last two are an older version's."""


def down(settings: Settings) -> int:
    """Stop this instance; return the exit status: 1 when something of it could not be removed."""
    instance = Instance(settings)
    if not settings.run_dir.exists():
        say(f"utcloud is not running (nothing at {settings.home}).")
        return 0
    try:
        with instance.locked():
            return 1 if take_down(instance) else 0
    except CannotRunError as error:
        say(str(error))
        return 1


def take_down(instance: Instance) -> list[str]:
    """Stop all of the instance; return what could not be removed, in words, having said it."""
    instance = instance.remembered()
    supervisor = instance.supervisor
    running = supervisor.running()
    if not running and not supervise.marked(instance.home) and not _mounts(instance.home):
        say("utcloud is not running.")
    if running:
        with step("stopping notebooks and tasks, keeping their files"):
            supervisor.stop("agent")
            _drain(instance)
        with step("stopping the processes"):
            for name in ORDER[:-1]:
                supervisor.stop(name)
    if is_ours(instance.own_engine) and (instance.own_engine / "containers.conf").exists():
        with step("clearing the container engine"):
            _clear_engine(instance)
            if running:
                supervisor.stop("engine")
    if running:
        supervisor.shutdown()
    supervise.end(_ours(instance))
    _unmount(instance.home)
    _forget_network(instance)
    chips.remove(instance.settings.simulated_chips_file)
    for name in SOCKETS:
        (instance.settings.run_dir / name).unlink(missing_ok=True)
    if is_ours(instance.own_engine):
        (instance.own_engine / "podman.sock").unlink(missing_ok=True)
    left = _left(instance)
    if left:
        say("These are left, look at them by hand:\n" + "\n".join(f"  {thing}" for thing in left))
    elif running:
        say(f"utcloud is stopped. Its data stays in {instance.home}.")
    return left


def _drain(instance: Instance) -> None:
    """Let the agent stop this site's containers gracefully and tell the server of their end; again if it could not."""
    used = instance.environment()
    with contextlib.suppress(OSError, ValueError):
        used |= json.loads(instance.started_with.read_text())
    used.pop(supervise.MARK)
    command = [str(supervise.BIN / "utcloud"), "agent", "--drain"]
    deadline = time.monotonic() + DRAIN_SECONDS
    while (left := deadline - time.monotonic()) > 0:
        with instance.supervisor.log("drain").open("a") as log, contextlib.suppress(subprocess.TimeoutExpired):
            subprocess.run(
                command, env=used, stdout=log, stderr=log, stdin=subprocess.DEVNULL, timeout=left, check=False
            )
        if not _containers(instance):
            return
        time.sleep(1)
    say(f"  not all ended within {DRAIN_SECONDS} s; the rest is ended now.\n{instance.supervisor.tail('drain')}")


def _containers(instance: Instance) -> bool:
    """Whether containers of this site are left. An engine that is away has none that could be ended through it."""
    query = urlencode({"all": "1", "filters": json.dumps({"label": [f"{HOME_LABEL}={instance.home}"]})})
    try:
        return bool(unixhttp.get_json(instance.known_engine().socket, f"/v1.41/containers/json?{query}"))
    except OSError:
        return False


def _clear_engine(instance: Instance) -> None:
    """Remove every container and network of our own Podman; images, volumes and homes stay."""
    environment = engine.environment(instance.own_engine)
    for command in (["rm", "--all", "--force", "--time", "5"], ["network", "prune", "--force"]):
        done = subprocess.run(
            ["podman", *command], env=environment, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False
        )
        if done.returncode:
            say(f"  podman {command[0]}: {done.stderr.strip()[-500:]}")


def _ours(instance: Instance) -> list[int]:
    """Processes we started that are still there. Podman's resolver is shared with other users of Podman."""
    return [pid for pid in supervise.marked(instance.home) if _comm(pid) != "aardvark-dns" and pid != os.getppid()]


def _comm(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""


def _mounts(home: Path) -> list[str]:
    """Mount points inside home, innermost first."""
    points = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
    points = [point.encode().decode("unicode_escape") for point in points]
    return sorted((point for point in points if point.startswith(f"{home}/")), key=len, reverse=True)


def _unmount(home: Path) -> None:
    for point in _mounts(home):
        subprocess.run(["umount", point], capture_output=True, check=False)


def _forget_network(instance: Instance) -> None:
    note = instance.settings.run_dir / "tables-before.json"
    if not note.exists() or os.geteuid() != 0:
        return
    network.forget(json.loads(note.read_text()))
    note.unlink()


def _left(instance: Instance) -> list[str]:
    processes = [f"process {pid} ({_comm(pid)})" for pid in _ours(instance)]
    return processes + [f"mount {point}" for point in _mounts(instance.home)]
