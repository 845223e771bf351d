"""Hangs the rooms above into the hooks of the rooms below, which may not know them."""

from collections.abc import Callable
from typing import Any

from utcloud.accounts import service as accounts
from utcloud.accounts.auth import Actor
from utcloud.accounts.models import User
from utcloud.assets import service as assets
from utcloud.common.clock import SystemClock
from utcloud.db import Tx, take_turns
from utcloud.resources.service import common as resources
from utcloud.workloads import in_use, notebooks
from utcloud.workloads.states import TURNS


async def _stop_work(tx: Tx, _actor: Actor, user: User) -> None:
    await take_turns(tx, TURNS)
    await notebooks.stop_all_of(tx, SystemClock().now(), user.id, "its owner's account was frozen")


def wire() -> None:
    """Register every hook, once however often it is called."""
    hooks: list[tuple[list[Any], Callable[..., Any]]] = [
        (accounts.on_freeze, _stop_work),
        (accounts.on_freeze, in_use.shut_pages),
        (accounts.on_delete_checks, in_use.refuse_owner),
        (accounts.group_in_use_checks, in_use.of_group),
        (resources.spec_in_use_checks, in_use.of_spec),
        (resources.pool_in_use_checks, in_use.of_pool),
        (assets.asset_in_use_checks, in_use.of_asset),
        (assets.version_in_use_checks, in_use.of_version),
        (assets.image_in_use_checks, in_use.of_image),
    ]
    for registered, hook in hooks:
        if hook not in registered:
            registered.append(hook)
