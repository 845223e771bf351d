"""The figures, each with the bar that it is held against; ratios where the machine's speed would show."""

import asyncio
import json
import os
import secrets
import statistics
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import httpx
import psutil

from tests.bench.stack import Stack
from utcloud.cli.up import engine
from utcloud.cli.up.image import REFERENCE

ROUNDS = 5
LOOKS = 40
PROBE_S = 0.02


@dataclass
class Figure:
    """One measured value. ``bar`` reads ``<= 1.25`` or ``>= 200``; empty: reported only."""

    name: str
    value: float
    unit: str
    bar: str = ""
    how: str = ""
    details: dict[str, Any] = field(default_factory=dict)

    @property
    def holds(self) -> bool:
        if not self.bar:
            return True
        sign, limit = self.bar.split()
        return self.value <= float(limit) if sign == "<=" else self.value >= float(limit)

    @property
    def verdict(self) -> str:
        return "" if not self.bar else "yes" if self.holds else "NO"

    def as_json(self) -> dict[str, Any]:
        return {"value": self.value, "unit": self.unit, "bar": self.bar or None, "holds": self.holds, **self.details}


def notebook_ready(stack: Stack) -> list[Figure]:
    """POST /notebooks until JupyterLab answers through the edge, against a bare ``podman run`` until it answers.

    With a disk for each volume, as it is, and then with plain folders, to see what the disks cost.
    """
    how = "volumes as disks, seccomp, ids"
    if not stack.has_quotas():
        raise RuntimeError("volumes have no quota on this machine")
    with_quotas = _ready(stack, "notebook_ready_ratio", "<= 1.25", how)
    stack.without_quotas()
    if stack.has_quotas():
        raise RuntimeError("volumes have a quota where they should have none")
    return [with_quotas, _ready(stack, "notebook_ready_no_quotas_ratio", "", "volumes as plain folders")]


def _ready(stack: Stack, name: str, bar: str, what: str) -> Figure:
    ids = stack.spec()
    ours, bare = [], []
    for number in range(-1, ROUNDS):
        a, b = _ours(stack, ids), _bare(stack)
        if number >= 0:
            ours.append(a)
            bare.append(b)
    ratio = statistics.median(a / b for a, b in zip(ours, bare, strict=True))
    medians = f"{statistics.median(ours):.2f} s against {statistics.median(bare):.2f} s bare"
    return Figure(
        name,
        round(ratio, 3),
        "ratio",
        bar,
        f"median of {ROUNDS} pairs: {medians}; {what}",
        {"seconds": [round(one, 3) for one in ours], "bare_seconds": [round(one, 3) for one in bare]},
    )


def _ours(stack: Stack, ids: dict[str, str]) -> float:
    begin = time.perf_counter()
    notebook = stack.call("POST", "/notebooks", {"name": f"bench-{secrets.token_hex(4)}", **ids})
    path = f"/notebooks/{notebook['id']}"
    while (state := stack.call("GET", path)["state"]) != "running":
        if state in ("failed", "stopped"):
            raise RuntimeError(f"notebook {state}: {stack.call('GET', path)['reason']}")
        time.sleep(PROBE_S)
    opening = urlsplit(stack.call("POST", f"{path}/open")["url"])
    with httpx.Client(base_url=f"http://127.0.0.1:{stack.port}", headers={"Host": opening.netloc}) as browser:
        redirect = browser.get(f"{opening.path}?{opening.query}")
        cookie = redirect.headers["set-cookie"].split(";")[0]
        _until(lambda: browser.get("/lab", headers={"Cookie": cookie}).status_code == 200)
    elapsed = time.perf_counter() - begin
    stack.call("POST", f"{path}/stop")
    while stack.call("GET", path)["state"] != "stopped":
        time.sleep(0.05)
    stack.call("DELETE", path)
    return elapsed


def _bare(stack: Stack) -> float:
    env = {**os.environ, **engine.environment(stack.home / "engine")}
    name = f"bench-{secrets.token_hex(4)}"
    limits = ["--cpus=1", "--memory=1000000000", "--memory-swap=1000000000", "--pids-limit=1024", "--shm-size=64m"]
    begin = time.perf_counter()
    podman = ["podman", "run", "--detach", "--name", name, "--env", "JUPYTER_TOKEN=bench", "--pull=never", *limits]
    subprocess.run([*podman, REFERENCE], env=env, check=True, capture_output=True)
    inspect = ["podman", "inspect", "--format", "{{.NetworkSettings.IPAddress}}", name]
    address = subprocess.run(inspect, env=env, check=True, capture_output=True, text=True).stdout.strip()
    with httpx.Client(base_url=f"http://{address}:8888", headers={"Authorization": "token bench"}) as browser:
        _until(lambda: browser.get("/lab").status_code == 200)
    elapsed = time.perf_counter() - begin
    subprocess.run(["podman", "rm", "--force", "--time=0", name], env=env, check=True, capture_output=True)
    return elapsed


