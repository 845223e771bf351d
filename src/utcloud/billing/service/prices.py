"""The history of a specification's price. A change never touches what was ordered before."""

from datetime import UTC, datetime

from sqlalchemy import or_, select

from utcloud.accounts.auth import Actor
from utcloud.billing.models import SpecPrice
from utcloud.billing.order_schemas import PriceOut
from utcloud.billing.service.common import groups_of
from utcloud.common.errors import NotFound
from utcloud.common.ids import new_id
from utcloud.db import Tx
from utcloud.resources.models import Pool, PoolGroup, PoolSpec, Spec
from utcloud.resources.service.common import on_price_change


async def list_prices(tx: Tx, actor: Actor, spec_id: str) -> list[PriceOut]:
    """The prices of a specification, the present one first: for its miner, and for renters to whom it is offered."""
    spec = await tx.get(Spec, spec_id)
    if spec is None or not (actor.is_operator or spec.miner_id == actor.id or await _offered(tx, actor, spec_id)):
        raise NotFound.of("spec", spec_id)
    rows = (
        await tx.scalars(select(SpecPrice).where(SpecPrice.spec_id == spec_id).order_by(SpecPrice.id.desc()).limit(500))
    ).all()
    if not rows:
        return [PriceOut(price=spec.price, since=spec.created_at, by="")]
    return [PriceOut(price=row.price, since=row.at, by=row.actor_name) for row in rows]


async def _offered(tx: Tx, actor: Actor, spec_id: str) -> bool:
    bound = select(PoolGroup.pool_id).where(PoolGroup.group_id.in_(groups_of(actor.id)))
    query = (
        select(Pool.id)
        .join(PoolSpec, PoolSpec.pool_id == Pool.id)
        .where(PoolSpec.spec_id == spec_id, or_(Pool.open_to_all.is_(True), Pool.id.in_(bound)))
    )
    return await tx.scalar(query.limit(1)) is not None


async def _record(tx: Tx, actor: Actor, spec: Spec, before: int) -> None:
    if await tx.scalar(select(SpecPrice.id).where(SpecPrice.spec_id == spec.id).limit(1)) is None:
        tx.add(SpecPrice(id=new_id("prc"), spec_id=spec.id, price=before, at=spec.created_at))
        await tx.flush()
    price = SpecPrice(
        id=new_id("prc"), spec_id=spec.id, price=spec.price, actor_name=actor.username, at=datetime.now(UTC)
    )
    tx.add(price)


if _record not in on_price_change:
    on_price_change.append(_record)
