"""The agent: hears what is wanted, has each replica driven there, and says what it sees."""

import asyncio
import fcntl
import random
import secrets
import signal
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import structlog

from utcloud.common.quantity import DISK, format_quantity
from utcloud.common.settings import Settings
from utcloud.protocol import (
    HEARTBEAT_S,
    DesiredState,
    NodeReport,
    ObservedReplica,
    Phase,
    SiteReport,
    StrayContainer,
)
from utcloud.site.discovery import all_discoveries
from utcloud.site.discovery.base import Discovery, Finding
from utcloud.site.discovery.lookout import Lookout
from utcloud.site.disks import Disks
from utcloud.site.engines.base import (
    LABEL_ATTEMPT,
    LABEL_HOME,
    LABEL_REPLICA,
    LABEL_SITE,
    LABEL_VOLUMES,
    LABEL_WORKLOAD,
    Brief,
    Engine,
    EngineAway,
    EngineRefused,
    Status,
)
from utcloud.site.errors import ServerAway, ServerRefused
from utcloud.site.firewall import Firewall, FirewallFailed, Nftables, bridge_prefix
from utcloud.site.ids import Ids
from utcloud.site.link import Link
from utcloud.site.node import lasting, node_report
from utcloud.site.records import Records
from utcloud.site.replica import Replica, Surroundings
from utcloud.site.telling import tell, with_short_logs
from utcloud.site.volumes import Volumes

log = structlog.get_logger()

LONG_POLL_S = 25
SWEEP_S = 10
"""The safety net under the engine's events."""
_COALESCE_S = 0.002
_FIRST_LOOK_S = 2.0
_SHORTEST_PAUSE_S, _LONGEST_PAUSE_S = 0.05, 5.0
_STRAY_GRACE_S = 5


