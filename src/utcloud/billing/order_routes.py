"""Estimates, orders, ratings, prices and the journal over HTTP."""

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Response
from fastapi.responses import StreamingResponse

from utcloud.accounts.auth import CurrentActor
from utcloud.accounts.schemas import Cursor, IdPath, IdQuery, Moment, Search
from utcloud.billing import anchors, service
from utcloud.billing.order_schemas import (
    CreditCreate,
    EntryOut,
    EstimateCreate,
    EstimateOut,
    JournalEntryOut,
    OrderDetail,
    OrderOut,
    OrderSort,
    PriceOut,
    RatingCreate,
    RatingsOut,
    VerificationOut,
)
from utcloud.billing.verify import Head, verify
from utcloud.common import export
from utcloud.common.errors import Invalid
from utcloud.common.paging import Limit, Page
from utcloud.db.web import AppSettings, Db, Now

router = APIRouter()


@router.post("/estimates", tags=["orders"])
async def create_estimate(body: EstimateCreate, actor: CurrentActor, db: Db, now: Now) -> EstimateOut:
    """Say what a start would cost, who could pay for it, and how long it could run. Nothing is kept."""
    async with db.write() as tx:  # a wallet may have to be made
        return await service.estimate(tx, now, actor, body)


@router.get("/specs/{spec_id}/prices", tags=["specs"], response_model=Page[PriceOut], responses=export.RESPONSES)
async def list_prices(
    spec_id: IdPath, actor: CurrentActor, db: Db, file: export.Wanted = None
) -> Page[PriceOut] | Response:
    """List the prices that a specification had, the present one first."""
    async with db.read() as tx:
        found = await service.list_prices(tx, actor, spec_id)
    return export.whole(file, PriceOut, found, "prices")


@router.get("/orders", tags=["orders"], response_model=Page[OrderOut], responses=export.RESPONSES)
async def list_orders(
    actor: CurrentActor,
    db: Db,
    limit: Limit = 50,
    cursor: Cursor = None,
    search: Search = None,
    role: Literal["payer", "payee"] | None = None,
    state: Literal["open", "settled"] | None = None,
    workload_id: IdQuery = None,
    spec_id: IdQuery = None,
    pool_id: IdQuery = None,
    wallet_id: IdQuery = None,
    owner_id: IdQuery = None,
    miner_id: IdQuery = None,
    rated: bool | None = None,
    since: Moment = None,
    until: Moment = None,
    sort: OrderSort = OrderSort.NEWEST,
    file: export.Wanted = None,
) -> Page[OrderOut] | Response:
    """List orders: a renter's own, or for a miner (`role=payee`) those on his hardware."""
    wanted = service.OrderFilter(
        role=role,
        state=state,
        workload_id=workload_id,
        spec_id=spec_id,
        pool_id=pool_id,
        wallet_id=wallet_id,
        owner_id=owner_id,
        miner_id=miner_id,
        rated=rated,
        search=search,
        since=since,
        until=until,
    )

    async def load(limit: int, cursor: str | None) -> tuple[list[OrderOut], str | None]:
        async with db.read() as tx:
            return await service.list_orders(tx, actor, wanted, limit=limit, cursor=cursor, sort=sort)

    if file:
        return export.response(file, OrderOut, load, "orders")
    items, after = await load(limit, cursor)
    return Page(items=items, next_cursor=after)


@router.get("/orders/{order_id}", tags=["orders"])
async def get_order(order_id: IdPath, actor: CurrentActor, db: Db) -> OrderDetail:
    """Show an order, explained to the micro-UNC: subtasks, replicas, attempts."""
    async with db.read() as tx:
        return await service.get_order(tx, actor, order_id)


@router.get("/orders/{order_id}/entries", tags=["orders"], response_model=Page[EntryOut], responses=export.RESPONSES)
async def list_order_entries(
    order_id: IdPath, actor: CurrentActor, db: Db, limit: Limit = 50, cursor: Cursor = None, file: export.Wanted = None
) -> Page[EntryOut] | Response:
    """List the journal entries of an order, newest first."""

    async def load(limit: int, cursor: str | None) -> tuple[list[EntryOut], str | None]:
        async with db.read() as tx:
            return await service.list_order_entries(tx, actor, order_id, limit=limit, cursor=cursor)

    if file:
        return export.response(file, EntryOut, load, "order-entries")
    items, after = await load(limit, cursor)
    return Page(items=items, next_cursor=after)


@router.post("/orders/{order_id}/credit", tags=["orders"])
async def credit_order(order_id: IdPath, body: CreditCreate, actor: CurrentActor, db: Db, now: Now) -> OrderOut:
    """Give back some of what was paid for an order that has ended, with a reason that all read; for operators."""
    async with db.write() as tx:
        return await service.credit_order(tx, now, actor, order_id, body)


@router.post("/orders/{order_id}/rating", tags=["orders"])
async def rate_order(order_id: IdPath, body: RatingCreate, actor: CurrentActor, db: Db, now: Now) -> OrderOut:
    """Rate an order that has ended; it can be changed for 30 days."""
    async with db.write() as tx:
        return await service.rate(tx, now, actor, order_id, body)


@router.get("/ratings", tags=["orders"])
async def get_ratings(actor: CurrentActor, db: Db, miner_id: IdQuery = None, pool_id: IdQuery = None) -> RatingsOut:
    """Show what renters gave to a miner, to a pool, or to all."""
    async with db.read() as tx:
        return await service.ratings(tx, miner_id, pool_id)


@router.get("/journal/entries", tags=["journal"], response_model=Page[JournalEntryOut], responses=export.RESPONSES)
async def list_entries(
    actor: CurrentActor,
    db: Db,
    limit: Limit = 50,
    cursor: Cursor = None,
    cause_id: IdQuery = None,
    since: Moment = None,
    until: Moment = None,
    file: export.Wanted = None,
) -> Page[JournalEntryOut] | Response:
    """List the journal, newest first; for operators."""
    actor.require_operator()

    async def load(limit: int, cursor: str | None) -> tuple[list[JournalEntryOut], str | None]:
        async with db.read() as tx:
            return await service.list_entries(
                tx, actor, limit=limit, cursor=cursor, cause_id=cause_id, since=since, until=until
            )

    if file:
        return export.response(file, JournalEntryOut, load, "journal")
    items, after = await load(limit, cursor)
    return Page(items=items, next_cursor=after)


@router.get(
    "/journal/verification",
    tags=["journal"],
    response_class=StreamingResponse,
    responses={200: {"model": VerificationOut, "content": {"application/jsonl": {}}}},
)
async def verify_journal(
    actor: CurrentActor, db: Db, settings: AppSettings, head: Annotated[str | None, Query(max_length=100)] = None
) -> StreamingResponse:
    """Check the whole journal; JSON lines tell how far it is, the last one what was found. For operators.

    It is compared with each head that this server noted outside of the database.
    ``head``: a number and a hash that were noted before, such as ``7:5feceb66…``; that entry must still have that hash.
    """
    actor.require_operator()
    try:
        known = Head.parse(head) if head else None
    except ValueError as error:
        raise Invalid(f"This is no head: {error}.", field="head", cure="Copy what a check printed.") from error

    noted = await asyncio.to_thread(anchors.read, anchors.file_of(settings))

    async def lines() -> AsyncIterator[str]:
        async for state in verify(db, known, noted):
            yield service.verification_out(state).model_dump_json() + "\n"

    return StreamingResponse(lines(), media_type="application/jsonl")
