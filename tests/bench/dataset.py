"""A big dataset for measuring, on a PostgreSQL of its own: 1,000 nodes of 8 chips, 10,000 live replicas.

Rows are copied in, in the order of their foreign keys: seconds instead of minutes. Everything belongs to one miner,
whose lists are then the longest that there can be.
"""

import asyncio
import hashlib
import itertools
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
from sqlalchemy import Column, FromClause, Table
from sqlalchemy.dialects.postgresql import asyncpg as dialects
from sqlalchemy.engine import make_url

from tests.support.db import create_all, running_postgres
from tests.support.factories import (
    CHIP,
    CHIP_MODEL,
    FEE_PPM,
    GB,
    PRICE,
    ChipReportFactory,
    NodeReportFactory,
    ResourceReportFactory,
)
from utcloud.accounts.models import ApiToken, AuditEvent, Group, GroupMember, User
from utcloud.assets.models import Image
from utcloud.billing import chain, facts
from utcloud.billing.journal import PLATFORM
from utcloud.billing.models import Account, Entry, Meter, Order, Posting
from utcloud.common.money import MICRO
from utcloud.db import Base, Database
from utcloud.protocol import NodeReport
from utcloud.resources.models import (
    Allocation,
    Chip,
    ChipClaim,
    CustomResource,
    Node,
    NodeResource,
    Pool,
    PoolGroup,
    PoolSpec,
    Site,
    Spec,
    SpecItem,
)
from utcloud.workloads.models import Attempt, Replica, Subtask, TimelineEvent, Workload

CHIPS = (CHIP, "nvidia.com/gpu")
NAMES = ("TPU1684X", "H100")
MODELS = (CHIP_MODEL, "NVIDIA H100 80GB HBM3")


def ident(prefix: str, number: int) -> str:
    """An id as long as real ones, older than every real one."""
    return f"{prefix}_{number:026}"


IMAGE = ident("img", 0)


@dataclass(frozen=True)
class Dataset:
    """What there is, by number. All is found again by ``ident(prefix, number)``."""

    nodes: int = 1000
    chips: int = 8
    """On each node."""
    pools: int = 50
    specs_each: int = 4
    """Of each pool; it offers those of the next pool of its kind as well."""
    live_each: int = 10
    """Running replicas on each node; about half of them have a chip."""
    renters: int = 500
    now: datetime = field(default_factory=lambda: datetime.now(UTC))
    url: str = ""

    @property
    def miner_id(self) -> str:
        return ident("usr", 0)

    @property
    def miner_token(self) -> str:
        """The miner's bearer token."""
        return "utc_bench-miner"

    @property
    def operator_token(self) -> str:
        return "utc_bench-operator"

    def site_token(self, number: int) -> str:
        """The agent's token of site ``number``, which has node ``number`` alone."""
        return f"utcs_bench-{number}"

    @property
    def live(self) -> int:
        """How many replicas run."""
        return self.nodes * self.live_each

    def pool_of(self, node: int) -> int:
        return node % self.pools

    def kind_of(self, replica: int) -> int:
        """The kind of a live replica's spec: 0 or 2 (see ``spec``). Some nodes are fuller than others."""
        node, slot = divmod(replica, self.live_each)
        return 0 if slot < min(2 + node % 7, self.chips) else 2

    def report(self, number: int) -> NodeReport:
        """What the agent of site ``number`` says of its node: just what the tables say."""
        kind = self.pool_of(number) % 2
        sizes = {"cpu": 128_000, "memory": 1000 * GB, "disk": 10_000 * GB, CHIPS[kind]: self.chips}
        return NodeReportFactory.build(
            name=f"node-{number:04}",
            ip=f"10.{number >> 8}.{number & 255}.1",
            os="Debian GNU/Linux 12",
            kernel="6.1.0",
            architecture="x86_64",
            engine="podman 4.3.1",
            labels={"rack": f"r{number // 40}", "kubernetes.io/arch": "amd64"},
            resources=[ResourceReportFactory.build(name=name, capacity=capacity) for name, capacity in sizes.items()],
            chips=[
                ChipReportFactory.build(
                    uid=f"chip-{number:04}-{index}",
                    resource=CHIPS[kind],
                    index=index,
                    model=MODELS[kind],
                    serial=f"SN{number:04}{index}",
                    bus_id=f"0000:{index:02x}:00.0",
                    memory_bytes=16 * GB,
                    device_paths=[f"/dev/chip{index}"],
                )
                for index in range(self.chips)
            ],
        )


