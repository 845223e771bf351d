"""What it costs to hear a thousand sites: each reports every ten seconds, and waits in a long poll all the while.

The server is the real one, in its own process on a unix socket, with all its loops, before a PostgreSQL of its own.
What is measured is processor time, so that whatever else this machine does matters little.
"""

import asyncio
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import psutil

from tests.bench.figures import Figure
from tests.bench.scale import running_server
from tests.bench.world import World, big_world, ident
from utcloud.protocol import HEARTBEAT_S, ChipTelemetry, ObservedReplica, Phase, SiteReport

SETTLE_S = 300
"""A site's first report is looked at whole; this is how long all of them may take together."""
MEASURED_S = 40
LONG_POLL_S = 25


@dataclass(frozen=True)
class Spent:
    """Processor seconds of the server and of PostgreSQL."""

    server: float
    postgres: float

    def __sub__(self, before: "Spent") -> "Spent":
        return Spent(self.server - before.server, self.postgres - before.postgres)

    def share(self, seconds: float) -> "Spent":
        return Spent(self.server / seconds, self.postgres / seconds)


def node_reports() -> list[Figure]:
    """Reports alone, then with the long polls that every agent holds open besides."""
    with big_world() as world, running_server(world):
        alone, polling, idle, answered = asyncio.run(_measure(world))
    size = f"{world.nodes} sites with {world.chips} chips and {world.live_each} live replicas each"
    details = {
        "reports_per_s": round(answered / MEASURED_S, 1),
        **{f"{name}_share": round(value, 3) for name, value in _named("", alone)},
        **{f"{name}_share": round(value, 3) for name, value in _named("idle_", idle)},
    }
    how = (
        f"server {alone.server:.2f} and PostgreSQL {alone.postgres:.2f} of a core, {size}, a report every "
        f"{HEARTBEAT_S} s; of that {idle.server:.2f} and {idle.postgres:.2f} without any report"
    )
    return [
        Figure("node_reports_core_share", round(alone.server + alone.postgres, 3), "core", "<= 0.5", how, details),
        Figure(
            "node_reports_and_polls_core_share",
            round(polling.server + polling.postgres, 3),
            "core",
            "",
            f"the same with {world.nodes} long polls: server {polling.server:.2f}, PostgreSQL {polling.postgres:.2f}",
        ),
    ]


def _named(prefix: str, spent: Spent) -> list[tuple[str, float]]:
    return [(f"{prefix}server", spent.server), (f"{prefix}postgres", spent.postgres)]


async def _measure(world: World) -> tuple[Spent, Spent, Spent, int]:
    server = _child("utcloud server")
    postmaster = _child("postgres -D")
    socket = Path(server.environ()["UTCLOUD_HOME"]) / "run" / "server.sock"
    await asyncio.sleep(10)  # the loops' first looks are over
    before = _spent(server, postmaster)
    await asyncio.sleep(15)
    idle = (_spent(server, postmaster) - before).share(15)
    sites = [Site(world, number, socket) for number in range(world.nodes)]
    async with asyncio.TaskGroup() as group:
        reporting = [group.create_task(site.report_always()) for site in sites]
        await _all_known(sites)
        alone, answered = await _during(server, postmaster, sites)
        polling = [group.create_task(site.poll_always()) for site in sites]
        await asyncio.sleep(LONG_POLL_S + HEARTBEAT_S)
        both, _ = await _during(server, postmaster, sites)
        for task in (*reporting, *polling):
            task.cancel()
    return alone, both, idle, answered


async def _all_known(sites: list["Site"]) -> None:
    """Until each has said the same twice, and then for another round."""
    deadline = time.perf_counter() + SETTLE_S
    while min(site.answered for site in sites) < 2:
        if time.perf_counter() > deadline:
            raise RuntimeError(f"not all sites were heard within {SETTLE_S} s")
        await asyncio.sleep(0.5)
    await asyncio.sleep(HEARTBEAT_S)


