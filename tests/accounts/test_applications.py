"""Applications: asked for by anybody, decided by an operator, with a first grant."""

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import select

from tests.support.clock import FakeClock
from tests.support.web import PASSWORD, Person, client_of, problem
from utcloud.accounts import service
from utcloud.accounts.auth import Actor
from utcloud.accounts.models import Application, User
from utcloud.common.settings import Settings
from utcloud.db import Database, Tx

pytestmark = pytest.mark.postgres

BODY = {"username": "nina", "display_name": "Nina", "email": "nina@example.org", "password": PASSWORD, "note": "thesis"}
Grants = list[tuple[str, str, int, str]]


@pytest.fixture
def grants(monkeypatch: pytest.MonkeyPatch) -> Grants:
    """Who gave whom how much, with which key."""
    given: Grants = []

    async def give(tx: Tx, now: datetime, actor: Actor, user: User, amount: int, note: str, key: str) -> None:
        assert "approval" in note
        given.append((actor.username, user.username, amount, key))

    monkeypatch.setattr(service.users, "on_grant", [give])
    return given


@pytest.fixture
async def applied(anyone: httpx.AsyncClient, operator: Person) -> AsyncIterator[dict[str, Any]]:
    """An application that waits, as the operator sees it."""
    assert (await anyone.post("/applications", json=BODY)).status_code == 201
    yield (await operator.client.get("/applications")).json()["items"][0]


async def log_in(client: httpx.AsyncClient, username: str = "nina", password: str = PASSWORD) -> httpx.Response:
    return await client.post("/auth/session", json={"username": username, "password": password})


async def test_from_application_to_login(
    anyone: httpx.AsyncClient, operator: Person, applied: dict[str, Any], grants: Grants
) -> None:
    assert applied["status"] == "waiting"
    assert applied["note"] == "thesis"
    assert "password" not in str(applied)
    assert "waits" in problem(await log_in(anyone), 403, "application_waiting")["detail"]
    problem(await log_in(anyone, password="not her password"), 401, "unauthenticated")
    assert (await operator.client.get("/users", params={"search": "nina"})).json()["items"] == []

    group = (await operator.client.post("/groups", json={"name": "lab"})).json()
    body = {"grant": "10.5", "group_ids": [group["id"]], "roles": ["renter"], "note": "welcome"}
    url = f"/applications/{applied['id']}/approve"
    approved = (await operator.client.post(url, json=body)).json()
    assert (approved["status"], approved["grant"], approved["decided_by"]) == ("approved", "10.5", "admin")
    user = (await log_in(anyone)).json()["user"]
    assert (user["display_name"], user["email"], user["groups"][0]["name"]) == ("Nina", "nina@example.org", "lab")
    assert user["id"] == approved["user_id"]

    again = await operator.client.post(url, json={"grant": "99"})
    assert again.json() == approved
    assert grants == [("admin", "nina", 10_500_000, f"application:{applied['id']}")]
    problem(await operator.client.post(f"/applications/{applied['id']}/reject"), 409, "already_approved")


async def test_approving_at_once_by_two_grants_once(
    operator: Person, applied: dict[str, Any], grants: Grants, db: Database
) -> None:
    url = f"/applications/{applied['id']}/approve"
    answers = await asyncio.gather(*(operator.client.post(url, json={"grant": "1"}) for _ in range(4)))
    assert [answer.status_code for answer in answers] == [200] * 4
    assert len(grants) == 1
    async with db.read() as tx:
        assert len((await tx.scalars(select(User.id).where(User.username == "nina"))).all()) == 1
        assert (await tx.get_one(Application, applied["id"])).password_hash == "", "a password is kept once"


async def test_a_rejected_applicant_reads_why_and_his_name_is_free(
    anyone: httpx.AsyncClient, operator: Person, applied: dict[str, Any], clock: FakeClock, db: Database
) -> None:
    url = f"/applications/{applied['id']}/reject"
    rejected = (await operator.client.post(url, json={"reason": "We do not know you."})).json()
    assert (rejected["status"], rejected["reason"]) == ("rejected", "We do not know you.")
    assert (await operator.client.post(url, json={"reason": "other"})).json() == rejected
    problem(await operator.client.post(f"/applications/{applied['id']}/approve"), 409, "already_rejected")
    assert "We do not know you." in problem(await log_in(anyone), 403, "application_rejected")["detail"]
    assert (await anyone.post("/applications", json=BODY)).status_code == 201
    problem(await log_in(anyone), 403, "application_waiting")

    clock.advance(days=91)
    async with db.write() as tx:
        await service.forget_expired(tx, clock.now())
        assert (await tx.get_one(Application, applied["id"])).password_hash == ""


