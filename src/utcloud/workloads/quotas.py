"""Quotas: how much a user, or a group together, may use at once.

Counted is what waits, runs and stops: what attempts hold, and what pending replicas ask for. So placing what waits
changes nothing, and only what is newly asked for can be refused. A quota below what runs stops nothing.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from sqlalchemy import ColumnElement, and_, func, select, union_all

from utcloud.accounts import audit
from utcloud.accounts import service as accounts
from utcloud.accounts.auth import Actor
from utcloud.accounts.models import Group, GroupMember, Quota
from utcloud.accounts.schemas import QuotaOut, QuotaUpdate, QuotaUse
from utcloud.common.errors import Conflict, Invalid, NotFound
from utcloud.common.ids import new_id
from utcloud.common.quantity import BASIC, CPU, SHARED_MEMORY, format_quantity, parse_quantity
from utcloud.db import Tx, emit
from utcloud.db.upsert import insert_if_absent
from utcloud.resources import capacity
from utcloud.resources.models import Allocation, CustomResource, NodeResource, Pool, PoolGroup, Spec, SpecItem
from utcloud.resources.service.common import some
from utcloud.workloads.models import Replica, Subtask, Workload
from utcloud.workloads.schemas import State
from utcloud.workloads.states import ACTIVE


@dataclass(slots=True)
class Use:
    """What is used at once: system resources in base units, and workloads by kind."""

    resources: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    workloads: dict[str, int] = field(default_factory=lambda: defaultdict(int))


@dataclass(frozen=True, slots=True)
class Subject:
    """A user or a group, whose quota it is."""

    kind: str
    id: str
    name: str

    @property
    def quota(self) -> ColumnElement[bool]:
        return (Quota.user_id if self.kind == "user" else Quota.group_id) == self.id

    @property
    def work(self) -> ColumnElement[bool]:
        return (Workload.owner_id if self.kind == "user" else Workload.group_id) == self.id


async def group_for(tx: Tx, actor: Actor, pool: Pool, wanted: str | None) -> str | None:
    """The group in whose name work in ``pool`` runs: ``wanted``, or the one through which the pool is open to him.

    None when the pool is open to everybody, or is his own. Raises NotFound or Invalid on ``group_id``.
    """
    rows = await tx.execute(
        select(Group.id, Group.name, PoolGroup.pool_id)
        .join(GroupMember, GroupMember.group_id == Group.id)
        .outerjoin(PoolGroup, and_(PoolGroup.group_id == Group.id, PoolGroup.pool_id == pool.id))
        .where(GroupMember.user_id == actor.id)
        .order_by(Group.name)
    )
    groups = rows.all()
    bound = [group for group in groups if group.pool_id]
    if wanted is None:
        return bound[0].id if bound and not pool.open_to_all else None
    group = next((group for group in groups if group.id == wanted), None)
    if group is None:
        raise NotFound.of("group", wanted, field="group_id")
    if group not in bound and not pool.open_to_all:
        choice = some([other.name for other in bound], 10)
        raise Invalid(
            f"Pool {pool.name!r} is not open to group {group.name!r}.",
            field="group_id",
            cure=f"Choose one of: {choice}." if bound else "Leave it out.",
        )
    return str(group.id)


MAX_WAITING = 20
"""What a renter may have waiting in a pool unless an operator sets another number: each placement walks the line."""


async def require_short_line(tx: Tx, workload: Workload, most: int) -> None:
    """Raise Conflict (code ``quota_exceeded``) when more of the renter's work waits in the pool than ``most``.

    Call it when the workload was not placed: what finds a place at once is never refused.
    """
    waiting = (
        select(func.count(Workload.id.distinct()))
        .join(Replica, Replica.workload_id == Workload.id)
        .where(Workload.owner_id == workload.owner_id, Workload.pool_id == workload.pool_id)
        .where(Replica.state == State.PENDING)
    )
    count = await tx.scalar(waiting) or 0
    if count > most:
        raise Conflict(
            f"It would have to wait, and {count - 1} of yours wait in pool {workload.facts['pool']!r} already: at most "
            f"{most} may at once.",
            cure="Wait until some of them have started, stop some, or choose another pool.",
            code="quota_exceeded",
        )


async def require(tx: Tx, workload: Workload, spec: Spec, count: int, *, begins: bool) -> None:
    """Raise Conflict (code ``quota_exceeded``) when ``count`` more replicas of ``spec`` would be too much.

    ``begins``: nothing of the workload waits or runs yet. Call it before these replicas are pending, in one's turn.
    """
    limits = (Quota.user_id == workload.owner_id) | (Quota.group_id == workload.group_id)
    query = select(Quota, Group.name).outerjoin(Group, Group.id == Quota.group_id).where(limits)
    quotas = (await tx.execute(query.order_by(Quota.group_id.is_not(None)))).all()
    if not quotas:
        return
    needs = Use()
    names = await capacity.names_of(tx, [spec.miner_id])
    for name, quantity in (await capacity.items_of(tx, [spec.id]))[spec.id].items():
        needs.resources[names.system(spec.miner_id, name)] += quantity * count
    needs.workloads[workload.kind] = int(begins)
    for quota, name in quotas:
        subject = Subject("group", quota.group_id, name) if quota.group_id else Subject("user", workload.owner_id, "")
        faults = list(_faults(quota, await use_of(tx, subject), needs))
        if faults:
            whose = f"The quota of group {name!r}" if name else "Your quota"
            raise Conflict(
                f"{whose} is exceeded: {'; '.join(faults)}.",
                cure="Stop something first, or ask an operator for a higher quota.",
                code="quota_exceeded",
            )


def _faults(quota: Quota, used: Use, needs: Use) -> Iterable[str]:
    for kind, most in (("notebook", quota.notebooks), ("task", quota.tasks)):
        more = needs.workloads[kind]
        if most is not None and more and used.workloads[kind] + more > most:
            yield f"at most {most} {kind}{'' if most == 1 else 's'} at once, {used.workloads[kind]} in use"
    for name, most in quota.resources.items():
        more = needs.resources[name]
        if more and used.resources[name] + more > most:
            what = "CPU" if name == CPU else name
            yield (
                f"at most {_text(name, most)} {what}, {_text(name, used.resources[name])} in use, "
                f"{_text(name, more)} more needed"
            )


async def use_of(tx: Tx, subject: Subject) -> Use:
    """What the subject uses now, in two queries."""
    held = (
        select(Allocation.resource.label("resource"), func.sum(Allocation.quantity).label("quantity"))
        .join(Replica, Replica.attempt_id == Allocation.attempt_id)
        .join(Workload, Workload.id == Replica.workload_id)
        .where(subject.work, Replica.state.in_(ACTIVE - {State.PENDING}))
        .group_by(Allocation.resource)
    )
    system = func.coalesce(CustomResource.system_resource, SpecItem.resource)
    same_name = and_(CustomResource.miner_id == Spec.miner_id, CustomResource.name == SpecItem.resource)
    waiting = (
        select(system, func.sum(SpecItem.quantity))
        .select_from(Workload)
        .join(Replica, Replica.workload_id == Workload.id)
        .join(Subtask, Subtask.id == Replica.subtask_id)
        .join(Spec, Spec.id == Subtask.spec_id)
        .join(SpecItem, SpecItem.spec_id == Spec.id)
        .outerjoin(CustomResource, same_name)
        .where(subject.work, Replica.state == State.PENDING, SpecItem.resource != SHARED_MEMORY)
        .group_by(system)
    )
    use = Use()
    for resource, quantity in await tx.execute(union_all(held, waiting)):
        use.resources[resource] += int(quantity)
    active = (subject.work, Workload.state.in_(ACTIVE))
    for kind, count in await tx.execute(select(Workload.kind, func.count()).where(*active).group_by(Workload.kind)):
        use.workloads[kind] = count
    return use


async def user_subject(tx: Tx, actor: Actor, user_id: str) -> Subject:
    """The user, for himself and operators; to others there is none."""
    if user_id != actor.id and not actor.is_operator:
        raise NotFound.of("user", user_id)
    return Subject("user", user_id, (await accounts.get_user(tx, user_id)).username)


async def group_subject(tx: Tx, actor: Actor, group_id: str) -> Subject:
    """The group, for its members, miners and operators; to others there is none."""
    return Subject("group", group_id, (await accounts.visible_group(tx, actor, group_id)).name)


async def get(tx: Tx, subject: Subject) -> QuotaOut:
    """The quota, and what of it is used."""
    quota = await tx.scalar(select(Quota).where(subject.quota)) or Quota(resources={}, notebooks=None, tasks=None)
    use = await use_of(tx, subject)
    names = sorted({*quota.resources, *use.resources}, key=lambda name: (name not in BASIC, name))
    return QuotaOut(
        resources={name: _text(name, quota.resources[name]) for name in names if name in quota.resources},
        notebooks=quota.notebooks,
        tasks=quota.tasks,
        used=QuotaUse(
            resources={name: _text(name, use.resources[name]) for name in names},
            notebooks=use.workloads["notebook"],
            tasks=use.workloads["task"],
        ),
    )


async def put(tx: Tx, actor: Actor, subject: Subject, body: QuotaUpdate) -> QuotaOut:
    """Set the quota, whole. It only refuses new work: what runs goes on."""
    actor.require_operator()
    fresh = {"id": new_id("quo"), f"{subject.kind}_id": subject.id, "resources": {}}
    await insert_if_absent(tx, Quota, fresh)
    quota = (await tx.scalars(select(Quota).where(subject.quota).with_for_update())).one()
    quota.resources = await _resolved(tx, body.resources, known=quota.resources)
    quota.notebooks, quota.tasks = body.notebooks, body.tasks
    await tx.flush()
    audit.record(tx, actor, f"{subject.kind}.quota", subject.kind, subject.id, subject.name, body.model_dump())
    emit(tx, "ui:miners")
    for user_id in await _people(tx, subject):
        emit(tx, f"ui:{user_id}")
    return await get(tx, subject)


async def _people(tx: Tx, subject: Subject) -> Sequence[str]:
    if subject.kind == "user":
        return [subject.id]
    return (await tx.scalars(select(GroupMember.user_id).where(GroupMember.group_id == subject.id))).all()


async def _resolved(tx: Tx, wanted: dict[str, str], *, known: Iterable[str]) -> dict[str, int]:
    """System resource → the most of it in base units. Raises Invalid on ``resources.<name>``."""
    systems = {*BASIC, *known, *(await tx.scalars(select(NodeResource.name).distinct()))}
    customs: dict[str, set[str]] = defaultdict(set)
    if other := [name for name in wanted if name not in systems]:
        query = select(CustomResource.name, CustomResource.system_resource).where(CustomResource.name.in_(other))
        for name, system in await tx.execute(query):
            customs[name].add(system)
    found: dict[str, int] = {}
    for name, text in wanted.items():
        system = _system(name, systems, customs[name])
        if system in found:
            raise Invalid(
                f"{system} is named twice.", field=f"resources.{name}", cure=f"Name {system} once.", code="invalid"
            )
        try:
            found[system] = 0 if text.strip() == "0" else parse_quantity(system, text)
        except ValueError as error:
            cure = "Write a quantity, or 0 for none of it."
            raise Invalid(f"Not a quantity: {error}.", field=f"resources.{name}", cure=cure) from None
    return found


def _system(name: str, systems: set[str], meant: set[str]) -> str:
    if name in systems:
        return name
    if len(meant) == 1:
        return next(iter(meant))
    if meant:
        raise Invalid(
            f"{name!r} is the name of {' and '.join(sorted(meant))} at different miners.",
            field=f"resources.{name}",
            cure=f"Choose one of: {', '.join(sorted(meant))}.",
        )
    raise Invalid(
        f"There is no resource {name[:80]!r}.",
        field=f"resources.{name}",
        cure=f"Choose one of: {some(sorted(systems), 20)}.",
    )


def _text(name: str, quantity: int) -> str:
    return format_quantity(name, quantity) if quantity else "0"
