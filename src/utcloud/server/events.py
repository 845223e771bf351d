"""Server-sent events: tell pages that something they may show has changed."""

import asyncio
from collections.abc import AsyncIterator

from fastapi import APIRouter
from fastapi.responses import StreamingResponse

from utcloud.accounts.auth import CurrentActor
from utcloud.db.web import Db

router = APIRouter(tags=["events"])
_QUIET_S = 0.2
_KEEP_ALIVE_S = 20


@router.get("/events", response_class=StreamingResponse, responses={200: {"content": {"text/event-stream": {}}}})
async def events(actor: CurrentActor, db: Db) -> StreamingResponse:
    """Stream an ``event: changed`` whenever something that the caller may see has changed."""
    channels = [f"ui:{actor.id}"]
    if actor.is_miner or actor.is_operator:
        channels.append("ui:miners")

    async def stream() -> AsyncIterator[str]:
        with db.listening(*channels) as woken:
            yield "retry: 2000\nevent: hello\ndata: {}\n\n"
            while True:
                try:
                    await asyncio.wait_for(woken.wait(), _KEEP_ALIVE_S)
                except TimeoutError:
                    yield ": still here\n\n"
                    continue
                woken.clear()
                yield "event: changed\ndata: {}\n\n"
                await asyncio.sleep(_QUIET_S)

    return StreamingResponse(stream(), media_type="text/event-stream", headers={"Cache-Control": "no-store"})
