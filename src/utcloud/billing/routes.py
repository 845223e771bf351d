"""Wallets, recharges, charges and earnings over HTTP."""

from collections.abc import Sequence
from typing import Annotated, Literal

from fastapi import APIRouter, Header, Query, Response

from utcloud.accounts.auth import CurrentActor
from utcloud.accounts.schemas import Cursor, Ident, IdPath, IdQuery, Moment, Search
from utcloud.billing import held_routes, order_routes, service
from utcloud.billing.schemas import (
    CapOut,
    CapUpdate,
    ChargeOut,
    ChargeSort,
    EarningsOut,
    PlatformOut,
    RechargeCreate,
    RechargeOut,
    RechargeSort,
    WalletOut,
    WalletSort,
    WalletUpdate,
)
from utcloud.common import export
from utcloud.common.paging import Limit, Page
from utcloud.db.web import AppSettings, Db, Now

router = APIRouter()
router.include_router(order_routes.router)
router.include_router(held_routes.router)


@router.get("/wallets", tags=["wallets"], response_model=Page[WalletOut], responses=export.RESPONSES)
async def list_wallets(
    actor: CurrentActor,
    db: Db,
    now: Now,
    limit: Limit = 50,
    cursor: Cursor = None,
    search: Search = None,
    owner: Literal["user", "group"] | None = None,
    mine: bool = False,
    owner_ids: Annotated[Sequence[Ident], Query(alias="owner_id", max_length=100)] = (),
    sort: WalletSort = WalletSort.NEWEST,
    file: export.Wanted = None,
) -> Page[WalletOut] | Response:
    """List wallets; ``search`` looks in their owners' names, ``owner_id`` may be repeated, ``mine`` are one's own and
    those of one's groups."""
    async with db.read() as tx:
        lacking = await service.lacks_wallets(tx)
    if lacking:
        async with db.write() as tx:
            await service.make_wallets(tx)

    async def load(limit: int, cursor: str | None) -> tuple[list[WalletOut], str | None]:
        async with db.read() as tx:
            return await service.list_wallets(
                tx,
                now,
                actor,
                limit=limit,
                cursor=cursor,
                search=search,
                owner=owner,
                mine=mine,
                owner_ids=owner_ids,
                sort=sort,
            )

    if file:
        return export.response(file, WalletOut, load, "wallets")
    items, after = await load(limit, cursor)
    return Page(items=items, next_cursor=after)


@router.get("/wallets/mine", tags=["wallets"])
async def get_my_wallet(actor: CurrentActor, db: Db, now: Now) -> WalletOut:
    """Show one's own wallet."""
    async with db.read() as tx:
        wallet = await service.wallet_of(tx, now, actor.id)
    if wallet.id:
        return wallet
    async with db.write() as tx:
        return await service.my_wallet(tx, now, actor)


@router.get("/wallets/{wallet_id}", tags=["wallets"])
async def get_wallet(wallet_id: IdPath, actor: CurrentActor, db: Db, now: Now) -> WalletOut:
    """Show a wallet."""
    async with db.read() as tx:
        return await service.get_wallet(tx, now, actor, wallet_id)


@router.patch("/wallets/{wallet_id}", tags=["wallets"])
async def update_wallet(wallet_id: IdPath, body: WalletUpdate, actor: CurrentActor, db: Db, now: Now) -> WalletOut:
    """Say below what a wallet's owner is warned, and where a group's wallet pays."""
    async with db.write() as tx:
        return await service.update_wallet(tx, now, actor, wallet_id, body)


@router.get("/wallets/{wallet_id}/caps", tags=["wallets"])
async def list_caps(wallet_id: IdPath, actor: CurrentActor, db: Db, now: Now) -> Page[CapOut]:
    """List a wallet's spending caps and how far they are used up."""
    async with db.read() as tx:
        return Page(items=await service.list_caps(tx, now, actor, wallet_id))


