"""Podman and Docker, through the Docker API."""

import asyncio
import json
import re
import resource
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import aiohttp
import structlog
from aiodocker import Docker
from aiodocker.exceptions import DockerError

from utcloud.common.settings import Settings
from utcloud.site.engines import pools
from utcloud.site.engines.base import (
    LABEL_HOME,
    LABEL_SITE,
    Brief,
    Container,
    ContainerSpec,
    EngineAway,
    EngineInfo,
    EngineRefused,
    Network,
    Status,
)
from utcloud.site.engines.k8s_log import tail
from utcloud.site.engines.kernel_log import saw_out_of_memory

log = structlog.get_logger()
T = TypeVar("T")

_UNREACHABLE = 900
"""What aiodocker gives as the status when it cannot connect."""
_CHANGES = {"die", "died", "oom", "kill", "stop", "remove", "destroy", "pause", "unpause"}
_SIGKILLED = 137
_MIB = 2**20
_TIMEOUT = aiohttp.ClientTimeout(total=120, sock_connect=5)
_LOG_SIZE = "10m"
_CAPABILITIES = ["gpu", "compute", "utility"]
"""What NVIDIA's driver of the Docker API shall bring: the libraries for computing, and nvidia-smi. CDI ignores it."""
_RUNC = re.compile(r"\brunc\b.*?((\d+)\.(\d+)\.(\d+)[^\s,;)]*)", re.DOTALL)
_SAFE_RUNC = (1, 1, 12)
_MENDED_RUNC = re.compile(
    r"1\.1\.5\+ds1-1\+deb12u\d|1\.0\.0~rc93\+ds1-5\+deb11u[3-9]|1\.1\.7-0ubuntu(1~2\d\.04|2)\.[2-9]"
)
"""What Debian's and Ubuntu's own packages say of themselves since they were mended."""
_SECCOMP = Path(__file__).with_name("seccomp.json")
"""The system calls that a container may make: no namespaces, mounts, keyrings, io_uring, BPF."""
_MOST_FILES = 2**20
_PODMAN_WITH_CDI = (5, 4)
"""Older ones take requests for devices by the Docker API, and forget them without a word."""


def candidate_urls(settings: Settings) -> list[str]:
    """Where an engine may be, best first. A URL that was set is the only one."""
    if settings.engine_url:
        return [settings.engine_url]
    sockets = (
        settings.home / "engine" / "podman.sock",
        Path("/run/podman/podman.sock"),
        Path("/var/run/docker.sock"),
    )
    return [f"unix://{path}" for path in sockets]


