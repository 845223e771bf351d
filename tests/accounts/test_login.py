"""Logging in: sessions, CSRF, throttling."""

import asyncio
from datetime import timedelta
from typing import Literal

import httpx
import pytest
from argon2 import PasswordHasher
from fastapi import FastAPI
from sqlalchemy import func, select

from tests.support.clock import FakeClock
from tests.support.web import PASSWORD, Person, client_of, problem
from utcloud.accounts import passwords, service
from utcloud.accounts.models import AuditEvent, BrowserSession, LoginFailure, User
from utcloud.common.settings import Settings
from utcloud.db import Database

pytestmark = pytest.mark.postgres


async def _log_in(client: httpx.AsyncClient, username: str = "alice", password: str = PASSWORD) -> httpx.Response:
    return await client.post("/auth/session", json={"username": username, "password": password})


async def test_a_browser_logs_in_and_out(anyone: httpx.AsyncClient, alice: Person) -> None:
    answer = await _log_in(anyone)
    assert answer.status_code == 200
    cookie = answer.headers["set-cookie"]
    for flag in ("utcloud_session=", "HttpOnly", "SameSite=strict", "Path=/", "Max-Age=604800"):
        assert flag in cookie
    assert "Secure" not in cookie
    assert answer.json()["user"]["username"] == "alice"
    assert answer.json()["recharges"] is False
    csrf = answer.json()["csrf_token"]

    again = await anyone.get("/auth/session")
    assert again.json()["csrf_token"] == csrf
    assert again.json()["recharges"] is False
    assert again.headers["cache-control"] == "no-store"

    out = await anyone.delete("/auth/session", headers={"X-CSRF-Token": csrf})
    assert out.status_code == 204
    assert "utcloud_session" not in anyone.cookies
    anyone.cookies.set("utcloud_session", cookie.split("=", 1)[1].split(";")[0])
    problem(await anyone.get("/auth/session"), 401)


async def test_the_cookie_is_secure_where_the_console_is_https(app: FastAPI, alice: Person) -> None:
    app.state.settings = Settings(domain="cloud.example")
    async with client_of(app) as client:
        assert "Secure" in (await _log_in(client)).headers["set-cookie"]


async def test_only_hashes_of_secrets_are_kept(anyone: httpx.AsyncClient, alice: Person, db: Database) -> None:
    answer = await _log_in(anyone)
    async with db.read() as tx:
        session = await tx.scalar(select(BrowserSession))
    assert session is not None
    kept = " ".join(str(getattr(session, column.key)) for column in BrowserSession.__table__.columns)
    assert answer.json()["csrf_token"] not in kept
    assert anyone.cookies["utcloud_session"] not in kept


async def test_a_changing_request_by_cookie_needs_the_sessions_csrf_token(
    app: FastAPI, anyone: httpx.AsyncClient, operator: Person, alice: Person
) -> None:
    csrf = (await _log_in(anyone, "admin")).json()["csrf_token"]
    body = {"name": "lab"}
    problem(await anyone.post("/groups", json=body), 403, "csrf")
    problem(await anyone.post("/groups", json=body, headers={"X-CSRF-Token": csrf + "x"}), 403, "csrf")
    async with client_of(app) as other:
        foreign = (await _log_in(other)).json()["csrf_token"]
    problem(await anyone.post("/groups", json=body, headers={"X-CSRF-Token": foreign}), 403, "csrf")
    assert (await anyone.get("/groups")).json()["items"] == []
    assert (await anyone.post("/groups", json=body, headers={"X-CSRF-Token": csrf})).status_code == 201


async def test_a_session_lasts_seven_days_from_its_last_use(
    anyone: httpx.AsyncClient, alice: Person, clock: FakeClock
) -> None:
    await _log_in(anyone)
    for _ in range(3):
        clock.advance(days=6)
        assert (await anyone.get("/auth/session")).status_code == 200
    clock.advance(days=7, seconds=1)
    problem(await anyone.get("/auth/session"), 401)


async def test_a_session_ends_thirty_days_after_it_began(
    anyone: httpx.AsyncClient, alice: Person, clock: FakeClock
) -> None:
    await _log_in(anyone)
    for _ in range(5):
        clock.advance(days=5)
        answer = await anyone.get("/auth/session")
        assert answer.status_code == 200
    assert answer.json()["expires_at"] == (clock.now() + timedelta(days=5)).isoformat().replace("+00:00", "Z")
    clock.advance(days=4, hours=23)
    assert (await anyone.get("/auth/session")).status_code == 200
    clock.advance(hours=1)
    problem(await anyone.get("/auth/session"), 401, "unauthenticated")


