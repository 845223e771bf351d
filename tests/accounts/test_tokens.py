"""API tokens and authentication by them."""

import time

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import event, select

from tests.support.clock import FakeClock
from tests.support.factories import ApiTokenFactory
from tests.support.web import PASSWORD, Person, client_of, problem
from utcloud.accounts import service
from utcloud.accounts.models import ApiToken
from utcloud.common.settings import Settings
from utcloud.db import Database

pytestmark = pytest.mark.postgres


async def _make(client: httpx.AsyncClient, **more: object) -> dict[str, str]:
    answer = await client.post("/auth/tokens", json={"username": "alice", "password": PASSWORD, **more})
    assert answer.status_code == 201, answer.text
    made: dict[str, str] = answer.json()
    return made


async def test_a_token_is_made_without_a_session_used_and_revoked(
    app: FastAPI, anyone: httpx.AsyncClient, alice: Person
) -> None:
    made = await _make(anyone, name="laptop")
    assert made["token"].startswith("utc_")
    assert made["token"].startswith(made["hint"])
    async with client_of(app, made["token"]) as client:
        listed = (await client.get("/auth/tokens")).json()["items"]
        assert [token["name"] for token in listed] == ["laptop", "test"]
        assert made["token"] not in str(listed)
        assert (await client.delete(f"/auth/tokens/{made['id']}")).status_code == 204
        problem(await client.get("/auth/tokens"), 401, "unauthenticated")


async def test_only_the_hash_is_kept(anyone: httpx.AsyncClient, alice: Person, db: Database) -> None:
    made = await _make(anyone)
    async with db.read() as tx:
        token = await tx.get(ApiToken, made["id"])
    assert token is not None
    assert made["token"] not in (token.token_hash, token.hint, token.name)


async def test_a_token_expires(app: FastAPI, anyone: httpx.AsyncClient, alice: Person, clock: FakeClock) -> None:
    made = await _make(anyone, expires_in_days=1)
    eternal = await _make(anyone, expires_in_days=None)
    clock.advance(days=1)
    async with client_of(app, made["token"]) as client:
        problem(await client.get("/auth/tokens"), 401)
    clock.advance(days=5000)
    async with client_of(app, eternal["token"]) as client:
        assert (await client.get("/auth/tokens")).status_code == 200


async def test_anothers_token_is_not_found(anyone: httpx.AsyncClient, alice: Person, miner: Person) -> None:
    made = await _make(anyone)
    problem(await miner.client.delete(f"/auth/tokens/{made['id']}"), 404)
    assert made["id"] not in str((await miner.client.get("/auth/tokens")).json())


async def test_wrong_credentials_are_refused(app: FastAPI, anyone: httpx.AsyncClient, alice: Person) -> None:
    for header in ("Bearer utc_wrong", "Bearer", "Bearer ", "Basic YTpi", alice.token, "Bearer \xff"):
        response = await anyone.get("/auth/tokens", headers={b"Authorization": header.encode("latin-1")})
        problem(response, 401)
        assert response.headers["www-authenticate"].startswith("Bearer")
    problem(await anyone.get("/auth/tokens"), 401)


async def test_bad_bodies_name_the_field(anyone: httpx.AsyncClient, alice: Person) -> None:
    good = {"username": "alice", "password": PASSWORD}
    for field, value in (("name", ""), ("name", "x" * 65), ("name", "a\0b"), ("expires_in_days", 0), ("x", 1)):
        problem(await anyone.post("/auth/tokens", json={**good, field: value}), 422, "invalid", field)


async def test_no_more_tokens_than_anyone_needs(
    app: FastAPI, anyone: httpx.AsyncClient, alice: Person, db: Database
) -> None:
    now = app.state.clock.now()
    async with db.write() as tx:
        tx.add_all(
            ApiTokenFactory.build(id=f"tok_{n}", user_id=alice.id, name="x", token_hash=str(n), hint="", created_at=now)
            for n in range(service.credentials.MAX_TOKENS)
        )
    body = {"username": "alice", "password": PASSWORD}
    problem(await anyone.post("/auth/tokens", json=body), 409)
    assert (await alice.client.delete("/auth/tokens/tok_1")).status_code == 204
    assert (await alice.client.delete("/auth/tokens/tok_2")).status_code == 204
    assert (await anyone.post("/auth/tokens", json=body)).status_code == 201


async def test_last_use_is_written_at_most_once_a_minute(db: Database, alice: Person, clock: FakeClock) -> None:
    async def used() -> object:
        await _authenticate(db, clock, alice.token)
        async with db.read() as tx:
            return await tx.scalar(select(ApiToken.last_used_at))

    first = await used()
    assert first == clock.now()
    clock.advance(seconds=59)
    assert await used() == first
    clock.advance(seconds=1)
    assert await used() == clock.now()


async def test_authentication_is_one_query(db: Database, alice: Person, clock: FakeClock) -> None:
    await _authenticate(db, clock, alice.token)
    statements: list[str] = []
    event.listen(db.engine.sync_engine, "before_cursor_execute", lambda *args: statements.append(args[2]))
    took = []
    for _ in range(200):
        began = time.perf_counter()
        await _authenticate(db, clock, alice.token)
        took.append(time.perf_counter() - began)
    assert len(statements) == 200
    assert sorted(took)[100] < 0.005


async def _authenticate(db: Database, clock: FakeClock, token: str) -> None:
    actor = await service.authenticate(
        db, clock.now(), Settings(), authorization=f"Bearer {token}", cookie=None, csrf=None, unsafe=True, ip=""
    )
    assert actor is not None
    assert actor.username == "alice"
