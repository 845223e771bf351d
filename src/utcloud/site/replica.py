"""Driving one attempt towards what is wanted of it."""

import asyncio
import hashlib
import re
import signal
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import structlog

from utcloud.common.quantity import MEMORY, format_quantity
from utcloud.protocol import DesiredReplica, ObservedReplica, Phase, StrayContainer
from utcloud.site.devices import give
from utcloud.site.discovery.base import FoundChip
from utcloud.site.engines.base import (
    LABEL_ATTEMPT,
    LABEL_HOME,
    LABEL_REPLICA,
    LABEL_SITE,
    LABEL_VOLUMES,
    LABEL_WORKLOAD,
    Bind,
    Container,
    ContainerSpec,
    Engine,
    EngineAway,
    EngineRefused,
    Network,
    Status,
)
from utcloud.site.errors import CannotRun, ServerAway
from utcloud.site.firewall import Firewall, FirewallFailed
from utcloud.site.ids import Ids
from utcloud.site.probe import until_answers
from utcloud.site.records import Records, boot_id
from utcloud.site.volumes import Volumes

log = structlog.get_logger()
T = TypeVar("T")

LOG_LINES = 50
_LOG_CHARS = 20_000
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.1, 5.0
_STRAY_GRACE_S = 5
_SCRUB_S = 60
_CONTAINER_NAME = re.compile(r"[^a-zA-Z0-9_.-]")


@dataclass(slots=True)
class Surroundings:
    """What every replica of a site shares."""

    engine: Engine
    firewall: Firewall
    volumes: Volumes
    records: Records
    ids: Ids
    home: str
    bridge_prefix: str
    node: str
    changed: Callable[[], None]
    """To be called when what is observed has changed."""
    workload_in_use: Callable[[str], bool]
    site_id: str = ""
    store: Path | None = None
    chips: dict[str, FoundChip] = field(default_factory=dict)
    unclean: dict[str, str] = field(default_factory=dict)
    """Chips that still hold what their last tenant left, and why."""
    drivers: frozenset[str] = frozenset()
    """Device drivers of the engine."""
    strays: list[StrayContainer] = field(default_factory=list)
    network_lock: asyncio.Lock = field(default_factory=asyncio.Lock)


def container_name(attempt_id: str) -> str:
    """The container of an attempt."""
    return f"utc-{_CONTAINER_NAME.sub('-', attempt_id)}"


def network_of(workload_id: str, around: Surroundings) -> Network:
    """The bridge of a workload. An interface's name has at most 15 characters."""
    digest = hashlib.sha256(f"{around.home}\0{workload_id}".encode()).hexdigest()[:12]
    labels = {LABEL_SITE: around.site_id, LABEL_HOME: around.home, LABEL_WORKLOAD: workload_id}
    return Network(f"utc-{digest}", f"{around.bridge_prefix}{digest}"[:15], labels)


