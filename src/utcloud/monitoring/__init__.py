"""What the server tells Prometheus, in the text format of its exposition."""

from prometheus_client import REGISTRY, CollectorRegistry, Gauge, generate_latest
from sqlalchemy import func, select

from utcloud.billing.models import Account
from utcloud.common.money import MICRO
from utcloud.db import Tx
from utcloud.resources.models import Chip, ChipClaim, Node
from utcloud.workloads.models import Replica
from utcloud.workloads.schemas import State


async def metrics(tx: Tx) -> bytes:
    """The process's own figures, and the platform's as the tables have them now."""
    registry = CollectorRegistry()
    replicas = Gauge("utcloud_replicas", "Replicas by state.", ["state"], registry=registry)
    for every in State:
        replicas.labels(every).set(0)
    for state, count in (await tx.execute(select(Replica.state, func.count()).group_by(Replica.state))).all():
        replicas.labels(state).set(count)
    nodes = Gauge("utcloud_nodes", "Nodes by what their agents last said.", ["ready"], registry=registry)
    query = select(Node.ready, func.count()).where(Node.gone.is_(False)).group_by(Node.ready)
    for ready, count in (await tx.execute(query)).all():
        nodes.labels(str(ready).lower()).set(count)
    chips = Gauge("utcloud_chips", "Chips by model and use.", ["model", "simulated", "use"], registry=registry)
    claimed = ChipClaim.attempt_id.is_not(None)
    query_chips = (
        select(Chip.model, Chip.simulated, claimed, func.count())
        .outerjoin(ChipClaim, ChipClaim.chip_id == Chip.id)
        .where(Chip.present.is_(True))
        .group_by(Chip.model, Chip.simulated, claimed)
    )
    for model, simulated, used, count in (await tx.execute(query_chips)).all():
        chips.labels(model, str(simulated).lower(), "allocated" if used else "free").set(count)
    money = Gauge("utcloud_journal_unc", "Sum of balances by kind of account, in UNC.", ["kind"], registry=registry)
    for kind, balance in (
        await tx.execute(select(Account.kind, func.sum(Account.balance)).group_by(Account.kind))
    ).all():
        money.labels(kind).set(int(balance) / MICRO)
    return generate_latest(REGISTRY) + generate_latest(registry)
