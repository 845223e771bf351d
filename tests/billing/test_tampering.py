"""Whoever changes one field of one row of the books behind the server's back is found out.

The books are made by the rules themselves: recharges, a group's wallet, settled and open orders with limits, hourly
charges, a reversal, a credit. Then one field of one row becomes another, triggers and foreign keys away.
"""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from sqlalchemy import Column, Table, and_, insert, select, text, update
from sqlalchemy.exc import DBAPIError

from tests.billing.test_verify import unguarded
from tests.support import lanes
from tests.support.scenario import Scenario
from utcloud.accounts.auth import Actor
from utcloud.accounts.models import User
from utcloud.billing import loops, models, service
from utcloud.billing.order_schemas import CreditCreate
from utcloud.billing.schemas import HeldDecision, RechargeCreate
from utcloud.billing.verify import verified
from utcloud.common.money import MICRO
from utcloud.db import Base, Database, Tx
from utcloud.protocol import Phase

Row = dict[str, Any]
OPERATOR = Actor("us_op", "op", is_operator=True)
WHEN = "when something was noted; no sum depends on it"
SHOWN = "what people know it by; no sum depends on it"
UNSEEN: dict[str, dict[str, str]] = {
    "journal_accounts": {
        "low_balance": "when its owner is warned",
        "max_price": "where a group's wallet pays from now on",
        "warned_at": "when its owner was warned",
        "created_at": WHEN,
    },
    "meters": {
        **dict.fromkeys(("node_id", "cause", "note", "labels"), SHOWN),
        **dict.fromkeys(("heard_at", "settled_at", "created_at"), WHEN),
    },
    "orders": {
        **dict.fromkeys(("workload_kind", "workload", "pool_id", "pool", "spec", "caps", "reason", "simulated"), SHOWN),
        **dict.fromkeys(("replicas", "estimate"), "what it was said to come to; what it cost is in the entries"),
        **dict.fromkeys(("stars", "comment", "rated_at"), "its rating"),
        **dict.fromkeys(("created_at",), WHEN),
    },
}
"""Fields whose change the check cannot see, and why nobody pays for it."""
UNSEEN_OF_SOME: dict[tuple[str, str], Callable[[Row], bool]] = {
    # It moves with every report; what is charged by it is in the next entry's facts.
    ("meters", "witnessed_until"): lambda row: not row["closed"],
    # So does what is not billed of it.
    ("meters", "silent_ms"): lambda row: not row["closed"],
    # Held back while it runs, taken by nobody.
    ("meters", "hold"): lambda row: not row["closed"],
    # The moment; that it is there at all is checked.
    ("orders", "settled_at"): lambda row: row["state"] == "settled",
}
NO_BOOKS = {
    "spending_caps": "binds what starts later; what was spent is in the entries, who changed it in the audit trail",
    "wallet_pools": "where a group's wallet pays from now on",
    "server_uptime": "when a server listened; what was not billed for it is in the facts",
    "spec_prices": "a history to look at; the price of each charge is in its facts",
    "billing_events": "messages; a webhook's receiver has his own copy",
}
"""Tables of billing that hold no money."""


def tables() -> list[Table]:
    """The books: all tables of ``billing.models`` but those that hold no money."""
    found = [one.__table__ for one in Base.__subclasses__() if one.__module__ == models.__name__]
    return [one for one in found if isinstance(one, Table) and one.name not in NO_BOOKS]


def test_only_what_is_named_here_is_left_out() -> None:
    names = {table.name for table in tables()}
    assert names == {"journal_accounts", "journal_entries", "journal_rules", "postings", "meters", "orders"}
    for name, columns in UNSEEN.items():
        assert columns.keys() <= set(Base.metadata.tables[name].columns.keys())
    assert all(Base.metadata.tables[name] is not None for name in NO_BOOKS)


async def some_books(db: Database) -> Scenario:
    """All kinds of entries; orders that are settled and one that runs, each charged."""
    world = await Scenario.build(db)
    async with db.write() as tx:
        accounts = await tx.execute(select(models.Account.id).where(models.Account.owner_id == world.renter.id))
        body = RechargeCreate(wallet_id=accounts.scalar_one(), amount="3", kind="recharge", note='für "Rita"')
        await service.create_recharge(tx, world.now, OPERATOR, body, issues=True)
        less = body.model_copy(update={"kind": "deduct", "amount": MICRO})
        await service.create_recharge(tx, world.now, OPERATOR, less, issues=True)
    for name, cause, fields in (
        ("over", "stopped", {"max_cost": "20"}),
        ("lost", "engine", {"max_hours": 30}),
        ("runs", "", {}),
    ):
        notebook = await world.create(name, **fields)
        (attempt,) = await world.run(notebook)
        for _ in range(2):
            world.later(3600)
            await world.report()
            await loops.settle_due(db, world.now)
        if cause == "stopped":
            await world.stop(notebook)
            await world.end(attempt, ended_at=world.now - timedelta(minutes=5), exit_code=0, cause=cause)
        elif cause:
            await world.see(attempt, Phase.ENDED, ended_at=world.now, exit_code=1, cause=cause)
    await credit_by_hand(world)
    await hold_and_release(world)
    return world


async def credit_by_hand(world: Scenario) -> None:
    """An operator gives some of what an ended order cost back."""
    async with world.db.write() as tx:
        order_id = (await tx.scalars(select(models.Order.id).where(models.Order.workload == "over"))).one()
        body = CreditCreate.model_validate({"amount": "0.7", "reason": "its disk was slow"})
        await service.credit_order(tx, world.now, OPERATOR, order_id, body)


