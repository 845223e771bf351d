"""Notebooks: admission, start, stop, open, delete."""

from collections.abc import Collection, Sequence
from datetime import datetime

from sqlalchemy import delete, func, select

from utcloud.accounts import audit
from utcloud.accounts import service as accounts
from utcloud.accounts.auth import SYSTEM, Actor
from utcloud.assets import service as assets
from utcloud.billing import orders
from utcloud.common.errors import Conflict, Forbidden, Invalid, NotFound
from utcloud.common.ids import new_id
from utcloud.common.settings import Settings
from utcloud.db import Tx, emit
from utcloud.edge import service as edge
from utcloud.protocol import Phase
from utcloud.resources import capacity
from utcloud.resources import service as resources
from utcloud.resources.models import Node, Pool, Spec, SpecItem
from utcloud.workloads import quotas
from utcloud.workloads.desired import folder_name
from utcloud.workloads.models import Attempt, DroppedVolume, Replica, Subtask, Workload
from utcloud.workloads.observed import PLACE
from utcloud.workloads.pages import require_reachable
from utcloud.workloads.placement import place
from utcloud.workloads.schemas import NotebookCreate, Opening, State
from utcloud.workloads.states import ACTIVE, FINAL, announce, move

MAX_NOTEBOOKS = 10_000
"""Per renter."""


async def create(
    tx: Tx,
    now: datetime,
    actor: Actor,
    wish: NotebookCreate,
    *,
    fee_ppm: int,
    fault_credit: str = "last_hour",
    max_waiting: int = quotas.MAX_WAITING,
) -> Workload:
    """Admit a notebook and, unless ``wish.start`` is false, place it or let it wait; what can never be is refused."""
    actor.require_renter()
    await accounts.require_active(tx, actor)
    pool, spec = await resources.usable_pool(tx, actor, wish.pool_id, "notebook", wish.spec_id)
    image = await assets.usable_image(tx, actor, wish.image_id)
    if not image.jupyter:
        raise Invalid(
            f"Image {image.name!r} has no JupyterLab in it.", field="image_id", cure="Choose an image for notebooks."
        )
    facts: dict[str, str | bool] = {"image": image.name, "pool": pool.name, "spec": spec.name}
    facts |= {"algorithm": "", "dataset": "", "simulated": await _asks_for_simulated(tx, spec.id)}
    versions: dict[str, str | None] = {"algorithm": None, "dataset": None}
    for kind, ident, number in (
        ("algorithm", wish.algorithm_id, wish.algorithm_version),
        ("dataset", wish.dataset_id, wish.dataset_version),
    ):
        if ident is not None:
            asset, version = await assets.usable_version(tx, actor, kind, ident, number)
            versions[kind] = version.id
            facts[kind] = f"{asset.name} v{version.number}"
    workload = Workload(
        id=new_id("nb"),
        kind="notebook",
        owner_id=actor.id,
        name=wish.name,
        description=wish.description,
        pool_id=pool.id,
        group_id=await quotas.group_for(tx, actor, pool, wish.group_id),
        payer=wish.payer,
        max_cost=wish.max_cost,
        max_ms=None if wish.max_hours is None else max(round(wish.max_hours * 3_600_000), 1),
        wanted="running" if wish.start else "stopped",
        state=State.PENDING if wish.start else State.STOPPED,
        image_id=image.id,
        algorithm_version_id=versions["algorithm"],
        dataset_version_id=versions["dataset"],
        facts=facts,
        created_at=now,
        changed_at=now,
    )
    await _check_name(tx, actor, wish.name)
    _check_payer(workload)
    shortage = await capacity.can_ever_fit(tx, pool.id, spec.id, wish.tasks)
    if shortage is not None:
        raise Conflict(shortage.detail, field="tasks" if wish.tasks > 1 else "spec_id", code="never_fits")
    if wish.start:
        await quotas.require(tx, workload, spec, wish.tasks, begins=True)
    tx.add(workload)
    await tx.flush()
    for number in range(wish.tasks):
        subtask = Subtask(
            id=new_id("st"),
            workload_id=workload.id,
            name=f"task-{number}",
            spec_id=spec.id,
            image=image.reference,
        )
        tx.add(subtask)
        await tx.flush()
        tx.add(
            Replica(
                id=new_id("rp"),
                workload_id=workload.id,
                subtask_id=subtask.id,
                state=workload.state,
                queued_at=now,
            )
        )
    await tx.flush()
    audit.record(tx, actor, "notebook.create", "notebook", workload.id, workload.name, {"spec": spec.name})
    announce(tx, workload)
    if wish.start:
        replicas = await _replicas(tx, workload.id)
        await _place_or_wait(tx, now, workload, spec, replicas, fee_ppm, fault_credit, max_waiting, wish.expected_price)
    return workload


