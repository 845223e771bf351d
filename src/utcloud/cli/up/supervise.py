"""supervisord: its configuration, and asking it what runs."""

import os
import resource
import shlex
import signal
import subprocess
import sys
import time
import xmlrpc.client
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from supervisor.xmlrpc import SupervisorTransport

MARK = "UTCLOUD_SUPERVISED"
"""Environment variable that every process of one instance carries; its value is the instance's home."""

BIN = Path(sys.executable).parent
TAIL_BYTES = 3000


class NotUpError(RuntimeError):
    """A process did not come up; the message holds the end of its log and the cure."""


@dataclass(frozen=True)
class Program:
    """One supervised process."""

    name: str
    command: list[str]
    stop_seconds: int = 10
    own_home: bool = False
    """Whether it has a user of its own: what it writes is closed to others, and its home is `run/serve`."""


@dataclass(frozen=True)
class State:
    """What supervisord says of a program; `pid` is 0 when it does not run."""

    name: str
    state: str
    pid: int
    since: int


class Supervisor:
    """The supervisord of the instance whose home is given."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.config = home / "run" / "supervisord.conf"
        self.socket = home / "run" / "supervisor.sock"
        self.logs = home / "logs"

    def write_config(self, programs: list[Program]) -> None:
        """Write supervisord.conf; programs are started one by one, and from then on kept running."""
        sections = [self._head(), *(self._program(program) for program in programs)]
        self.config.write_text("\n".join(sections))
        self.config.chmod(0o600)

    def _head(self) -> str:
        _, most_files = resource.getrlimit(resource.RLIMIT_NOFILE)
        files = 65536 if most_files == resource.RLIM_INFINITY else min(most_files, 65536)
        run = _escaped(str(self.home / "run"))
        return f"""[unix_http_server]
file = {run}/supervisor.sock
chmod = 0700

[supervisord]
logfile = {_escaped(str(self.logs))}/supervisord.log
logfile_maxbytes = 5MB
logfile_backups = 2
pidfile = {run}/supervisord.pid
directory = {_escaped(str(self.home))}
minfds = {files}

[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface

[supervisorctl]
serverurl = unix://{run}/supervisor.sock
"""

    def _program(self, program: Program) -> str:
        own = (
            f'umask = 077\nenvironment = HOME="{_escaped(str(self.home / "run" / "serve"))}"\n'
            if program.own_home
            else ""
        )
        return f"""[program:{program.name}]
command = {_escaped(shlex.join(program.command))}
autostart = false
autorestart = true
startsecs = 1
startretries = 1000
stopwaitsecs = {program.stop_seconds}
killasgroup = true
redirect_stderr = true
stdout_logfile = {_escaped(str(self.log(program.name)))}
stdout_logfile_maxbytes = 10MB
stdout_logfile_backups = 3
{own}"""

    def log(self, name: str) -> Path:
        """The file that holds what the program prints."""
        return self.logs / f"{name}.log"

    def launch(self, environment: dict[str, str]) -> None:
        """Start supervisord itself, detached from this terminal. Raises NotUpError."""
        command = [str(BIN / "supervisord"), "-c", str(self.config)]
        started = subprocess.run(
            command, env=environment, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False
        )
        deadline = time.monotonic() + 10
        while not self.running():
            if started.returncode or time.monotonic() > deadline:
                raise NotUpError(f"supervisord did not start: {started.stdout}{started.stderr}")
            time.sleep(0.05)

    def running(self) -> bool:
        """Whether our supervisord answers."""
        if not self.socket.exists():
            return False
        try:
            self._call("getState")
        except OSError:
            return False
        return True

    def pid(self) -> int:
        """supervisord's own process id."""
        return cast(int, self._call("getPID"))

    def states(self) -> list[State]:
        """The state of every program."""
        return [
            State(info["name"], info["statename"], info["pid"], info["start"])
            for info in cast(list[dict[str, Any]], self._call("getAllProcessInfo"))
        ]

    def all_run(self) -> bool:
        """Whether every program runs."""
        return self.running() and all(state.state == "RUNNING" for state in self.states())

    def start(self, name: str, ready: Callable[[], bool], cure: str = "", *, timeout: float = 60) -> None:
        """Start a program and wait until `ready()`. Raises NotUpError with the end of its log, and the cure."""
        cure = cure or f"Once that is put right: `utcloud up`. All logs: {self.logs}"
        self._ask("startProcess", name, False)
        deadline = time.monotonic() + timeout
        while not ready():
            state = next(state.state for state in self.states() if state.name == name)
            if state in ("BACKOFF", "FATAL", "EXITED"):
                raise NotUpError(f"{name} ended at once.\n{self.tail(name)}\n{cure}")
            if time.monotonic() > deadline:
                raise NotUpError(f"{name} did not answer within {timeout:.0f} s.\n{self.tail(name)}\n{cure}")
            time.sleep(0.05)

    def stop(self, name: str) -> None:
        """Stop a program and wait until it has ended; nothing happens when it does not run."""
        self._ask("stopProcess", name, True)

    def tail(self, name: str) -> str:
        """The end of a program's log."""
        log = self.log(name)
        if not log.exists():
            return f"(no log at {log})"
        text = log.read_bytes()[-TAIL_BYTES:].decode(errors="replace").strip()
        return f"The end of {log}:\n" + "\n".join(f"  | {line}" for line in text.splitlines()[-20:])

    def shutdown(self) -> None:
        """End supervisord and wait until it is gone."""
        pid = self.pid()
        self._ask("shutdown")
        deadline = time.monotonic() + 30
        while alive(pid):
            if time.monotonic() > deadline:
                os.kill(pid, signal.SIGKILL)
            time.sleep(0.05)
        self.socket.unlink(missing_ok=True)

    def _ask(self, method: str, *arguments: Any) -> None:
        """Call, and let be what is already as asked (started, stopped, or no such program)."""
        try:
            self._call(method, *arguments)
        except xmlrpc.client.Fault as fault:
            if not any(word in fault.faultString for word in ("ALREADY_STARTED", "NOT_RUNNING", "BAD_NAME")):
                raise NotUpError(f"supervisord: {fault.faultString}") from fault

    def _call(self, method: str, *arguments: Any) -> object:
        transport = SupervisorTransport(None, None, f"unix://{self.socket}")
        proxy = xmlrpc.client.ServerProxy("http://127.0.0.1", transport=transport)
        try:
            return getattr(proxy.supervisor, method)(*arguments)
        finally:
            transport.close()


def alive(pid: int) -> bool:
    """Whether the process exists and has not merely not been waited for."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def marked(home: Path) -> list[int]:
    """Processes that carry the mark of the instance at `home`: those we started, and their children."""
    mark = f"{MARK}={home}".encode()
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            variables = (entry / "environ").read_bytes().split(b"\0")
        except OSError:
            continue
        if mark in variables and alive(int(entry.name)):
            found.append(int(entry.name))
    return found


def end(pids: list[int], *, patience: float = 10) -> None:
    """End these processes: politely first, then surely."""
    for number, seconds in ((signal.SIGTERM, patience), (signal.SIGKILL, 5.0)):
        for pid in pids:
            if alive(pid):
                os.kill(pid, number)
        deadline = time.monotonic() + seconds
        while any(alive(pid) for pid in pids) and time.monotonic() < deadline:
            time.sleep(0.05)


def _escaped(text: str) -> str:
    return text.replace("%", "%%")
