"""Hangs the rooms above into the hooks of the rooms below, which may not know them."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import InstrumentedAttribute

from utcloud.accounts import audit
from utcloud.accounts import service as accounts
from utcloud.accounts.auth import Actor
from utcloud.accounts.models import User
from utcloud.accounts.schemas import Running
from utcloud.assets import service as assets
from utcloud.assets.models import Asset
from utcloud.billing import journal
from utcloud.billing import service as billing
from utcloud.billing.models import Account
from utcloud.billing.schemas import RechargeCreate
from utcloud.common.clock import SystemClock
from utcloud.db import Tx, take_turns
from utcloud.resources.models import CustomResource, Node, Pool, Site, Spec
from utcloud.resources.reports.store import node_history
from utcloud.resources.service import common as resources
from utcloud.resources.service import on_networks, on_nodes_removed
from utcloud.workloads import in_use, nodes, notebooks, pages
from utcloud.workloads.models import Replica, Workload
from utcloud.workloads.schemas import State
from utcloud.workloads.states import ACTIVE, TURNS


async def _stop_work(tx: Tx, _actor: Actor, user: User, running: Running) -> None:
    """What waits for a place is stopped in any case: nothing of a frozen user's begins."""
    await take_turns(tx, TURNS)
    reason = "its owner's account was frozen" + (f": {user.frozen_reason}" if user.frozen_reason else "")
    states = ACTIVE if running == Running.STOP else {State.PENDING}
    await notebooks.stop_all_of(tx, SystemClock().now(), user.id, reason, states)


async def _grant(tx: Tx, now: datetime, actor: Actor, user: User, amount: int, note: str, key: str) -> None:
    wallet = await journal.account(tx, "wallet", user.id)
    body = RechargeCreate.model_construct(wallet_id=wallet.id, amount=amount, note=note, kind="recharge")
    await billing.create_recharge(tx, now, actor, body, key, issues=actor.is_operator)


def _owner(column: InstrumentedAttribute[str], ident: InstrumentedAttribute[str]) -> audit.Owner:
    return lambda object_id: select(column).where(ident == object_id).scalar_subquery()


def _miner_at(part: type[Node | Replica]) -> audit.Owner:
    at_site = select(Site.miner_id).join(part, part.site_id == Site.id)
    return lambda object_id: at_site.where(part.id == object_id).scalar_subquery()


_OWNERS = {
    **{noun: _owner(Asset.owner_id, Asset.id) for noun in ("algorithm", "dataset", "model")},
    "site": _owner(Site.miner_id, Site.id),
    "pool": _owner(Pool.miner_id, Pool.id),
    "spec": _owner(Spec.miner_id, Spec.id),
    "custom_resource": _owner(CustomResource.miner_id, CustomResource.id),
    "node": _miner_at(Node),
    "replica": _miner_at(Replica),
    "notebook": _owner(Workload.owner_id, Workload.id),
    "wallet": _owner(Account.owner_id, Account.id),
}
"""Whose things are, so that everybody may read what was done to his."""


def wire() -> None:
    """Register every hook, once however often it is called."""
    hooks: list[tuple[list[Any], Callable[..., Any]]] = [
        (accounts.on_freeze, _stop_work),
        (accounts.on_freeze, in_use.shut_pages),
        (accounts.on_access_end, in_use.shut_pages),
        (accounts.renters_of, in_use.renters_of),
        (accounts.on_grant, _grant),
        (accounts.on_delete_checks, in_use.refuse_owner),
        (accounts.group_in_use_checks, in_use.of_group),
        (resources.spec_in_use_checks, in_use.of_spec),
        (resources.pool_in_use_checks, in_use.of_pool),
        (resources.spec_use_counts, in_use.count_of_specs),
        (resources.node_users, in_use.on_nodes),
        (on_nodes_removed, nodes.free),
        (on_networks, pages.reroute),
        (node_history, in_use.of_node),
        (assets.asset_in_use_checks, in_use.of_asset),
        (assets.version_in_use_checks, in_use.of_version),
        (assets.image_in_use_checks, in_use.of_image),
    ]
    for registered, hook in hooks:
        if hook not in registered:
            registered.append(hook)
    audit.owners.update(_OWNERS)
