"""`utcloud down`: stop everything in good order, and leave nothing but data behind."""

import contextlib
import json
import os
import subprocess
from pathlib import Path

from utcloud.cli.up import chips, engine, network, supervise
from utcloud.cli.up.instance import CannotRunError, Instance
from utcloud.cli.up.progress import say, step
from utcloud.common.settings import Settings

DRAIN_SECONDS = 60
# The agent is drained before; the server hears of it; the edge and the rest serve nobody any more.
ORDER = ("edge", "prometheus", "node_exporter", "server", "engine")
SOCKETS = ("server.sock", "edge-admin.sock", "supervisor.sock")


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
    if (instance.own_engine / "containers.conf").exists():
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
    (instance.own_engine / "podman.sock").unlink(missing_ok=True)
    left = _left(instance)
    if left:
        say("These are left, look at them by hand:\n" + "\n".join(f"  {thing}" for thing in left))
    elif running:
        say(f"utcloud is stopped. Its data stays in {instance.home}.")
    return left


def _drain(instance: Instance) -> None:
    """Let the agent stop this site's containers gracefully and tell the server of their end."""
    used = instance.environment()
    with contextlib.suppress(OSError, ValueError):
        used |= json.loads(instance.started_with.read_text())
    used.pop(supervise.MARK)
    command = [str(supervise.BIN / "utcloud"), "agent", "--drain"]
    with instance.supervisor.log("drain").open("a") as log:
        try:
            done = subprocess.run(
                command, env=used, stdout=log, stderr=log, stdin=subprocess.DEVNULL, timeout=DRAIN_SECONDS, check=False
            )
        except subprocess.TimeoutExpired:
            say(f"  not all ended within {DRAIN_SECONDS} s; the rest is ended now.")
            return
    if done.returncode:
        say(f"  the agent could not do it all:\n{instance.supervisor.tail('drain')}")


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