@pytest.mark.parametrize("keep", [False, True])
async def test_a_changed_password_revokes_tokens_unless_told_otherwise(
    anyone: httpx.AsyncClient, alice: Person, bob: Person, keep: bool
) -> None:
    body = {"current_password": PASSWORD, "new_password": "another long password"}
    changed = await alice.client.post("/auth/password", json=body | ({"revoke_tokens": False} if keep else {}))
    assert changed.status_code == 204
    if keep:
        assert (await alice.client.get("/auth/tokens")).status_code == 200
    else:
        problem(await alice.client.get("/auth/tokens"), 401)
    assert (await bob.client.get("/auth/tokens")).status_code == 200


async def test_one_can_log_in_again_over_a_stale_cookie(anyone: httpx.AsyncClient, alice: Person) -> None:
    anyone.cookies.set("utcloud_session", "stale")
    problem(await anyone.get("/users/me"), 401)
    anyone.cookies.clear()
    anyone.headers["Cookie"] = "utcloud_session=stale"
    assert (await _log_in(anyone)).status_code == 200


async def test_a_changed_password_ends_all_sessions(app: FastAPI, alice: Person) -> None:
    async with client_of(app) as here, client_of(app) as there:
        csrf = (await _log_in(here)).json()["csrf_token"]
        await _log_in(there)
        body = {"current_password": "wrong password", "new_password": "another long password"}
        problem(
            await here.post("/auth/password", json=body, headers={"X-CSRF-Token": csrf}), 422, None, "current_password"
        )
        body["current_password"] = PASSWORD
        same = {**body, "new_password": PASSWORD}
        problem(await here.post("/auth/password", json=same, headers={"X-CSRF-Token": csrf}), 422, None, "new_password")
        assert (await here.post("/auth/password", json=body, headers={"X-CSRF-Token": csrf})).status_code == 204
        problem(await there.get("/auth/session"), 401)
        assert "utcloud_session" not in here.cookies
        problem(await _log_in(here), 401)
        assert (await _log_in(here, password="another long password")).status_code == 200


async def test_wrong_name_and_wrong_password_get_the_same_answer(anyone: httpx.AsyncClient, alice: Person) -> None:
    wrong = problem(await _log_in(anyone, "alice", "wrong password"), 401)
    unknown = problem(await _log_in(anyone, "nobody", "wrong password"), 401)
    strange = problem(await _log_in(anyone, "\0' or 1=1", "wrong password"), 401)
    assert wrong == unknown == strange


