"""``Idempotency-Key``: the same key and the same call within a day answer the same again, and act once."""

import base64
import hashlib
from datetime import timedelta

from cryptography.fernet import Fernet
from sqlalchemy import delete
from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from utcloud.accounts.auth import Actor
from utcloud.common.errors import Conflict, Invalid, Problem, TooLarge
from utcloud.db import Database
from utcloud.server.errors import from_problem
from utcloud.server.models import KeptAnswer

_MAX_BODY = 1 << 20
_KEPT = timedelta(days=1)
_ABANDONED = timedelta(minutes=2)


class Idempotency:
    """ASGI middleware behind ``Authentication``; looks only at POSTs that carry the header."""

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
            kept = await self._claim(scope, actor, key, body)
        except Problem as problem:
            return await from_problem(problem)(scope, receive, send)
        if kept.status:
            headers = {"Idempotency-Replayed": "true", "Content-Type": kept.content_type}
            return await Response(_seal(actor, key).decrypt(kept.body), kept.status, headers)(scope, receive, send)
        return await self._run(scope, body, kept, _seal(actor, key), send)

    async def _claim(self, scope: Scope, actor: Actor, key: str, body: bytes) -> KeptAnswer:
        db: Database = scope["app"].state.db
        now = scope["app"].state.clock.now()
        ident = hashlib.sha256(f"{actor.id}\0{key}".encode()).hexdigest()
        request_hash = hashlib.sha256(f"{scope['path']}\0{key}\0".encode() + body).hexdigest()
        async with db.write() as tx:
            await tx.execute(delete(KeptAnswer).where(KeptAnswer.created_at < now - _KEPT))
            kept = await tx.get(KeptAnswer, ident)
            if kept is None or (not kept.status and kept.created_at < now - _ABANDONED):
                if kept is not None:
                    await tx.delete(kept)
                    await tx.flush()
                kept = KeptAnswer(key=ident, request_hash=request_hash, created_at=now)
                tx.add(kept)
                return kept
        if kept.request_hash != request_hash:
            raise Invalid(
                "This Idempotency-Key was used for another call.", field="Idempotency-Key", cure="Use a new key."
            )
        if not kept.status:
            raise Conflict("The first call with this Idempotency-Key is still running.", cure="Ask again in a moment.")
        return kept

    async def _run(self, scope: Scope, body: bytes, kept: KeptAnswer, seal: Fernet, send: Send) -> None:
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
                    await self._keep(db, kept, start, seal.encrypt(b"".join(chunks)))
            await send(message)

        try:
            await self.app(scope, receive_body, watch)
        except BaseException:
            await self._keep(db, kept, {"status": 500}, b"")
            raise

    async def _keep(self, db: Database, kept: KeptAnswer, start: Message, body: bytes) -> None:
        async with db.write() as tx:
            row = await tx.get(KeptAnswer, kept.key)
            if row is None or row.status:
                return
            if start["status"] >= 500:
                await tx.delete(row)
                return
            row.status, row.body = start["status"], body
            row.content_type = Headers(raw=start["headers"]).get("content-type", "application/json")


def _seal(actor: Actor, key: str) -> Fernet:
    """Only with the caller's key can a kept answer be read: it may hold a password that is shown once."""
    return Fernet(base64.urlsafe_b64encode(hashlib.sha256(f"answer\0{actor.id}\0{key}".encode()).digest()))


async def _read(receive: Receive) -> bytes:
    body = bytearray()
    while True:
        message = await receive()
        body += message.get("body", b"")
        if len(body) > _MAX_BODY:
            raise TooLarge("The body is larger than 1 MiB.", field="body")
        if not message.get("more_body"):
            return bytes(body)
