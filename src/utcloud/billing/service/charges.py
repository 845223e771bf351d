"""Charge records: an attempt's interval each, with what it cost so far."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Select, func, or_, select

from utcloud.accounts.auth import Actor
from utcloud.billing import sums
from utcloud.billing.models import Meter
from utcloud.billing.schemas import ChargeOut, ChargeSort
from utcloud.billing.service.common import is_manager, name_of, owner_names, owners_like
from utcloud.billing.service.wallets import own_wallet
from utcloud.billing.solvency import amount, elapsed_ms
from utcloud.db import Tx, paginate

_workload, _spec = (func.coalesce(Meter.labels[key].as_string(), "") for key in ("workload", "spec"))
_BY = {
    "workload": _workload,
    "spec": _spec,
    "payer_name": name_of(Meter.payer_id),
    "seconds": sums.ELAPSED,
    "paid": sums.PAID,
}


@dataclass(frozen=True, slots=True)
class ChargeFilter:
    """Which charges are wanted. ``role`` ``payer``: paid by the actor; ``payee``: paid to him."""

    role: str | None = None
    workload_id: str | None = None
    order_id: str | None = None
    wallet_id: str | None = None
    open: bool | None = None
    payer_id: str | None = None
    payee_id: str | None = None
    search: str | None = None
    since: datetime | None = None
    until: datetime | None = None


async def _charges(tx: Tx, actor: Actor, wanted: ChargeFilter) -> Select[Any]:
    query = select(Meter)
    role = wanted.role
    if role is None and not actor.is_operator:
        role = "payer" if actor.is_renter or not actor.is_miner else "payee"
    if wanted.wallet_id is not None:
        wallet = await own_wallet(tx, actor, wanted.wallet_id, field="wallet_id")
        query = query.where(Meter.wallet_id == wallet.id)
        if role == "payer" and await is_manager(tx, actor, wallet.owner_id):
            role = None  # whoever manages the group sees what its members spend
    if role:
        query = query.where((Meter.payer_id if role == "payer" else Meter.payee_id) == actor.id)
    if wanted.workload_id is not None:
        query = query.where(Meter.workload_id == wanted.workload_id)
    if wanted.order_id is not None:
        query = query.where(Meter.order_id == wanted.order_id)
    if wanted.open is not None:
        query = query.where(Meter.closed.is_(not wanted.open))
    if wanted.payer_id is not None:
        query = query.where(Meter.payer_id == wanted.payer_id)
    if wanted.payee_id is not None:
        query = query.where(Meter.payee_id == wanted.payee_id)
    if wanted.search:
        named = (column.icontains(wanted.search, autoescape=True) for column in (_workload, _spec))
        query = query.where(or_(*named, Meter.payer_id.in_(owners_like(wanted.search))))
    if wanted.since is not None:
        query = query.where(Meter.created_at >= wanted.since)
    if wanted.until is not None:
        query = query.where(Meter.created_at < wanted.until)
    return query


async def list_charges(
    tx: Tx,
    actor: Actor,
    wanted: ChargeFilter,
    *,
    limit: int,
    cursor: str | None = None,
    sort: ChargeSort = ChargeSort.NEWEST,
) -> tuple[list[ChargeOut], str | None]:
    """One page of charge records: an attempt's interval each, with what it cost so far."""
    query = await _charges(tx, actor, wanted)
    found, after = await paginate(tx, query, Meter.id, limit=limit, cursor=cursor, sort=sort, columns=_BY)
    return await charges_out(tx, found), after


async def charges_out(tx: Tx, found: Sequence[Meter]) -> list[ChargeOut]:
    """What the API says of some meters."""
    idents = {ident for meter in found for ident in (meter.payer_id, meter.payee_id, meter.group_id or "")}
    names = await owner_names(tx, idents)
    return [_charge_out(meter, names) for meter in found]


def _charge_out(meter: Meter, names: dict[str, str]) -> ChargeOut:
    cost = amount(meter)
    paid = cost - meter.waived - meter.credited
    fee = paid * meter.fee_ppm // 1_000_000
    labels = meter.labels
    return ChargeOut(
        id=meter.id,
        attempt_id=meter.attempt_id,
        wallet_id=meter.wallet_id,
        payer_id=meter.payer_id,
        payer_name=names.get(meter.payer_id, ""),
        group_name=names.get(meter.group_id or "", ""),
        payee_id=meter.payee_id,
        payee_name=names.get(meter.payee_id, ""),
        workload_id=meter.workload_id,
        order_id=meter.order_id or None,
        workload=str(labels.get("workload", "")),
        workload_kind=str(labels.get("workload_kind", "")),
        subtask=str(labels.get("subtask", "")),
        replica=str(labels.get("replica", "")),
        attempt=int(labels.get("attempt", 1)),
        spec=str(labels.get("spec", "")),
        price=meter.price,
        started_at=meter.started_at,
        ended_at=meter.ended_at,
        witnessed_until=meter.witnessed_until,
        seconds=elapsed_ms(meter) / 1000,
        amount=cost,
        miner_share=paid - fee,
        platform_fee=fee,
        waived=meter.waived,
        credited=meter.credited,
        paid=paid,
        settled=meter.settled - meter.credited,
        cause=meter.cause,
        note=meter.note.strip("; "),
        open=not meter.closed,
        simulated=bool(labels.get("simulated", False)),
    )