@contextmanager
def big_dataset(dataset: Dataset | None = None) -> Iterator[Dataset]:
    """A durable PostgreSQL server with the dataset in it, whose sites count as heard for an hour; gone afterwards."""
    with running_postgres(durable=True) as server:
        made = replace(dataset or Dataset(), url=server.url("postgres"))
        asyncio.run(seed(made))
        yield made


async def seed(dataset: Dataset) -> None:
    """Make the tables in the empty database at ``dataset.url`` and fill them."""
    database = Database(dataset.url)
    await create_all(database)
    await database.close()
    rows = Rows()
    for part in (add_people, _hardware, _offers, _work, _money):
        part(dataset, rows)
    await rows.copy(dataset.url)


class Rows:
    """Rows of many tables, copied in the order of foreign keys; the models' defaults fill what a row leaves out."""

    def __init__(self) -> None:
        self._rows: dict[FromClause, list[dict[str, Any]]] = defaultdict(list)

    def add(self, table: type[Base], /, **values: Any) -> None:
        self._rows[table.__table__].append(values)

    async def copy(self, url: str) -> None:
        dsn = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
        connection = await asyncpg.connect(dsn)
        try:
            async with connection.transaction():  # the journal takes an entry and its postings together only
                for table in Base.metadata.sorted_tables:
                    if rows := self._rows.get(table):
                        names = [column.name for column in table.columns]
                        await connection.copy_records_to_table(table.name, records=_records(table, rows), columns=names)
            await connection.execute("ANALYZE")
        finally:
            await connection.close()


def _records(table: Table, rows: list[dict[str, Any]]) -> Iterator[tuple[Any, ...]]:
    dialect = dialects.dialect()  # type: ignore[no-untyped-call]
    makers = [(column.name, column.type.bind_processor(dialect), _default(column)) for column in table.columns]
    names = {name for name, _, _ in makers}
    for row in rows:
        assert row.keys() <= names, f"{table.name} has no {row.keys() - names}"
        values = []
        for name, process, default in makers:
            value = row[name] if name in row else default(None)
            values.append(process(value) if process and value is not None else value)
        yield tuple(values)


def _default(column: Column[Any]) -> Callable[[Any], Any]:
    default: Any = column.default
    if default is None:
        return lambda _: None
    if default.is_callable:
        made: Callable[[Any], Any] = default.arg
        return made
    return lambda _: default.arg


def renter(number: int) -> str:
    """The id of the renter of that number."""
    return ident("usr", 10 + number)


def wallet(number: int) -> str:
    """The id of that renter's wallet."""
    return ident("acc", 10 + number)


def chip(node: int, index: int) -> str:
    """The id of a chip."""
    return ident("chip", node * 100 + index)


def spec(dataset: Dataset, pool: int, kind: int) -> str:
    """The id of a pool's spec. Kind 0 takes one chip, 1 one chip by another name, 2 none, 3 two."""
    return ident("spec", pool * dataset.specs_each + kind)


