"""Heads that the server notes by itself: who cuts the journal's end off, or writes it anew, cannot meet them."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, text

from tests.billing.test_verify import tamper
from tests.support.factories import NOW
from tests.support.money import UNC, fund
from tests.support.scenario import Scenario
from utcloud.billing import anchors, chain, facts, journal
from utcloud.billing.models import BillingEvent, Entry
from utcloud.billing.verify import Head, verified
from utcloud.db import Database


async def booked(db: Database, amount: int) -> None:
    async with db.write() as tx:
        await fund(tx, "rita", amount)


async def without_the_last(db: Database) -> None:
    """Cut the last entry off, and make the rest agree: triggers, postings, balances."""
    last = "(SELECT id FROM journal_entries WHERE seq = (SELECT max(seq) FROM journal_entries))"
    await tamper(
        db,
        "UPDATE journal_accounts SET balance = balance - coalesce((SELECT sum(amount) FROM postings "
        f"WHERE account_id = journal_accounts.id AND entry_id = {last}), 0)",
        f"DELETE FROM postings WHERE entry_id = {last}",
        "DELETE FROM journal_entries WHERE NOT EXISTS (SELECT 1 FROM postings WHERE entry_id = journal_entries.id)",
    )


@pytest.mark.postgres
async def test_a_cut_tail_is_found_without_a_hand(db: Database, tmp_path: Path) -> None:
    path = tmp_path / anchors.FILE
    await anchors.note(db, NOW, path)
    assert not path.exists(), "an empty journal has no head"
    await booked(db, 1)
    await anchors.note(db, NOW, path)
    await anchors.note(db, NOW, path)
    await booked(db, 2)
    await anchors.note(db, NOW + timedelta(minutes=1), path)
    assert [one.head.seq for one in anchors.read(path)] == [1, 2], "a head that did not move is noted once"
    found = await verified(db, anchors=anchors.read(path))
    assert found.fault is None
    assert found.anchor == anchors.read(path)[-1]
    await without_the_last(db)
    assert (await verified(db)).fault is None, "by itself all agrees"
    found = await verified(db, anchors=anchors.read(path))
    assert found.fault
    assert (found.fault.seq, found.anchor) == (2, None)
    assert found.fault.detail == f"the journal had 2 entries by {path} of 2026-01-01 12:01:00 UTC, it has 1"
    await booked(db, 2)  # as many as before, and another hash
    await anchors.note(db, NOW + timedelta(minutes=2), path)
    found = await verified(db, anchors=anchors.read(path))
    assert found.fault
    assert (found.fault.what, found.fault.seq) == ("entry", 2)
    assert found.fault.detail.endswith(f"was another when its head was noted: {path} of 2026-01-01 12:01:00 UTC")


async def test_entries_cannot_be_rewritten_as_old_ones(db: Database, tmp_path: Path) -> None:
    """Who writes the whole chain anew, in the form from before there were facts, fails by its beginning."""
    await booked(db, UNC)
    async with db.read() as tx:
        entry = (await tx.scalars(select(Entry))).one()
        lines = [tuple(row) for row in await tx.execute(text("SELECT account_id, amount FROM postings"))]
    names = ("seq", "kind", "cause_type", "cause_id", "note", "actor_id", "actor_name", "at")
    old: dict[str, Any] = {name: getattr(entry, name) for name in names}
    forged = chain.entry_hash(chain.START, ident=entry.id, key=entry.idempotency_key, lines=lines, facts=None, **old)
    await tamper(db, "UPDATE journal_entries SET facts = NULL, hash = :forged", forged=forged)
    fault = (await verified(db)).fault
    assert fault
    assert fault.detail == "it tells no facts, as all do from number 1 on"


@pytest.mark.parametrize("broken", [b"", b"x", b"7:abc", b"\xff\xfe\n", b"7:" + b"0" * 64, b"\n\n"])
async def test_a_line_that_was_cut_short_spoils_no_other(db: Database, tmp_path: Path, broken: bytes) -> None:
    path = tmp_path / anchors.FILE
    path.write_bytes(broken)
    await booked(db, 1)
    await anchors.note(db, NOW, path)
    (one,) = anchors.read(path)
    assert (one.head.seq, one.at) == (1, NOW)


async def test_the_file_is_bounded(db: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(anchors, "MOST_BYTES", 250)
    path = tmp_path / anchors.FILE
    for number in range(9):
        await booked(db, number + 1)
        await anchors.note(db, NOW + timedelta(minutes=number), path)
    assert sorted(one.name for one in tmp_path.iterdir()) == [anchors.FILE, f"{anchors.FILE}.1"]
    assert 4 <= len(anchors.read(path)) <= 8
    assert anchors.read(path)[-1].head.seq == 9
    assert (await verified(db, anchors=anchors.read(path))).fault is None


async def test_a_settled_order_tells_the_head_to_its_owner(db: Database) -> None:
    world = await Scenario.build(db)
    notebook = await world.create()
    (attempt,) = await world.run(notebook)
    world.later(3600)
    await world.report()
    await world.stop(notebook)
    await world.end(attempt)
    async with db.read() as tx:
        event = (await tx.scalars(select(BillingEvent).where(BillingEvent.kind == "order_settled"))).one()
        head = Head(*await journal.head(tx))
    assert Head.parse(event.detail["journal_head"]) == head
    assert (await verified(db, head)).fault is None
    await without_the_last(db)
    fault = (await verified(db, head)).fault
    assert fault
    assert (fault.what, fault.seq) == ("entry", head.seq)


def test_every_kind_of_entry_has_its_rule() -> None:
    """A new word in the constraint needs facts and a rule."""
    (allowed,) = [one for one in Entry.__table__.constraints if str(one.name).endswith("kind")]  # type: ignore[attr-defined]
    words = set(str(allowed.sqltext).split("'")[1::2])
    assert words and words <= {kind for kind, _ in facts.KINDS}
