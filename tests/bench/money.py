"""Figures of money on PostgreSQL: settling and watching 10,000 running attempts, checking a million entries, and the
wallet and records pages over five million rows of the journal.
"""

import asyncio
import hashlib
import itertools
import statistics
import time
from collections import defaultdict
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import httpx
import psutil
from sqlalchemy.engine import make_url

from tests.bench.dataset import Dataset, Rows, add_people, big_dataset, ident, renter, wallet
from tests.bench.figures import Figure
from tests.bench.scale import running_server
from tests.support.clock import FakeClock
from tests.support.db import create_all, running_postgres
from tests.support.factories import FEE_PPM, PRICE
from utcloud.billing import chain, facts, loops
from utcloud.billing.journal import PLATFORM
from utcloud.billing.models import Account, Meter
from utcloud.billing.verify import Verification, verified
from utcloud.billing.watch import Watch
from utcloud.common.clock import to_ms
from utcloud.common.money import MICRO
from utcloud.db import Database

LOOKS = 10
VERIFICATIONS = 3
ROUNDS = 100
ENTRIES, POSTINGS = 1_000_000, 5_000_000
CHUNK = 50_000
MINERS, RENTERS = 20, 500
"""Of the big journal."""
PER_METER = 10
"""So many entries each attempt made."""


def accrual() -> list[Figure]:
    """An hour of 10,000 running attempts: one look at all wallets and limits, and everything posted."""
    with big_dataset() as dataset:
        return asyncio.run(_accrue(dataset))


async def _accrue(dataset: Dataset) -> list[Figure]:
    now = dataset.now + timedelta(hours=1)
    connection = await asyncpg.connect(_dsn(dataset.url))
    await connection.execute("UPDATE meters SET witnessed_until = $1, heard_at = $1 WHERE NOT closed", to_ms(now))
    await connection.execute("VACUUM ANALYZE meters")
    await connection.close()
    db = Database(dataset.url)

    async def stop(attempts: list[str], reason: str) -> None:
        raise AssertionError(f"nothing had to stop: {reason}")

    watch = Watch(db, FakeClock(now), stop)
    try:
        await watch.look()
        begin, used = time.perf_counter(), _cpu_s()
        for _ in range(LOOKS):
            await watch.look()
        look_s, look_cpu_s = (time.perf_counter() - begin) / LOOKS, (_cpu_s() - used) / LOOKS
        begin, used = time.perf_counter(), _cpu_s()
        count = await loops.settle_due(db, now)
        settle_s, settle_cpu_s = time.perf_counter() - begin, _cpu_s() - used
        assert count == dataset.live, count
        found = await verified(db)
        assert found.fault is None, found.fault
        plain_s = await _plainly(dataset, now)
    finally:
        await db.close()
    # The watch pauses ``CALM`` times as long as it looked, however much changes; everything is posted once an hour.
    share = look_cpu_s / max((loops.CALM + 1) * look_s, 0.2 + look_s) + settle_cpu_s / 3600
    how = f"look {look_s:.3f} s (mean of {LOOKS}) + post {settle_s:.2f} s, {count} running attempts"
    details = {"look_s": round(look_s, 4), "settle_s": round(settle_s, 3)}
    calm = look_cpu_s / 30 + settle_cpu_s / 3600
    most = f"while wallets change all the time; {calm:.4f} when they do not; PostgreSQL's part included"
    against = f"{look_s + settle_s:.2f} s against {plain_s:.2f} s of plain SQL: {count} entries, their postings, meters"
    return [
        Figure("accrual_ratio", round((look_s + settle_s) / plain_s, 2), "ratio", "<= 3", against),
        Figure("accrual_10k_s", round(look_s + settle_s, 3), "s", "", how, details),
        Figure("accrual_core_share", round(share, 4), "cores", "<= 0.05", most),
    ]