class Agent:
    """One site on one host. ``run`` never returns by itself."""

    def __init__(
        self,
        settings: Settings,
        *,
        engine: Engine | None = None,
        firewall: Firewall | None = None,
        link: Link | None = None,
        discoveries: list[Discovery] | None = None,
    ):
        if engine is None:
            from utcloud.site.engines.docker_api import DockerEngine, candidate_urls

            engine = DockerEngine(candidate_urls(settings))
        self._engine = engine
        self._default_disk = settings.default_disk_bytes
        self._link = link or Link(settings)
        self._lookout = Lookout(all_discoveries(settings) if discoveries is None else discoveries)
        self._node = NodeReport(name="unknown", ready=False, reason="starting")
        self._pools: tuple[str, ...] = ()
        self._aside: dict[str, ObservedReplica] = {}
        """What the server refused of single attempts."""
        self._id = secrets.token_hex(16)
        self._replicas: dict[str, Replica] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._desired: DesiredState | None = None
        self._dropped: set[str] = set()
        self._dropping = asyncio.Lock()
        self._changed = asyncio.Event()
        prefix = bridge_prefix(settings.site_dir)
        self._around = Surroundings(
            engine=engine,
            firewall=firewall or Nftables(prefix, settings.deny_networks, settings.network_mbit),
            volumes=Volumes(settings.site_dir, self._link, Disks(settings.site_dir, settings.default_disk_bytes)),
            ids=Ids(settings.site_dir / "ids"),
            records=Records(settings.site_dir / "attempts"),
            home=str(settings.home),
            bridge_prefix=prefix,
            node="",
            changed=self._changed.set,
            workload_in_use=self._workload_in_use,
        )

    async def run(self) -> None:
        """Be the agent until cancelled."""
        await asyncio.to_thread(self._around.volumes.begin)
        self._around.volumes.settle_leftovers()
        try:
            await self._look_around()
            async with asyncio.TaskGroup() as group:
                for loop in (
                    self._hear,
                    self._say,
                    self._sweep_often,
                    self._follow_engine,
                    self._around.firewall.watch,
                ):
                    group.create_task(loop())
        finally:
            for task in self._tasks.values():
                task.cancel()
            await asyncio.gather(*self._tasks.values(), return_exceptions=True)
            await self._link.close()
            await self._engine.close()

    # What is wanted

    async def _hear(self) -> None:
        pause = _Pause()
        while True:
            revision = self._desired.revision if self._desired else -1
            try:
                state = await self._link.desired(revision, LONG_POLL_S if self._desired else 0)
            except (ServerAway, ServerRefused) as error:
                await pause.after(error, "the server cannot be heard; containers go on")
                continue
            pause.reset()
            if state:
                await self._apply(state)

    async def _apply(self, state: DesiredState) -> None:
        first = self._desired is None
        self._desired = state
        self._around.site_id = state.site_id
        self._around.store = Path(state.store_path) if state.store_path else None
        self._dropped &= set(state.drop_volumes)
        listed = {replica.attempt_id: replica for replica in state.replicas}
        for attempt_id, desired in listed.items():
            if attempt_id not in self._replicas:
                self._begin(Replica(desired, self._around))
            else:
                self._replicas[attempt_id].want(desired)
        for attempt_id, replica in self._replicas.items():
            if attempt_id not in listed:
                replica.release()
        if first:
            looks = [asyncio.ensure_future(replica.looked.wait()) for replica in self._replicas.values()]
            if looks:
                _, late = await asyncio.wait(looks, timeout=_FIRST_LOOK_S)
                for look in late:
                    look.cancel()
            self._forget_old_records(set(listed))
            await self._try(self._sweep)
        elif state.drop_volumes:
            await self._try(self._drop_volumes)
        self._changed.set()

    def _begin(self, replica: Replica) -> None:
        attempt_id = replica.desired.attempt_id
        self._replicas[attempt_id] = replica
        task = asyncio.create_task(self._drive(replica))
        self._tasks[attempt_id] = task

    async def _drive(self, replica: Replica) -> None:
        attempt_id = replica.desired.attempt_id
        await replica.run()
        del self._replicas[attempt_id], self._tasks[attempt_id]
        self._changed.set()
        await self._try(self._drop_volumes)
        await self._try(self._close_volumes)
        if self._desired and any(one.attempt_id == attempt_id for one in self._desired.replicas):
            self._begin(Replica(replica.desired, self._around))  # listed again while it was being removed

    def _workload_in_use(self, workload_id: str) -> bool:
        return any(one.desired.workload_id == workload_id and not one.released for one in self._replicas.values())

    def _forget_old_records(self, listed: set[str]) -> None:
        for attempt_id in self._around.records.all_ids():
            if attempt_id not in listed:
                self._around.records.forget(attempt_id)

    # What is seen

    async def _say(self) -> None:
        """Post a report at once when something changed, and every heartbeat. Never two at a time."""
        pause = _Pause()
        while True:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), HEARTBEAT_S)
            if self._desired is None:
                # Before the first desired state an empty report would say that nothing runs here.
                await asyncio.sleep(_SHORTEST_PAUSE_S)
                continue
            await asyncio.sleep(_COALESCE_S)
            self._changed.clear()
            report = self.report()
            seen = {ident: replica.observed for ident, replica in self._replicas.items()}
            try:
                self._set_aside(await tell(self._link, report), seen)
            except (ServerAway, ServerRefused) as error:
                self._changed.set()
                await pause.after(error, "the server does not take the report")
                continue
            pause.reset()
            told = {stray.container_id for stray in report.strays}
            self._around.strays[:] = [one for one in self._around.strays if one.container_id not in told]

    def report(self) -> SiteReport:
        """All that is seen now."""
        return SiteReport(
            agent_version=_own_version(),
            agent_id=self._id,
            sent_at=datetime.now(UTC),
            networks=list(self._pools),
            nodes=[self._node],
            replicas=with_short_logs(self._observed()),
            strays=list(self._around.strays),
            dropped_volumes=sorted(self._dropped),
        )

    def _observed(self) -> list[ObservedReplica]:
        """What is seen of each attempt, without what the server has refused just so."""
        seen = [replica.observed for replica in self._replicas.values() if not replica.released]
        return [one for one in seen if self._aside.get(one.attempt_id) is not one]

    def _set_aside(self, refused: set[str], seen: dict[str, ObservedReplica]) -> None:
        """Say of the refused attempts nothing more until something else is seen of them."""
        kept = {ident: observed for ident, observed in self._aside.items() if ident in self._replicas}
        self._aside = kept | {ident: seen[ident] for ident in refused if ident in seen}

    async def _follow_engine(self) -> None:
        pause = _Pause()
        while True:
            try:
                async for labels in self._engine.changes():
                    pause.reset()
                    if replica := self._replicas.get(labels.get(LABEL_ATTEMPT, "")):
                        replica.wake()
            except (EngineAway, EngineRefused) as error:
                await pause.after(error, "the engine's events stopped")
                for replica in self._replicas.values():
                    replica.wake()

    async def _sweep_often(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_S)
            await self._look_around()
            if self._desired:
                await self._try(self._sweep)
            await asyncio.to_thread(self._around.volumes.trim)

    async def _sweep(self) -> None:
        """Compare the engine's whole list with what the replicas believe, and remove what nobody wants."""
        rows = await self._engine.snapshot()
        seen = {row.labels.get(LABEL_ATTEMPT, ""): row for row in rows if self._is_ours(row)}
        for attempt_id, replica in list(self._replicas.items()):
            row = seen.get(attempt_id)
            if row and row.status is Status.RUNNING and replica.observed.phase is not Phase.ENDED:
                self._around.records.touch(attempt_id)
            believed, real = replica.status, row.status if row else None
            if believed is not real and replica.observed.phase is not Phase.ENDED:
                replica.wake()
        await asyncio.gather(
            *(self._remove_stray(row) for row in rows if self._is_ours(row) and not self._is_known(row))
        )
        for network in await self._engine.networks(self._around.home):
            async with self._around.network_lock:
                if not self._workload_in_use(network.labels.get(LABEL_WORKLOAD, "")):
                    await self._engine.remove_network(network.name)
        await self._drop_volumes()
        await self._close_volumes()
        await self._end_overgrown()

    def _is_ours(self, row: Brief) -> bool:
        own_site = self._desired is not None and row.labels.get(LABEL_SITE) == self._desired.site_id
        return own_site or row.labels.get(LABEL_HOME) == self._around.home

    def _is_known(self, row: Brief) -> bool:
        return row.labels.get(LABEL_ATTEMPT, "") in self._replicas

    async def _remove_stray(self, row: Brief) -> None:
        container = await self._engine.observe(row.id)
        if container is None or self._is_known(row):
            return
        if container.status is Status.RUNNING:
            await self._engine.stop(row.id, _STRAY_GRACE_S)
        await self._engine.remove(row.id)
        log.warning("removed a container that nobody wanted", container=row.id, attempt=row.labels.get(LABEL_ATTEMPT))
        self._around.strays.append(
            StrayContainer(
                container_id=row.id,
                replica_id=row.labels.get(LABEL_REPLICA, ""),
                attempt_id=row.labels.get(LABEL_ATTEMPT, ""),
            )
        )
        self._changed.set()

    async def _drop_volumes(self) -> None:
        async with self._dropping:
            wanted = set(self._desired.drop_volumes if self._desired else []) - self._dropped
            if not wanted:
                return
            rows = await self._engine.snapshot()
            used = {name for row in rows for name in row.labels.get(LABEL_VOLUMES, "").split(",")}
            used |= {name for one in self._replicas.values() for name in one.volumes}
            for name in sorted(wanted - used):
                if not await self._around.volumes.drop(name):
                    continue
                self._around.ids.drop(name)
                self._dropped.add(name)
                self._changed.set()

    async def _close_volumes(self) -> None:
        """Let go of the volumes and ids that nothing here uses any more."""
        await self._around.volumes.close_unused(self._volume_in_use)
        here = {replica.desired.workload_id for replica in self._replicas.values()}
        self._around.ids.trim(here.__contains__)

    def _volume_in_use(self, name: str) -> bool:
        return any(name in replica.volumes for replica in self._replicas.values())

    async def _end_overgrown(self) -> None:
        """End what fills the disk, where volumes are folders and nothing else bounds them."""
        limits = {
            name: replica.desired.limits.disk_bytes or self._default_disk
            for replica in self._replicas.values()
            if replica.status is Status.RUNNING
            for name in replica.volumes
        }
        for name, size in (await asyncio.to_thread(self._around.volumes.overgrown, limits)).items():
            most = format_quantity(DISK, limits[name])
            for replica in self._replicas.values():
                if name in replica.volumes:
                    reason = f"its files take {format_quantity(DISK, size)}, and {most} are allowed"
                    replica.end("disk", reason)

    # What there is

    async def _look_around(self) -> None:
        """Find out anew what this node has and whether it can run containers."""
        found = await self._lookout.look()
        self._around.chips = {chip.report.uid: chip for chip in found.chips}
        engine, lacks = "", ""
        warnings: tuple[str, ...] = ()
        try:
            info = await self._engine.info()
            engine, lacks, warnings = info.name, info.lacks, info.warnings
            self._around.drivers, self._pools = info.drivers, info.pools
            await self._around.firewall.ensure()
        except (EngineAway, EngineRefused, FirewallFailed) as error:
            lacks = str(error)
        found = await self._clean(found)
        notices = [found.trouble, self._around.volumes.trouble, self._around.firewall.notice]
        found = replace(found, trouble="; ".join(filter(None, notices)))
        before, self._node = self._node, node_report(found, engine, lacks, self._around.drivers, warnings)
        self._around.node = self._node.name
        if lasting(self._node) != lasting(before):
            self._changed.set()

    async def _clean(self, found: Finding) -> Finding:
        """Try again to clear the chips that could not be cleared; until they are, they are not given out."""
        unclean = self._around.unclean
        for chip in found.chips:
            if chip.report.uid in unclean and chip.scrub:
                try:
                    await asyncio.to_thread(chip.scrub)
                except Exception as error:
                    unclean[chip.report.uid] = str(error) or type(error).__name__
                else:
                    del unclean[chip.report.uid]
        if not unclean:
            return found
        chips = [
            replace(one, report=one.report.model_copy(update={"healthy": False})) if one.report.uid in unclean else one
            for one in found.chips
        ]
        said = "; ".join(
            f"chip {uid} could not be cleared after its last tenant: {why}" for uid, why in unclean.items()
        )
        return replace(found, chips=chips, trouble="; ".join(filter(None, [found.trouble, said])))

    async def _try(self, work: Callable[[], Awaitable[None]]) -> None:
        """Do what will be done again soon anyway; the engine being away is no news."""
        try:
            await work()
        except (EngineAway, EngineRefused):
            return
        except Exception:
            log.exception("a sweep failed; the next one tries again")


