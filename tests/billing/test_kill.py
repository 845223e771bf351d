"""``kill -9`` of real server processes, a hundred times at random moments, while money moves.

On PostgreSQL two servers stand on one database, on SQLite one. A site that runs nothing remembers when what "ran": in
the end every attempt was billed for exactly that time, once, every recharge is there once, and the books are right.
UTCLOUD_TEST_SEED repeats the moments.
"""

import asyncio
import hashlib
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import select

from tests.support.db import PostgresServer
from tests.support.factories import ObservedReplicaFactory, SiteReportFactory, node_report
from tests.support.lanes import amount
from utcloud.billing.models import Account, Entry, Meter, Order
from utcloud.billing.solvency import elapsed_ms
from utcloud.billing.verify import verified
from utcloud.common.clock import to_ms
from utcloud.common.ids import new_id
from utcloud.common.money import MICRO, amount_for
from utcloud.common.settings import Settings
from utcloud.db import Database
from utcloud.protocol import DesiredState, ObservedReplica, Phase
from utcloud.server import bootstrap
from utcloud.workloads.states import FINAL

pytestmark = [pytest.mark.postgres, pytest.mark.slow, pytest.mark.timeout(900)]

KILLS = {"sqlite": amount(8, 40), "postgres": amount(12, 60)}
LONGEST_S = 0.4
NOTEBOOKS = 5
PRICE = 3_600_000
Json = dict[str, Any]


NURSERY = """
import gc, os, signal, sys
import utcloud.server.app, uvicorn, uvloop, httptools
from utcloud.common.settings import Settings
from utcloud.server import run
from utcloud.workloads import loops
async def all_of_them(pages, path):
    return set(pages)
loops.answering = all_of_them  # there are no containers
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
gc.freeze()
for line in sys.stdin:
    pid = os.fork()
    if not pid:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        run(Settings.model_validate_json(line))
        os._exit(0)
    print(pid, flush=True)
"""
"""Has read all modules; each line makes it fork a server, which then starts in a fraction of a second."""


@dataclass
class Server:
    """A server process on a home folder of its own, killed and begun again."""

    settings: Settings
    nursery: "subprocess.Popen[str]"
    pid: int = 0

    def start(self) -> None:
        assert self.nursery.stdin and self.nursery.stdout
        self.nursery.stdin.write(self.settings.model_dump_json() + "\n")
        self.nursery.stdin.flush()
        self.pid = int(self.nursery.stdout.readline())

    def kill(self) -> None:
        """SIGKILL, and wait until it is gone."""
        with suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
            while True:
                os.kill(self.pid, 0)
                time.sleep(0.002)

    async def up(self) -> None:
        """Until it answers."""
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            with suppress(httpx.TransportError, OSError):
                async with self.client() as client:
                    if (await client.get("http://localhost/healthz")).is_success:
                        return
            await asyncio.sleep(0.01)
        raise AssertionError("it does not start")

    def client(self, **headers: str) -> httpx.AsyncClient:
        transport = httpx.AsyncHTTPTransport(uds=str(self.settings.server_socket))
        return httpx.AsyncClient(transport=transport, base_url="http://localhost/api/v1", headers=headers, timeout=5)