async def _plainly(dataset: Dataset, now: datetime) -> float:
    """The seconds that plain SQL takes for the rows that accrual wrote: inserted once more, with other keys.

    As many entries and postings in as many transactions, row by row in a prepared statement, and as many meters set.
    """
    connection = await asyncpg.connect(_dsn(dataset.url))
    try:
        entries = await connection.fetch("SELECT * FROM journal_entries ORDER BY seq DESC LIMIT $1", dataset.live)
        known = [one["id"] for one in entries]
        postings = await connection.fetch("SELECT * FROM postings WHERE entry_id = ANY($1)", known)
        sets = await connection.fetch(
            "SELECT settled, settled_fee, waived, note, settlements, settled_at, id FROM meters WHERE NOT closed"
        )
        by_entry: dict[str, list[Any]] = defaultdict(list)
        for one in postings:
            by_entry[one["entry_id"]].append(one)
        ahead = len(entries)
        rows = [{**one, "id": f"x{one['id'][1:]}", "seq": one["seq"] + ahead} for one in entries]
        for row in rows:
            row["idempotency_key"] += ":again"
        insert = _insert("journal_entries", list(rows[0]))
        begin = time.perf_counter()
        for start in range(0, len(rows), PLAIN_BATCH):
            batch = rows[start : start + PLAIN_BATCH]
            lines = [
                (row["id"], line["account_id"], line["amount"], line["at"])
                for row, one in zip(batch, entries[start : start + PLAIN_BATCH], strict=True)
                for line in by_entry[one["id"]]
            ]
            async with connection.transaction():
                await connection.executemany(insert, [tuple(row.values()) for row in batch])
                await connection.execute(_LINES, *map(list, zip(*lines, strict=True)))
                await connection.executemany(
                    "UPDATE meters SET settled = $1, settled_fee = $2, waived = $3, note = $4, settlements = $5, "
                    "settled_at = $6 WHERE id = $7",
                    [tuple(one) for one in sets[start : start + PLAIN_BATCH]],
                )
        return time.perf_counter() - begin
    finally:
        await connection.close()


PLAIN_BATCH = 2_000
"""As many in a transaction as ``loops.settle_due`` settles."""
_LINES = (
    "INSERT INTO postings (entry_id, account_id, amount, at) "
    "SELECT * FROM unnest($1::text[], $2::text[], $3::bigint[], $4::bigint[])"
)
"""In one statement, after which those of each entry sum to zero: its trigger wants it."""


def _insert(table: str, names: list[str]) -> str:
    values = ", ".join(f"${number + 1}" for number in range(len(names)))
    return f"INSERT INTO {table} ({', '.join(names)}) VALUES ({values})"


def _cpu_s() -> float:
    """What this process and all of PostgreSQL's have used."""
    used = time.process_time()
    for process in psutil.process_iter(["name", "cpu_times"]):
        if process.info["name"] == "postgres" and process.info["cpu_times"]:
            with suppress(psutil.NoSuchProcess):
                parent = process.parent()
                if parent and "utcloud-pg-" in " ".join(parent.cmdline()):
                    used += process.info["cpu_times"].user + process.info["cpu_times"].system
    return used


def journal() -> list[Figure]:
    """The check of a million entries, and pages over five million rows."""
    with running_postgres(durable=True) as server:
        dataset = Dataset(url=server.url("postgres"), renters=RENTERS)
        return asyncio.run(_journal(dataset))