async def hold_and_release(world: Scenario) -> None:
    """What is charged while the miner is frozen is held, until an operator decides."""
    world.later(3600)
    await world.report()
    for status in ("frozen", "active"):
        async with world.db.write() as tx:
            await tx.execute(update(User).where(User.id == world.miner.id).values(status=status))
        if status == "frozen":
            await loops.settle_due(world.db, world.now)
    async with world.db.write() as tx:
        body = HeldDecision.model_validate({"to": "miner", "reason": "all is well"})
        await service.decide_held(tx, world.now, OPERATOR, world.miner.id, body)


async def rows_of(db: Database) -> dict[str, list[Row]]:
    """All rows of the books, by table."""
    async with db.read() as tx:
        return {
            table.name: [
                dict(row._mapping) for row in await tx.execute(select(table).order_by(*table.primary_key.columns))
            ]
            for table in tables()
        }


class Changed:
    """A row of ``table`` with another value of ``column``; put back afterwards."""

    def __init__(self, db: Database, table: Table, row: Row, column: Column[Any], value: Any) -> None:
        self.db, self.table, self.row, self.column, self.value = db, table, row, column, value

    async def __aenter__(self) -> None:
        await self._set(self.row, self.value)

    async def __aexit__(self, *_: object) -> None:
        await self._set({**self.row, self.column.name: self.value}, self.row[self.column.name])

    async def _set(self, row: Row, value: Any) -> None:
        keys = and_(*(one == row[one.name] for one in self.table.primary_key.columns))
        async with self.db.engine.connect() as connection:
            if self.db.is_sqlite:
                await connection.exec_driver_sql("PRAGMA foreign_keys = OFF")
            try:
                async with Tx(connection) as tx:
                    await unguarded(tx)
                    done: Any = await tx.execute(self.table.update().where(keys).values({self.column.name: value}))
                    assert done.rowcount == 1
                    await tx.commit()
            finally:
                if self.db.is_sqlite:
                    await connection.exec_driver_sql("PRAGMA foreign_keys = ON")


def other(data: st.DataObject, column: Column[Any], row: Row, rows: list[Row]) -> Any:
    """Another value: of the same kind, if possible one that stands in another row."""
    old = row[column.name]
    elsewhere = [one[column.name] for one in rows if one[column.name] not in (old, None)]
    kind = column.type.python_type
    made: list[st.SearchStrategy[Any]] = [st.sampled_from(elsewhere)] if elsewhere and kind is not bool else []
    if old is not None and column.nullable:
        made.append(st.none())
    if kind is int:
        made.append(st.sampled_from([-1, 1, MICRO, -MICRO, 2**40]).map(lambda more: (old or 0) + more))
    elif kind is bool:
        made.append(st.just(not old))
    elif column.type.__class__.__name__ == "Timestamp":
        hours = st.sampled_from([-48, -1, 1, 48])
        if old is not None:
            made.append(hours.map(lambda by: old + timedelta(hours=by)))
    else:
        made.append(st.sampled_from(["", "x", f"{old}x", f"{old}"[:-1], f" {old}"]))
    value = data.draw(st.one_of(made)) if made else old
    assume(value != old)
    return value


@pytest.mark.postgres
async def test_these_books_have_everything(db: Database) -> None:
    await some_books(db)
    rows = await rows_of(db)
    assert {row["kind"] for row in rows["journal_entries"]} == {"recharge", "deduct", "charge", "reversal", "credit"}
    assert {row["cause_type"] for row in rows["journal_entries"]} == {"", "wallet", "meter", "held"}
    assert {row["state"] for row in rows["orders"]} == {"open", "settled"}
    assert {row["kind"] for row in rows["journal_accounts"]} == {"wallet", "earnings", "held", "fee", "issuance"}
    assert {row["closed"] for row in rows["meters"]} == {True, False}
    assert (await verified(db)).fault is None


@pytest.mark.postgres
@settings(
    max_examples=lanes.examples(100),
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.filter_too_much],
)
@given(data=st.data())
async def test_a_change_of_any_one_field_is_found(db: Database, data: st.DataObject) -> None:
    before = await rows_of(db)
    if not before["journal_entries"]:  # the first example; each leaves the books as they were
        await some_books(db)
        before = await rows_of(db)
    fields = [(table, column) for table in tables() for column in table.columns if before[table.name]]
    fields = [(table, column) for table, column in fields if column.name not in UNSEEN.get(table.name, {})]
    table, column = data.draw(st.sampled_from(fields), label="column")
    row = data.draw(st.sampled_from(before[table.name]), label="row")
    is_unseen = UNSEEN_OF_SOME.get((table.name, column.name))
    assume(is_unseen is None or not is_unseen(row))
    value = other(data, column, row, before[table.name])
    try:
        async with Changed(db, table, row, column, value):
            fault = (await verified(db)).fault
    except DBAPIError:
        assume(False)  # the database itself refuses it
    assert fault is not None, f"{table.name}.{column.name}: {row[column.name]!r} became {value!r}"


async def test_a_rule_that_says_entries_are_old_is_found(db: Database) -> None:
    """Whoever says that facts came later, or takes an entry's facts away, does not make it an old one."""
    await some_books(db)
    async with db.write() as tx:
        await unguarded(tx)
        await tx.execute(insert(models.JournalRule).values(version=2, first_seq=3))
    fault = (await verified(db)).fault
    assert fault
    assert (fault.what, fault.seq, fault.detail) == ("entry", 1, "it tells facts before number 3")
    async with db.write() as tx:
        await unguarded(tx)
        await tx.execute(text("DELETE FROM journal_rules"))
        await tx.execute(text("UPDATE journal_entries SET facts = NULL WHERE seq = 4"))
    fault = (await verified(db)).fault
    assert fault
    assert (fault.what, fault.seq) == ("entry", 4)
