"""``Idempotency-Key`` where calls meet and where a server dies in the middle of one."""

import asyncio
import base64
import hashlib
import hmac
from datetime import datetime
from types import SimpleNamespace
from typing import Any

import pytest
from cryptography.fernet import Fernet, InvalidToken
from sqlalchemy import select
from starlette.types import Message, Receive, Scope, Send

from tests.support.clock import FakeClock
from tests.support.factories import NOW
from utcloud.accounts.auth import Actor
from utcloud.common.settings import Settings
from utcloud.db import Database
from utcloud.server import idempotency
from utcloud.server.models import KeptAnswer

pytestmark = pytest.mark.postgres


class Caller:
    """Calls through the middleware an app that counts its calls, and answers when ``answering`` is set."""

    def __init__(self, db: Database) -> None:
        self.db, self.clock, self.acted = db, FakeClock(NOW), 0
        self.settings = Settings(secret_key="k" * 32)
        self.answering, self.acting = asyncio.Event(), asyncio.Event()
        self.answering.set()
        self.middleware = idempotency.Idempotency(self._app)

    async def _app(self, _scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        self.acted += 1
        self.acting.set()
        await self.answering.wait()
        await send({"type": "http.response.start", "status": 201, "headers": [(b"content-type", b"text/plain")]})
        await send({"type": "http.response.body", "body": b"done"})

    async def call(self, body: bytes = b"{}") -> tuple[int, bytes]:
        sent: list[Message] = []

        async def receive() -> Message:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: Message) -> None:
            sent.append(message)

        state = SimpleNamespace(db=self.db, clock=self.clock, settings=self.settings)
        scope: dict[str, Any] = {
            "type": "http",
            "method": "POST",
            "path": "/things",
            "headers": [(b"idempotency-key", b"two clicks")],
            "app": SimpleNamespace(state=state),
            "utcloud.actor": Actor("usr_a", "alice"),
        }
        await self.middleware(scope, receive, send)
        return sent[0]["status"], b"".join(message.get("body", b"") for message in sent)


async def said_at(db: Database) -> datetime | None:
    """When the only call last said that it runs."""
    async with db.read() as tx:
        return await tx.scalar(select(KeptAnswer.created_at))


async def test_many_clicks_at_once_act_once(db: Database) -> None:
    caller = Caller(db)
    answers = await asyncio.gather(*(caller.call() for _ in range(6)))
    assert caller.acted == 1
    assert {status for status, _ in answers} <= {201, 409}
    assert await caller.call() == (201, b"done")


async def test_a_call_that_died_with_its_server_is_made_again_soon(db: Database) -> None:
    caller = Caller(db)
    caller.answering.clear()
    died = asyncio.create_task(caller.call())
    await caller.acting.wait()
    async with db.read() as tx:
        row = (await tx.scalars(select(KeptAnswer))).one()
    died.cancel()
    await asyncio.gather(died, return_exceptions=True)
    async with db.write() as tx:  # as it is after kill -9, which cleans up nothing
        tx.add(KeptAnswer(key=row.key, request_hash=row.request_hash, created_at=row.created_at))
    caller.answering.set()
    caller.clock.advance(seconds=19)
    assert (await caller.call())[0] == 409
    caller.clock.advance(seconds=2)
    assert await caller.call() == (201, b"done")
    assert caller.acted == 2


async def test_a_call_that_takes_long_is_not_made_again(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(idempotency, "_RENEWED_S", 0.01)
    caller = Caller(db)
    caller.answering.clear()
    long = asyncio.create_task(caller.call())
    await caller.acting.wait()
    for _ in range(3):
        caller.clock.advance(seconds=15)
        async with asyncio.timeout(5):
            while await said_at(db) != caller.clock.now():
                await asyncio.sleep(0.01)
        assert (await caller.call())[0] == 409
    caller.answering.set()
    assert await long == await caller.call() == (201, b"done")
    assert caller.acted == 1
    caller.clock.advance(seconds=24 * 3600 + 1)
    assert await caller.call() == (201, b"done")
    assert caller.acted == 2, "after a day the key is free"


async def test_a_kept_answer_cannot_be_read_by_its_key_alone(db: Database) -> None:
    """A key of the caller's may be as easy to guess as "1"; what is kept may be a password."""
    caller = Caller(db)
    await caller.call()
    async with db.read() as tx:
        kept = (await tx.scalars(select(KeptAnswer))).one().body
    said = "answer\0usr_a\0two clicks"
    guesses = [hashlib.sha256(said.encode()).digest()]
    guesses += [hmac.digest(secret, said.encode(), "sha256") for secret in (b"no secret", b"", b"k" * 32)]
    for guess in guesses:
        with pytest.raises(InvalidToken):
            Fernet(base64.urlsafe_b64encode(guess)).decrypt(kept)
    caller.settings = Settings(secret_key="another key, as after a loss of it")
    status, body = await caller.call()
    assert status == 409
    assert b"no longer be read" in body
    assert caller.acted == 1