async def _during(server: psutil.Process, postmaster: psutil.Process, sites: list["Site"]) -> tuple[Spent, int]:
    before, count, begin = _spent(server, postmaster), sum(site.answered for site in sites), time.perf_counter()
    await asyncio.sleep(MEASURED_S)
    elapsed = time.perf_counter() - begin
    spent = (_spent(server, postmaster) - before).share(elapsed)
    answered = sum(site.answered for site in sites) - count
    if answered < len(sites) * MEASURED_S / HEARTBEAT_S * 0.95:
        raise RuntimeError(f"only {answered} reports were answered in {elapsed:.0f} s")
    return spent, answered


class Site:
    """An agent's words, without the agent: the same report with new measurements, over connections that stay."""

    def __init__(self, world: World, number: int, socket: Path) -> None:
        self.number, self.answered, self._socket = number, 0, socket
        self._head = f"Host: localhost\r\nAuthorization: Bearer {world.site_token(number)}\r\n"
        live = range(number * world.live_each, (number + 1) * world.live_each)
        self._report = SiteReport(
            agent_version="0.1.0",
            sent_at=world.now,
            nodes=[world.report(number)],
            replicas=[
                ObservedReplica(
                    replica_id=ident("rp", one * 100),
                    attempt_id=ident("at", one),
                    phase=Phase.RUNNING,
                    container_id=f"{one:064}",
                    endpoint="10.89.0.2:8888",
                    started_at=world.now,
                )
                for one in live
            ],
        )

    async def report_always(self) -> None:
        """Post a report every ten seconds, each site at a moment of its own."""
        await asyncio.sleep(self.number % 1000 / 1000 * HEARTBEAT_S)
        due = time.perf_counter()
        reader, writer = await asyncio.open_unix_connection(self._socket)
        while True:
            body = self._body()
            writer.write(
                f"POST /api/v1/agent/reports HTTP/1.1\r\n{self._head}Content-Type: application/json\r\n"
                f"Content-Length: {len(body)}\r\n\r\n".encode()
                + body
            )
            try:
                await _answer(reader)
            except (
                asyncio.IncompleteReadError,
                ConnectionError,
            ):  # the server had closed the idle connection: as any client, try again
                reader, writer = await asyncio.open_unix_connection(self._socket)
                continue
            self.answered += 1
            due = max(due + HEARTBEAT_S, time.perf_counter())
            await asyncio.sleep(due - time.perf_counter())

    async def poll_always(self) -> None:
        """Wait for another desired state, again and again."""
        await asyncio.sleep(self.number % 1000 / 1000 * LONG_POLL_S)
        reader, writer = await asyncio.open_unix_connection(self._socket)
        revision = -1
        while True:
            path = f"/api/v1/agent/desired?after={revision}&wait={LONG_POLL_S}"
            writer.write(f"GET {path} HTTP/1.1\r\n{self._head}\r\n".encode())
            answer = await _answer(reader)
            revision = int(answer.partition(b'"revision":')[2].partition(b",")[0])

    def _body(self) -> bytes:
        self._report.sent_at = datetime.now(UTC)
        for index, chip in enumerate(self._report.nodes[0].chips):
            warm = 40 + (self.answered + index) % 30
            chip.telemetry = ChipTelemetry(
                temperature_c=warm,
                power_w=warm * 2.5,
                power_limit_w=350,
                utilization_percent=warm,
                memory_used_bytes=warm * 10**8,
            )
        return self._report.model_dump_json().encode()


async def _answer(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
    body = await reader.readexactly(int(length))
    if b" 200 " not in head.partition(b"\r\n")[0]:
        raise RuntimeError(f"{head.decode()}{body.decode()}")
    return body


def _child(words: str) -> psutil.Process:
    """The process below this one whose command line has ``words`` in it."""
    for process in psutil.Process().children(recursive=True):
        if words in " ".join(process.cmdline()):
            return process
    raise RuntimeError(f"no {words!r} runs")


def _spent(server: psutil.Process, postmaster: psutil.Process) -> Spent:
    """Since they began. Sessions of PostgreSQL that have ended count with their parent."""
    own, ended = server.cpu_times(), postmaster.cpu_times()
    postgres = ended.user + ended.system + ended.children_user + ended.children_system
    for session in postmaster.children(recursive=True):
        times = session.cpu_times()
        postgres += times.user + times.system
    return Spent(own.user + own.system, postgres)
