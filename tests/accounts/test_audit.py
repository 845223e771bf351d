"""The audit trail: filters, files, and what is kept out of it."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import select

from tests.support.factories import AuditEventFactory
from tests.support.web import Person, problem
from utcloud.accounts import audit
from utcloud.accounts.auth import Actor
from utcloud.accounts.models import AuditEvent, User
from utcloud.db import Database

pytestmark = pytest.mark.postgres

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
async def events(operator: Person, db: Database) -> AsyncIterator[None]:
    """Seven events, an hour apart, by two people from two addresses."""
    async with db.write() as tx:
        for number in range(7):
            who = "Bert" if number % 2 else "anna"
            tx.add(
                AuditEventFactory.build(
                    id=f"evt_{number}",
                    at=NOON + timedelta(hours=number),
                    actor_id=f"usr_{who}",
                    actor_name=who,
                    ip="192.0.2.1" if number < 3 else "2001:db8::1",
                    action="pool.update" if number < 5 else "spec.create",
                    object_type="pool" if number < 5 else "spec",
                    object_id=f"o{number}",
                    object_name=f"100% number {number}",
                )
            )
    yield


async def found(who: Person, **query: Any) -> list[str]:
    """The ids, page by page; without what the fixtures themselves did."""
    ids: list[str] = []
    while True:
        page = (await who.client.get("/audit-events", params={"limit": 3} | query)).json()
        ids += [one["id"].removeprefix("evt_") for one in page["items"] if len(one["id"]) == 5]
        if page["next_cursor"] is None:
            return ids
        query["cursor"] = page["next_cursor"]


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        ({}, "6543210"),
        ({"sort": "at"}, "0123456"),
        ({"since": "2026-03-01T14:00:00Z"}, "65432"),
        ({"until": "2026-03-01T14:00:00+00:00"}, "10"),
        ({"since": "2026-03-01T22:00:00+08:00", "until": "2026-03-01T15:00:00Z"}, "2"),
        ({"actor": "ANN"}, "6420"),
        ({"actor_id": "usr_Bert"}, "531"),
        ({"ip": "192.0.2.1"}, "210"),
        ({"ip": "2001:db8::1", "action": "pool.update"}, "43"),
        ({"object_type": "spec"}, "65"),
        ({"object_type": "pool", "object_id": "o2"}, "2"),
        ({"search": "number 3"}, "3"),
        ({"search": "100%"}, "6543210"),
        ({"search": "spec.c", "sort": "at"}, "56"),
    ],
)
async def test_filters(operator: Person, events: None, query: dict[str, str], wanted: str) -> None:
    assert "".join(await found(operator, **query)) == wanted


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("since", "yesterday"),
        ("since", "1700000000"),
        ("until", "2026-03-01T12:00:00"),
        ("actor", "a\0b"),
        ("action", "DROP TABLE"),
        ("ip", "localhost"),
        ("sort", "actor"),
        ("cursor", "WzFd"),
        ("cursor", "WyJ4IiwgIngiXQ"),
    ],
)
async def test_bad_filters_name_the_field(operator: Person, field: str, value: str) -> None:
    problem(await operator.client.get("/audit-events", params={field: value}), 422, "invalid", field)


@pytest.mark.parametrize("moment", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"])
async def test_moments_at_the_calendars_ends(operator: Person, moment: str) -> None:
    assert (await operator.client.get("/audit-events", params={"since": moment})).status_code == 200


async def test_files_have_the_filters_too(operator: Person, events: None) -> None:
    query = {"object_type": "pool", "sort": "at"}
    file = await operator.client.get("/audit-events", params=query | {"format": "csv"})
    rows = [row.split(",") for row in file.text.splitlines()]
    assert rows[0][:4] == ["id", "at", "actor_id", "actor_name"]
    assert [row[0] for row in rows[1:]] == [f"evt_{number}" for number in range(5)]
    lines = await operator.client.get("/audit-events", params=query | {"format": "jsonl"})
    assert len(lines.text.splitlines()) == 5


async def test_one_reads_what_was_done_to_what_is_ones_own(
    operator: Person, miner: Person, alice: Person, db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner = select(User.id).where(User.username == "mary").scalar_subquery()
    monkeypatch.setitem(audit.owners, "pool", lambda ident: owner)
    async with db.write() as tx:
        audit.record(tx, operator.actor, "pool.rename", "pool", "po_1", "mary's")
        audit.record(tx, operator.actor, "spec.rename", "spec", "sp_1", "nobody's")
    await operator.client.patch(f"/users/{alice.id}", json={"display_name": "Alice"})
    for person, action in ((miner, "pool.rename"), (alice, "user.update")):
        seen = (await person.client.get("/audit-events")).json()["items"]
        others = [(event["actor_name"], event["action"]) for event in seen if event["actor_id"] == operator.id]
        assert others == [("admin", action)]


async def test_secrets_are_left_out(operator: Person, db: Database) -> None:
    async with db.write() as tx:
        detail = {"password": "x" * 20, "code": "y", "roles": []}
        audit.record(tx, operator.actor, "user.create", "user", "u", "u", detail)
    (event,) = (await operator.client.get("/audit-events", params={"object_id": "u"})).json()["items"]
    assert event["detail"] == {"roles": []}


async def test_where_it_came_from(operator: Person) -> None:
    await operator.client.post("/groups", json={"name": "lab"}, headers={"X-Forwarded-For": "10.0.0.1, 203.0.113.9"})
    (event,) = (await operator.client.get("/audit-events", params={"action": "group.create"})).json()["items"]
    assert (event["ip"], event["actor_name"], event["object_name"]) == ("203.0.113.9", "admin", "lab")


async def test_from_where_others_did_it_is_an_operators_to_know(
    operator: Person, alice: Person, anyone: httpx.AsyncClient
) -> None:
    await operator.client.patch(f"/users/{alice.id}", json={"display_name": "Alice"})
    await anyone.post("/auth/session", json={"username": "alice", "password": "not hers at all"})

    async def seen(person: Person, **query: str) -> dict[tuple[str, str], str]:
        events = (await person.client.get("/audit-events", params={"object_id": alice.id} | query)).json()["items"]
        return {(event["actor_name"], event["action"]): event["ip"] for event in events}

    address = "192.0.2.1"
    assert (await seen(operator))["admin", "user.update"] == address
    hers = await seen(alice)
    assert hers["admin", "user.update"] == ""
    assert hers["", "auth.login"] == address, "from where somebody tried to get in, she reads"
    assert ("admin", "user.update") not in await seen(alice, ip=address)


async def test_nobody_is_an_actor_too(db: Database) -> None:
    async with db.write() as tx:
        audit.record(tx, Actor(id="", username=""), "auth.login", "user")
    async with db.read() as tx:
        assert (await tx.scalars(select(AuditEvent.actor_id))).all() == [None]
