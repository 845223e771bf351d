"""Where site agents ask what they shall have, say what they saw, and fetch files. Authenticated by the site's token."""

import asyncio
import contextlib
import time
from datetime import datetime
from typing import Annotated, cast

from fastapi import APIRouter, Header, Query, Request
from fastapi.responses import Response, StreamingResponse
from sqlalchemy import Table, bindparam, select

from utcloud.assets import service as assets
from utcloud.assets.store import ObjectStore, blob_key
from utcloud.common import bodies
from utcloud.common.errors import NotFound, Unauthenticated
from utcloud.db import Tx
from utcloud.db.web import Db, Now
from utcloud.protocol import DesiredState, Manifest, ReportAnswer
from utcloud.resources import reports
from utcloud.resources import service as resources
from utcloud.resources.models import Site
from utcloud.workloads.desired import desired_state, is_file_needed, is_needed
from utcloud.workloads.heartbeats import Heartbeats
from utcloud.workloads.intake import Buckets, site_of, take_in

router = APIRouter(prefix="/agent", tags=["agent"])
Bearer = Annotated[str, Header(alias="Authorization")]
_SAFETY_NET_S = 10.0
AT_ONCE = 8
_sites = cast(Table, Site.__table__)
_REVISION = select(_sites.c.revision).where(_sites.c.id == bindparam("site"))
PARSED_AT_ONCE = 2
"""So many large reports, each of which takes a few times its size while it is read."""


def _token(authorization: str) -> str:
    return authorization.removeprefix("Bearer ").strip()


async def _site(tx: Tx, authorization: str, now: datetime, *, removed: bool = False) -> Site:
    return await site_of(tx, _token(authorization), now, removed=removed)


def _store(request: Request) -> ObjectStore:
    store: ObjectStore = request.app.state.store
    return store


def _gate(request: Request) -> asyncio.Semaphore:
    """Lets in a few agents at once: however many come, connections of the database are left for people."""
    state = request.app.state
    if getattr(state, "agents", None) is None:
        state.agents = asyncio.Semaphore(AT_ONCE)
    gate: asyncio.Semaphore = state.agents
    return gate


def _buckets(request: Request) -> Buckets:
    state = request.app.state
    if getattr(state, "buckets", None) is None:
        state.buckets = Buckets(time.monotonic)
    buckets: Buckets = state.buckets
    return buckets


def _heartbeats(request: Request) -> Heartbeats:
    state = request.app.state
    if getattr(state, "heartbeats", None) is None:
        state.heartbeats = Heartbeats(state.db, state.clock)
    heartbeats: Heartbeats = state.heartbeats
    return heartbeats


@router.get("/desired", response_model=DesiredState, responses={204: {"description": "It did not change."}})
async def get_desired(
    request: Request,
    db: Db,
    now: Now,
    authorization: Bearer = "",
    after: Annotated[int, Query(ge=-1)] = -1,
    wait: Annotated[float, Query(ge=0, le=60)] = 25,
) -> Response:
    """Answer at once when the site's revision differs from ``after``, else when it does; 204 after ``wait`` seconds.

    A site that was removed hears that nothing is wanted of it, so that what still runs there ends.
    """
    deadline = asyncio.get_running_loop().time() + wait
    gate = _gate(request)
    async with gate, db.read() as tx:
        site_id = (await _site(tx, authorization, now, removed=True)).id
    with db.listening(f"site:{site_id}") as woken:
        while True:
            woken.clear()
            async with gate, db.read() as tx:
                if await tx.scalar(_REVISION, {"site": site_id}) != after:
                    site = await tx.get_one(Site, site_id)
                    state = await desired_state(tx, site, _store(request).local_root)
                    return Response(state.model_dump_json(), media_type="application/json")
            left = deadline - asyncio.get_running_loop().time()
            if left <= 0:
                return Response(status_code=204)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(woken.wait(), min(left, _SAFETY_NET_S))


@router.post("/reports")
async def post_report(request: Request, db: Db, now: Now, authorization: Bearer = "") -> Response:
    """Take in what the site saw; quickly when it sees what it saw before. A stranger's body is not read."""
    token, heartbeats = _token(authorization), _heartbeats(request)
    digest = resources.hash_of(token)
    if not heartbeats.knows(digest):
        async with _gate(request), db.read() as tx:
            await _site(tx, authorization, now, removed=True)
    _buckets(request).take(digest)
    bodies.allow(request.scope, bodies.REPORT)
    incoming = await _parsed(request, await request.body())
    if heard := await heartbeats.hear(digest, incoming):
        return _answer(heard.revision, now)
    try:
        return _answer(await take_in(db, request.app.state.clock, token, incoming), now)
    except Unauthenticated:
        heartbeats.forget(digest)
        raise


async def _parsed(request: Request, body: bytes) -> reports.Incoming:
    """The report that ``body`` is; a large one is read in a thread, while others are answered."""
    if len(body) <= bodies.OFF_LOOP:
        return reports.parse(body)
    state = request.app.state
    if getattr(state, "parsing", None) is None:
        state.parsing = asyncio.Semaphore(PARSED_AT_ONCE)
    async with state.parsing:
        return await asyncio.to_thread(reports.parse, body)


def _answer(revision: int, now: datetime) -> Response:
    answer = ReportAnswer(revision=revision, server_time=now)
    return Response(answer.model_dump_json(), media_type="application/json")


@router.get("/manifests/{version_id}")
async def get_manifest(version_id: str, db: Db, now: Now, authorization: Bearer = "") -> Manifest:
    """The files of a version that work on this site needs."""
    async with db.read() as tx:
        site = await _site(tx, authorization, now)
        if not await is_needed(tx, site, version_id):
            raise NotFound.of("version", version_id)
        return await assets.manifest(tx, version_id)


@router.get("/blobs/{sha256}")
async def get_blob(sha256: str, request: Request, db: Db, now: Now, authorization: Bearer = "") -> StreamingResponse:
    """The content of a file, by its hash, that work on this site needs."""
    async with db.read() as tx:
        site = await _site(tx, authorization, now)
        if not await is_file_needed(tx, site, sha256):
            raise NotFound.of("blob", sha256)
    store = _store(request)
    if await store.stat(blob_key(sha256)) is None:
        raise NotFound.of("blob", sha256)
    return StreamingResponse(store.stream(blob_key(sha256)), media_type="application/octet-stream")