async def test_an_unknown_user_costs_the_same_work(
    anyone: httpx.AsyncClient, alice: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []

    class Counting(PasswordHasher):
        def verify(self, hash: str | bytes, password: str | bytes) -> Literal[True]:  # noqa: A002
            seen.append(str(hash))
            return super().verify(hash, password)

    monkeypatch.setattr(passwords, "hasher", Counting(time_cost=1, memory_cost=8, parallelism=1))
    await _log_in(anyone, "alice", "wrong password")
    await _log_in(anyone, "nobody", "wrong password")
    assert len(seen) == 2
    assert seen[0].rsplit("$", 2)[0] == seen[1].rsplit("$", 2)[0]


async def test_failures_make_the_next_attempt_wait_longer_and_longer(
    anyone: httpx.AsyncClient, alice: Person, clock: FakeClock
) -> None:
    for _ in range(5):
        problem(await _log_in(anyone, "alice", "wrong password"), 401)
    waits = []
    for _ in range(4):
        refused = await _log_in(anyone)
        problem(refused, 429, "too_many")
        waits.append(int(refused.headers["retry-after"]))
        clock.advance(seconds=waits[-1])
        problem(await _log_in(anyone, "alice", "wrong password"), 401)
    assert waits == sorted(waits)
    assert waits[-1] >= 4 * waits[0]
    clock.advance(hours=2)
    assert (await _log_in(anyone)).status_code == 200


async def test_tokens_are_throttled_together_with_sessions(anyone: httpx.AsyncClient, alice: Person) -> None:
    for _ in range(5):
        problem(await _log_in(anyone, "alice", "wrong password"), 401)
    body = {"username": "alice", "password": PASSWORD}
    problem(await anyone.post("/auth/tokens", json=body), 429)


async def test_unknown_names_are_throttled_alike(anyone: httpx.AsyncClient) -> None:
    for _ in range(5):
        problem(await _log_in(anyone, "nobody", "wrong password"), 401)
    problem(await _log_in(anyone, "nobody", "wrong password"), 429)


async def test_an_address_that_tries_many_names_is_throttled(app: FastAPI, alice: Person) -> None:
    async with client_of(app, ip="192.0.2.66") as robber, client_of(app, ip="192.0.2.7") as honest:
        for number in range(30):
            problem(await _log_in(robber, f"user{number}", "wrong password"), 401)
        problem(await _log_in(robber, "alice"), 429)
        assert (await _log_in(honest, "alice")).status_code == 200


async def test_many_attempts_at_once_are_throttled_too(anyone: httpx.AsyncClient, alice: Person) -> None:
    answers = await asyncio.gather(*(_log_in(anyone, "alice", "wrong password") for _ in range(12)))
    statuses = sorted(answer.status_code for answer in answers)
    assert statuses == [401] * 5 + [429] * 7


async def test_a_right_password_wipes_the_slate(anyone: httpx.AsyncClient, alice: Person, db: Database) -> None:
    for _ in range(3):
        for _ in range(4):
            problem(await _log_in(anyone, "alice", "wrong password"), 401)
        assert (await _log_in(anyone)).status_code == 200
    async with db.read() as tx:
        left = await tx.scalar(select(func.count()).where(LoginFailure.subject.like("user:%:from:%")))
    assert left == 0, "what counts for the name from everywhere is forgotten by time alone"


async def test_a_weak_hash_is_renewed_at_login(
    anyone: httpx.AsyncClient, alice: Person, db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(passwords, "hasher", PasswordHasher(time_cost=2, memory_cost=16, parallelism=1))
    assert (await _log_in(anyone)).status_code == 200
    async with db.read() as tx:
        user = await service.get_user(tx, alice.id)
    assert "m=16,t=2" in user.password_hash
    assert (await _log_in(anyone)).status_code == 200


async def test_logins_are_audited_good_and_bad(anyone: httpx.AsyncClient, alice: Person, db: Database) -> None:
    await _log_in(anyone, "alice", "wrong password")
    await _log_in(anyone, "my secret passphrase", "x")
    await _log_in(anyone)
    async with db.read() as tx:
        events = list(
            await tx.scalars(select(AuditEvent).where(AuditEvent.action == "auth.login").order_by(AuditEvent.id))
        )
    assert [event.detail["outcome"] for event in events] == ["failure", "failure", "success"]
    assert [event.object_name for event in events] == ["alice", "", "alice"]
    assert {event.ip for event in events} == {"192.0.2.1"}


async def test_a_frozen_user_is_out_at_once(anyone: httpx.AsyncClient, operator: Person, alice: Person) -> None:
    await _log_in(anyone)
    assert (await operator.client.post(f"/users/{alice.id}/freeze")).json()["status"] == "frozen"
    problem(await anyone.get("/auth/session"), 401)
    problem(await alice.client.get("/auth/tokens"), 401, "frozen")
    anyone.cookies.clear()
    problem(await _log_in(anyone, "alice", "wrong password"), 401, "unauthenticated")
    problem(await _log_in(anyone), 403, "frozen")
    await operator.client.post(f"/users/{alice.id}/unfreeze")
    assert (await _log_in(anyone)).status_code == 200
    assert (await alice.client.get("/auth/tokens")).status_code == 200


async def test_ended_sessions_and_old_failures_are_removed(
    anyone: httpx.AsyncClient, alice: Person, db: Database, clock: FakeClock
) -> None:
    await _log_in(anyone)
    await _log_in(anyone, "alice", "wrong password")
    clock.advance(days=8)
    async with db.write() as tx:
        await service.forget_expired(tx, clock.now())
    async with db.read() as tx:
        assert await tx.scalar(select(func.count()).select_from(BrowserSession)) == 0
        assert await tx.scalar(select(func.count()).select_from(LoginFailure)) == 0
        assert await tx.scalar(select(func.count()).select_from(User)) == 1
