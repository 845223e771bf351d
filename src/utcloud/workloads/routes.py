"""Notebooks, work on a miner's hardware, and the two overviews."""

from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from pydantic import TypeAdapter

from utcloud.accounts.auth import CurrentActor
from utcloud.accounts.schemas import NO_NUL, Cursor, IdPath, IdQuery
from utcloud.billing import meters
from utcloud.common import export
from utcloud.common.paging import Limit, Page
from utcloud.common.settings import Settings
from utcloud.db.web import Db, Now
from utcloud.workloads import notebooks, overview, queries, quota_routes, work
from utcloud.workloads.schemas import (
    Kind,
    MinerOverviewOut,
    NotebookCreate,
    NotebookDetail,
    NotebookOpen,
    NotebookOut,
    NotebookSort,
    NotebookStart,
    Opening,
    OverviewOut,
    State,
    StopRequest,
    WorkOut,
    WorkSort,
)
from utcloud.workloads.states import TURNS

router = APIRouter(tags=["workloads"])
router.include_router(quota_routes.router)
Search = Annotated[str, Query(max_length=100, pattern=NO_NUL, description="Part of the name.")]
WorkSearch = Annotated[
    str,
    Query(
        max_length=100, pattern=NO_NUL, description="Part of a user's, group's, node's, pool's or specification's name."
    ),
]
States = Annotated[
    Sequence[State], Query(alias="state", max_length=8, description="Only those in one of these states.")
]
_notebook_page = TypeAdapter(Page[NotebookOut])


def _settings(request: Request) -> Settings:
    settings: Settings = request.app.state.settings
    return settings


def _terms(request: Request) -> dict[str, Any]:
    """What holds for an order that is made now."""
    settings = _settings(request)
    return {
        "fee_ppm": meters.fee_ppm(settings.platform_fee_percent),
        "fault_credit": settings.fault_credit,
        "max_waiting": settings.max_waiting,
    }


@router.get("/notebooks", response_model=Page[NotebookOut], responses=export.RESPONSES)
async def list_notebooks(
    actor: CurrentActor,
    db: Db,
    limit: Limit = 50,
    cursor: Cursor = None,
    search: Search = "",
    states: States = (),
    sort: NotebookSort = NotebookSort.NEWEST,
    file: export.Wanted = None,
) -> Response:
    """List one's own notebooks, newest first."""

    async def load(limit: int, cursor: str | None) -> tuple[list[queries.Row], str | None]:
        async with db.read() as tx:
            return await queries.notebooks(
                tx, actor, limit=limit, cursor=cursor, search=search, states=states, sort=sort
            )

    async def shapes(limit: int, cursor: str | None) -> tuple[list[NotebookOut], str | None]:
        items, after = await load(limit, cursor)
        return [NotebookOut.model_validate(item) for item in items], after

    if file:
        return export.response(file, NotebookOut, shapes, "notebooks")
    items, after = await load(limit, cursor)
    page = _notebook_page.validate_python({"items": items, "next_cursor": after})
    return Response(_notebook_page.dump_json(page), media_type="application/json")


@router.post("/notebooks", status_code=201)
async def create_notebook(body: NotebookCreate, actor: CurrentActor, db: Db, now: Now, request: Request) -> NotebookOut:
    """Create a notebook and start it."""
    async with db.write(TURNS) as tx:
        made = await notebooks.create(tx, now, actor, body, **_terms(request))
        return await queries.notebook(tx, actor, made.id)


@router.get("/notebooks/{notebook_id}")
async def get_notebook(notebook_id: IdPath, actor: CurrentActor, db: Db) -> NotebookDetail:
    """Show a notebook with its timeline and its cost so far."""
    async with db.read() as tx:
        return await queries.notebook_detail(tx, actor, notebook_id)


@router.delete("/notebooks/{notebook_id}", status_code=204)
async def delete_notebook(notebook_id: IdPath, actor: CurrentActor, db: Db, now: Now) -> None:
    """Delete a stopped notebook with its files. Its charge records stay."""
    async with db.write(TURNS) as tx:
        await notebooks.remove(tx, now, actor, notebook_id)


@router.post("/notebooks/{notebook_id}/start")
async def start_notebook(
    notebook_id: IdPath, actor: CurrentActor, db: Db, now: Now, request: Request, body: NotebookStart | None = None
) -> NotebookOut:
    """Start a notebook again; its files are as they were."""
    async with db.write(TURNS) as tx:
        expected = body.expected_price if body else None
        await notebooks.start(tx, now, actor, notebook_id, expected_price=expected, **_terms(request))
        return await queries.notebook(tx, actor, notebook_id)


@router.post("/notebooks/{notebook_id}/stop")
async def stop_notebook(
    notebook_id: IdPath, actor: CurrentActor, db: Db, now: Now, body: StopRequest | None = None
) -> NotebookOut:
    """Stop a notebook gracefully and end its machine hours; its files stay."""
    async with db.write(TURNS) as tx:
        await notebooks.stop(tx, now, actor, notebook_id, body.reason if body else "")
        return await queries.notebook(tx, actor, notebook_id)


@router.post("/notebooks/{notebook_id}/open")
async def open_notebook(
    notebook_id: IdPath, actor: CurrentActor, db: Db, now: Now, request: Request, body: NotebookOpen | None = None
) -> Opening:
    """Get a link that opens a subtask's JupyterLab once."""
    replica_id = body.replica_id if body else None
    async with db.write(TURNS) as tx:
        return await notebooks.open_page(tx, now, _settings(request), actor, notebook_id, replica_id)


@router.get("/replicas", response_model=Page[WorkOut], responses=export.RESPONSES)
async def list_work(
    actor: CurrentActor,
    db: Db,
    limit: Limit = 50,
    cursor: Cursor = None,
    search: WorkSearch = "",
    states: States = (),
    kind: Kind | None = None,
    node_id: IdQuery = None,
    pool_id: IdQuery = None,
    spec_id: IdQuery = None,
    sort: WorkSort = WorkSort.NEWEST,
    file: export.Wanted = None,
) -> Page[WorkOut] | Response:
    """List the work on one's own hardware and what waits for it: never the renters' files or pages."""
    wanted = work.WorkFilter(search, states, kind, node_id, pool_id, spec_id, sort)

    async def load(limit: int, cursor: str | None) -> tuple[list[WorkOut], str | None]:
        async with db.read() as tx:
            return await work.list_work(tx, actor, wanted, limit=limit, cursor=cursor)

    if file:
        return export.response(file, WorkOut, load, "work")
    items, after = await load(limit, cursor)
    return Page(items=items, next_cursor=after)


@router.post("/replicas/{replica_id}/stop", status_code=202)
async def stop_work(replica_id: IdPath, body: StopRequest, actor: CurrentActor, db: Db, now: Now) -> None:
    """Stop a renter's replica on one's own hardware; the renter reads the reason."""
    async with db.write(TURNS) as tx:
        await notebooks.stop_on_my_hardware(tx, now, actor, replica_id, body.reason)


@router.get("/overview")
async def get_overview(actor: CurrentActor, db: Db, now: Now) -> OverviewOut:
    """What one runs, has and can spend."""
    async with db.read() as tx:
        return await overview.overview(tx, now, actor)


@router.get("/overview/miner")
async def get_miner_overview(actor: CurrentActor, db: Db, now: Now) -> MinerOverviewOut:
    """What one's hardware is, does and earns."""
    return await overview.miner_overview(db, now, actor)
