"""The whole of utcloud as a person starts it: ``utcloud up`` with simulated chips, in a home and on a port of its own.

The home (UTCLOUD_TEST_HOME, else build/test-home) keeps the engine with its images from run to run, and nothing else,
so that only the first run builds the preset image. UTCLOUD_TEST_ENGINE_URL names an engine to use instead of an own.
"""

import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil

from tests.support.api import Api, wait_for
from utcloud.cli.up import ports
from utcloud.cli.up.supervise import MARK, Supervisor

ROOT = Path(__file__).resolve().parents[2]
UTCLOUD = Path(sys.executable).with_name("utcloud")
CHIPS = "BM1684X:3"
UP_SECONDS = 900
"""A first start builds the preset image, on a small machine too."""


def missing() -> str:
    """What this machine lacks for a whole stack; empty when it lacks nothing."""
    if os.geteuid() != 0:
        return "needs root"
    if not os.environ.get("UTCLOUD_TEST_ENGINE_URL") and not shutil.which("podman"):
        return "needs podman, or UTCLOUD_TEST_ENGINE_URL"
    return ""


@dataclass
class Stack:
    """One instance. ``up`` and ``down`` are the commands that people type."""

    home: Path
    port: int
    settings: dict[str, str] = field(default_factory=dict)

    @property
    def environment(self) -> dict[str, str]:
        kept = {key: value for key, value in os.environ.items() if not key.startswith("UTCLOUD_")}
        return kept | {"UTCLOUD_HOME": str(self.home), "UTCLOUD_PORT": str(self.port)} | self.settings

    def command(self, *arguments: str, timeout: float = 120) -> subprocess.CompletedProcess[str]:
        """Run the ``utcloud`` command against this instance; both streams come back as one."""
        return subprocess.run(
            [UTCLOUD, *arguments],
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=timeout,
            check=False,
        )

    def up(self) -> float:
        """Start all; return the seconds it took until it said that it is ready."""
        begin = time.monotonic()
        done = self.command("up", "--detach", timeout=UP_SECONDS)
        assert done.returncode == 0, f"{done.stdout}\n{self.logs()}"
        return time.monotonic() - begin

    def down(self) -> str:
        """Stop all; return what was said."""
        done = self.command("down")
        assert done.returncode == 0, done.stdout
        return done.stdout

    def forget(self) -> None:
        """Remove all but the engine's images: a fresh start."""
        self.down()
        for entry in self.home.iterdir() if self.home.exists() else ():
            if entry.name != "engine":
                shutil.rmtree(entry) if entry.is_dir() else entry.unlink()

    # Access

    @property
    def access(self) -> dict[str, str]:
        found: dict[str, str] = json.loads((self.home / "access.json").read_text())
        return found

    @property
    def origin(self) -> str:
        """Where the edge listens, by address: names below localhost are not known to every resolver."""
        return f"http://127.0.0.1:{self.port}"

    def anonymous(self) -> Api:
        return Api(self.origin, f"localhost:{self.port}")

    def operator(self) -> Api:
        return self.anonymous().login(self.access["username"], self.access["password"])

    def page(self, url: str) -> httpx.Client:
        """A client for the origin of a replica's page; follows the opening ``url`` and keeps the page's cookie."""
        link = httpx.URL(url)
        client = httpx.Client(base_url=self.origin, headers={"Host": link.netloc.decode()}, timeout=30, trust_env=False)
        opened = client.get(link.raw_path.decode())
        assert opened.status_code == 303, opened.text
        cookie = opened.headers["set-cookie"].partition(";")[0]
        client.headers["Cookie"] = cookie
        return client

    # What runs

    @property
    def supervisor(self) -> Supervisor:
        return Supervisor(self.home)

    def pid(self, program: str) -> int:
        """The process id of ``server``, ``agent``, ``edge``; 0 while it does not run."""
        return next((state.pid for state in self.supervisor.states() if state.name == program), 0)

    def kill(self, program: str) -> None:
        """``kill -9``; nothing happens when it is just being started again."""
        if pid := self.pid(program):
            os.kill(pid, signal.SIGKILL)

    def wait_until_heard(self, api: Api) -> dict[str, Any]:
        """Wait until this machine's node is ready; the node."""

        def look() -> dict[str, Any] | None:
            return next((one for one in api.all("/nodes") if one["status"] == "ready"), None)

        return wait_for(look, f"a ready node\n{self.logs('agent')}", 60)

    def logs(self, *programs: str) -> str:
        return "\n".join(self.supervisor.tail(name) for name in programs or ("server", "agent", "edge", "engine"))

    # The engine

    @property
    def engine_socket(self) -> Path:
        url = self.settings.get("UTCLOUD_ENGINE_URL", f"unix://{self.home}/engine/podman.sock")
        return Path(url.removeprefix("unix://"))

    def engine(self, method: str, path: str, **params: str) -> Any:
        """Ask the engine itself, past utcloud."""
        transport = httpx.HTTPTransport(uds=str(self.engine_socket))
        with httpx.Client(transport=transport, base_url="http://engine", timeout=30) as client:
            answer = client.request(method, f"/v1.41{path}", params=params)
            answer.raise_for_status()
            return answer.json() if answer.content else None

    def containers(self) -> list[dict[str, Any]]:
        """All containers of this instance, running or not, as the engine lists them."""
        mine = json.dumps({"label": [f"utcloud.home={self.home}"]})
        found: list[dict[str, Any]] = self.engine("GET", "/containers/json", all="true", filters=mine)
        return found

    def inspect(self, container_id: str) -> dict[str, Any]:
        found: dict[str, Any] = self.engine("GET", f"/containers/{container_id}/json")
        return found

    def chips_in(self, container_id: str) -> dict[str, int]:
        """The chips' device files that a container sees, with their minor numbers: the host's."""
        pid = self.inspect(container_id)["State"]["Pid"]
        seen = Path(f"/proc/{pid}/root/dev").glob("bm-sophon*")
        return {f"/dev/{path.name}": os.minor(path.stat().st_rdev) for path in seen}

    def user_in(self, container_id: str) -> int:
        """The real user id of a container's first process."""
        pid = self.inspect(container_id)["State"]["Pid"]
        return psutil.Process(pid).uids().real

    def bridges(self) -> set[str]:
        """Names of the network interfaces that this instance's networks have."""
        mine = json.dumps({"label": [f"utcloud.home={self.home}"]})
        networks = self.engine("GET", "/networks", filters=mine)
        return {
            (one.get("Options") or {}).get("com.docker.network.bridge.name", "")
            for one in networks
            if (one.get("Labels") or {}).get("utcloud.home") == str(self.home)
        } - {""}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def quiet_port() -> int:
    """A port that is free, and its neighbours too, where the system takes none for outgoing connections."""
    while True:
        port = random.randrange(20_000, 30_000)
        if not any(ports.busy("127.0.0.1", port + offset) for offset in range(5)):
            return port


