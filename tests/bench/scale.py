"""Figures of a big dataset (``dataset.py``) on PostgreSQL: how fast a miner's pages answer, how fast work is placed.

The server is the real one, in its own process on a unix socket, with all its loops.
"""

import asyncio
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import psutil
from sqlalchemy.engine import make_url

from tests.bench.dataset import Dataset, Rows, add_workload, big_dataset, ident
from tests.bench.figures import Figure

ROUNDS = 60
LIMIT = 50
PLACED_WITHIN_S = 300


@contextlib.contextmanager
def running_server(dataset: Dataset) -> Iterator[httpx.Client]:
    """The real server on the dataset's database; a client of it as the miner, over one connection that stays."""
    with (
        tempfile.TemporaryDirectory(prefix="utcloud-bench-", dir="/tmp") as folder,
        server_in(Path(folder), dataset.miner_token, UTCLOUD_DATABASE_URL=dataset.url) as client,
    ):
        yield client


@contextlib.contextmanager
def server_in(home: Path, token: str, **settings: str) -> Iterator[httpx.Client]:
    """The real server in its own process with this home; a client of it with ``token``."""
    (home / "run").mkdir(exist_ok=True)
    env = {key: value for key, value in os.environ.items() if not key.startswith("UTCLOUD_")}
    env |= {"UTCLOUD_HOME": str(home), "UTCLOUD_LOG_LEVEL": "warning"} | settings
    with (home / "log").open("wb") as log:
        program = str(Path(sys.executable).with_name("utcloud"))
        process = subprocess.Popen([program, "server"], env=env, stdout=log, stderr=log)
    try:
        transport = httpx.HTTPTransport(uds=str(home / "run" / "serve" / "server.sock"))
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        with httpx.Client(
            transport=transport, base_url="http://localhost/api/v1", headers=headers, timeout=60
        ) as client:
            _wait_for(client, process, home / "log")
            yield client
    finally:
        process.terminate()
        process.wait(20)


def _wait_for(client: httpx.Client, process: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + 60
    while process.poll() is None and time.monotonic() < deadline:
        with contextlib.suppress(httpx.TransportError):
            if client.get("http://localhost/healthz").is_success:
                return
        time.sleep(0.05)
    raise RuntimeError(f"the server does not answer:\n{log.read_text()}")


def miner_lists() -> list[Figure]:
    """Each list and home page of the miner end again and again; the slowest one's 95th percentile is the figure."""
    lists = "nodes system-resources custom-resources specs pools replicas users groups audit-events wallets"
    p95, medians, spent = {}, {}, {}
    with big_dataset() as dataset, running_server(dataset) as client:
        time.sleep(7)  # the loops' first looks are over
        node = f"/nodes/{ident('nd', dataset.nodes // 2)}"
        pages = {f"/{name}": f"/{name}?limit={LIMIT}" for name in lists.split()}
        pages |= {"/overview/miner": "/overview/miner", "/nodes/{id}": node}
        pages["/charges"] = f"/charges?role=payee&limit={LIMIT}"
        for name, path in pages.items():
            for _ in range(5):
                _get(client, path)
            before = _processor_seconds()
            taken = [_get(client, path) * 1000 for _ in range(ROUNDS)]
            spent[name] = round((_processor_seconds() - before) * 1000 / ROUNDS, 1)
            p95[name] = round(statistics.quantiles(taken, n=20)[18], 1)
            medians[name] = round(statistics.median(taken), 1)
    worst = max(p95, key=lambda name: p95[name])
    how = (
        f"slowest: GET {worst}, median {medians[worst]:g}, of which processor time {spent[worst]:g}; {ROUNDS} requests "
        f"of each of {len(pages)} pages, {_size(dataset)}"
    )
    details = {"p95_ms": p95, "median_ms": medians, "processor_ms": spent}
    return [Figure("miner_list_p95_ms", p95[worst], "ms", "<= 100", how, details)]


def _get(client: httpx.Client, path: str) -> float:
    """Seconds until the answer is there."""
    begin = time.perf_counter()
    answer = client.get(path)
    elapsed = time.perf_counter() - begin
    if not answer.is_success:
        raise RuntimeError(f"{path}: {answer.status_code} {answer.text[:500]}")
    return elapsed


def _processor_seconds() -> float:
    """What the processes below this one, the server and PostgreSQL's, have used."""
    times = [process.cpu_times() for process in psutil.Process().children(recursive=True)]
    return sum(one.user + one.system for one in times)


def placement() -> list[Figure]:
    """A thousand replicas that wait, from the signal that there is room until all are assigned."""
    figures = []
    for name, gang in (("placement_replicas_per_s", 1), ("placement_gang_replicas_per_s", 8)):
        with big_dataset() as dataset:
            seconds = asyncio.run(_placed(dataset, 1000, gang))
        rate = round(1000 / seconds, 1)
        kind = "single notebooks" if gang == 1 else f"gangs of {gang}"
        how = f"1,000 replicas in {seconds:.2f} s, {kind} spread over {dataset.pools} pools, {_size(dataset)}"
        figures.append(Figure(name, rate, "1/s", ">= 200", how, {"seconds": round(seconds, 3)}))
    return figures


def _size(dataset: Dataset) -> str:
    return f"{dataset.nodes} nodes, {dataset.live} live replicas"


async def _placed(dataset: Dataset, replicas: int, gang: int) -> float:
    """Seconds until the real server's loop has placed what waits."""
    dsn = make_url(dataset.url).set(drivername="postgresql").render_as_string(hide_password=False)
    connection = await asyncpg.connect(dsn)
    try:
        with running_server(dataset):
            await asyncio.sleep(7)  # the loops' first looks are over
            rows = Rows()
            for number in range(replicas // gang):
                pool = number % dataset.pools
                add_workload(dataset, rows, dataset.live + number, pool=pool, kind=0, replicas=gang, state="pending")
            await rows.copy(dataset.url)
            begin = time.perf_counter()
            await connection.execute("SELECT pg_notify('utcloud', 'placement')")
            while await connection.fetchval("SELECT count(*) FROM replicas WHERE state = 'pending'"):
                if time.perf_counter() - begin > PLACED_WITHIN_S:
                    raise RuntimeError(f"not placed within {PLACED_WITHIN_S} s: {await _why(connection)}")
                await asyncio.sleep(0.02)
            seconds = time.perf_counter() - begin
            placed = await connection.fetchval("SELECT count(*) FROM replicas WHERE state = 'assigned'")
            assert placed == replicas // gang * gang, await _why(connection)
            return seconds
    finally:
        await connection.close()


async def _why(connection: Any) -> str:
    rows = await connection.fetch("SELECT state, reason, count(*) FROM replicas GROUP BY 1, 2 LIMIT 10")
    return json.dumps([list(row.values()) for row in rows])