async def start(
    tx: Tx,
    now: datetime,
    actor: Actor,
    ident: str,
    *,
    fee_ppm: int,
    fault_credit: str = "last_hour",
    max_waiting: int = quotas.MAX_WAITING,
    expected_price: int | None = None,
) -> Workload:
    """Start what has ended of a notebook again, each as a new attempt where its files lie."""
    await accounts.require_active(tx, actor)
    workload = await own(tx, actor, ident)
    replicas = await _replicas(tx, workload.id)
    ended = [replica for replica in replicas if State(replica.state) in FINAL]
    if not ended:
        raise Conflict(f"Notebook {workload.name!r} is {workload.state} already.", code="already_started")
    subtask = await tx.get_one(Subtask, ended[0].subtask_id)
    spec = await tx.get_one(Spec, subtask.spec_id)
    pool = await tx.get_one(Pool, workload.pool_id)
    await resources.usable_pool(tx, actor, pool.id, "notebook", spec.id)
    shortage = await capacity.can_ever_fit(tx, pool.id, spec.id, len(replicas))
    if shortage is not None:
        raise Conflict(shortage.detail, code="never_fits")
    await _still_for_group(tx, actor, workload, pool)
    await quotas.require(tx, workload, spec, len(ended), begins=len(ended) == len(replicas))
    workload.wanted = "running"
    for replica in ended:
        replica.queued_at = now
        await move(tx, now, replica, State.PENDING)
    audit.record(tx, actor, "notebook.start", "notebook", workload.id, workload.name)
    await _place_or_wait(tx, now, workload, spec, ended, fee_ppm, fault_credit, max_waiting, expected_price)
    return workload


async def stop(tx: Tx, now: datetime, actor: Actor, ident: str, reason: str = "") -> Workload:
    """Stop a notebook gracefully; its files stay. Stopping what has stopped changes nothing."""
    workload = await own(tx, actor, ident)
    workload.wanted = "stopped"
    for replica in await _replicas(tx, workload.id):
        await stop_replica(tx, now, replica, reason or "stopped by its owner")
    audit.record(tx, actor, "notebook.stop", "notebook", workload.id, workload.name)
    return workload


async def stop_replica(tx: Tx, now: datetime, replica: Replica, reason: str) -> None:
    """Stop one replica: at once when it still waits, else as soon as its site says so."""
    if replica.state == State.PENDING:
        await move(tx, now, replica, State.STOPPED, reason)
        emit(tx, PLACE)
        return
    if State(replica.state) in FINAL or replica.state == State.STOPPING:
        return
    attempt = await tx.get_one(Attempt, replica.attempt_id)
    attempt.desired, attempt.stop_reason = Phase.STOPPED, reason
    await move(tx, now, replica, State.STOPPING, reason)
    await resources.bump(tx, attempt.site_id)


async def stop_attempts(tx: Tx, now: datetime, attempt_ids: list[str], reason: str) -> None:
    """Stop the replicas that run these attempts: a wallet runs dry, a user was frozen."""
    replicas = (await tx.scalars(select(Replica).where(Replica.attempt_id.in_(attempt_ids)))).all()
    stopped: set[str] = set()
    for replica in replicas:
        if replica.state in ACTIVE and replica.state != State.STOPPING:
            await stop_replica(tx, now, replica, reason)
            audit.record(tx, SYSTEM, "replica.stop", "replica", replica.id, "", {"reason": reason})
            stopped.add(replica.order_id)
    await orders.told_to_stop(tx, now, stopped, reason)