def _until(answers: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            if answers():
                return
        except httpx.TransportError:
            pass
        time.sleep(PROBE_S)
    raise RuntimeError("no answer within 60 s")


def charge_lag(stack: Stack) -> list[Figure]:
    """How far what its renter is shown of a running notebook's cost lags behind: looked at each second."""
    notebook = stack.call("POST", "/notebooks", {"name": f"bench-{secrets.token_hex(4)}", **stack.spec()})
    path = f"/notebooks/{notebook['id']}"
    _until(lambda: stack.call("GET", path)["state"] == "running")
    lags = []
    for _ in range(LOOKS):
        time.sleep(1)
        now = datetime.now(UTC)
        (charge,) = stack.call("GET", f"/charges?workload_id={notebook['id']}")["items"]
        lags.append((now - datetime.fromisoformat(charge["witnessed_until"])).total_seconds())
    stack.call("POST", f"{path}/stop")
    _until(lambda: stack.call("GET", path)["state"] == "stopped")
    stack.call("DELETE", path)
    how = f"the worst of {LOOKS} looks in as many seconds; median {statistics.median(lags):.1f} s"
    return [
        Figure("charge_lag_s", round(max(lags), 1), "s", "<= 60", how, {"seconds": [round(one, 3) for one in lags]})
    ]


def idle_memory(stack: Stack) -> list[Figure]:
    """Resident memory of server and agent together, and of the edge, after some quiet seconds."""
    time.sleep(5)
    sizes = {"server": 0.0, "agent": 0.0, "edge": 0.0}
    for process in psutil.process_iter(["cmdline", "environ", "memory_info"]):
        environ, line = process.info["environ"] or {}, " ".join(process.info["cmdline"] or [])
        if environ.get("UTCLOUD_HOME") != str(stack.home):
            continue
        for name, mark in (("server", "utcloud server"), ("agent", "utcloud agent"), ("edge", "caddy")):
            if mark in line:
                sizes[name] += process.info["memory_info"].rss / 1e6
    if not all(sizes.values()):
        raise RuntimeError(f"a process was not found: {sizes}")
    both = sizes["server"] + sizes["agent"]
    how = f"resident: server {sizes['server']:.0f} MB, agent {sizes['agent']:.0f} MB"
    return [
        Figure("idle_memory_mb", round(both, 1), "MB", "<= 200", how),
        Figure("edge_memory_mb", round(sizes["edge"], 1), "MB", "", "resident: Caddy"),
    ]


def list_page(stack: Stack) -> list[Figure]:
    """Pages of 100 out of 1,000 notebooks, through the edge, by four connections that never pause."""
    ids = stack.spec()
    have = len(_all_notebooks(stack))
    for number in range(have, 1000):
        body = {"name": f"listed-{number}-{secrets.token_hex(3)}", "start": False, **ids}
        stack.call("POST", "/notebooks", body)
    asyncio.run(_load(stack, seconds=2))
    latencies, seconds = asyncio.run(_load(stack, seconds=10))
    rps = len(latencies) / seconds
    p99 = statistics.quantiles(latencies, n=100)[98] * 1000
    median = statistics.median(latencies) * 1000
    how = f"{len(latencies)} pages in {seconds:.1f} s by 4 connections, median {median:.1f} ms"
    return [
        Figure("list_page_rps", round(rps, 1), "1/s", ">= 200", how),
        Figure("list_page_p99_ms", round(p99, 1), "ms", "<= 50", "of the same requests"),
    ]


def _all_notebooks(stack: Stack) -> list[Any]:
    items: list[Any] = []
    cursor = ""
    while True:
        page = stack.call("GET", f"/notebooks?limit=500{cursor}")
        items += page["items"]
        if not page["next_cursor"]:
            return items
        cursor = f"&cursor={page['next_cursor']}"


async def _load(stack: Stack, *, seconds: float, connections: int = 4) -> tuple[list[float], float]:
    """Plain HTTP/1.1 over sockets, so that what is measured is the server and not a client library."""
    request = (
        f"GET /api/v1/notebooks?limit=100 HTTP/1.1\r\nHost: localhost:{stack.port}\r\n"
        f"Authorization: Bearer {stack.token}\r\n\r\n"
    ).encode()
    latencies: list[float] = []
    end = time.perf_counter() + seconds

    async def one() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", stack.port, limit=1 << 22)
        while time.perf_counter() < end:
            begin = time.perf_counter()
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            if not head.startswith(b"HTTP/1.1 200"):
                raise RuntimeError(head.decode())
            body = await _body(reader, head)
            latencies.append(time.perf_counter() - begin)
            if len(latencies) == 1 and len(json.loads(body)["items"]) != 100:
                raise RuntimeError("the page does not have 100 notebooks")
        writer.close()

    begin = time.perf_counter()
    await asyncio.gather(*(one() for _ in range(connections)))
    return latencies, time.perf_counter() - begin


async def _body(reader: asyncio.StreamReader, head: bytes) -> bytes:
    headers = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:] if b": " in line)
    if b"content-length" in headers:
        return await reader.readexactly(int(headers[b"content-length"]))
    body = b""
    while size := int((await reader.readline()).strip(), 16):
        body += await reader.readexactly(size)
        await reader.readexactly(2)
    await reader.readexactly(2)
    return body
