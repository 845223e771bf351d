"""Algorithms, datasets and models: the same routes three times."""

from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Path, Query, Request, Response
from fastapi.responses import StreamingResponse

from utcloud.accounts.auth import CurrentActor
from utcloud.accounts.schemas import NO_NUL, Cursor, IdPath, Search
from utcloud.assets import service, uploads
from utcloud.assets.schemas import (
    AssetCreate,
    AssetDetail,
    AssetKind,
    AssetOut,
    AssetSort,
    AssetUpdate,
    FileOut,
    VersionCreate,
    VersionOut,
    Visibility,
)
from utcloud.assets.store import ObjectStore, blob_key, verified
from utcloud.common import export
from utcloud.common.paging import Limit, Page
from utcloud.common.settings import Settings
from utcloud.db.web import Db, Now

Number = Annotated[int, Path(ge=1, le=1_000_000, description="The version's number.")]
FilePath = Annotated[str, Query(min_length=1, max_length=1024, pattern=NO_NUL, examples=["src/main.py"])]


def _router_for(kind: AssetKind) -> APIRouter:
    router = APIRouter(prefix=f"/{kind}s", tags=[f"{kind}s"])

    @router.get("", name=f"list_{kind}s", response_model=Page[AssetOut], responses=export.RESPONSES)
    async def list_assets(
        actor: CurrentActor,
        db: Db,
        limit: Limit = 50,
        cursor: Cursor = None,
        search: Search = None,
        visibility: Visibility | None = None,
        mine: bool | None = None,
        sort: AssetSort = AssetSort.NEWEST,
        file: export.Wanted = None,
    ) -> Page[AssetOut] | Response:
        """One's own, those shared with one's groups, and preset ones."""

        async def load(limit: int, cursor: str | None) -> tuple[list[AssetOut], str | None]:
            async with db.read() as tx:
                return await service.list_assets(
                    tx,
                    actor,
                    kind,
                    limit=limit,
                    cursor=cursor,
                    search=search,
                    visibility=visibility,
                    mine=mine,
                    sort=sort,
                )

        if file:
            return export.response(file, AssetOut, load, f"{kind}s")
        items, after = await load(limit, cursor)
        return Page(items=items, next_cursor=after)

    @router.post("", status_code=201, name=f"create_{kind}")
    async def create_asset(body: AssetCreate, actor: CurrentActor, db: Db, now: Now) -> AssetOut:
        """Add one without versions. Then make a version, upload into it, and publish it."""
        async with db.write() as tx:
            return await service.asset_out(tx, actor, await service.create_asset(tx, actor, kind, body, now))

    @router.get("/{asset_id}", name=f"get_{kind}")
    async def get_asset(asset_id: IdPath, actor: CurrentActor, db: Db) -> AssetDetail:
        """One with all its versions."""
        async with db.read() as tx:
            return await service.asset_detail(tx, actor, kind, asset_id)

    @router.patch("/{asset_id}", name=f"update_{kind}")
    async def update_asset(asset_id: IdPath, body: AssetUpdate, actor: CurrentActor, db: Db) -> AssetOut:
        """Rename, describe or share."""
        async with db.write() as tx:
            return await service.asset_out(tx, actor, await service.update_asset(tx, actor, kind, asset_id, body))

    @router.delete("/{asset_id}", status_code=204, name=f"delete_{kind}")
    async def delete_asset(asset_id: IdPath, request: Request, actor: CurrentActor, db: Db) -> None:
        """Remove it with all its versions, when nothing uses them."""
        async with db.write() as tx:
            gone = await service.delete_asset(tx, actor, kind, asset_id)
        await uploads.remove_files(request.app.state.settings, gone)

    @router.post("/{asset_id}/versions", status_code=201, name=f"create_{kind}_version")
    async def create_version(
        asset_id: IdPath, actor: CurrentActor, db: Db, now: Now, body: VersionCreate | None = None
    ) -> VersionOut:
        """Begin a draft; its id goes into the metadata of uploads."""
        async with db.write() as tx:
            version = await service.create_version(tx, actor, kind, asset_id, body or VersionCreate(), now)
            return service.version_out(version)

    @router.get("/{asset_id}/versions/{number}", name=f"get_{kind}_version")
    async def get_version(asset_id: IdPath, number: Number, actor: CurrentActor, db: Db) -> VersionOut:
        """One version: whether it is ready, and if not, why."""
        async with db.read() as tx:
            return service.version_out(await service.get_version(tx, actor, kind, asset_id, number))

    @router.post("/{asset_id}/versions/{number}/publish", status_code=202, name=f"publish_{kind}_version")
    async def publish_version(
        asset_id: IdPath, number: Number, request: Request, actor: CurrentActor, db: Db
    ) -> VersionOut:
        """Make a draft's uploads a version. It is ``processing`` first, then ``ready``, or ``failed`` with a reason.

        When its archives hold more than the storage quota leaves, it is a draft again that says so: nothing is lost.
        """
        settings: Settings = request.app.state.settings
        async with db.read() as tx:
            draft = await service.get_version(tx, actor, kind, asset_id, number)
        await uploads.settle(db, settings, draft.id)
        async with db.write() as tx:
            return service.version_out(await service.publish_version(tx, settings, actor, kind, asset_id, number))

    @router.delete("/{asset_id}/versions/{number}", status_code=204, name=f"delete_{kind}_version")
    async def delete_version(asset_id: IdPath, number: Number, request: Request, actor: CurrentActor, db: Db) -> None:
        """Remove a version that nothing uses, or give up a draft."""
        async with db.write() as tx:
            gone = await service.delete_version(tx, actor, kind, asset_id, number)
        await uploads.remove_files(request.app.state.settings, gone)

    @router.get("/{asset_id}/versions/{number}/files", name=f"list_{kind}_files")
    async def list_files(
        asset_id: IdPath,
        number: Number,
        actor: CurrentActor,
        db: Db,
        limit: Limit = 100,
        cursor: Cursor = None,
        search: Search = None,
    ) -> Page[FileOut]:
        """The files of a version, by path."""
        async with db.read() as tx:
            version = await service.get_version(tx, actor, kind, asset_id, number)
            files, next_cursor = await service.list_files(tx, version, limit=limit, cursor=cursor, search=search)
            return Page(items=[FileOut.model_validate(file) for file in files], next_cursor=next_cursor)

    @router.get(
        "/{asset_id}/versions/{number}/files/content",
        name=f"get_{kind}_file",
        response_class=StreamingResponse,
        responses={200: {"content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}}},
    )
    async def get_file(
        asset_id: IdPath, number: Number, request: Request, actor: CurrentActor, db: Db, path: FilePath
    ) -> StreamingResponse:
        """Download one file. It is never shown by the browser, since it is a stranger's."""
        store: ObjectStore = request.app.state.store
        async with db.read() as tx:
            version = await service.get_version(tx, actor, kind, asset_id, number)
            file = await service.one_file(tx, version, path)
        return StreamingResponse(
            verified(store.stream(blob_key(file.sha256)), file.sha256),
            media_type="application/octet-stream",
            headers={
                "Content-Length": str(file.size),
                "Content-Disposition": f"attachment; filename*=UTF-8''{quote(path.rsplit('/', 1)[-1], safe='')}",
                "X-Content-Type-Options": "nosniff",
                "Content-Security-Policy": "sandbox; default-src 'none'",
                "Cache-Control": "private, no-store",
            },
        )

    return router


router = APIRouter()
for _kind in AssetKind:
    router.include_router(_router_for(_kind))