async def stop_all_of(tx: Tx, now: datetime, owner_id: str, reason: str, states: Collection[State] = ACTIVE) -> None:
    """Stop everything that a user runs or waits for, or only what is in some ``states``."""
    query = (
        select(Replica)
        .join(Workload, Workload.id == Replica.workload_id)
        .where(Workload.owner_id == owner_id, Replica.state.in_(states))
    )
    for replica in (await tx.scalars(query)).all():
        await stop_replica(tx, now, replica, reason)


async def remove(tx: Tx, now: datetime, actor: Actor, ident: str) -> None:
    """Delete a notebook that has ended, with its files; what it cost stays on record."""
    workload = await own(tx, actor, ident)
    replicas = await _replicas(tx, workload.id)
    if active := {State(replica.state) for replica in replicas} & ACTIVE:
        stopping = active == {State.STOPPING}
        cure = "Wait until it has stopped; then delete it." if stopping else "Stop it first; then delete it."
        raise Conflict(f"Notebook {workload.name!r} is {workload.state}.", cure=cure, code="in_use")
    if node := await _unended_on(tx, workload.id):
        raise Conflict(
            f"The last run of notebook {workload.name!r} has not ended: {node} has not been heard since.",
            cure="Delete it when the node is heard again, or its miner has removed it.",
            code="in_use",
        )
    for replica in replicas:
        if replica.site_id:
            tx.add(DroppedVolume(volume=replica.id, site_id=replica.site_id, created_at=now))
            await resources.bump(tx, replica.site_id)
    await edge.forget_routes(tx, [replica.id for replica in replicas])
    await tx.execute(delete(Workload).where(Workload.id == workload.id))
    audit.record(tx, actor, "notebook.delete", "notebook", workload.id, workload.name)
    announce(tx, workload)


async def _unended_on(tx: Tx, workload_id: str) -> str | None:
    """The node on which a run may go on for all anybody knows."""
    query = select(Node.name).join(Attempt, Attempt.node_id == Node.id)
    return await tx.scalar(query.where(Attempt.workload_id == workload_id, Attempt.done.is_(False)).limit(1))


async def open_page(
    tx: Tx, now: datetime, settings: Settings, actor: Actor, ident: str, replica_id: str | None
) -> Opening:
    """Return a link that opens a replica's page once. Only the owner may: a page is his files."""
    workload = await own(tx, actor, ident)
    replicas = await _replicas(tx, workload.id)
    if replica_id is None and len(replicas) > 1:
        raise Invalid(
            f"Notebook {workload.name!r} has {len(replicas)} subtasks.", field="replica_id", cure="Say which to open."
        )
    replica = next((one for one in replicas if replica_id in (None, one.id)), None)
    if replica is None:
        raise NotFound.of("replica", replica_id or "", "replica_id")
    if replica.state != State.RUNNING:
        raise Conflict(
            f"It is {replica.state}: {replica.reason or 'not running'}.",
            cure="Wait until it runs." if replica.state in ACTIVE else "Start it first.",
            code="not_running",
        )
    await require_reachable(tx, replica)
    code = workload.facts["algorithm"]
    path = edge.local_path("/lab/tree", folder_name(code.rpartition(" v")[0])) if code else "/lab"
    url, expires_at = await edge.issue_code(tx, now, settings, replica.id, path)
    audit.record(tx, actor, "notebook.open", "notebook", workload.id, workload.name, {"replica": replica.id})
    return Opening(url=url, expires_at=expires_at)


async def stop_on_my_hardware(tx: Tx, now: datetime, actor: Actor, replica_id: str, reason: str) -> None:
    """A miner, or an operator, stops a replica on his hardware and says why; the renter reads it."""
    actor.require_miner()
    replica = await tx.get(Replica, replica_id)
    if replica is None:
        raise NotFound.of("replica", replica_id)
    workload = await tx.get_one(Workload, replica.workload_id)
    pool = await tx.get_one(Pool, workload.pool_id)
    if not actor.is_operator and pool.miner_id != actor.id:
        raise NotFound.of("replica", replica_id)
    if not reason.strip():
        raise Invalid("Say why: the renter will read it.", field="reason", cure="Write a reason.")
    if State(replica.state) in FINAL:
        raise Conflict(f"It has {replica.state} already.", code="already_ended")
    who = "miner" if pool.miner_id == actor.id else "operator"
    await stop_replica(tx, now, replica, f"stopped by the {who}: {reason.strip()}")
    audit.record(tx, actor, "replica.stop", "replica", replica.id, workload.name, {"reason": reason.strip()})


