"""Taking a site down: every container ended in good order, its end told or kept, nothing left behind."""

import asyncio
import time
from datetime import UTC, datetime

import structlog

from utcloud.common.settings import Settings
from utcloud.protocol import ObservedReplica, Phase, SiteReport
from utcloud.site.disks import unmount_all
from utcloud.site.engines.base import (
    LABEL_ATTEMPT,
    LABEL_HOME,
    LABEL_REPLICA,
    Brief,
    Engine,
    EngineAway,
    EngineRefused,
    Status,
)
from utcloud.site.errors import ServerAway, ServerRefused
from utcloud.site.firewall import Firewall, FirewallFailed, Nftables, bridge_prefix
from utcloud.site.link import Link
from utcloud.site.records import Records
from utcloud.site.replica import LOG_LINES, describe_exit
from utcloud.site.telling import tell, with_short_logs

log = structlog.get_logger()
REASON = "the site was shut down"
_RESERVE_S = 3.0
_GRACE_S = 10


def main(settings: Settings, timeout_s: float) -> None:
    """See ``utcloud.site.drain``."""
    from utcloud.site.agent import set_up_logging
    from utcloud.site.engines.docker_api import DockerEngine, candidate_urls

    set_up_logging(settings.log_level)
    engine, firewall = DockerEngine(candidate_urls(settings)), Nftables(bridge_prefix(settings.site_dir))
    asyncio.run(drain(settings, timeout_s, engine, firewall, Link(settings)))


async def drain(settings: Settings, timeout_s: float, engine: Engine, firewall: Firewall, link: Link) -> None:
    """Stop, tell, remove. An engine that does not answer has nothing to remove."""
    records = Records(settings.site_dir / "attempts")
    home = str(settings.home)
    deadline = time.monotonic() + timeout_s
    try:
        rows = [row for row in await engine.snapshot() if row.labels.get(LABEL_HOME) == home]
        grace = max(min(_GRACE_S, int(timeout_s - _RESERVE_S)), 0)
        ended = await asyncio.gather(*(_end(row, engine, records, grace) for row in rows))
        observed = [one for one in ended if one]
        if observed:
            await _tell(link, observed, max(deadline - time.monotonic(), 1.0))
        await asyncio.gather(*(engine.remove(row.id) for row in rows))
        for network in await engine.networks(home):
            await engine.remove_network(network.name)
        await firewall.remove()
        if used := await asyncio.to_thread(unmount_all, settings.site_dir):
            log.warning("volumes are still used by something", volumes=used)
    except (EngineAway, FirewallFailed) as error:
        log.warning("the site could not be drained wholly", error=str(error))
    finally:
        await link.close()
        await engine.close()


async def _end(row: Brief, engine: Engine, records: Records, grace_s: int) -> ObservedReplica | None:
    """Stop one container and write its end down, so that it is not lost with the container."""
    attempt_id = row.labels.get(LABEL_ATTEMPT, "")
    if not attempt_id:
        return None
    record = records.load(attempt_id)
    if record.observed and record.observed.phase is Phase.ENDED:
        return record.observed
    container = await engine.observe(row.id)
    if container and container.status is Status.RUNNING:
        record.stop_cause, record.stop_reason = record.stop_cause or "stopped", record.stop_reason or REASON
        records.save(record)
        await engine.stop(row.id, grace_s)
        container = await engine.observe(row.id)
    if container is None:
        return None
    try:
        tail = await engine.logs(row.id, LOG_LINES)
    except (EngineAway, EngineRefused):
        tail = ""
    record.started = container.started_at is not None
    record.observed = ObservedReplica(
        replica_id=row.labels.get(LABEL_REPLICA, ""),
        attempt_id=attempt_id,
        phase=Phase.ENDED,
        cause=record.stop_cause or "exited",
        reason=record.stop_reason or describe_exit(container.exit_code),
        container_id=container.id,
        started_at=container.started_at,
        ready_at=record.ready_at,
        ended_at=container.ended_at,
        exit_code=container.exit_code,
        log_tail=tail[-20_000:],
    )
    records.save(record)
    return record.observed


async def _tell(link: Link, observed: list[ObservedReplica], timeout_s: float) -> None:
    report = SiteReport(sent_at=datetime.now(UTC), replicas=with_short_logs(observed))
    try:
        await tell(link, report, timeout_s=min(timeout_s, 5.0))
    except (ServerAway, ServerRefused) as error:
        log.warning("the server did not hear of the end; the next agent will tell it", error=str(error))
