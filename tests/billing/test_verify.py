"""The chain over the journal: whatever is changed behind the database's back is found, and its first row named."""

import asyncio
import json
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select, text, update
from sqlalchemy.exc import DBAPIError

from tests.support.factories import NOW, AccountFactory
from tests.support.money import UNC, begin, fund
from tests.support.scenario import Scenario
from utcloud.accounts.auth import Actor
from utcloud.billing import chain, journal, loops, meters, verify
from utcloud.billing.models import Account, Entry, Meter, Posting
from utcloud.billing.triggers import statements
from utcloud.common.ids import new_id
from utcloud.db import Base, Database, Tx
from utcloud.db.bulk import insert_rows

pytestmark = pytest.mark.postgres


async def some_books(db: Database) -> list[Entry]:
    """Recharges, charges and a reversal; the entries in their order."""
    async with db.write() as tx:
        for owner in ("rita", "rob"):
            await fund(tx, owner, 10 * UNC)
            attempt = await begin(tx, owner)
            await meters.witness(tx, [attempt], NOW + timedelta(hours=2))
            meter = (await tx.scalars(select(Meter).where(Meter.attempt_id == attempt))).one()
            await meters.settle(tx, meter, NOW + timedelta(hours=2))
            await meters.close(tx, attempt, NOW + timedelta(hours=1))
        return list(await tx.scalars(select(Entry).order_by(Entry.seq)))


async def unguarded(tx: Tx) -> None:
    """What somebody with the database's own password can do: take the triggers away."""
    if tx.get_bind().dialect.name == "postgresql":
        await tx.execute(text("SET LOCAL session_replication_role = replica"))  # in this transaction alone
        return
    for name in await tx.scalars(text("SELECT name FROM sqlite_master WHERE type = 'trigger'")):
        await tx.execute(text(f"DROP TRIGGER {name}"))


async def tamper(db: Database, *statements: str, **values: Any) -> None:
    """Change something behind the server's back; foreign keys do not hold either."""
    async with db.engine.connect() as connection:
        if db.is_sqlite:
            await connection.exec_driver_sql("PRAGMA foreign_keys = OFF")
        async with Tx(connection) as tx:
            await unguarded(tx)
            for statement in statements:
                await tx.execute(text(statement), {key: one for key, one in values.items() if f":{key}" in statement})
            await tx.commit()
        if db.is_sqlite:
            await connection.exec_driver_sql("PRAGMA foreign_keys = ON")


async def test_honest_books_are_found_right(db: Database) -> None:
    assert (await verify.verified(db)).fault is None
    entries = await some_books(db)
    assert [entry.kind for entry in entries] == ["recharge", "charge", "reversal"] * 2
    assert [entry.seq for entry in entries] == [1, 2, 3, 4, 5, 6]
    found = await verify.verified(db)
    assert (found.done, found.fault, found.entries, found.checked) == (True, None, 6, 6)
    assert found.head == entries[-1].hash
    assert len({entry.hash for entry in entries} | {chain.START}) == 7


