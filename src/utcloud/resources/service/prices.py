"""Unit prices: what a miner asks for an hour of each resource. They suggest what a specification may cost."""

from collections import defaultdict
from collections.abc import Iterable, Sequence

from sqlalchemy import delete, select

from utcloud.accounts import audit
from utcloud.accounts.auth import Actor
from utcloud.common.errors import Invalid, NotFound
from utcloud.common.money import format_unc
from utcloud.common.quantity import BASIC, SHARED_MEMORY, format_quantity, unit_of
from utcloud.db import Tx
from utcloud.resources import capacity
from utcloud.resources.capacity import Names
from utcloud.resources.models import CustomResource, Node, NodeResource, UnitPrice
from utcloud.resources.schemas import PriceLine, UnitPriceIn, UnitPriceOut
from utcloud.resources.service.common import changed, nodes_of, some

Prices = dict[str, int]
"""Resource → micro-UNC for an hour of its unit."""

_UNITS = {"millicores": ("core", 1000), "bytes": ("GB", 10**9), "pieces": ("piece", 1)}


async def prices_of(tx: Tx, miner_ids: Iterable[str]) -> dict[str, Prices]:
    """The unit prices of some miners."""
    found: dict[str, Prices] = defaultdict(dict)
    for price in await tx.scalars(select(UnitPrice).where(UnitPrice.miner_id.in_(list(miner_ids)))):
        found[price.miner_id][price.resource] = price.price
    return found


def quote(names: Names, miner_id: str, prices: Prices, items: dict[str, int]) -> tuple[list[PriceLine], list[str]]:
    """Each item at its unit price, and the items that have none. Shared memory costs what its memory costs.

    A name of the miner's own without a price has its system resource's. Each line is rounded up to the micro-UNC.
    """
    lines, missing = [], []
    for name, quantity in capacity.takes(items).items():
        system = names.system(miner_id, name)
        price = prices.get(name, prices.get(system))
        if price is None:
            missing.append(name)
            continue
        unit, size = _UNITS[unit_of(system)]
        lines.append(
            PriceLine(
                resource=name,
                text=format_quantity(system, quantity),
                unit=unit,
                unit_price=price,
                amount=-(-quantity * price // size),
            )
        )
    return lines, missing


def suggested(names: Names, miner_id: str, prices: Prices, items: dict[str, int]) -> int | None:
    """micro-UNC per hour that the unit prices suggest for a bundle; None when one of its items has none."""
    lines, missing = quote(names, miner_id, prices, items)
    return None if missing else sum(line.amount for line in lines)


async def list_unit_prices(tx: Tx, actor: Actor, miner_id: str | None = None) -> list[UnitPriceOut]:
    """Every resource that the miner could name in a specification, with its unit price or none."""
    miner_id = _whose(actor, miner_id)
    names = await capacity.names_of(tx, [miner_id])
    prices = (await prices_of(tx, [miner_id]))[miner_id]
    known = await _known(tx, miner_id)
    listed = [*known, *sorted(prices.keys() - set(known))]
    return [
        UnitPriceOut(
            resource=name,
            system_resource=names.system(miner_id, name),
            unit=_UNITS[unit_of(names.system(miner_id, name))][0],
            price=prices.get(name),
        )
        for name in listed
    ]


async def replace_unit_prices(
    tx: Tx, actor: Actor, given: Sequence[UnitPriceIn], miner_id: str | None = None
) -> list[UnitPriceOut]:
    """Put ``given`` in the place of all unit prices. Prices of specifications stay as they are."""
    miner_id = _whose(actor, miner_id)
    before = (await prices_of(tx, [miner_id]))[miner_id]
    prices = _checked(given, [*await _known(tx, miner_id), *before])
    await tx.execute(delete(UnitPrice).where(UnitPrice.miner_id == miner_id))
    tx.add_all(UnitPrice(miner_id=miner_id, resource=name, price=price) for name, price in prices.items())
    await tx.flush()
    detail = {name: format_unc(price) for name, price in prices.items()}
    audit.record(tx, actor, "unit_price.update", "user", miner_id, "unit prices", detail)
    changed(tx)
    return await list_unit_prices(tx, actor, miner_id)


def _whose(actor: Actor, miner_id: str | None) -> str:
    """Whose unit prices are meant: one's own, or for an operator anyone's."""
    actor.require_miner()
    if miner_id is not None and miner_id != actor.id and not actor.is_operator:
        raise NotFound.of("miner", miner_id, field="miner_id")
    return miner_id or actor.id


async def _known(tx: Tx, miner_id: str) -> list[str]:
    """The resources of the miner's nodes, the basic ones first, then his own names for them."""
    nodes = select(Node.id).where(nodes_of(miner_id), Node.gone.is_(False))
    found = set(await tx.scalars(select(NodeResource.name).where(NodeResource.node_id.in_(nodes)).distinct()))
    customs = await tx.scalars(select(CustomResource.name).where(CustomResource.miner_id == miner_id))
    return [*BASIC, *sorted(found - set(BASIC)), *sorted(customs)]


def _checked(given: Sequence[UnitPriceIn], known: list[str]) -> Prices:
    prices: Prices = {}
    seen: set[str] = set()
    for number, one in enumerate(given):
        field = f"{number}.resource"
        if one.resource == SHARED_MEMORY:
            raise Invalid(
                "Shared memory has no price of its own: it lies within memory.", field=field, cure="Leave it out."
            )
        if one.resource not in known:
            raise Invalid(
                f"There is no resource {one.resource[:80]!r}.", field=field, cure=f"Choose one of: {some(known, 20)}."
            )
        if one.resource in seen:
            raise Invalid(f"{one.resource} is named twice.", field=field, cure="Name each resource once.")
        seen.add(one.resource)
        if one.price is not None:
            prices[one.resource] = one.price
    return prices
