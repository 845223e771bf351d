"""What becomes of a miner's hardware when his user is deleted: he must have given up all of it."""

from sqlalchemy import delete, select

from utcloud.accounts import service as accounts
from utcloud.accounts.auth import Actor
from utcloud.accounts.models import User
from utcloud.common.errors import Conflict
from utcloud.db import Tx
from utcloud.resources.models import CustomResource, Pool, Site, Spec, UnitPrice
from utcloud.resources.service.common import some


async def _refuse_miner(tx: Tx, _actor: Actor, user: User) -> None:
    """Name what he still has. What came into being by itself, or only suggests prices, goes with him."""
    owned = []
    for noun, model in (("site", Site), ("pool", Pool), ("specification", Spec), ("custom resource", CustomResource)):
        his = select(model.name).where(model.miner_id == user.id).order_by(model.name)
        names = (await tx.scalars(his.where(Pool.is_default.is_(False)) if model is Pool else his)).all()
        if names:
            owned.append(f"{len(names)} {noun}{'s' if len(names) > 1 else ''} ({some(names)})")
    if owned:
        raise Conflict(
            f"The user {user.username!r} owns {' and '.join(owned)}.",
            cure="Delete them first, or freeze the user instead.",
            code="in_use",
        )
    await tx.execute(delete(Pool).where(Pool.miner_id == user.id))
    await tx.execute(delete(UnitPrice).where(UnitPrice.miner_id == user.id))


accounts.on_delete_checks.append(_refuse_miner)