async def test_batches_are_chained_alike(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    entries = await some_books(db)
    monkeypatch.setattr(verify.stream, "BATCH", 2)
    steps = [step async for step in verify.verify(db)]
    assert [step.checked for step in steps] == [2, 4, 6, 6]
    assert steps[-1].head == entries[-1].hash
    assert [step.done for step in steps] == [False, False, False, True]


CHANGED = "not what they were"
SECOND = "entry_id = :second"
TAMPERED = [
    ("UPDATE journal_entries SET note = 'x' WHERE seq = 2", "entry", 2, CHANGED),
    ("UPDATE journal_entries SET at = at + 1 WHERE seq = 3", "entry", 3, "it has no postings of its moment"),
    ("UPDATE journal_entries SET cause_id = 'mtr_other' WHERE seq = 2", "entry", 2, CHANGED),
    ("UPDATE journal_entries SET idempotency_key = 'x' WHERE seq = 4", "entry", 4, CHANGED),
    ("UPDATE journal_entries SET actor_name = 'x' WHERE seq = 1", "entry", 1, CHANGED),
    ("UPDATE journal_entries SET facts = ' ' || facts WHERE seq = 2", "entry", 2, CHANGED),
    ("UPDATE journal_entries SET facts = facts || ' ' WHERE seq = 1", "entry", 1, CHANGED),
    ("UPDATE journal_entries SET seq = 99 WHERE seq = 2", "entry", 2, "number 2 is missing"),
    ("DELETE FROM journal_entries WHERE seq = 2", "entry", 2, "number 2 is missing"),
    ("DELETE FROM journal_entries WHERE seq = 6", "posting", None, "belongs to no entry"),
    (
        f"UPDATE postings SET amount = amount + 1 WHERE {SECOND} AND amount > 0",
        "entry",
        2,
        "of its moment sum to 0.0000",
    ),
    (f"UPDATE postings SET amount = amount * 2 WHERE {SECOND}", "entry", 2, CHANGED),
    (f"UPDATE postings SET at = at - 86400000 WHERE {SECOND} AND amount > 0", "entry", 2, "sum to -2 UNC"),
    (f"DELETE FROM postings WHERE {SECOND}", "entry", 2, "it has no postings"),
    ("UPDATE journal_accounts SET balance = balance + 1 WHERE kind = 'fee'", "account", None, "its postings sum to"),
    ("DELETE FROM journal_accounts WHERE kind = 'earnings'", "account", 2, "it is missing"),
    ("UPDATE journal_accounts SET owner_id = 'mallory' WHERE owner_id = 'rita'", "account", 1, "of mallory; when"),
    ("UPDATE meters SET settled = settled + 1", "meter", None, "1.000001 UNC are settled or waived"),
    ("UPDATE meters SET settled_fee = settled_fee + 1", "meter", None, "its fee is not that share"),
    ("UPDATE meters SET price = price * 2", "meter", None, "interval and price come to 2 UNC, 1 UNC"),
    ("UPDATE meters SET ended_at = ended_at - 1000", "meter", None, "interval and price come to 0.9"),
    ("DELETE FROM meters", "meter", 2, "it is missing, and there are entries for it"),
]


@pytest.mark.parametrize(("statement", "what", "seq", "detail"), TAMPERED)
async def test_the_first_wrong_row_is_named(
    db: Database, statement: str, what: str, seq: int | None, detail: str
) -> None:
    entries = await some_books(db)
    await tamper(db, statement, second=entries[1].id)
    fault = (await verify.verified(db)).fault
    assert fault is not None
    assert (fault.what, fault.seq) == (what, seq)
    assert detail in fault.detail
    if what == "entry" and "missing" not in detail:
        assert fault.ident == entries[(seq or 0) - 1].id
    assert fault.ident or "missing" in detail


async def test_a_head_that_was_noted_shows_a_journal_that_was_cut_off_or_written_anew(db: Database) -> None:
    """Who has the database's password can make all agree with all; not with what others have written down."""
    async with db.write() as tx:
        await fund(tx, "rita", 1)
        await fund(tx, "rita", 2)
    head = verify.Head(2, (await verify.verified(db)).head)
    async with db.write() as tx:
        await fund(tx, "rob", 3)
    assert (await verify.verified(db, head)).fault is None
    await tamper(
        db,
        "DELETE FROM postings WHERE entry_id IN (SELECT id FROM journal_entries WHERE seq > 1)",
        "DELETE FROM journal_entries WHERE seq > 1",
        *(
            f"UPDATE journal_accounts SET balance = {balance} WHERE owner_id = '{owner}'"
            for owner, balance in (("rita", 1), ("rob", 0), (journal.PLATFORM, -1))
        ),
    )
    assert (await verify.verified(db)).fault is None
    fault = (await verify.verified(db, head)).fault
    assert fault
    assert (fault.what, fault.seq, fault.detail) == (
        "entry",
        2,
        "the journal had 2 entries by the head that was given, it has 1",
    )
    async with db.write() as tx:
        await fund(tx, "rob", 2)
    assert (await verify.verified(db)).fault is None
    fault = (await verify.verified(db, head)).fault
    assert fault
    assert (fault.seq, fault.detail) == (
        2,
        "it, or an entry before it, was another when its head was noted: the head that was given",
    )


@pytest.mark.parametrize("text", ["", "7", "7:", "x:" + "0" * 64, "7:" + "0" * 63, "-1:" + "0" * 64, "²:" + "0" * 64])
def test_a_head_that_is_none(text: str) -> None:
    with pytest.raises(ValueError, match="the number of an entry and its hash"):
        verify.Head.parse(text)


@pytest.mark.parametrize("name", ["a b", "a=b", "a\nb", "a=1\nb", "\n"])
async def test_an_account_with_an_odd_name_hides_nothing(db: Database, name: str) -> None:
    entries = await some_books(db)
    async with db.write() as tx:
        await unguarded(tx)
        posting = (await tx.scalars(select(Posting).where(Posting.entry_id == entries[1].id).limit(1))).one()
        tx.add(AccountFactory.build(id=name + posting.account_id, kind="wallet", owner_id="mallory", balance=0))
        await tx.flush()
        posting.account_id = name + posting.account_id
    fault = (await verify.verified(db)).fault
    assert fault
    assert (fault.what, fault.seq) == ("entry", 2)
    assert "not what they were" in fault.detail


ODD = ['say "hi"', "a\\b", "a\\u0041", '","', "a\tb\nc\rd", "\x7f\x1f", "für", "汉字", "🙂", "]^[\\]", "\\N", "'\"'"]


@pytest.mark.parametrize("text_", ODD)
async def test_what_people_write_is_hashed_as_it_is(db: Database, text_: str) -> None:
    """Nor does it pass for another text that is hashed alike: written as JSON writes it, say."""
    async with db.write() as tx:
        wallet, issuance = await fund(tx, "rita", UNC), await journal.account(tx, "issuance", journal.PLATFORM)
        lines = [(wallet.id, 2), (issuance.id, -2)]
        await journal.post(tx, "recharge", text_, lines, at=NOW, note=text_, actor=Actor("us_op", text_))
        await fund(tx, "rita", UNC)
    assert (await verify.verified(db)).fault is None
    for column in ("idempotency_key", "note", "actor_name"):
        for other in {json.dumps(text_)[1:-1], json.dumps(text_, ensure_ascii=False)[1:-1]} - {text_}:
            await tamper(db, f"UPDATE journal_entries SET {column} = :other WHERE seq = 2", other=other)
            fault = (await verify.verified(db)).fault
            assert fault
            assert (fault.what, fault.seq, CHANGED in fault.detail) == ("entry", 2, True)
            await tamper(db, f"UPDATE journal_entries SET {column} = :text WHERE seq = 2", text=text_)
    await tamper(db, "UPDATE journal_entries SET cause_type = :other WHERE seq = 2", other='\\u006deter"')
    assert (await verify.verified(db)).fault


async def test_a_posting_that_is_written_like_two_is_found(db: Database) -> None:
    """Its text, and so the entry's hash, is that of both."""
    async with db.write() as tx:
        tx.add(AccountFactory.build(id="a", kind="wallet", owner_id="rita", balance=0))  # there is little room for ids
        await tx.flush()
        await fund(tx, "rita", 1)
        issuance = (await journal.account(tx, "issuance", journal.PLATFORM)).id
        entry = (await tx.scalars(select(Entry.id))).one()
    as_one = "INSERT INTO postings (entry_id, account_id, amount, at) SELECT id, :both, -1, at FROM journal_entries"
    more = "INSERT INTO postings (entry_id, account_id, amount, at) VALUES ('je_none', 'x', 0, 0)"  # as many as before
    await tamper(db, "DELETE FROM postings", as_one, more, both=f'a",1],["{issuance}')
    fault = (await verify.verified(db)).fault
    assert fault
    assert (fault.what, fault.ident in (entry, "je_none")) == ("posting", True)


POST = "INSERT INTO postings (entry_id, account_id, amount, at) SELECT id, {}, {}, at + {} FROM journal_entries"
ACCOUNT = (
    "INSERT INTO journal_accounts (id, kind, owner_id, balance, low_balance, created_at) "
    "VALUES ({}, 'held', 'm', 0, 0, 0)"
)
AS_TWO = "'a\",1],[\"b'"
LATER = [POST.format("'a'", 7, 1), POST.format("'b'", -7, 1)]
ESCAPED = "UPDATE postings SET account_id = '\\u0061' WHERE account_id = 'a'"
NO_ACCOUNT, OTHER_MOMENT = "its account's id is none", "its moment is not that of its entry"
NO_AMOUNT = "it has no postings of its moment"
HASHED_ALIKE = {
    "one written like two, as many as before": (
        ["DELETE FROM postings", POST.format(AS_TWO, -1, 0), *LATER],
        NO_ACCOUNT,
    ),
    "one written like two, by an account": (
        [ACCOUNT.format(AS_TWO), "DELETE FROM postings", POST.format(AS_TWO, -1, 0), LATER[0]],
        NO_ACCOUNT,
    ),
    "written as JSON may write it": ([ESCAPED], NO_ACCOUNT),
    "written as JSON may write it, by an account": ([ACCOUNT.format("'\\u0061'"), ESCAPED], NO_ACCOUNT),
    "of another moment": ([ACCOUNT.format("'c'"), POST.format("'c'", 7, 1)], OTHER_MOMENT),
}
HASHED_ALIKE_BY_SQLITE = {
    "an amount that is a text": (
        [
            "DELETE FROM postings",
            POST.format("'a'", "'1],[\"b\",-1'", 0),
            POST.format("'b'", 7, 1),
        ],
        NO_AMOUNT,
    ),
    "an amount of bytes": (["UPDATE postings SET amount = CAST(amount AS BLOB)"], NO_AMOUNT),
    "an account's id of bytes": (
        ["UPDATE postings SET account_id = CAST(account_id AS BLOB) WHERE account_id = 'a'"],
        NO_ACCOUNT,
    ),
    "an account's id of bytes, by an account": (
        [
            ACCOUNT.format("CAST('a' AS BLOB)"),
            "UPDATE postings SET account_id = CAST(account_id AS BLOB) WHERE account_id = 'a'",
        ],
        NO_ACCOUNT,
    ),
    "a moment of bytes": (
        [f"UPDATE {table} SET at = CAST(at AS BLOB)" for table in ("journal_entries", "postings")],
        CHANGED,
    ),
    "an id of bytes": (
        [
            "UPDATE journal_entries SET id = CAST(id AS BLOB)",
            "UPDATE postings SET entry_id = CAST(entry_id AS BLOB)",
        ],
        CHANGED,
    ),
    "a cause of bytes": (["UPDATE journal_entries SET cause_id = CAST(cause_id AS BLOB)"], CHANGED),
    "a key of bytes": (
        ["UPDATE journal_entries SET idempotency_key = CAST(idempotency_key AS BLOB)"],
        CHANGED,
    ),
}


async def one_entry_of_short_accounts(db: Database) -> str:
    """A recharge of 1 from b to a; its id. There is little room for what is written into an account's id."""
    async with db.write() as tx:
        tx.add(AccountFactory.build(id="a", kind="wallet", owner_id="rita", balance=0))
        tx.add(AccountFactory.build(id="b", kind="issuance", owner_id=journal.PLATFORM, balance=0))
        await tx.flush()
        await fund(tx, "rita", 1)
        entry = (await tx.scalars(select(Entry.id))).one()
    assert (await verify.verified(db)).fault is None
    return entry


@pytest.mark.parametrize("how", [*HASHED_ALIKE, *HASHED_ALIKE_BY_SQLITE])
async def test_what_is_hashed_alike_and_summed_up_otherwise_is_found(db: Database, how: str) -> None:
    """The text of each entry, and so each hash, is as before; what statements, earnings and caps sum up is not."""
    if how in HASHED_ALIKE_BY_SQLITE and not db.is_sqlite:
        pytest.skip("only SQLite's columns hold values of any type")
    entry = await one_entry_of_short_accounts(db)
    statements, detail = (HASHED_ALIKE | HASHED_ALIKE_BY_SQLITE)[how]
    await tamper(db, *(one.replace(":", "\\:") for one in statements))
    fault = (await verify.verified(db)).fault
    assert fault
    assert (fault.what, detail in fault.detail) == (
        "entry" if how in HASHED_ALIKE_BY_SQLITE and detail != NO_ACCOUNT else "posting",
        True,
    )
    assert fault.ident == entry


async def test_a_column_of_another_type_is_found(db: Database) -> None:
    """Who owns a table of PostgreSQL can make an amount hold a text."""
    entry = await one_entry_of_short_accounts(db)
    if db.is_sqlite:
        pytest.skip("only PostgreSQL's columns are of one type")
    async with db.write() as tx:
        await tx.execute(text("ALTER TABLE postings ALTER COLUMN amount TYPE text"))
        found = await verify.beside.look(tx, await verify.stream.accounts(tx))
        await tx.rollback()
    assert found.posting == verify.Fault(
        "posting", entry, None, "its amount and moment are of type text and bigint, not bigint"
    )


async def test_usual_meters_are_looked_at_by_the_database_alone(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each one that it cannot say to be right costs as much as ten."""
    world = await Scenario.build(db)
    await world.run(await world.create("runs"))
    ended = await world.create("ended")
    (attempt,) = await world.run(ended)
    for _ in range(2):
        world.later(3600)
        await world.report()
        await loops.settle_due(db, world.now)
    await world.stop(ended)
    await world.end(attempt)
    monkeypatch.setattr(verify.beside, "_METERS", None)
    assert (await verify.verified(db)).fault is None
    await tamper(db, "UPDATE meters SET price = price + 1")
    with pytest.raises(Exception, match="None"):
        await verify.verified(db)


async def test_a_forged_entry_at_the_end_needs_a_hash(db: Database) -> None:
    entries = await some_books(db)
    async with db.write() as tx:
        await unguarded(tx)
        rob = await journal.account(tx, "wallet", "rob")
        issuance = await journal.account(tx, "issuance", journal.PLATFORM)
        lines = [(rob.id, UNC), (issuance.id, -UNC)]
        rows = [{"entry_id": "je_x", "account_id": ident, "amount": amount, "at": NOW} for ident, amount in lines]
        await tx.execute(update(Account).where(Account.id == rob.id).values(balance=rob.balance + UNC))
        tx.add(Entry(id="je_x", seq=7, hash=entries[-1].hash, idempotency_key="k", kind="recharge", at=NOW))
        await tx.flush()
        await insert_rows(tx, Posting, rows)
    fault = (await verify.verified(db)).fault
    assert fault
    assert (fault.what, fault.ident, fault.seq) == ("entry", "je_x", 7)


async def test_the_database_itself_refuses_an_entry_that_does_not_sum_to_zero(db: Database) -> None:
    entries = await some_books(db)
    async with db.read() as tx:
        mine = Account.owner_id.in_(["rob", "usr_miner"])  # not in the first entry
        accounts = list(await tx.scalars(select(Account.id).where(mine)))

    async def write(entry_id: str, amounts: list[int], *, new: bool) -> None:
        rows = [
            {"entry_id": entry_id, "account_id": ident, "amount": amount, "at": NOW}
            for ident, amount in zip(accounts, amounts, strict=False)
        ]
        blank = dict.fromkeys(("hash", "cause_type", "cause_id", "note", "actor_id", "actor_name"), "")
        entry = {"id": entry_id, "seq": 7, "idempotency_key": entry_id, "kind": "recharge", "at": NOW, **blank}
        async with db.write() as tx:
            steps: list[tuple[type[Base], list[dict[str, Any]]]] = [(Entry, [entry])] if new else []
            if db.is_sqlite:
                await tx.execute(text("PRAGMA defer_foreign_keys = ON"))
                steps = [(Posting, rows), *steps]
            else:
                steps = [*steps, (Posting, rows)]
            for model, some in steps:
                await insert_rows(tx, model, some)

    with pytest.raises(DBAPIError, match="sum to zero"):
        await write("je_x", [1, -2], new=True)
    with pytest.raises(DBAPIError, match=r"sum to zero|nothing is added"):
        await write(entries[0].id, [7], new=False)
    if db.is_sqlite:
        with pytest.raises(DBAPIError, match="sum to zero"):
            await write("je_y", [], new=True)
    assert (await verify.verified(db)).fault is None


async def test_an_old_entry_is_neither_replaced_nor_added_to(db: Database) -> None:
    (first, second, *_) = await some_books(db)
    columns = "id, seq, hash, idempotency_key, kind, cause_type, cause_id, note, actor_id, actor_name, at"
    copied = f"SELECT {columns} FROM journal_entries WHERE seq = 1"
    pair = "SELECT CAST(:first AS VARCHAR(40)), account_id, amount, at FROM postings WHERE entry_id = :second"
    attempts = [
        f"INSERT INTO postings (entry_id, account_id, amount, at) {pair} AND account_id NOT IN "
        "(SELECT account_id FROM postings WHERE entry_id = :first)",
        "INSERT INTO postings (entry_id, account_id, amount, at) SELECT entry_id, account_id, 0, at FROM postings "
        "WHERE entry_id = :first ON CONFLICT (entry_id, account_id) DO UPDATE SET amount = postings.amount * 2",
        f"INSERT INTO journal_entries ({columns}) {copied} ON CONFLICT (id) DO UPDATE SET note = 'other'",
    ]
    if db.is_sqlite:
        attempts += [
            f"INSERT OR REPLACE INTO journal_entries ({columns}) {copied.replace('note,', 'upper(:first),')}",
            f"REPLACE INTO journal_entries ({columns}) {copied.replace('seq,', '7,')}",
            f"REPLACE INTO postings (entry_id, account_id, amount, at) {pair}",
            "UPDATE OR REPLACE journal_entries SET seq = 2 WHERE seq = 1",
        ]
    else:
        attempts += ["TRUNCATE postings", "TRUNCATE journal_entries CASCADE"]
    for attempt in attempts:
        with pytest.raises(DBAPIError, match=r"append-only|sum to zero"):
            async with db.write() as tx:
                ids = {"first": first.id, "second": second.id}
                await tx.execute(text(attempt), {key: one for key, one in ids.items() if f":{key}" in attempt})
    assert (await verify.verified(db)).fault is None


async def test_the_chain_holds_when_many_write_at_once(db: Database) -> None:
    async def one(number: int) -> None:
        async with db.write() as tx:
            await fund(tx, f"u{number % 3}", number + 1)

    await asyncio.gather(*(one(number) for number in range(20)))
    found = await verify.verified(db)
    assert (found.fault, found.checked) == (None, 20)


async def test_many_entries_go_in_together(db: Database) -> None:
    async with db.write() as tx:
        rita = await journal.account(tx, "wallet", "rita")
        issuance = await journal.account(tx, "issuance", journal.PLATFORM)
        drafts = [
            journal.Draft("recharge", new_id("k"), [(rita.id, number + 1), (issuance.id, -number - 1)], NOW)
            for number in range(500)
        ]
        first = await journal.write(tx, drafts)
        again = await journal.write(tx, [*drafts, journal.Draft("deduct", "k", [(rita.id, -1), (issuance.id, 1)], NOW)])
        assert again[:500] == first
        assert rita.balance == 500 * 501 // 2 - 1
    assert (await verify.verified(db)).checked == 501


def test_every_trigger_is_made_on_both_databases() -> None:
    for dialect in ("sqlite", "postgresql"):
        made = "".join(statements(dialect, "postings") + statements(dialect, "journal_entries"))
        assert "sum to zero" in made
        assert "append-only" in made