class Replica:
    """One attempt, level-triggered: each step looks at the engine and does what is next. Steps never overlap.

    ``desired`` may be replaced at any time; ``wake`` says that something may have changed. After ``release`` the
    container is removed and ``run`` returns.
    """

    def __init__(self, desired: DesiredReplica, around: Surroundings):
        self.desired = desired
        self._around = around
        self._engine = around.engine
        self._record = around.records.load(desired.attempt_id)
        self._wake = asyncio.Event()
        self._forced: tuple[str, str] | None = None
        self.released = False
        self.looked = asyncio.Event()
        """Set when the engine was asked at least once."""
        self.status: Status | None = None
        self.observed = self._record.observed or ObservedReplica(
            replica_id=desired.replica_id, attempt_id=desired.attempt_id, phase=Phase.STARTING, reason="getting ready"
        )

    @property
    def volumes(self) -> list[str]:
        """Names of its volumes."""
        return sorted({mount.volume for mount in self.desired.mounts if mount.volume})

    def end(self, cause: str, reason: str) -> None:
        """Stop it for a reason of this site's own."""
        if self._forced is None:
            self._forced = cause, reason
            self._wake.set()

    def want(self, desired: DesiredReplica) -> None:
        """Take up a new wish; a wish that is no different changes nothing."""
        if desired != self.desired:
            self.desired = desired
            self._wake.set()

    def wake(self) -> None:
        """Look again."""
        self._wake.set()

    def release(self) -> None:
        """The server no longer lists this attempt: remove its container."""
        self.released = True
        self._wake.set()

    async def run(self) -> None:
        """Drive it until it is released and removed."""
        pause = _FIRST_PAUSE_S
        while True:
            self._wake.clear()
            wait: float | None = None
            try:
                if self.released:
                    await self._remove()
                    return
                await self._step()
                pause = _FIRST_PAUSE_S
            except (EngineAway, EngineRefused, ServerAway, FirewallFailed) as away:
                self._tell(f"waiting: {away}")
                wait, pause = pause, min(pause * 2, _LONGEST_PAUSE_S)
            except Exception:
                log.exception("a step failed; trying again", attempt=self.desired.attempt_id)
                wait, pause = pause, min(pause * 2, _LONGEST_PAUSE_S)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), wait)

    async def _step(self) -> None:
        if self.observed.phase is Phase.ENDED:
            self.looked.set()
            return
        stopping = self.desired.desired is Phase.STOPPED
        container = await self._engine.observe(container_name(self.desired.attempt_id))
        self.status = container.status if container else None
        self.looked.set()
        if container is None:
            if self._record.started:
                await self._scrub()
                self._vanished("The container was removed by somebody else.")
            elif stopping:
                self._ended("stopped", self.desired.reason or "stopped before it started")
            else:
                await self._start()
        elif container.status is Status.ENDED:
            await self._witness_end(container)
        elif container.status is Status.CREATED:
            if self._record.started and self._record.boot_id != boot_id():
                await self._scrub()
                self._vanished("The node was restarted.", container)
            elif stopping:
                self._ended("stopped", self.desired.reason or "stopped before it started")
            else:
                await self._start()
        elif stopping:
            await self._stop(container, "stopped", self.desired.reason or "stopped")
        elif self._forced:
            await self._stop(container, *self._forced)
        else:
            await self._watch(container)

    async def _start(self) -> None:
        try:
            self._check_node()
            binds = await self._unless_woken(self._prepare())
            if binds is None:
                return
            container = await self._engine.ensure(self._spec(binds), self._about_to_start)
        except (CannotRun, EngineRefused) as refused:
            self._ended(refused.cause, self._explain(refused))
            return
        self.status = container.status
        if container.status is Status.RUNNING:
            await self._watch(container)
        else:
            await self._witness_end(container)

    async def _prepare(self) -> list[Bind]:
        """Files, firewall and network, all at once."""
        network = network_of(self.desired.workload_id, self._around)
        around = self._around
        user = around.ids.of(self.desired.workload_id, self.volumes)
        staged = asyncio.ensure_future(around.volumes.stage(self.desired, around.store, self._tell, user))
        others = [
            asyncio.ensure_future(around.firewall.ensure(network.interface)),
            asyncio.ensure_future(self._make_network(network)),
        ]
        try:
            await asyncio.gather(staged, *others)
        finally:
            for task in (staged, *others):
                task.cancel()
            await asyncio.wait([staged, *others])
        return staged.result()

    async def _make_network(self, network: Network) -> None:
        async with self._around.network_lock:
            await self._engine.prepare(network)

    def _about_to_start(self) -> None:
        self._record.started = True
        self._record.boot_id = boot_id()
        self._around.records.save(self._record)

    async def _watch(self, container: Container) -> None:
        """The container runs: say where, and wait for its page."""
        port = self.desired.port
        endpoint = f"{container.ip}:{port}" if port and container.ip else None
        ready = self._record.ready or port is None
        self._show(
            self.observed.model_copy(
                update={
                    "phase": Phase.RUNNING if ready else Phase.STARTING,
                    "reason": "" if ready else "waiting for its page to answer",
                    "container_id": container.id,
                    "endpoint": endpoint,
                    "started_at": container.started_at,
                    "ready_at": self._record.ready_at,
                }
            )
        )
        if ready or port is None:
            self._around.records.touch(self.desired.attempt_id)
            return
        limit = self.desired.ready_timeout_s
        age = (datetime.now(UTC) - (container.started_at or datetime.now(UTC))).total_seconds()
        left = min(max(limit - age, 0.0), float(limit))
        try:
            async with asyncio.timeout(left):
                answered = await self._unless_woken(self._answers(container.ip, port))
        except TimeoutError:
            await self._stop(
                container, "ready_timeout", f"Its page on port {port} did not answer within {limit} seconds."
            )
            return
        if not answered:
            return
        self._record.ready, self._record.ready_at = True, datetime.now(UTC)
        answers = {"phase": Phase.RUNNING, "reason": "", "ready_at": self._record.ready_at}
        self._show(self.observed.model_copy(update=answers))
        self._record.observed = self.observed
        self._around.records.save(self._record)

    async def _answers(self, host: str, port: int) -> bool:
        await until_answers(host, port, self.desired.ready_path)
        return True

    async def _stop(self, container: Container, cause: str, reason: str) -> None:
        self._record.stop_cause, self._record.stop_reason = cause, reason
        self._around.records.save(self._record)
        self._tell("stopping")
        await self._engine.stop(container.id, self.desired.stop_grace_s)
        ended = await self._engine.observe(container.id)
        if ended is None:
            await self._scrub()
            self._vanished("The container was removed by somebody else.")
        elif ended.status is Status.RUNNING:
            raise EngineAway("the container has not ended yet")
        else:
            await self._witness_end(ended)

    async def _witness_end(self, container: Container) -> None:
        self.status = Status.ENDED
        self._record = self._around.records.load(self.desired.attempt_id)  # `drain` may have written why
        self._record.started = True
        if self._record.stop_cause:
            cause, reason = self._record.stop_cause, self._record.stop_reason
        elif container.oom_killed and container.exit_code:
            limit = format_quantity(MEMORY, self.desired.limits.memory_bytes)
            cause, reason = "oom", f"killed: out of memory (limit {limit})"
        else:
            cause, reason = "exited", describe_exit(container.exit_code)
        tail = ""
        with suppress(EngineAway, EngineRefused):
            tail = await self._engine.logs(container.id, LOG_LINES)
        await self._scrub()
        self._ended(
            cause,
            reason,
            container_id=container.id,
            started_at=container.started_at,
            ended_at=container.ended_at,
            exit_code=container.exit_code,
            log_tail=tail[-_LOG_CHARS:],
        )

    async def _scrub(self) -> None:
        """Clear its chips before the end is told, which frees them; one that is not clean counts as unhealthy."""
        for uid in self.desired.devices:
            chip = self._around.chips.get(uid)
            if chip is None or chip.scrub is None:
                continue
            try:
                async with asyncio.timeout(_SCRUB_S):
                    await asyncio.to_thread(chip.scrub)
            except Exception as error:
                self._around.unclean[uid] = str(error) or type(error).__name__
                log.error("a chip could not be cleared", chip=uid, error=str(error))
            else:
                self._around.unclean.pop(uid, None)

    def _vanished(self, reason: str, container: Container | None = None) -> None:
        """Nobody can say when it ended: it counts until it was last seen."""
        started = (container.started_at if container else None) or self.observed.started_at
        last = self._around.records.last_sign(self.desired.attempt_id) or datetime.now(UTC)
        self._ended("vanished", reason, started_at=started, ended_at=max(last, started) if started else last)

    def _ended(
        self,
        cause: str,
        reason: str,
        *,
        container_id: str = "",
        started_at: datetime | None = None,
        ended_at: datetime | None = None,
        exit_code: int | None = None,
        log_tail: str = "",
    ) -> None:
        observed = ObservedReplica(
            replica_id=self.desired.replica_id,
            attempt_id=self.desired.attempt_id,
            phase=Phase.ENDED,
            reason=reason[:2000],
            cause=cause,
            container_id=container_id or self.observed.container_id,
            started_at=started_at,
            ready_at=self._record.ready_at,
            ended_at=ended_at,
            exit_code=exit_code,
            log_tail=log_tail,
        )
        self._record.observed = observed
        self._around.records.save(self._record)
        self._show(observed)
        log.info("ended", attempt=self.desired.attempt_id, cause=cause, reason=reason)

    async def _remove(self) -> None:
        around = self._around
        container = await self._engine.observe(container_name(self.desired.attempt_id))
        if container:
            if container.status is Status.RUNNING:
                await self._engine.stop(container.id, _STRAY_GRACE_S)
                around.strays.append(
                    StrayContainer(
                        container_id=container.id,
                        replica_id=self.desired.replica_id,
                        attempt_id=self.desired.attempt_id,
                    )
                )
                around.changed()
            await self._engine.remove(container.id)
        async with around.network_lock:
            if not around.workload_in_use(self.desired.workload_id):
                await self._engine.remove_network(network_of(self.desired.workload_id, around).name)
        around.records.forget(self.desired.attempt_id)

    def _check_node(self) -> None:
        if self.desired.node and self.desired.node != self._around.node:
            raise CannotRun("engine", f"This site has no node {self.desired.node}: its node is {self._around.node}.")

    def _spec(self, binds: list[Bind]) -> ContainerSpec:
        want, around = self.desired, self._around
        given = give(want.devices, around.chips, around.drivers)
        env = dict(want.env)
        if given.simulated:
            env["UTCLOUD_SIMULATED_CHIPS"] = ",".join(given.simulated)
        user = around.ids.of(want.workload_id, self.volumes)
        return ContainerSpec(
            name=container_name(want.attempt_id),
            image=want.image,
            command=want.command,
            env=env,
            hostname=re.sub(r"[^a-z0-9]+", "-", want.hostname.lower()).strip("-")[-60:].strip("-") or "replica",
            labels={
                LABEL_SITE: around.site_id,
                LABEL_HOME: around.home,
                LABEL_REPLICA: want.replica_id,
                LABEL_ATTEMPT: want.attempt_id,
                LABEL_WORKLOAD: want.workload_id,
                LABEL_VOLUMES: ",".join(self.volumes),
            },
            limits=want.limits,
            network=network_of(want.workload_id, around),
            stop_grace_s=want.stop_grace_s,
            devices=given.devices,
            binds=[*around.ids.names(user), *binds, *given.binds],
            groups=given.groups,
            requests=given.requests,
            user=user,
        )

    def _explain(self, refused: CannotRun | EngineRefused) -> str:
        if refused.cause == "image":
            return (
                f"The image {self.desired.image} is not on node {self._around.node}. Choose another, or load it there."
            )
        return refused.reason

    def _tell(self, reason: str) -> None:
        """Say what it is waiting for; what already runs goes on being shown as running."""
        if reason == "stopping" or self.observed.phase is Phase.STARTING:
            self._show(self.observed.model_copy(update={"reason": reason[:2000]}))

    def _show(self, observed: ObservedReplica) -> None:
        observed = ObservedReplica.model_validate(dict(observed))  # a copy with changes was not looked at
        if observed != self.observed:
            self.observed = observed
            self._around.changed()

    async def _unless_woken(self, work: Coroutine[Any, Any, T]) -> T | None:
        """Do work that may be broken off at any point; None when it was, because something has changed."""
        doing, woken = asyncio.create_task(work), asyncio.create_task(self._wake.wait())
        try:
            await asyncio.wait([doing, woken], return_when=asyncio.FIRST_COMPLETED)
            return doing.result() if doing.done() else None
        finally:
            woken.cancel()
            if not doing.done():
                doing.cancel()
                await asyncio.wait([doing])


def describe_exit(code: int | None) -> str:
    """An exit code in words."""
    if code is None:
        return "ended"
    if code == 0:
        return "finished"
    if code > 128:
        with suppress(ValueError):
            return f"killed by {signal.Signals(code - 128).name}"
    return f"exited with code {code}"
