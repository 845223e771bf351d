"""Nodes over HTTP."""

from fastapi import APIRouter, Response

from utcloud.accounts.auth import CurrentActor
from utcloud.accounts.schemas import Cursor, IdPath, IdQuery, Search
from utcloud.common import export
from utcloud.common.paging import Limit, Page
from utcloud.db.web import Db, Now
from utcloud.resources import service
from utcloud.resources.routes.common import listed
from utcloud.resources.schemas import (
    Cordon,
    Drain,
    NodeDetail,
    NodeMove,
    NodeOut,
    NodeSort,
    NodeStatus,
    NodeUpdate,
)

router = APIRouter(tags=["nodes"])


@router.get("/nodes", response_model=Page[NodeOut], responses=export.RESPONSES)
async def list_nodes(
    actor: CurrentActor,
    db: Db,
    now: Now,
    limit: Limit = 50,
    cursor: Cursor = None,
    search: Search = None,
    status: NodeStatus | None = None,
    pool_id: IdQuery = None,
    site_id: IdQuery = None,
    cordoned: bool | None = None,
    flagged: bool | None = None,
    advised: bool | None = None,
    unhealthy: bool | None = None,
    sort: NodeSort = NodeSort.NAME,
    file: export.Wanted = None,
) -> Page[NodeOut] | Response:
    """List nodes; ``search`` looks in name, host name, address and operating system. Removed ones by their status."""
    wanted = service.NodeFilter(
        search=search,
        status=status,
        pool_id=pool_id,
        site_id=site_id,
        cordoned=cordoned,
        flagged=flagged,
        advised=advised,
        unhealthy=unhealthy,
        sort=sort,
    )
    return await listed(
        db,
        lambda tx, limit, cursor: service.list_nodes(tx, now, actor, wanted, limit=limit, cursor=cursor),
        NodeOut,
        "nodes",
        file,
        limit,
        cursor,
    )


@router.get("/nodes/{node_id}")
async def get_node(node_id: IdPath, actor: CurrentActor, db: Db, now: Now) -> NodeDetail:
    """Show a node with its chips and what they last measured."""
    async with db.read() as tx:
        return await service.get_node(tx, now, actor, node_id)


@router.patch("/nodes/{node_id}")
async def update_node(node_id: IdPath, body: NodeUpdate, actor: CurrentActor, db: Db, now: Now) -> NodeDetail:
    """Change a node's own labels."""
    async with db.write() as tx:
        return await service.update_node(tx, now, actor, node_id, body)


@router.delete("/nodes/{node_id}", status_code=204)
async def remove_node(node_id: IdPath, actor: CurrentActor, db: Db, now: Now) -> None:
    """Remove a node; its reports are ignored until it is restored. Refused while work runs there, unless it is lost."""
    async with db.write() as tx:
        await service.remove_node(tx, now, actor, node_id)


@router.post("/nodes/{node_id}/restore")
async def restore_node(node_id: IdPath, actor: CurrentActor, db: Db, now: Now) -> NodeDetail:
    """Take a removed node back."""
    async with db.write() as tx:
        return await service.restore_node(tx, now, actor, node_id)


@router.post("/nodes/{node_id}/cordon")
async def cordon_node(node_id: IdPath, actor: CurrentActor, db: Db, now: Now, body: Cordon | None = None) -> NodeDetail:
    """Let no new work come to a node; what runs there goes on."""
    async with db.write() as tx:
        return await service.cordon_node(tx, now, actor, node_id, body or Cordon())


@router.post("/nodes/{node_id}/uncordon")
async def uncordon_node(node_id: IdPath, actor: CurrentActor, db: Db, now: Now) -> NodeDetail:
    """Let new work come again; a drain or a move that waits is called off."""
    async with db.write() as tx:
        return await service.uncordon_node(tx, now, actor, node_id)


@router.post("/nodes/{node_id}/drain")
async def drain_node(node_id: IdPath, body: Drain, actor: CurrentActor, db: Db, now: Now) -> NodeDetail:
    """Empty a node: renters are told why and when at once, and what still runs then is stopped gracefully."""
    async with db.write() as tx:
        return await service.drain_node(tx, now, actor, node_id, body)


@router.post("/nodes/{node_id}/move")
async def move_node(node_id: IdPath, body: NodeMove, actor: CurrentActor, db: Db, now: Now) -> NodeDetail:
    """Bring a node into another pool: at once when it is empty, else as ``when_busy`` says."""
    async with db.write() as tx:
        return await service.move_node(tx, now, actor, node_id, body)