@router.put("/wallets/{wallet_id}/caps", tags=["wallets"])
async def put_cap(wallet_id: IdPath, body: CapUpdate, actor: CurrentActor, db: Db, now: Now) -> Page[CapOut]:
    """Set the spending caps of a wallet, or of members of the group that owns it."""
    async with db.write() as tx:
        return Page(items=await service.put_cap(tx, now, actor, wallet_id, body))


@router.post("/recharges", status_code=201, tags=["wallets"])
async def create_recharge(
    body: RechargeCreate,
    actor: CurrentActor,
    db: Db,
    now: Now,
    settings: AppSettings,
    idempotency_key: Annotated[str | None, Header(min_length=1, max_length=255)] = None,
) -> RechargeOut:
    """Recharge a wallet, or deduct from it what is available."""
    async with db.write() as tx:
        return await service.create_recharge(
            tx,
            now,
            actor,
            body,
            idempotency_key,
            issues=actor.recharges(settings),
            most_per_day=settings.miner_recharge_per_day,
        )


@router.get("/recharges", tags=["wallets"], response_model=Page[RechargeOut], responses=export.RESPONSES)
async def list_recharges(
    actor: CurrentActor,
    db: Db,
    limit: Limit = 50,
    cursor: Cursor = None,
    search: Search = None,
    wallet_id: IdQuery = None,
    since: Moment = None,
    until: Moment = None,
    sort: RechargeSort = RechargeSort.NEWEST,
    file: export.Wanted = None,
) -> Page[RechargeOut] | Response:
    """List recharges and deductions; ``search`` looks in the owners' names."""
    wanted = service.RechargeFilter(wallet_id=wallet_id, search=search, since=since, until=until)

    async def load(limit: int, cursor: str | None) -> tuple[list[RechargeOut], str | None]:
        async with db.read() as tx:
            return await service.list_recharges(tx, actor, wanted, limit=limit, cursor=cursor, sort=sort)

    if file:
        return export.response(file, RechargeOut, load, "recharges")
    items, after = await load(limit, cursor)
    return Page(items=items, next_cursor=after)


@router.get("/charges", tags=["charges"], response_model=Page[ChargeOut], responses=export.RESPONSES)
async def list_charges(
    actor: CurrentActor,
    db: Db,
    limit: Limit = 50,
    cursor: Cursor = None,
    role: Literal["payer", "payee"] | None = None,
    workload_id: IdQuery = None,
    order_id: IdQuery = None,
    wallet_id: IdQuery = None,
    open: bool | None = None,  # noqa: A002 - the parameter's name in the URL
    payer_id: IdQuery = None,
    payee_id: IdQuery = None,
    search: Search = None,
    since: Moment = None,
    until: Moment = None,
    sort: ChargeSort = ChargeSort.NEWEST,
    file: export.Wanted = None,
) -> Page[ChargeOut] | Response:
    """List charge records: one for each attempt, with seconds and amount so far.

    ``search`` looks in the names of the work, of its specification and of the renter.
    """
    wanted = service.ChargeFilter(
        role=role,
        workload_id=workload_id,
        order_id=order_id,
        wallet_id=wallet_id,
        open=open,
        payer_id=payer_id,
        payee_id=payee_id,
        search=search,
        since=since,
        until=until,
    )

    async def load(limit: int, cursor: str | None) -> tuple[list[ChargeOut], str | None]:
        async with db.read() as tx:
            return await service.list_charges(tx, actor, wanted, limit=limit, cursor=cursor, sort=sort)

    if file:
        return export.response(file, ChargeOut, load, "charges")
    items, after = await load(limit, cursor)
    return Page(items=items, next_cursor=after)


@router.get("/earnings", tags=["earnings"])
async def get_earnings(actor: CurrentActor, db: Db, now: Now, miner_id: IdQuery = None) -> EarningsOut:
    """Show a miner's earnings: one's own, or for an operator anyone's."""
    async with db.read() as tx:
        return await service.earnings(tx, now, actor, miner_id)


@router.get("/earnings/platform", tags=["earnings"])
async def get_platform_earnings(actor: CurrentActor, db: Db) -> PlatformOut:
    """Show the platform's fees and the sum of the journal."""
    async with db.read() as tx:
        return await service.platform(tx, actor)