async def _journal(dataset: Dataset) -> list[Figure]:
    books = Books(dataset)
    await books.begin()
    await books.grow(ENTRIES)
    pairs = []
    for _ in range(VERIFICATIONS):
        used = time.process_time()
        found = await _verify(dataset.url)
        ours = Spent(found.seconds, time.process_time() - used)
        assert found.checked == ENTRIES, found
        pairs.append((ours, await _read_and_hash(dataset.url)))
    best, plain = min(pairs, key=lambda pair: pair[0].wall_s / pair[1].wall_s)
    ratio = statistics.median(ours.wall_s / plain.wall_s for ours, plain in pairs)
    how = f"{found.checked} entries with {books.postings} postings: chain, facts, sums, balances, meters, keys"
    against = f"median of {VERIFICATIONS} pairs; the best: {best.wall_s:.1f} s (this process worked {best.cpu_s:.1f}) "
    against += f"against {plain.wall_s:.1f} s ({plain.cpu_s:.1f}) of COPY and hashlib"
    seconds = [{"ours": ours.as_json(), "plain": plain.as_json()} for ours, plain in pairs]
    figures = [
        Figure("journal_verify_ratio", round(ratio, 2), "ratio", "<= 2.5", against, {"seconds": seconds}),
        Figure("journal_verify_1m_s", round(best.wall_s, 2), "s", "", how),
    ]
    await books.grow(POSTINGS // 3 - ENTRIES)
    figures.append(await asyncio.to_thread(_pages, dataset, books))
    return figures


@dataclass(frozen=True)
class Spent:
    """Seconds by the clock, and of this process's own work: the first tell less where others want the machine too."""

    wall_s: float
    cpu_s: float

    def as_json(self) -> dict[str, float]:
        return {"wall_s": round(self.wall_s, 2), "cpu_s": round(self.cpu_s, 2)}


async def _read_and_hash(url: str) -> Spent:
    """What it takes to read what the check reads by COPY, and to hash what it hashes, entry by entry."""
    connection = await asyncpg.connect(_dsn(url))
    columns = "seq, id, hash, idempotency_key, kind, cause_type, cause_id, note, actor_id, actor_name, at, facts"
    queries = [f"SELECT {columns} FROM journal_entries ORDER BY seq"]
    queries += [f"SELECT * FROM {name}" for name in ("postings", "journal_accounts", "meters", "orders")]
    try:
        sizes = await connection.fetch(_FORM_SIZES)
        forms = [b"x" * one[0] for one in sizes]
        begin, used = time.perf_counter(), time.process_time()
        for query in queries:
            await connection.copy_from_query(query, output=_nowhere)
        for form in forms:
            hashlib.sha256(form).hexdigest()
        return Spent(time.perf_counter() - begin, time.process_time() - used)
    finally:
        await connection.close()


async def _nowhere(_: bytes) -> None:
    """Where COPY writes to."""


_FORM_SIZES = """
SELECT length(seq::text) + length(id) + length(hash) + length(idempotency_key) + length(kind) + length(cause_type)
  + length(cause_id) + length(note) + length(actor_id) + length(actor_name) + length(at::text) + length(facts)
  + (SELECT sum(length(account_id) + length(amount::text) + 5) FROM postings WHERE entry_id = journal_entries.id) + 34
FROM journal_entries ORDER BY seq
"""
"""The bytes that are hashed of each entry: its values, and what stands between them."""


async def _verify(url: str) -> Verification:
    db = Database(url)
    try:
        found = await verified(db)
    finally:
        await db.close()
    assert found.fault is None, found.fault
    return found


def _pages(dataset: Dataset, books: "Books") -> Figure:
    own = f"/wallets/{wallet(7)}"
    lists = ["/wallets", "/recharges", "/charges", f"/charges?wallet_id={wallet(7)}", "/journal/entries"]
    his = "/charges?role=payee"
    miners = [his, f"{his}&sort=-paid", f"{his}&search=renter-00", "/recharges?search=renter-00"]
    pages = {
        dataset.operator_token: [*map(_paged, lists), own, f"{own}/caps", "/earnings/platform"],
        dataset.miner_token: [*map(_paged, miners), "/earnings"],
    }
    taken: dict[str, list[float]] = defaultdict(list)
    with running_server(dataset) as client:
        for token, paths in pages.items():
            client.headers["Authorization"] = f"Bearer {token}"
            deep = [page for path in paths if (page := _deep(client, path))]
            for number, path in itertools.product(range(-3, ROUNDS), [*paths, *deep]):
                begin = time.perf_counter()
                answer = client.get(path)
                elapsed = time.perf_counter() - begin
                if not answer.is_success:
                    raise RuntimeError(f"{path}: {answer.status_code} {answer.text[:500]}")
                if number >= 0:
                    taken[path.partition("&cursor")[0] + (" (deep)" if "cursor" in path else "")].append(elapsed * 1000)
    p95 = {path: round(statistics.quantiles(each, n=20)[18], 1) for path, each in taken.items()}
    worst = max(p95, key=lambda path: p95[path])
    how = f"slowest: GET {worst}; {ROUNDS} requests of each of {len(p95)} pages, {books.postings} postings"
    return Figure("records_p95_ms", p95[worst], "ms", "<= 100", how, {"p95_ms": p95})


def _paged(path: str) -> str:
    return f"{path}{'&' if '?' in path else '?'}limit=50"


def _deep(client: httpx.Client, path: str) -> str:
    """The same list some pages further on; empty where there is no second page."""
    if "limit=" not in path:
        return ""
    cursor = ""
    for _ in range(5):
        after = client.get(f"{path}{cursor}").json()["next_cursor"]
        if after is None:
            break
        cursor = f"&cursor={after}"
    return f"{path}{cursor}" if cursor else ""


@dataclass
class Books:
    """A journal that grows by COPY: charges of attempts, the right sums and hashes included."""

    dataset: Dataset
    entries: int = 0
    postings: int = 0
    head: str = chain.START
    balances: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    first: datetime = field(default_factory=lambda: datetime.now(UTC) - timedelta(days=400))

    def miner(self, number: int) -> str:
        """The dataset's own miner, and others."""
        return ident("usr", 5000 + number) if number else self.dataset.miner_id

    def earnings(self, number: int) -> str:
        """The account of a miner's earnings."""
        return ident("acc", 100_000 + number)

    async def begin(self) -> None:
        """Tables, people and accounts; every renter will have a million UNC."""
        database = Database(self.dataset.url)
        await create_all(database)
        await database.close()
        rows = Rows()
        add_people(Dataset(renters=RENTERS, nodes=0), rows)
        for number, (kind, owner) in enumerate((("issuance", PLATFORM), ("fee", PLATFORM))):
            rows.add(Account, id=ident("acc", number), kind=kind, owner_id=owner)
        for number in range(MINERS):
            rows.add(Account, id=self.earnings(number), kind="earnings", owner_id=self.miner(number))
        for number in range(RENTERS):
            rows.add(Account, id=wallet(number), kind="wallet", owner_id=renter(number))
        await rows.copy(self.dataset.url)

    async def grow(self, more: int) -> None:
        """Add so many entries."""
        connection = await asyncpg.connect(_dsn(self.dataset.url))
        try:
            for start in range(self.entries, self.entries + more, CHUNK):
                await self._copy(connection, range(start, min(start + CHUNK, self.entries + more)))
            self.entries += more
            for account, balance in self.balances.items():
                await connection.execute("UPDATE journal_accounts SET balance = $2 WHERE id = $1", account, balance)
            await connection.execute("VACUUM ANALYZE")
        finally:
            await connection.close()

    async def _copy(self, connection: Any, numbers: range) -> None:
        entries, postings = [], []
        rows = Rows()
        for number in numbers:
            at = self.first + timedelta(seconds=20 * number)
            kind, key, cause, lines, told = self._entry(number, at, rows)
            ids, told_as = ident("je", number), chain.canonical(told)
            self.head = chain.entry_hash(self.head, number + 1, ids, key, kind, *cause, "", "", "", at, lines, told_as)
            entries.append((ids, number + 1, self.head, key, kind, *cause, "", "", "", to_ms(at), told_as))
            for account, amount in lines:
                self.balances[account] += amount
                postings.append((ids, account, amount, to_ms(at)))
        self.postings += len(postings)
        async with connection.transaction():
            names = "id seq hash idempotency_key kind cause_type cause_id note actor_id actor_name at facts"
            await connection.copy_records_to_table("journal_entries", records=entries, columns=names.split())
            names = "entry_id account_id amount at"
            await connection.copy_records_to_table("postings", records=postings, columns=names.split())
        await rows.copy(self.dataset.url)

    def _entry(
        self, number: int, at: datetime, rows: Rows
    ) -> tuple[str, str, tuple[str, str], list[tuple[str, int]], dict[str, object]]:
        """A recharge of each renter at first, then charges: each attempt's ten come one after another."""
        who = number % RENTERS
        if number < RENTERS:
            amount = 1_000_000 * MICRO
            lines = [(wallet(who), amount), (ident("acc", 0), -amount)]
            told = facts.of_transfer(wallet(who), ("wallet", renter(who)), amount)
            return "recharge", f"bench:{number}", ("wallet", wallet(who)), lines, told
        meter, part = divmod(number - RENTERS, PER_METER)
        payer, miner, fee = meter % RENTERS, meter % MINERS, PRICE * FEE_PPM // MICRO
        began = self.first + timedelta(seconds=20 * (RENTERS + meter * PER_METER)) - PER_METER * timedelta(hours=1)
        one = Meter(
            id=ident("mtr", meter),
            attempt_id=ident("at", meter),
            wallet_id=wallet(payer),
            payer_id=renter(payer),
            payee_id=self.miner(miner),
            order_id="",
            price=PRICE,
            fee_ppm=FEE_PPM,
            silent_ms=0,
            started_at=began,
            witnessed_until=began + (part + 1) * timedelta(hours=1),
        )
        told = facts.of_meter(one, None, was=part * PRICE, settled=(part + 1) * PRICE, waived=0, credited=0)
        if part == 0:
            rows.add(
                Meter,
                **{name: getattr(one, name) for name in ("id", "attempt_id", "wallet_id", "payer_id", "payee_id")},
                workload_id=ident("nb", meter // 3),
                price=PRICE,
                fee_ppm=FEE_PPM,
                started_at=began,
                witnessed_until=at,
                ended_at=at,
                closed=True,
                settled=PRICE * PER_METER,
                settled_fee=fee * PER_METER,
                settlements=PER_METER,
                created_at=at,
                labels={"workload": f"notebook-{meter // 3}", "spec": "spec-1", "subtask": "task-0", "attempt": 1},
            )
        lines = [(wallet(payer), -PRICE), (self.earnings(miner), PRICE - fee), (ident("acc", 1), fee)]
        return "charge", f"{ident('mtr', meter)}:{part}", ("meter", ident("mtr", meter)), lines, told


def _dsn(url: str) -> str:
    return make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