def add_people(dataset: Dataset, rows: Rows) -> None:
    """A miner and an operator with their tokens, renters, groups, and an audit trail."""
    oscar = ident("usr", 1)
    people = {dataset.miner_id: ("mina", dataset.miner_token), oscar: ("oscar", dataset.operator_token)}
    for number, (user, (name, token)) in enumerate(people.items()):
        roles = {"is_miner": user != oscar, "is_operator": user == oscar, "is_renter": False}
        rows.add(User, id=user, username=name, password_hash="-", **roles)
        digest = hashlib.sha256(token.encode()).hexdigest()
        rows.add(ApiToken, id=ident("tok", number), user_id=user, name="bench", token_hash=digest, hint="utc_")
    for number in range(dataset.renters):
        rows.add(User, id=renter(number), username=f"renter-{number:03}", password_hash="-")
    for number in range(dataset.pools):
        rows.add(Group, id=ident("grp", number), name=f"group-{number:02}")
        for member in range(number, dataset.renters, dataset.pools):
            rows.add(GroupMember, group_id=ident("grp", number), user_id=renter(member))
    for number in range(dataset.live):
        what = ("spec.update", "spec", "mina", dataset.miner_id)
        if number % 2:
            who = number % dataset.renters
            what = ("notebook.create", "notebook", f"renter-{who:03}", renter(who))
        action, object_type, actor_name, actor_id = what
        rows.add(
            AuditEvent,
            id=ident("ae", number),
            at=dataset.now - timedelta(minutes=dataset.live - number),
            actor_id=actor_id,
            actor_name=actor_name,
            action=action,
            object_type=object_type,
            object_id=ident("spec", number % 200),
            object_name=f"thing-{number % 200}",
            detail={"price": "1.5"},
        )


def _hardware(dataset: Dataset, rows: Rows) -> None:
    for number in range(dataset.pools):
        pool = ident("pool", number)
        opened = {"is_default": number == 0, "open_to_all": number % 2 == 0}
        rows.add(Pool, id=pool, miner_id=dataset.miner_id, name=f"pool-{number:02}", **opened)
        rows.add(PoolGroup, pool_id=pool, group_id=ident("grp", number))
    columns = set(Chip.__table__.columns.keys())
    for number in range(dataset.nodes):
        site, node, report = ident("site", number), ident("nd", number), dataset.report(number)
        rows.add(
            Site,
            id=site,
            name=f"site-{number:04}",
            miner_id=dataset.miner_id,
            token_hash=hashlib.sha256(dataset.site_token(number).encode()).hexdigest(),
            last_seen_at=dataset.now + timedelta(hours=1),
            agent_version="0.1.0",
        )
        rows.add(
            Node,
            id=node,
            site_id=site,
            pool_id=ident("pool", dataset.pool_of(number)),
            ready=True,
            ready_since=dataset.now,
            **report.model_dump(include={"name", "ip", "os", "kernel", "architecture", "engine", "labels"}),
        )
        for resource in report.resources:
            rows.add(NodeResource, node_id=node, name=resource.name, capacity=resource.capacity)
        for one in report.chips:
            rows.add(
                Chip,
                id=chip(number, one.index),
                node_id=node,
                miner_id=dataset.miner_id,
                **one.model_dump(include=columns),
            )


def _offers(dataset: Dataset, rows: Rows) -> None:
    own = {"miner_id": dataset.miner_id}
    for number, name in enumerate(NAMES):
        rows.add(CustomResource, id=ident("cr", number), name=name, system_resource=CHIPS[number], **own)
    for pool in range(0, dataset.pools, 5):
        inside = [ident("nd", node) for node in range(dataset.nodes) if dataset.pool_of(node) == pool]
        what = {"name": f"RACK-{pool:02}", "system_resource": CHIPS[pool % 2], "node_ids": inside}
        rows.add(CustomResource, id=ident("cr", 10 + pool), **own, **what)
    for pool in range(dataset.pools):
        system = CHIPS[pool % 2]
        shapes: list[dict[str, int]] = [
            {"cpu": 4000, "memory": 16 * GB, NAMES[pool % 2]: 1},
            {"cpu": 4000, "memory": 16 * GB, f"RACK-{pool:02}" if pool % 5 == 0 else system: 1},
            {"cpu": 2000, "memory": 8 * GB},
            {"cpu": 8000, "memory": 32 * GB, system: 2},
        ]
        for kind in range(dataset.specs_each):
            made = spec(dataset, pool, kind)
            rows.add(Spec, id=made, name=f"spec-{pool:02}-{kind}", price=PRICE, **own)
            for name, quantity in shapes[kind % len(shapes)].items():
                rows.add(SpecItem, spec_id=made, resource=name, quantity=quantity)
            for offered in {pool, (pool + 2) % dataset.pools}:
                for purpose in ("notebook", "training"):
                    rows.add(PoolSpec, pool_id=ident("pool", offered), spec_id=made, purpose=purpose)


