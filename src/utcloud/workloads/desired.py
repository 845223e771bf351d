"""What a site shall have, read from the tables each time: nothing is remembered that could go wrong."""

import re
from collections.abc import Iterable

from sqlalchemy import Select, and_, select

from utcloud.assets.models import Asset, AssetVersion, VersionFile
from utcloud.common.quantity import DISK, SHARED_MEMORY
from utcloud.db import Tx
from utcloud.protocol import DesiredMount, DesiredReplica, DesiredState, Limits, Phase
from utcloud.resources.models import Node, Site, SpecItem
from utcloud.workloads.models import Attempt, DroppedVolume, Replica, Subtask, Workload

HOME = "/home/jovyan"
JUPYTER_PORT = 8888
PAGE_PATH = "/api"
"""JupyterLab answers it as soon as it answers anything."""
LEAST_CPU, LEAST_MEMORY = 250, 512 * 2**20
"""What a specification that names none gets: a quarter of a core, and 512 MiB."""


def folder_name(name: str) -> str:
    """A folder's name made of an asset's name: no separators, no leading dot."""
    return re.sub(r"[^\w.-]+", "-", name).strip(".-") or "code"


async def desired_state(tx: Tx, site: Site, store_path: str | None) -> DesiredState:
    """Return all that shall be on ``site``. Where the store lies is told only on the server's own host."""
    rows = (
        await tx.execute(
            select(Attempt, Replica, Subtask, Workload, Node.name, SpecItem.quantity)
            .join(Replica, Replica.id == Attempt.replica_id)
            .join(Subtask, Subtask.id == Replica.subtask_id)
            .join(Workload, Workload.id == Attempt.workload_id)
            .join(Node, Node.id == Attempt.node_id)
            .outerjoin(SpecItem, and_(SpecItem.spec_id == Subtask.spec_id, SpecItem.resource == SHARED_MEMORY))
            .where(Attempt.site_id == site.id, Attempt.done.is_(False))
            .order_by(Attempt.id)
        )
    ).all()
    names = await _folder_names(tx, [row.Workload for row in rows])
    dropped = await tx.scalars(select(DroppedVolume.volume).where(DroppedVolume.site_id == site.id))
    return DesiredState(
        site_id=site.id,
        revision=site.revision,
        store_path=store_path if site.local else None,
        drop_volumes=list(dropped.all()),
        replicas=[
            DesiredReplica(
                replica_id=replica.id,
                attempt_id=attempt.id,
                workload_id=workload.id,
                desired=Phase(attempt.desired),
                node=node,
                hostname=f"{workload.name}-{subtask.name}",
                image=subtask.image,
                env=_environment(attempt, workload, names),
                limits=Limits(
                    cpu_millicores=attempt.resources.get("cpu", LEAST_CPU),
                    memory_bytes=attempt.resources.get("memory", LEAST_MEMORY),
                    disk_bytes=attempt.resources.get(DISK),
                    **({"shm_bytes": shared} if shared else {}),
                ),
                devices=attempt.devices,
                mounts=_mounts(replica, workload, names),
                port=JUPYTER_PORT,
                ready_path=PAGE_PATH,
                reason=attempt.stop_reason,
            )
            for attempt, replica, subtask, workload, node, shared in rows
        ],
    )


def _needed(site: Site) -> Select[str]:
    """The versions that attempts which have not ended need on ``site``."""
    here = select(Attempt.workload_id).where(Attempt.site_id == site.id, Attempt.done.is_(False))
    code = select(Workload.algorithm_version_id).where(Workload.id.in_(here))
    data = select(Workload.dataset_version_id).where(Workload.id.in_(here))
    return select(AssetVersion.id).where(AssetVersion.id.in_(code) | AssetVersion.id.in_(data))


async def is_needed(tx: Tx, site: Site, version_id: str) -> bool:
    """Whether a version is for this site: a miner sees no other renter's files."""
    return await tx.scalar(_needed(site).where(AssetVersion.id == version_id)) is not None


async def is_file_needed(tx: Tx, site: Site, sha256: str) -> bool:
    """Whether the file of this content belongs to a version that is for this site."""
    query = select(VersionFile.sha256).where(VersionFile.sha256 == sha256, VersionFile.version_id.in_(_needed(site)))
    return await tx.scalar(query.limit(1)) is not None


def _environment(attempt: Attempt, workload: Workload, names: dict[str, str]) -> dict[str, str]:
    env = {"JUPYTER_TOKEN": attempt.token, "UTCLOUD_WORKLOAD": workload.name}
    if workload.algorithm_version_id:
        env["UTCLOUD_CODE"] = f"{HOME}/{names[workload.algorithm_version_id]}"
    return env


def _mounts(replica: Replica, workload: Workload, names: dict[str, str]) -> list[DesiredMount]:
    code = workload.algorithm_version_id
    home = DesiredMount(target=HOME, volume=replica.id, manifest_id=code, fill=names[code] if code else "")
    data = workload.dataset_version_id
    return [home, DesiredMount(target=f"/datasets/{names[data]}", manifest_id=data)] if data else [home]


async def _folder_names(tx: Tx, workloads: Iterable[Workload]) -> dict[str, str]:
    """Version id → name of its folder."""
    wanted = {ident for one in workloads for ident in (one.algorithm_version_id, one.dataset_version_id) if ident}
    if not wanted:
        return {}
    query = select(AssetVersion.id, Asset.name).join(Asset, Asset.id == AssetVersion.asset_id)
    found = await tx.execute(query.where(AssetVersion.id.in_(wanted)))
    return {version: folder_name(name) for version, name in found.all()}
