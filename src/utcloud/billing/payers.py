"""Where a group's wallet pays: in allowed pools, in others up to a highest price, and never to who starts the work."""

from collections.abc import Collection

from sqlalchemy import Select, select

from utcloud.billing.models import Account, WalletPool
from utcloud.common.errors import Forbidden
from utcloud.common.money import format_unc
from utcloud.db import Tx
from utcloud.db.upsert import insert_if_absent


async def refusal(
    tx: Tx, wallet: Account, *, payer_id: str, miner_id: str, pool_id: str, pool: str, price: int
) -> Forbidden | None:
    """Why ``wallet`` does not pay for what ``payer_id`` starts at ``price`` per hour and replica; None when it does."""
    if wallet.owner_id == payer_id:
        return None
    if miner_id == payer_id:
        return Forbidden(
            "A group's wallet does not pay for work on the hardware of who starts it.",
            field="payer",
            cure="Pay for it yourself, or choose another miner's pool.",
            code="own_hardware",
        )
    if wallet.max_price is not None and price <= wallet.max_price:
        return None
    if await tx.get(WalletPool, (wallet.id, pool_id)) is not None:
        return None
    detail = f"The group's wallet does not pay in pool {pool!r}."
    if wallet.max_price is not None:
        detail = f"The group's wallet pays {format_unc(wallet.max_price)} UNC per hour at most in pool {pool!r}."
    return Forbidden(
        detail,
        field="payer",
        cure="Ask a manager of the group to allow this pool or a higher price, or pay for it yourself.",
        code="pool_not_allowed",
    )


async def allow(tx: Tx, wallet_id: str, pool_ids: Collection[str]) -> None:
    """Let a group's wallet pay in these pools too."""
    rows = [{"wallet_id": wallet_id, "pool_id": pool_id} for pool_id in pool_ids]
    if rows:
        await insert_if_absent(tx, WalletPool, *rows)


def allowed_groups(pool_id: str) -> Select[str]:
    """The ids of the groups whose wallets were allowed to pay in a pool."""
    wallets = select(WalletPool.wallet_id).where(WalletPool.pool_id == pool_id)
    return select(Account.owner_id).where(Account.kind == "wallet", Account.id.in_(wallets))