def add_workload(
    dataset: Dataset, rows: Rows, number: int, *, pool: int, kind: int, replicas: int = 1, state: str, **fields: Any
) -> None:
    """A notebook of ``replicas`` replicas, each in a subtask of its own; ``fields`` go into the replicas' rows."""
    made = ident("nb", number)
    names = {"spec": f"spec-{pool:02}-{kind}", "pool": f"pool-{pool:02}", "image": "jupyter"}
    rows.add(
        Workload,
        id=made,
        kind="notebook",
        owner_id=renter(number % dataset.renters),
        name=f"notebook-{number}",
        pool_id=ident("pool", pool),
        image_id=IMAGE,
        state=state,
        facts={**names, "algorithm": "", "dataset": "", "simulated": False},
    )
    order = {"workload_id": made, "workload_kind": "notebook", "workload": f"notebook-{number}"}
    order |= {"owner_id": renter(number % dataset.renters), "wallet_id": wallet(number % dataset.renters)}
    order |= {"miner_id": dataset.miner_id, "pool_id": ident("pool", pool), "pool": names["pool"]}
    terms = {"replicas": replicas, "unit_price": PRICE, "fee_ppm": FEE_PPM, "estimate": replicas * PRICE}
    what = {"spec_id": spec(dataset, pool, kind), "spec": names["spec"], "fault_credit": "none"}
    rows.add(Order, id=ident("ord", number), **order, **terms, **what)
    for index in range(replicas):
        part = number * 100 + index
        what = {"name": f"task-{index}", "spec_id": spec(dataset, pool, kind), "image": "localhost/utcloud/jupyter:1"}
        rows.add(Subtask, id=ident("st", part), workload_id=made, **what)
        of = {"workload_id": made, "subtask_id": ident("st", part), "index": 0, "order_id": ident("ord", number)}
        rows.add(Replica, id=ident("rp", part), state=state, **of, **fields)


def _work(dataset: Dataset, rows: Rows) -> None:
    rows.add(Image, id=IMAGE, owner_id=dataset.miner_id, name="jupyter", reference="localhost/utcloud/jupyter:1")
    begin = dataset.now - timedelta(hours=1)
    for number in range(dataset.live):
        node, slot = divmod(number, dataset.live_each)
        pool, kind = dataset.pool_of(node), dataset.kind_of(number)
        attempt, replica = ident("at", number), ident("rp", number * 100)
        where = {"site_id": ident("site", node), "node_id": ident("nd", node)}
        of: dict[str, Any] = {"attempts": 1, "attempt_id": attempt, "queued_at": begin, **where}
        add_workload(dataset, rows, number, pool=pool, kind=kind, state="running", **of)
        needs = {"cpu": 2000, "memory": 8 * GB} if kind else {"cpu": 4000, "memory": 16 * GB, CHIPS[pool % 2]: 1}
        rows.add(
            Attempt,
            id=attempt,
            replica_id=replica,
            workload_id=ident("nb", number),
            number=1,
            price=PRICE,
            resources=needs,
            devices=[] if kind else [f"chip-{node:04}-{slot}"],
            token="secret",
            endpoint="10.89.0.2:8888",
            started_at=begin,
            created_at=begin,
            **where,
        )
        for name, quantity in needs.items():
            rows.add(Allocation, attempt_id=attempt, resource=name, node_id=where["node_id"], quantity=quantity)
        if not kind:
            rows.add(ChipClaim, chip_id=chip(node, slot), attempt_id=attempt)
        for step, (before, after) in enumerate((("pending", "assigned"), ("assigned", "running"))):
            of = {"workload_id": ident("nb", number), "replica_id": replica, "attempt": 1, "at": begin}
            rows.add(TimelineEvent, id=ident("ev", number * 10 + step), from_state=before, to_state=after, **of)


