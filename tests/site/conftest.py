"""A site to test: a small server, an engine, and an agent in this process or in its own."""

import asyncio
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from aiodocker import Docker

from tests.site.server import TOKEN, SmallServer
from tests.site.small_image import IMAGE, load_into
from utcloud.common.settings import Settings
from utcloud.protocol import DesiredReplica, Limits, Phase
from utcloud.site.agent import Agent
from utcloud.site.discovery.base import Discovery
from utcloud.site.discovery.host import HostDiscovery
from utcloud.site.disks import unmount_all
from utcloud.site.firewall import Nftables, bridge_prefix

SERVE = "import http.server as h; h.test(h.SimpleHTTPRequestHandler, port=8888, bind='0.0.0.0')"


@pytest.fixture
def home() -> Iterator[Path]:
    """A home folder with a short path, because a socket's path is limited."""
    folder = Path(tempfile.mkdtemp(prefix="uts-"))
    (folder / "agent").mkdir()
    (folder / "agent" / "token").write_text(TOKEN + "\n")
    yield folder
    unmount_all(folder / "site")
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def settings(home: Path) -> Settings:
    return Settings(home=home)


@pytest.fixture
async def server(settings: Settings) -> AsyncIterator[SmallServer]:
    one = SmallServer(settings.server_socket, f"site-{uuid.uuid4().hex[:8]}")
    await one.start()
    yield one
    await one.stop()


@pytest.fixture(scope="session")
def engine_url() -> Iterator[str]:
    """The engine at UTCLOUD_TEST_ENGINE_URL, or a Podman of our own."""
    if url := os.environ.get("UTCLOUD_TEST_ENGINE_URL"):
        asyncio.run(load_into(url))
        yield url
        return
    podman = shutil.which("podman")
    if podman is None or os.geteuid() != 0:
        pytest.skip("needs root and podman, or UTCLOUD_TEST_ENGINE_URL")
    folder = Path(tempfile.mkdtemp(prefix="utse-"))
    environment = _own_engine(folder)
    log = (folder / "log").open("w")
    url = f"unix://{folder}/podman.sock"
    process = subprocess.Popen([podman, "system", "service", "--time=0", url], env=environment, stderr=log, cwd=folder)
    try:
        deadline = time.monotonic() + 20
        while not (folder / "podman.sock").is_socket():
            assert time.monotonic() < deadline, (folder / "log").read_text()
            time.sleep(0.05)
        asyncio.run(load_into(url))
        yield url
    finally:
        subprocess.run([podman, "system", "reset", "--force"], env=environment, capture_output=True, check=False)
        process.terminate()
        process.wait(10)
        shutil.rmtree(folder, ignore_errors=True)


def _own_engine(folder: Path) -> dict[str, str]:
    runtime = "crun" if shutil.which("crun") else "runc"
    files, processes = (resource.getrlimit(kind)[1] for kind in (resource.RLIMIT_NOFILE, resource.RLIMIT_NPROC))
    # Podman lowers its own limit of processes, and without CAP_SYS_RESOURCE nothing above that can be given.
    files, processes = (min(count, 20_000) if count > 0 else 20_000 for count in (files, processes))
    (folder / "containers.conf").write_text(
        f"""[containers]
default_ulimits = ["nofile={files}:{files}", "nproc={processes}:{processes}"]
log_driver = "k8s-file"
[engine]
runtime = "{runtime}"
cgroup_manager = "cgroupfs"
events_logger = "file"
events_logfile_path = "{folder}/events.log"
tmp_dir = "{folder}/tmp"
static_dir = "{folder}/storage/libpod"
volume_path = "{folder}/storage/volumes"
[network]
network_backend = "netavark"
network_config_dir = "{folder}/networks"
default_subnet_pools = [{{"base" = "10.{128 + os.getpid() % 100}.0.0/16", "size" = 24}}]
"""
    )
    (folder / "storage.conf").write_text(
        f'[storage]\ndriver = "overlay"\ngraphroot = "{folder}/storage"\nrunroot = "{folder}/run"\n'
    )
    return os.environ | {
        "CONTAINERS_CONF": str(folder / "containers.conf"),
        "CONTAINERS_STORAGE_CONF": str(folder / "storage.conf"),
    }


@pytest.fixture
def real_settings(home: Path, engine_url: str) -> Settings:
    return Settings(home=home, engine_url=engine_url)


@pytest.fixture
async def docker(engine_url: str, home: Path) -> AsyncIterator[Docker]:
    """The engine, to look at it past the agent. What this test's site left is removed at the end."""
    async with Docker(url=engine_url) as client:
        yield client
        for container in await client.containers.list(all="1"):
            if (container._container.get("Labels") or {}).get("utcloud.home") == str(home):
                with suppress(Exception):
                    await container.delete(force=True)
        for network in await client.networks.list():
            if (network.get("Labels") or {}).get("utcloud.home") == str(home):
                with suppress(Exception):
                    await (await client.networks.get(network["Name"])).delete()
    # An agent that was cancelled leaves its table, since its bridges were there still.
    await Nftables(bridge_prefix(home / "site")).remove()


@pytest.fixture
async def agent_of(settings: Settings) -> AsyncIterator[Callable[..., Agent]]:
    """Start agents in this process; all are stopped at the end."""
    tasks: list[asyncio.Task[None]] = []

    def start(with_settings: Settings | None = None, **parts: Any) -> Agent:
        discoveries: list[Discovery] = parts.pop("discoveries", None) or [HostDiscovery(settings.home)]
        agent = Agent(with_settings or settings, discoveries=discoveries, **parts)
        tasks.append(asyncio.create_task(agent.run()))
        agent.task = tasks[-1]  # type: ignore[attr-defined]
        return agent

    yield start
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


class AgentProcess:
    """An agent in a process of its own, to be killed."""

    def __init__(self, settings: Settings):
        self._environment = os.environ | {
            "UTCLOUD_HOME": str(settings.home),
            "UTCLOUD_ENGINE_URL": settings.engine_url,
        }
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self._process
        return self._process.pid

    def start(self) -> None:
        code = "from utcloud.site import run; from utcloud.common.settings import Settings; run(Settings())"
        self._process = subprocess.Popen([sys.executable, "-c", code], env=self._environment)

    def kill(self, number: int = signal.SIGKILL) -> None:
        if self._process and self._process.poll() is None:
            self._process.send_signal(number)
            self._process.wait(20)


@pytest.fixture
def agent_process(real_settings: Settings) -> Iterator[AgentProcess]:
    one = AgentProcess(real_settings)
    yield one
    one.kill()


@pytest.fixture
def replica() -> Callable[..., DesiredReplica]:
    """Make wishes; what is not named has a small default."""

    def make(attempt_id: str = "", **fields: Any) -> DesiredReplica:
        ident = attempt_id or f"at_{uuid.uuid4().hex[:12]}"
        values: dict[str, Any] = {
            "replica_id": f"rp_{ident[3:]}",
            "attempt_id": ident,
            "workload_id": f"nb_{ident[3:]}",
            "desired": Phase.RUNNING,
            "node": "",
            "image": IMAGE,
            "command": ["python3", "-c", SERVE],
            "limits": Limits(cpu_millicores=1000, memory_bytes=128 * 2**20, pids=64),
            "port": 8888,
            "stop_grace_s": 2,
        }
        return DesiredReplica(**(values | fields))

    return make
