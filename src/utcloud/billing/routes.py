"""Wallets, recharges, charges and earnings over HTTP."""

from typing import Annotated, Literal

from fastapi import APIRouter, Header, Response

from utcloud.accounts.auth import CurrentActor
from utcloud.accounts.schemas import Cursor, IdPath, IdQuery, Moment, Search
from utcloud.billing import service
from utcloud.billing.schemas import ChargeOut, EarningsOut, PlatformOut, RechargeCreate, RechargeOut, WalletOut
from utcloud.common import export
from utcloud.common.paging import Limit, Page
from utcloud.db.web import Db, Now

router = APIRouter()


@router.get("/wallets", tags=["wallets"])
async def list_wallets(
    actor: CurrentActor, db: Db, now: Now, limit: Limit = 50, cursor: Cursor = None, search: Search = None
) -> Page[WalletOut]:
    """List wallets; ``search`` looks in their owners' names."""
    async with db.read() as tx:
        lacking = await service.lacks_wallets(tx)
    if lacking:
        async with db.write() as tx:
            await service.make_wallets(tx)
    async with db.read() as tx:
        items, after = await service.list_wallets(tx, now, actor, limit=limit, cursor=cursor, search=search)
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


@router.post("/recharges", status_code=201, tags=["wallets"])
async def create_recharge(
    body: RechargeCreate,
    actor: CurrentActor,
    db: Db,
    now: Now,
    idempotency_key: Annotated[str | None, Header(min_length=1, max_length=255)] = None,
) -> RechargeOut:
    """Recharge a wallet, or deduct from it what is available."""
    async with db.write() as tx:
        return await service.create_recharge(tx, now, actor, body, idempotency_key)


@router.get("/recharges", tags=["wallets"], response_model=Page[RechargeOut], responses=export.RESPONSES)
async def list_recharges(
    actor: CurrentActor,
    db: Db,
    limit: Limit = 50,
    cursor: Cursor = None,
    search: Search = None,
    wallet_id: IdQuery = None,
    file: export.Wanted = None,
) -> Page[RechargeOut] | Response:
    """List recharges and deductions, newest first."""
    wanted = service.RechargeFilter(wallet_id=wallet_id, search=search)

    async def load(limit: int, cursor: str | None) -> tuple[list[RechargeOut], str | None]:
        async with db.read() as tx:
            return await service.list_recharges(tx, actor, wanted, limit=limit, cursor=cursor)

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
    open: bool | None = None,  # noqa: A002 - the parameter's name in the URL
    payer_id: IdQuery = None,
    payee_id: IdQuery = None,
    since: Moment = None,
    until: Moment = None,
    file: export.Wanted = None,
) -> Page[ChargeOut] | Response:
    """List charge records, newest first: one for each attempt, with seconds and amount so far."""
    wanted = service.ChargeFilter(
        role=role,
        workload_id=workload_id,
        open=open,
        payer_id=payer_id,
        payee_id=payee_id,
        since=since,
        until=until,
    )

    async def load(limit: int, cursor: str | None) -> tuple[list[ChargeOut], str | None]:
        async with db.read() as tx:
            return await service.list_charges(tx, actor, wanted, limit=limit, cursor=cursor)

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