class DockerEngine:
    """One Docker-API engine: the first of ``urls`` that answers. See ``Engine`` for the contract."""

    def __init__(self, urls: list[str]):
        self._urls = urls
        self._docker: Docker | None = None
        self._podman = False
        self._url = ""
        self._info: EngineInfo | None = None
        self._connecting = asyncio.Lock()

    async def info(self) -> EngineInfo:
        docker = await self._connected()
        if self._info:
            await self._ask(docker.containers.list(limit="1"))  # far cheaper for the engine than to describe itself
            return self._info
        version, info = await self._ask(docker.version()), await self._ask(docker.system.info())
        name = "podman" if self._podman else "docker"
        cgroup = info.get("CgroupVersion") or "?"
        missing = [
            what for key, what in (("MemoryLimit", "memory"), ("PidsLimit", "processes")) if info.get(key) is False
        ]
        lacks = f"The engine cannot limit {' and '.join(missing)}: enable these cgroup controllers." if missing else ""
        runtime = info.get("DefaultRuntime") or "?"
        self._info = EngineInfo(
            f"{name} {version['Version']}, {runtime}, cgroup v{cgroup}",
            lacks,
            _drivers_of_podman(version["Version"]) if self._podman else _drivers_of_docker(info),
            pools.of_podman(self._url) if self._podman else pools.of_docker(info),
            _warnings(version.get("Components") or []),
        )
        return self._info

    async def prepare(self, network: Network) -> None:
        docker = await self._connected()
        options = {"com.docker.network.bridge.name": network.interface}
        if self._podman:
            options["isolate"] = "true"
        config = {"Name": network.name, "Driver": "bridge", "Labels": network.labels, "Options": options}
        try:
            await self._ask(docker.networks.create(config))
        except EngineRefused:
            if not await self._there(docker.networks.get(network.name)):
                raise

    async def ensure(self, spec: ContainerSpec, before_start: Callable[[], None]) -> Container:
        docker = await self._connected()
        config = self._config(spec)
        try:
            made = await self._ask(docker.containers.create(config, name=spec.name))
        except EngineRefused:
            found = await self.observe(spec.name)
            if found is None:
                raise
            if found.status is not Status.CREATED:
                return found
            await self.remove(found.id)
            made = await self._ask(docker.containers.create(config, name=spec.name))
        before_start()
        try:
            await self._ask(made.start())
        except EngineRefused:
            # A command that cannot be run is an end like any other, when the engine made a record of it.
            found = await self.observe(made.id)
            if found is None or found.status is Status.CREATED:
                raise
        container = await self.observe(made.id)
        if container is None:
            raise EngineRefused("The container was removed while it started.")
        return container

    async def stop(self, container_id: str, grace_s: int) -> None:
        docker = await self._connected()
        with suppress(_NotThere):
            await self._ask(docker.containers.container(container_id).stop(t=grace_s, timeout=grace_s + 60))

    async def remove(self, container_id: str) -> None:
        docker = await self._connected()
        with suppress(_NotThere):
            await self._ask(docker.containers.container(container_id).delete(force=True, v=True))

    async def remove_network(self, name: str) -> None:
        docker = await self._connected()
        with suppress(EngineRefused):
            network = await self._ask(docker.networks.get(name))
            await self._ask(network.delete())

    async def observe(self, name_or_id: str) -> Container | None:
        docker = await self._connected()
        try:
            found = await self._ask(docker.containers.get(name_or_id))
        except _NotThere:
            return None
        return _container(found._container)

    async def logs(self, container_id: str, lines: int) -> str:
        docker = await self._connected()
        container = docker.containers.container(container_id)
        shown = await self._ask(container.show())
        path = Path(shown.get("LogPath") or "")
        if self._podman and path.is_file():  # noqa: ASYNC240 - a stat
            return await asyncio.to_thread(tail, path, lines)
        return "".join(await self._ask(container.log(stdout=True, stderr=True, tail=lines, timeout=10)))

    async def snapshot(self) -> list[Brief]:
        docker = await self._connected()
        found = await self._ask(docker.containers.list(all="1", filters=json.dumps({"label": [LABEL_SITE]})))
        rows = [one._container for one in found]
        return [Brief(row["Id"], row.get("Labels") or {}, _listed_status(row.get("State", ""))) for row in rows]

    async def networks(self, home: str) -> list[Network]:
        docker = await self._connected()
        rows = await self._ask(docker.networks.list(filters={"label": [f"{LABEL_HOME}={home}"]}))
        return [
            Network(row["Name"], (row.get("Options") or {}).get("com.docker.network.bridge.name", ""), row["Labels"])
            for row in rows
            if (row.get("Labels") or {}).get(LABEL_HOME) == home
        ]

    async def changes(self) -> AsyncIterator[dict[str, str]]:
        docker = await self._connected()
        subscriber = docker.events.subscribe()  # type: ignore[no-untyped-call]
        try:
            while (event := await subscriber.get()) is not None:
                if event.get("Type") != "container" or event.get("Action") not in _CHANGES:
                    continue
                yield (event.get("Actor") or {}).get("Attributes") or {}
        finally:
            with suppress(Exception):
                await docker.events.stop()  # type: ignore[no-untyped-call]
        raise EngineAway("The engine's event stream ended.")

    async def close(self) -> None:
        docker, self._docker = self._docker, None
        if docker:
            await docker.close()

    async def _connected(self) -> Docker:
        if self._docker:
            return self._docker
        async with self._connecting:
            if self._docker:
                return self._docker
            for url in self._urls:
                path = url.removeprefix("unix://")
                if path != url and not Path(path).is_socket():  # noqa: ASYNC240 - a stat of a local socket
                    continue
                docker = Docker(url=url, timeout=_TIMEOUT)
                try:
                    version = await asyncio.wait_for(docker.version(), 5)
                except (DockerError, aiohttp.ClientError, OSError, TimeoutError):
                    await docker.close()
                    continue
                parts = version.get("Components") or []
                self._podman = any("podman" in str(part.get("Name", "")).lower() for part in parts)
                self._docker, self._url = docker, url
                return docker
        tried = ", ".join(self._urls)
        raise EngineAway(f"No container engine answers at {tried}. Start Podman or Docker, or set UTCLOUD_ENGINE_URL.")

    async def _ask(self, question: Awaitable[T]) -> T:
        try:
            return await question
        except DockerError as error:
            if error.status == _UNREACHABLE:
                raise EngineAway(error.message) from error
            if error.status == 404:
                raise _NotThere(error.message, "image" if "image" in error.message.lower() else "engine") from error
            raise EngineRefused(error.message) from error
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise EngineAway(f"The container engine does not answer: {error or type(error).__name__}") from error

    async def _there(self, question: Awaitable[object]) -> bool:
        try:
            await self._ask(question)
        except EngineRefused:
            return False
        return True

    def _config(self, spec: ContainerSpec) -> dict[str, Any]:
        limits = spec.limits
        tmp = max(limits.memory_bytes // 2, 16 * _MIB)
        # runc gives the mount the mode of the image's folder, whatever we ask; so let it belong to the user.
        owner = "U" if self._podman else f"uid={spec.user},gid={spec.user}"
        scratch = f"nosuid,nodev,mode=1777,{owner}"
        env = spec.env
        if not any(one.driver == "nvidia" for one in spec.requests):
            # Where NVIDIA's runtime is Docker's default one, an image that says "all" would get every GPU.
            env = env | {"NVIDIA_VISIBLE_DEVICES": "void"}
        config: dict[str, Any] = {
            "Image": spec.image,
            "User": f"{spec.user}:{spec.user}",
            "Env": [f"{key}={value}" for key, value in env.items()],
            "Hostname": spec.hostname,
            "Labels": spec.labels,
            "StopTimeout": spec.stop_grace_s,
            "HostConfig": {
                "NetworkMode": spec.network.name,
                "CapDrop": ["ALL"],
                "SecurityOpt": ["no-new-privileges", f"seccomp={_profile(self._podman)}"],
                "Ulimits": _ulimits(self._podman),
                "Privileged": False,
                "ReadonlyRootfs": True,
                "Tmpfs": {
                    "/tmp": f"rw,exec,{scratch},size={tmp}",  # noqa: S108 - inside the container
                    "/var/tmp": f"rw,exec,{scratch},size={tmp}",  # noqa: S108
                    "/run": f"rw,{scratch},size={16 * _MIB}",
                },
                "PidsLimit": limits.pids,
                "Memory": limits.memory_bytes,
                "MemorySwap": limits.memory_bytes,
                "NanoCpus": limits.cpu_millicores * 1_000_000,
                "ShmSize": limits.shm_bytes,
                "Init": True,
                "RestartPolicy": {"Name": "no"},
                "LogConfig": {"Type": "k8s-file", "Config": {"max-size": _LOG_SIZE}}
                if self._podman
                else {"Type": "json-file", "Config": {"max-size": _LOG_SIZE, "max-file": "2"}},
                "Devices": [
                    {"PathOnHost": one.host_path, "PathInContainer": one.container_path, "CgroupPermissions": "rw"}
                    for one in spec.devices
                ],
                "Binds": [f"{one.source}:{one.target}:{'ro' if one.read_only else 'rw'}" for one in spec.binds],
                "GroupAdd": [str(group) for group in spec.groups],
                "DeviceRequests": [
                    {"Driver": one.driver, "DeviceIDs": list(one.names), "Capabilities": [_CAPABILITIES]}
                    for one in spec.requests
                ],
            },
        }
        if spec.command:
            config["Cmd"] = spec.command
        return config


def _profile(podman: bool) -> str:
    """The profile as the engine wants it: Podman reads a file of the host, Docker takes the text itself."""
    return str(_SECCOMP) if podman else _seccomp_text()


@cache
def _ulimits(podman: bool) -> list[dict[str, Any]]:
    """No core dumps. Podman forgets its own defaults when one is named, and then asks for more than it may give."""
    limits = {"core": 0}
    if podman:
        files, processes = (resource.getrlimit(kind)[1] for kind in (resource.RLIMIT_NOFILE, resource.RLIMIT_NPROC))
        most = int(Path("/proc/sys/kernel/pid_max").read_text())
        limits["nofile"] = _MOST_FILES if files == resource.RLIM_INFINITY else min(files, _MOST_FILES)
        limits["nproc"] = most if processes == resource.RLIM_INFINITY else min(processes, most)
    return [{"Name": name, "Soft": limit, "Hard": limit} for name, limit in limits.items()]


@cache
def _seccomp_text() -> str:
    return _SECCOMP.read_text()


class _NotThere(EngineRefused):
    """The engine knows no such thing."""


def _drivers_of_podman(version: str) -> frozenset[str]:
    numbers = tuple(int(part) for part in re.findall(r"\d+", version)[:2])
    return frozenset({"cdi"}) if numbers >= _PODMAN_WITH_CDI else frozenset()


def _code(said: object) -> int | None:
    """A code of 32 bits. An engine that says another has none."""
    return said if isinstance(said, int) and -(2**31) <= said < 2**32 else None


def _warnings(components: list[dict[str, Any]]) -> tuple[str, ...]:
    """A runtime with a known way out of its containers. A distribution may have mended an old one under its old number:
    so it is advice, and nothing is refused."""
    for part in components:
        said = f"{part.get('Name', '')} {part.get('Version', '')}"
        found = _RUNC.search(said)
        if _MENDED_RUNC.search(said):
            continue
        if found and tuple(map(int, found.group(2, 3, 4))) < _SAFE_RUNC:
            safe = ".".join(map(str, _SAFE_RUNC))
            return (
                f"runc {found[1]} may have a way out of containers (CVE-2024-21626, closed in {safe}): install your "
                "distribution's security updates, or a newer runc",
            )
    return ()


def _drivers_of_docker(info: Mapping[str, Any]) -> frozenset[str]:
    """CDI needs Docker 25, and names its folders when it is switched on; NVIDIA's hook comes with its runtime."""
    found = {"cdi"} if info.get("CDISpecDirs") else set()
    return frozenset(found | {"nvidia"} if "nvidia" in (info.get("Runtimes") or {}) else found)


def _container(shown: dict[str, Any]) -> Container:
    state = shown["State"]
    started, ended = _moment(state.get("StartedAt")), _moment(state.get("FinishedAt"))
    alive = state.get("Running") or state.get("Paused") or state.get("Status") in ("running", "paused", "stopping")
    if alive:
        status, ended, code = Status.RUNNING, None, None
    elif started is None and ended is None and state.get("Status") not in ("exited", "dead"):
        status, code = Status.CREATED, None
    else:
        status, code = Status.ENDED, _code(state.get("ExitCode"))
    killed = status is Status.ENDED and code == _SIGKILLED
    oom = bool(state.get("OOMKilled")) or (killed and saw_out_of_memory(str(shown["Id"])))
    networks = (shown.get("NetworkSettings") or {}).get("Networks") or {}
    return Container(
        id=shown["Id"],
        name=str(shown.get("Name", "")).lstrip("/"),
        labels=(shown.get("Config") or {}).get("Labels") or {},
        status=status,
        started_at=started,
        ended_at=ended,
        exit_code=code,
        oom_killed=oom,
        ip=next((one["IPAddress"] for one in networks.values() if one.get("IPAddress")), ""),
    )


def _listed_status(state: str) -> Status:
    if state in ("created", "configured", "initialized"):
        return Status.CREATED
    return Status.RUNNING if state in ("running", "paused", "restarting", "stopping") else Status.ENDED


def _moment(text: str | None) -> datetime | None:
    if not text or text.startswith("0001-"):
        return None
    return datetime.fromisoformat(text).astimezone(UTC)