def new_stack() -> Stack:
    """The stack of this test run, with everything of an earlier run but its images taken away."""
    home = Path(os.environ.get("UTCLOUD_TEST_HOME") or ROOT / "build" / "test-home").absolute()
    settings = {"UTCLOUD_SIMULATE_CHIPS": CHIPS}
    if url := os.environ.get("UTCLOUD_TEST_ENGINE_URL"):
        settings["UTCLOUD_ENGINE_URL"] = url
    stack = Stack(home, quiet_port(), settings)
    stack.forget()
    return stack


@dataclass(frozen=True)
class Traces:
    """What an instance may leave on a machine."""

    processes: frozenset[str]
    mounts: frozenset[str]
    interfaces: frozenset[str]
    tables: frozenset[str]
    devices: frozenset[str]
    listening: frozenset[int]

    @classmethod
    def of(cls, stack: Stack) -> "Traces":
        """Look around this machine."""
        nft = subprocess.run(["nft", "list", "tables"], capture_output=True, text=True, check=False)
        return cls(
            processes=frozenset(_processes(stack.home)),
            mounts=frozenset(
                line.split()[1]
                for line in Path("/proc/mounts").read_text().splitlines()
                if line.split()[1].startswith(f"{stack.home}/")
            ),
            interfaces=frozenset(path.name for path in Path("/sys/class/net").iterdir()),
            tables=frozenset(nft.stdout.splitlines()),
            devices=frozenset(str(path) for path in Path("/dev").glob("bm-sophon*")),
            listening=frozenset(
                one.laddr[1] for one in psutil.net_connections("tcp") if one.laddr and one.status == psutil.CONN_LISTEN
            ),
        )


def _processes(home: Path) -> list[str]:
    """What carries the instance's mark, or names its home on its command line; our own family apart."""
    family = {os.getpid(), *(parent.pid for parent in psutil.Process().parents())}
    found = []
    for process in psutil.process_iter(["pid", "name", "cmdline", "environ", "status"]):
        info = process.info
        if info["pid"] in family or info["status"] == psutil.STATUS_ZOMBIE:
            continue
        marked = (info["environ"] or {}).get(MARK) == str(home)
        if marked or str(home) in " ".join(info["cmdline"] or []):
            found.append(f"{info['pid']} {info['name']}")
    return found