class _Pause:
    """Short, growing, jittered waits between tries; says once that it waits."""

    def __init__(self) -> None:
        self._next = _SHORTEST_PAUSE_S

    def reset(self) -> None:
        self._next = _SHORTEST_PAUSE_S

    async def after(self, error: Exception, what: str) -> None:
        if self._next == _SHORTEST_PAUSE_S:
            log.warning(what, error=str(error))
        asked = getattr(error, "retry_after_s", 0.0)
        await asyncio.sleep(max(asked, self._next * random.uniform(0.5, 1)))  # noqa: S311
        self._next = min(self._next * 2, _LONGEST_PAUSE_S)


def _own_version() -> str:
    try:
        return version("utcloud")
    except PackageNotFoundError:
        return ""


def set_up_logging(level: str) -> None:
    """One line of key=value per event, unless the caller has set something up."""
    if structlog.is_configured():
        return
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(level),
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso"),
            structlog.processors.format_exc_info,
            structlog.processors.LogfmtRenderer(key_order=["timestamp", "level", "event"]),
        ],
    )


def main(settings: Settings) -> None:
    """Run the agent of this home folder; there is never a second one."""
    set_up_logging(settings.log_level)
    settings.site_dir.mkdir(parents=True, exist_ok=True)
    with (settings.site_dir / "agent.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            sys.exit(f"Another agent already runs for {settings.home}.")
        asyncio.run(_until_told(settings))


async def _until_told(settings: Settings) -> None:
    task = asyncio.create_task(Agent(settings).run())
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, task.cancel)
    with suppress(asyncio.CancelledError):
        await task
