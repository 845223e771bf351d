"""``Idempotency-Key``: the same key and the same call within a day answer the same again, and act once."""

import asyncio
import base64
import contextlib
import hashlib
import hmac
from datetime import timedelta

from cryptography.fernet import Fernet, InvalidToken
from sqlalchemy import and_, delete, or_, update
from sqlalchemy.exc import SQLAlchemyError
from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from utcloud.accounts.auth import Actor
from utcloud.common.clock import Clock
from utcloud.common.errors import Conflict, Invalid, Problem
from utcloud.common.seal import derived_key
from utcloud.common.settings import Settings
from utcloud.db import Database
from utcloud.db.upsert import insert_if_absent
from utcloud.server.errors import from_problem
from utcloud.server.models import KeptAnswer

_KEPT = timedelta(days=1)
_RENEWED_S = 5.0
_ABANDONED = timedelta(seconds=20)
"""A call that runs says so every five seconds; one that has been silent for so long died with its server."""


class Idempotency:
    """ASGI middleware behind ``Bodies`` and ``Authentication``; looks only at POSTs that carry the header."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        key = Headers(scope=scope).get("idempotency-key") if scope["type"] == "http" else None
        actor = scope.get("utcloud.actor")
        if key is None or scope["method"] != "POST" or not isinstance(actor, Actor) or "/uploads" in scope["path"]:
            return await self.app(scope, receive, send)
        try:
            if not 1 <= len(key) <= 255:
                raise Invalid("Idempotency-Key has 1 to 255 characters.", field="Idempotency-Key")
            body = await _read(receive)
            ident = hashlib.sha256(f"{actor.id}\0{key}".encode()).hexdigest()
            seal = _seal(scope["app"].state.settings, actor, key)
            kept = await self._claim(scope, ident, key, body)
            answer = _opened(seal, kept.body) if kept else b""
        except Problem as problem:
            return await from_problem(problem)(scope, receive, send)
        if kept:
            headers = {"Idempotency-Replayed": "true", "Content-Type": kept.content_type}
            return await Response(answer, kept.status, headers)(scope, receive, send)
        return await self._run(scope, body, ident, seal, send)

    async def _claim(self, scope: Scope, ident: str, key: str, body: bytes) -> KeptAnswer | None:
        """What the first call answered, or None: this is the first."""
        db: Database = scope["app"].state.db
        now = scope["app"].state.clock.now()
        request_hash = hashlib.sha256(f"{scope['path']}\0{key}\0".encode() + body).hexdigest()
        async with db.write() as tx:
            abandoned = (KeptAnswer.key == ident, KeptAnswer.status == 0, KeptAnswer.created_at < now - _ABANDONED)
            await tx.execute(delete(KeptAnswer).where(or_(KeptAnswer.created_at < now - _KEPT, and_(*abandoned))))
            claim = {"key": ident, "request_hash": request_hash, "created_at": now}
            if await insert_if_absent(tx, KeptAnswer, claim):
                return None
            kept = await tx.get(KeptAnswer, ident)
        if kept and kept.request_hash != request_hash:
            raise Invalid(
                "This Idempotency-Key was used for another call.", field="Idempotency-Key", cure="Use a new key."
            )
        if not kept or not kept.status:
            raise Conflict("The first call with this Idempotency-Key is still running.", cure="Ask again in a moment.")
        return kept

    async def _run(self, scope: Scope, body: bytes, ident: str, seal: Fernet, send: Send) -> None:
        db: Database = scope["app"].state.db
        start: Message = {}
        chunks: list[bytes] = []

        async def receive_body() -> Message:
            return {"type": "http.request", "body": body, "more_body": False}

        async def watch(message: Message) -> None:
            if message["type"] == "http.response.start":
                start.update(message)
            else:
                chunks.append(message.get("body", b""))
                if not message.get("more_body"):
                    await self._keep(db, ident, start, seal.encrypt(b"".join(chunks)))
            await send(message)

        renewing = asyncio.create_task(_renew(db, scope["app"].state.clock, ident))
        try:
            await self.app(scope, receive_body, watch)
        except BaseException:
            await self._keep(db, ident, {"status": 500}, b"")
            raise
        finally:
            renewing.cancel()

    async def _keep(self, db: Database, ident: str, start: Message, body: bytes) -> None:
        async with db.write() as tx:
            row = await tx.get(KeptAnswer, ident)
            if row is None or row.status:
                return
            if start["status"] >= 500:
                await tx.delete(row)
                return
            row.status, row.body = start["status"], body
            row.content_type = Headers(raw=start["headers"]).get("content-type", "application/json")


async def _renew(db: Database, clock: Clock, ident: str) -> None:
    running = (KeptAnswer.key == ident, KeptAnswer.status == 0)
    while True:
        await asyncio.sleep(_RENEWED_S)
        with contextlib.suppress(SQLAlchemyError, OSError):
            async with db.write() as tx:
                await tx.execute(update(KeptAnswer).where(*running).values(created_at=clock.now()))


def _seal(settings: Settings, actor: Actor, key: str) -> Fernet:
    """Only with the caller's key and the server's can a kept answer be read: it may hold a password that is shown once,
    and a key of the caller's may be as easy to guess as "1".
    """
    secret = derived_key(settings, "idempotency")
    return Fernet(base64.urlsafe_b64encode(hmac.digest(secret, f"answer\0{actor.id}\0{key}".encode(), "sha256")))


def _opened(seal: Fernet, kept: bytes) -> bytes:
    try:
        return seal.decrypt(kept)
    except InvalidToken:
        raise Conflict(
            "The answer to the first call with this Idempotency-Key can no longer be read.",
            cure="Look whether it was done; if not, use a new key.",
        ) from None


async def _read(receive: Receive) -> bytes:
    body = bytearray()
    while True:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body"):
            return bytes(body)