@dataclass
class Caller:
    """Says the same to one server after the other until one answers."""

    servers: list[Server]
    rng: random.Random
    headers: dict[str, str]

    async def __call__(self, method: str, path: str, body: Any = None, **headers: str) -> httpx.Response:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            with suppress(httpx.TransportError, OSError):
                async with self.rng.choice(self.servers).client(**self.headers, **headers) as client:
                    content = {"content": body} if isinstance(body, str) else {"json": body}
                    answer = await client.request(method, path, **content)
                    if answer.status_code < 500:
                        return answer
            await asyncio.sleep(0.02)
        raise AssertionError(f"nobody answers {method} {path}")

    async def ok(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        answer = await self(method, path, body, **headers)
        assert answer.is_success, answer.text
        return answer.json() if answer.content else None


@dataclass
class Site:
    """Does at once what it is told, and remembers when. It says all that it remembers, again and again."""

    call: Caller
    seen: dict[str, ObservedReplica] = field(default_factory=dict)
    truth: dict[str, ObservedReplica] = field(default_factory=dict)

    async def work(self) -> None:
        while True:
            await self.once()
            await asyncio.sleep(0.02)

    async def once(self) -> None:
        answer = await self.call("GET", "/agent/desired")
        if answer.is_success:
            self._obey(DesiredState.model_validate_json(answer.content))
        report = SiteReportFactory.build(
            sent_at=datetime.now(UTC),
            networks=["10.89.0.0/16"],
            nodes=[node_report("node-1", 0)],
            replicas=list(self.seen.values()),
        )
        await self.call("POST", "/agent/reports", report.model_dump_json(), **{"Content-Type": "application/json"})

    def _obey(self, desired: DesiredState) -> None:
        now = datetime.now(UTC)
        wanted = {one.attempt_id: one for one in desired.replicas}
        self.truth.update(self.seen)
        self.seen = {ident: one for ident, one in self.seen.items() if ident in wanted}
        for ident, one in wanted.items():
            before = self.seen.get(ident)
            if before is None and one.desired == Phase.RUNNING:
                number = len(self.truth | self.seen)
                place = f"10.89.{number // 250}.{number % 250 + 2}:8888"
                about: Json = {"replica_id": one.replica_id, "attempt_id": ident, "endpoint": place}
                self.seen[ident] = ObservedReplicaFactory.build(
                    phase=Phase.RUNNING, started_at=now, ready_at=now, **about
                )
            elif one.desired != Phase.RUNNING and (before is None or before.phase != Phase.ENDED):
                about = {"replica_id": one.replica_id, "attempt_id": ident, "exit_code": 0, "cause": "stopped"}
                started = before.started_at if before else None
                self.seen[ident] = ObservedReplicaFactory.build(
                    phase=Phase.ENDED, started_at=started, ready_at=started, ended_at=now, **about
                )
        self.truth.update(self.seen)


@contextmanager
def servers_of(settings: list[Settings]) -> Iterator[list[Server]]:
    command = [sys.executable, "-c", NURSERY]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as nursery:
        servers = [Server(one, nursery) for one in settings]
        try:
            for server in servers:
                server.start()
            yield servers
        finally:
            for server in servers:
                server.kill()
            nursery.kill()


async def renter(call: Caller, rng: random.Random, ident: str, stop: asyncio.Event) -> None:
    """Stops and starts a notebook until told to end; what a dying server did of it does not matter to him."""
    while not stop.is_set():
        state = (await call.ok("GET", f"/notebooks/{ident}"))["state"]
        if state in FINAL:
            await call("POST", f"/notebooks/{ident}/start")
        elif state == "running":
            await asyncio.sleep(rng.uniform(0, 0.3))
            await call("POST", f"/notebooks/{ident}/stop")
        await asyncio.sleep(0.02)


@dataclass
class Recharger:
    """Recharges 0.01 UNC again and again, each with a key of its own, until there is a word on it."""

    call: Caller
    wallet: str
    user_id: str
    said: set[str] = field(default_factory=set)
    """Keys in the journal of what was acknowledged."""
    unsaid: set[str] = field(default_factory=set)
    """Of what a server died over: it may be there or not."""

    async def work(self, stop: asyncio.Event) -> None:
        body = {"wallet_id": self.wallet, "amount": "0.01", "note": "again"}
        while not stop.is_set():
            key = new_id("key")
            answer = await self.call("POST", "/recharges", body, **{"Idempotency-Key": key})
            assert answer.status_code in (201, 409), answer.text
            kept = self.said if answer.status_code == 201 else self.unsaid
            kept.add(f"recharge:{self.user_id}:{hashlib.sha256(key.encode()).hexdigest()}")
            await asyncio.sleep(0.05)


async def kill(servers: list[Server], rng: random.Random, times: int) -> None:
    """Mostly a server that has just begun to work, now and then one that is still starting."""
    for _ in range(times):
        server = rng.choice(servers)
        if rng.random() < 0.85:
            await server.up()
        await asyncio.sleep(rng.uniform(0, LONGEST_S))
        await asyncio.to_thread(server.kill)
        server.start()


async def offer(call: Caller, site: Site) -> tuple[Recharger, list[str]]:
    """Somebody with money and notebooks that have not been started."""
    await site.once()
    items = [{"resource": "cpu", "quantity": "0.1"}]
    spec = await call.ok("POST", "/specs", {"name": "small", "price": "3.6", "items": items})
    pool = next(one for one in (await call.ok("GET", "/pools"))["items"] if one["is_default"])
    await call.ok("PATCH", f"/pools/{pool['id']}", {"notebook_spec_ids": [spec["id"]]})
    image = (await call.ok("GET", "/images"))["items"][0]
    wallet = await call.ok("GET", "/wallets/mine")
    await call.ok("POST", "/recharges", {"wallet_id": wallet["id"], "amount": "10"})
    ids: Json = {"pool_id": pool["id"], "spec_id": spec["id"], "image_id": image["id"], "start": False}
    made = [await call.ok("POST", "/notebooks", {"name": f"nb-{number}", **ids}) for number in range(NOTEBOOKS)]
    return Recharger(call, wallet["id"], wallet["owner_id"]), [one["id"] for one in made]


async def rounds(
    servers: list[Server], password: str, token: str, rng: random.Random, kills: int
) -> tuple[Site, Recharger]:
    login = {"username": "admin", "password": password, "name": "test"}
    bearer = (await Caller(servers, rng, {}).ok("POST", "/auth/tokens", login))["token"]
    call = Caller(servers, rng, {"Authorization": f"Bearer {bearer}"})
    site = Site(Caller(servers, rng, {"Authorization": f"Bearer {token}"}))
    recharger, notebooks = await offer(call, site)
    stop = asyncio.Event()
    working = asyncio.create_task(site.work())
    busy = [asyncio.create_task(renter(call, rng, ident, stop)) for ident in notebooks]
    busy.append(asyncio.create_task(recharger.work(stop)))
    await kill(servers, rng, kills)
    stop.set()
    await asyncio.gather(*busy)
    for ident in notebooks:
        await call.ok("POST", f"/notebooks/{ident}/stop")
    deadline = time.monotonic() + 30
    while any([(await call.ok("GET", f"/notebooks/{ident}"))["state"] not in FINAL for ident in notebooks]):
        assert time.monotonic() < deadline, "all ends when it is told to"
        await asyncio.sleep(0.05)
    await asyncio.sleep(0.2)
    working.cancel()
    return site, recharger


async def check(url: str, site: Site, recharger: Recharger) -> None:
    db = Database(url)
    try:
        assert (await verified(db)).fault is None
        async with db.read() as tx:
            meters = list(await tx.scalars(select(Meter)))
            orders = list(await tx.scalars(select(Order)))
            again = list(await tx.scalars(select(Entry.idempotency_key).where(Entry.note == "again")))
            balances = {account.kind: account.balance for account in await tx.scalars(select(Account))}
    finally:
        await db.close()
    assert len(again) == len(set(again))
    assert recharger.said <= set(again) <= recharger.said | recharger.unsaid
    cost, exact = 0, 0
    for meter in meters:
        assert meter.closed
        truth = site.truth.get(meter.attempt_id)
        ran = 0
        if truth and truth.started_at and truth.ended_at:
            ran = to_ms(truth.ended_at) - to_ms(truth.started_at)
        billed = elapsed_ms(meter)
        # A page that no server had an answer of, though one was there to ask, is not billed before one has.
        assert 0 <= billed <= ran, meter.attempt_id
        assert (meter.settled, meter.waived) == (amount_for(PRICE, billed), 0)
        cost += meter.settled
        exact += billed == ran
    assert cost == sum(order.cost for order in orders)
    assert all(order.state == "settled" for order in orders)
    assert balances["wallet"] == 10 * MICRO + len(again) * MICRO // 100 - cost
    assert balances["wallet"] + balances["earnings"] + balances["fee"] + balances["issuance"] == 0
    assert sum(meter.settled > 0 for meter in meters) >= amount(2, 10), "there was something to lose"
    assert exact >= len(meters) / 2, "what had an answer in time is billed to the millisecond"


def test_nothing_is_lost_and_nothing_doubled(
    database_kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    seed = os.environ.get("UTCLOUD_TEST_SEED") or str(time.time_ns())
    print(f"UTCLOUD_TEST_SEED={seed}")
    rng = random.Random(seed)

    def go(url: str, count: int) -> None:
        homes = [tmp_path / f"home-{number}" for number in range(count)]
        key = "servers of one database have the same"
        settings = [Settings(home=home, database_url=url, log_level="error", secret_key=key) for home in homes]
        image = bootstrap.PresetImage("jupyter", "localhost/utcloud/jupyter:1", "JupyterLab")
        first = bootstrap.prepare(settings[0], [image])
        assert first.password
        token = settings[0].token_file.read_text().strip()
        with servers_of(settings) as servers:
            site, recharger = asyncio.run(rounds(servers, first.password, token, rng, KILLS[database_kind]))
        asyncio.run(check(settings[0].database, site, recharger))

    if database_kind == "sqlite":
        go("", 1)
        return
    postgres: PostgresServer = request.getfixturevalue("postgres")
    with asyncio.Runner() as runner:
        empty = postgres.empty()
        url = runner.run(empty.__aenter__())
        go(url, 2)
        runner.run(empty.__aexit__(None, None, None))