def _money(dataset: Dataset, rows: Rows) -> None:
    """Full wallets, a meter for each live replica and as many that are closed, each settled once."""
    owners = {"issuance": PLATFORM, "fee": PLATFORM, "earnings": dataset.miner_id}
    accounts = {kind: ident("acc", number) for number, kind in enumerate(owners)}
    balances: dict[str, int] = defaultdict(int)
    chained = chain.START
    keys = itertools.count(1)

    def entry(kind: str, at: datetime, lines: dict[str, int], told: dict[str, object], meter: str = "") -> None:
        nonlocal chained
        number = next(keys)
        made, key, text = ident("je", number), f"{meter or 'bench'}:{0 if meter else number}", chain.canonical(told)
        cause = {"cause_type": "meter" if meter else "", "cause_id": meter}
        about = {"note": "", "actor_id": "", "actor_name": "", "facts": text}
        chained = chain.entry_hash(chained, number, made, key, kind, at=at, lines=lines.items(), **cause, **about)
        row = {"id": made, "seq": number, "hash": chained, "idempotency_key": key, "kind": kind, "at": at}
        rows.add(Entry, **row, **cause, facts=text)
        for account, amount in lines.items():
            balances[account] += amount
            rows.add(Posting, entry_id=made, account_id=account, amount=amount, at=at)

    full, fee = 1_000_000 * MICRO, PRICE // 20
    for number in range(dataset.renters):
        told = facts.of_transfer(wallet(number), ("wallet", renter(number)), full)
        entry("recharge", dataset.now - timedelta(days=20), {wallet(number): full, accounts["issuance"]: -full}, told)
    for number in range(2 * dataset.live):
        closed, who = number >= dataset.live, number % dataset.renters
        hours = 1 + (number - dataset.live) * 300 / dataset.live if closed else 1
        begin = dataset.now - timedelta(hours=hours)
        at = begin + timedelta(hours=1)
        meter = ident("mtr", 2 * dataset.live - number if closed else dataset.live + 1 + number)
        pool = dataset.pool_of(number % dataset.live // dataset.live_each)
        labels = {"workload": f"notebook-{number}", "workload_kind": "notebook", "subtask": "task-0"}
        labels |= {"replica": "task-0-0", "spec": f"spec-{pool:02}-{dataset.kind_of(number % dataset.live)}"}
        of = {
            "id": meter,
            "attempt_id": ident("at", number),
            "wallet_id": wallet(who),
            "payer_id": renter(who),
            "payee_id": dataset.miner_id,
            "workload_id": ident("nb", number),
            "order_id": ident("ord", number) if not closed else "",
            "spec_id": spec(dataset, pool, dataset.kind_of(number % dataset.live)),
            "node_id": ident("nd", number % dataset.live // dataset.live_each),
            "price": PRICE,
            "silent_ms": 0,
            "fee_ppm": FEE_PPM,
            "hold": 0 if closed else PRICE // 60,
            "started_at": begin,
            "witnessed_until": at,
            "heard_at": at,
            "ended_at": at if closed else None,
            "closed": closed,
            "settled": PRICE,
            "settled_fee": fee,
            "settled_at": at,
            "settlements": 1,
            "labels": {**labels, "attempt": 1, "simulated": False, "replica_id": ident("rp", number * 100)},
        }
        terms = None if closed else facts.Terms("none", None, None)
        told = facts.of_meter(Meter(**of), terms, was=0, settled=PRICE, waived=0, credited=0)
        entry("charge", at, {wallet(who): -PRICE, accounts["earnings"]: PRICE - fee, accounts["fee"]: fee}, told, meter)
        rows.add(Meter, **of)
    for kind, owner in owners.items():
        rows.add(Account, id=accounts[kind], kind=kind, owner_id=owner, balance=balances[accounts[kind]])
    for number in range(dataset.renters):
        rows.add(Account, id=wallet(number), kind="wallet", owner_id=renter(number), balance=balances[wallet(number)])
