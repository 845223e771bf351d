"""What a wallet's owner should hear of, kept in the transaction in which it happened. Others deliver it."""

from datetime import datetime
from typing import Any, Literal

from utcloud.billing.models import Account, BillingEvent
from utcloud.common.ids import new_id
from utcloud.db import Tx, emit

EVENTS = "billing-events"
"""The signal that there is a new one."""

Kind = Literal["low_balance", "stop_announced", "workload_stopped", "order_settled", "recharged", "credited"]


def record(
    tx: Tx,
    kind: Kind,
    wallet: Account,
    *,
    at: datetime,
    user_id: str | None = None,
    object_id: str = "",
    **detail: Any,
) -> None:
    """Write one event of ``wallet``; ``detail`` is plain data, amounts as decimal strings."""
    tx.add(
        BillingEvent(
            id=new_id("bev"),
            kind=kind,
            wallet_id=wallet.id,
            owner_id=wallet.owner_id,
            user_id=user_id,
            object_id=object_id,
            detail=detail,
            at=at,
        )
    )
    emit(tx, EVENTS)