async def own(tx: Tx, actor: Actor, ident: str) -> Workload:
    """The actor's own notebook; another's is not found."""
    workload = await tx.get(Workload, ident)
    if workload is None or workload.kind != "notebook" or workload.owner_id != actor.id:
        raise NotFound.of("notebook", ident)
    return workload


async def _replicas(tx: Tx, workload_id: str) -> list[Replica]:
    query = select(Replica).where(Replica.workload_id == workload_id).order_by(Replica.id)
    return list((await tx.scalars(query)).all())


async def _still_for_group(tx: Tx, actor: Actor, workload: Workload, pool: Pool) -> None:
    """Whoever has left the group does not start again in its name, nor when its pool was closed to it."""
    try:
        workload.group_id = await quotas.group_for(tx, actor, pool, workload.group_id)
    except (NotFound, Invalid) as problem:
        if workload.payer == "group":
            raise Forbidden(
                "The group that paid for it no longer does: you have left it, or the pool was closed to it.",
                cure="Create one that you or another group pays for.",
            ) from problem
        workload.group_id = await quotas.group_for(tx, actor, pool, None)


async def _asks_for_simulated(tx: Tx, spec_id: str) -> bool:
    asked = await tx.scalars(select(SpecItem.resource).where(SpecItem.spec_id == spec_id))
    return not (await resources.simulated_names(tx)).isdisjoint(asked.all())


async def _check_name(tx: Tx, actor: Actor, name: str) -> None:
    mine = (Workload.owner_id == actor.id, Workload.kind == "notebook")
    if await tx.scalar(select(Workload.id).where(*mine, Workload.name == name)):
        raise Conflict(
            f"You have a notebook {name!r} already.", field="name", cure="Choose another name.", code="name_taken"
        )
    count = (await tx.scalar(select(func.count()).select_from(Workload).where(*mine))) or 0
    if count >= MAX_NOTEBOOKS:
        raise Forbidden(f"You have {count} notebooks.", cure="Delete some that you no longer need.")


def _check_payer(workload: Workload) -> None:
    if workload.payer == "group" and workload.group_id is None:
        raise Invalid("No group can pay for it.", field="group_id", cure="Say which of your groups pays.")


async def _place_or_wait(
    tx: Tx,
    now: datetime,
    workload: Workload,
    spec: Spec,
    replicas: Sequence[Replica],
    fee_ppm: int,
    fault_credit: str,
    max_waiting: int,
    expected_price: int | None,
) -> None:
    """Place it, or leave it in its pool's line. The order takes the journal's lock before ``place`` takes the pools':
    against their order, and safe only since all who change workloads take turns (``TURNS``)."""
    _check_payer(workload)
    order = await orders.place(
        tx,
        now,
        orders.Wish(
            workload_id=workload.id,
            workload_kind=workload.kind,
            workload=workload.name,
            owner_id=workload.owner_id,
            group_id=workload.group_id if workload.payer == "group" else None,
            miner_id=spec.miner_id,
            pool_id=workload.pool_id,
            pool=workload.facts["pool"],
            spec_id=spec.id,
            spec=spec.name,
            replicas=len(replicas),
            unit_price=spec.price,
            fee_ppm=fee_ppm,
            fault_credit=fault_credit,
            max_cost=workload.max_cost,
            max_ms=workload.max_ms,
            simulated=bool(workload.facts.get("simulated")),
            expected_price=expected_price,
        ),
    )
    for replica in replicas:
        replica.order_id = order.id
    await tx.flush()
    if not await place(tx, now, workload, fee_ppm=fee_ppm):
        await quotas.require_short_line(tx, workload, max_waiting)
