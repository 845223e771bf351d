"""Nodes over HTTP."""

from fastapi import APIRouter

from utcloud.accounts.auth import CurrentActor
from utcloud.accounts.schemas import Cursor, IdPath, IdQuery, Search
from utcloud.common.paging import Limit, Page
from utcloud.db.web import Db, Now
from utcloud.resources import service
from utcloud.resources.schemas import NodeDetail, NodeOut, NodeSort, NodeStatus

router = APIRouter()


@router.get("/nodes", tags=["nodes"])
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
    sort: NodeSort = NodeSort.NAME,
) -> Page[NodeOut]:
    """List nodes; ``search`` looks in name, address and operating system."""
    async with db.read() as tx:
        items, after = await service.list_nodes(
            tx,
            now,
            actor,
            limit=limit,
            cursor=cursor,
            search=search,
            status=status,
            pool_id=pool_id,
            site_id=site_id,
            sort=sort,
        )
    return Page(items=items, next_cursor=after)


@router.get("/nodes/{node_id}", tags=["nodes"])
async def get_node(node_id: IdPath, actor: CurrentActor, db: Db, now: Now) -> NodeDetail:
    """Show a node with its chips."""
    async with db.read() as tx:
        return await service.get_node(tx, now, actor, node_id)
