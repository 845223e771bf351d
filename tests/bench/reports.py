"""What it costs to hear a thousand sites: each reports every ten seconds, and waits in a long poll all the while.

The server is the real one, in its own process on a unix socket, with all its loops, before a PostgreSQL of its own.
What is measured is processor time, so that whatever else this machine does matters little.
"""

import asyncio
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import asyncpg
import psutil
from sqlalchemy.engine import make_url

from tests.bench.dataset import Dataset, big_dataset, ident
from tests.bench.figures import Figure
from tests.bench.scale import running_server
from utcloud.protocol import HEARTBEAT_S, ChipTelemetry, ObservedReplica, Phase, SiteReport
from utcloud.resources.reports import Incoming

MEASURED_S = 40
LONG_POLL_S = 25
_CLOSED = (asyncio.IncompleteReadError, ConnectionError)
"""The server had closed an idle connection: as any client, try again."""


@dataclass(frozen=True)
class Spent:
    """Processor seconds of the server and of PostgreSQL, or shares of a core."""

    server: float
    postgres: float

    @property
    def both(self) -> float:
        return round(self.server + self.postgres, 3)

    def __add__(self, other: "Spent") -> "Spent":
        return Spent(self.server + other.server, self.postgres + other.postgres)

    def __mul__(self, by: float) -> "Spent":
        return Spent(self.server * by, self.postgres * by)

    def __sub__(self, other: "Spent") -> "Spent":
        return self + other * -1


def node_reports() -> list[Figure]:
    """Reports alone, then with the long polls that every agent holds open besides."""
    with big_dataset() as dataset:
        asyncio.run(_introduce(dataset))
        with running_server(dataset):
            idle, reports, polls, answered = asyncio.run(_measure(dataset))
    details = {
        "server_share": round(reports.server, 3),
        "postgres_share": round(reports.postgres, 3),
        "idle_server_share": round(idle.server, 3),
        "idle_postgres_share": round(idle.postgres, 3),
        "reports_answered": answered,
    }
    size = f"{dataset.nodes} sites of {dataset.chips} chips and {dataset.live_each} live replicas"
    each = f"server {reports.server:.2f}, PostgreSQL {reports.postgres:.2f}"
    how = f"{size}, each reporting every {HEARTBEAT_S} s: {each}; of these {idle.both:.2f} without any report"
    with_polls = f"the same with {dataset.nodes} long polls: server {polls.server:.2f}, PostgreSQL {polls.postgres:.2f}"
    return [
        Figure("node_reports_core_share", reports.both, "core", "<= 0.5", how, details),
        Figure("node_reports_and_polls_core_share", polls.both, "core", "", with_polls),
    ]


async def _introduce(dataset: Dataset) -> None:
    """Every site was heard before with what it is going to say."""
    digests = [("".join(Incoming(Site(dataset, number).report).digest()), number) for number in range(dataset.nodes)]
    dsn = make_url(dataset.url).set(drivername="postgresql").render_as_string(hide_password=False)
    connection = await asyncpg.connect(dsn)
    try:
        rows = [(digest, ident("site", number)) for digest, number in digests]
        await connection.executemany("UPDATE sites SET report_digest = $1 WHERE id = $2", rows)
    finally:
        await connection.close()


async def _measure(dataset: Dataset) -> tuple[Spent, Spent, Spent, int]:
    server, postmaster = _child("utcloud server"), _child("postgres -D")
    socket = Path(server.environ()["UTCLOUD_HOME"]) / "run" / "serve" / "server.sock"
    sites = [Site(dataset, number, socket) for number in range(dataset.nodes)]

    async def during(idle: Spent) -> tuple[Spent, int]:
        """The share of a core while all report, at their rate even where the machine is too busy to keep it."""
        before, count, begin = _spent(server, postmaster), sum(site.answered for site in sites), time.perf_counter()
        await asyncio.sleep(MEASURED_S)
        elapsed = time.perf_counter() - begin
        answered = sum(site.answered for site in sites) - count
        each = (_spent(server, postmaster) - before - idle * elapsed) * (1 / max(answered, 1))
        return idle + each * (dataset.nodes / HEARTBEAT_S), answered

    await asyncio.sleep(10)  # the loops' first looks are over
    before = _spent(server, postmaster)
    await asyncio.sleep(15)
    idle = (_spent(server, postmaster) - before) * (1 / 15)
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(site.report_always()) for site in sites]
        await asyncio.sleep(1.5 * HEARTBEAT_S)
        reports, answered = await during(idle)
        tasks += [group.create_task(site.poll_always()) for site in sites]
        await asyncio.sleep(LONG_POLL_S + HEARTBEAT_S)
        polls, _ = await during(idle)
        for task in tasks:
            task.cancel()
    return idle, reports, polls, answered


class Site:
    """An agent's words, without the agent: the same report with new measurements, over connections that stay."""

    def __init__(self, dataset: Dataset, number: int, socket: Path = Path()) -> None:
        self.number, self.answered, self._socket = number, 0, socket
        self._head = f"Host: localhost\r\nAuthorization: Bearer {dataset.site_token(number)}\r\n"
        live = range(number * dataset.live_each, (number + 1) * dataset.live_each)
        self.report = SiteReport(
            agent_version="0.1.0",
            sent_at=dataset.now,
            nodes=[dataset.report(number)],
            replicas=[
                ObservedReplica(
                    replica_id=ident("rp", one * 100),
                    attempt_id=ident("at", one),
                    phase=Phase.RUNNING,
                    container_id=f"{one:064}",
                    endpoint="10.89.0.2:8888",
                    started_at=dataset.now,
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
            except _CLOSED:
                reader, writer = await asyncio.open_unix_connection(self._socket)
                continue
            self.answered += 1
            due += HEARTBEAT_S
            await asyncio.sleep(max(due - time.perf_counter(), 0))

    async def poll_always(self) -> None:
        """Wait for another desired state, again and again."""
        await asyncio.sleep(self.number % 1000 / 1000 * LONG_POLL_S)
        reader, writer = await asyncio.open_unix_connection(self._socket)
        revision = -1
        while True:
            path = f"/api/v1/agent/desired?after={revision}&wait={LONG_POLL_S}"
            writer.write(f"GET {path} HTTP/1.1\r\n{self._head}\r\n".encode())
            if answer := await _answer(reader):
                revision = int(answer.partition(b'"revision":')[2].partition(b",")[0])

    def _body(self) -> bytes:
        self.report.sent_at = datetime.now(UTC)
        for index, chip in enumerate(self.report.nodes[0].chips):
            warm = 40 + (self.answered + index) % 30
            chip.telemetry = ChipTelemetry(
                temperature_c=warm,
                power_w=warm * 2.5,
                power_limit_w=350,
                utilization_percent=warm,
                memory_used_bytes=warm * 10**8,
            )
        return self.report.model_dump_json().encode()


async def _answer(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    status = head.partition(b"\r\n")[0]
    if b" 204 " in status:
        return b""
    length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
    body = await reader.readexactly(int(length))
    if b" 200 " not in status:
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