async def test_a_name_is_somebodys_once(anyone: httpx.AsyncClient, operator: Person, applied: dict[str, Any]) -> None:
    problem(await operator.client.post("/users", json={"username": "nina"}), 409, "conflict", "username")
    await asyncio.gather(*(anyone.post("/applications", json=BODY | {"username": "omar"}) for _ in range(4)))
    for taken in ("admin", "system", "nina"):
        await anyone.post("/applications", json=BODY | {"username": taken})
    waiting = (await operator.client.get("/applications")).json()["items"]
    assert sorted(one["username"] for one in waiting) == ["nina", "omar"]


async def test_a_known_address_is_not_told(anyone: httpx.AsyncClient, applied: dict[str, Any]) -> None:
    same = await anyone.post("/applications", json=BODY | {"username": "other"})
    assert (same.status_code, same.json()) == (201, {"username": "other", "status": "waiting"})


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("username", "аlice"),  # it begins with a Cyrillic letter
        ("username", "x"),
        ("display_name", "ecilA\u202e"),
        ("display_name", "a\x1b[31m"),
        ("display_name", "x" * 256),
        ("email", "a@@b"),
        ("email", "a b@example.org"),
        ("email", "nina@"),
        ("password", "short"),
        ("note", "x" * 2001),
        ("note", "a\0b"),
        ("roles", ["operator"]),
    ],
)
async def test_bad_values_name_the_field(anyone: httpx.AsyncClient, operator: Person, field: str, value: Any) -> None:
    body = problem(await anyone.post("/applications", json=BODY | {field: value}), 422, "invalid")
    assert body["field"].split(".")[0] == field
    assert (await operator.client.get("/applications")).json()["items"] == []


async def test_applications_are_throttled_by_address(
    app: FastAPI, anyone: httpx.AsyncClient, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service.applications, "MAX_WAITING_EACH", 100)
    statuses = []
    for number in range(30):
        answer = await anyone.post("/applications", json=BODY | {"username": f"user-{number}"})
        statuses.append(answer.status_code)
    assert statuses[:20] == [201] * 20
    assert statuses[-1] == 429
    assert int(answer.headers["retry-after"]) >= 1
    async with client_of(app, ip="192.0.2.77") as other:
        assert (await other.post("/applications", json=BODY)).status_code == 201
    clock.advance(hours=2)
    assert (await anyone.post("/applications", json=BODY | {"username": "patient"})).status_code == 201


async def test_one_ipv6_network_is_one_address(app: FastAPI) -> None:
    statuses = set()
    for number in range(25):
        async with client_of(app, ip=f"2001:db8:1:1::{number:x}") as client:
            statuses.add((await client.post("/applications", json=BODY | {"username": f"u{number}"})).status_code)
    assert statuses == {201, 429}
    async with client_of(app, ip="2001:db8:1:2::1") as client:
        assert (await client.post("/applications", json=BODY)).status_code == 201


async def test_registration_can_be_closed(app: FastAPI, anyone: httpx.AsyncClient) -> None:
    assert (await anyone.get("/registration")).json() == {"open": True}
    app.state.settings = Settings(home=app.state.settings.home, registration="closed")
    assert (await anyone.get("/registration")).json() == {"open": False}
    problem(await anyone.post("/applications", json=BODY), 403, "registration_closed")


async def test_only_operators_decide(miner: Person, alice: Person, applied: dict[str, Any]) -> None:
    for someone in (miner, alice):
        problem(await someone.client.get("/applications"), 403)
        problem(await someone.client.get(f"/applications/{applied['id']}"), 403)
        problem(await someone.client.post(f"/applications/{applied['id']}/approve"), 403)
        problem(await someone.client.post(f"/applications/{applied['id']}/reject"), 403)


async def test_the_list_filters_sorts_and_comes_as_a_file(
    operator: Person, anyone: httpx.AsyncClient, clock: FakeClock
) -> None:
    for name in ("carl", "anna", "bert"):
        clock.advance(seconds=1)
        await anyone.post("/applications", json=BODY | {"username": name})

    async def names(**query: Any) -> list[str]:
        found: list[str] = []
        while True:
            page = (await operator.client.get("/applications", params=query | {"limit": 2})).json()
            found += [one["username"] for one in page["items"]]
            if page["next_cursor"] is None:
                return found
            query["cursor"] = page["next_cursor"]

    assert await names() == ["bert", "anna", "carl"]
    assert await names(sort="created_at") == ["carl", "anna", "bert"]
    assert await names(sort="username") == ["anna", "bert", "carl"]
    assert await names(search="ANN") == ["anna"]
    assert await names(status="approved") == []
    file = await operator.client.get("/applications", params={"format": "csv", "sort": "username"})
    assert [row.split(",")[1] for row in file.text.splitlines()] == ["username", "anna", "bert", "carl"]
    assert "argon2" not in file.text


async def test_a_stale_cookie_does_not_stand_in_the_way(anyone: httpx.AsyncClient) -> None:
    anyone.cookies.set("utcloud_session", "long ended")
    assert (await anyone.get("/registration")).status_code == 200
    assert (await anyone.post("/applications", json=BODY)).status_code == 201
