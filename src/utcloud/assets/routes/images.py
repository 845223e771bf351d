"""Images."""

from fastapi import APIRouter, Response

from utcloud.accounts.auth import CurrentActor
from utcloud.accounts.schemas import Cursor, IdPath, Search
from utcloud.assets import service
from utcloud.assets.schemas import ImageCreate, ImageOut, ImageSort, ImageUpdate
from utcloud.common import export
from utcloud.common.paging import Limit, Page
from utcloud.db.web import Db, Now

router = APIRouter(prefix="/images", tags=["images"])


@router.get("", response_model=Page[ImageOut], responses=export.RESPONSES)
async def list_images(
    actor: CurrentActor,
    db: Db,
    limit: Limit = 50,
    cursor: Cursor = None,
    search: Search = None,
    jupyter: bool | None = None,
    sort: ImageSort = ImageSort.NAME,
    file: export.Wanted = None,
) -> Page[ImageOut] | Response:
    """Images to start notebooks from."""

    async def load(limit: int, cursor: str | None) -> tuple[list[ImageOut], str | None]:
        async with db.read() as tx:
            images, after = await service.list_images(
                tx, actor, limit=limit, cursor=cursor, search=search, jupyter=jupyter, sort=sort
            )
            return [ImageOut.model_validate(image) for image in images], after

    if file:
        return export.response(file, ImageOut, load, "images")
    items, after = await load(limit, cursor)
    return Page(items=items, next_cursor=after)


@router.post("", status_code=201)
async def create_image(body: ImageCreate, actor: CurrentActor, db: Db, now: Now) -> ImageOut:
    """Make an image that the sites' engines have known to everybody. For operators."""
    async with db.write() as tx:
        return ImageOut.model_validate(await service.create_image(tx, actor, body, now))


@router.patch("/{image_id}")
async def update_image(image_id: IdPath, body: ImageUpdate, actor: CurrentActor, db: Db) -> ImageOut:
    """Rename or describe an image, or let it stand for another reference. For operators."""
    async with db.write() as tx:
        return ImageOut.model_validate(await service.update_image(tx, actor, image_id, body))


@router.delete("/{image_id}", status_code=204)
async def delete_image(image_id: IdPath, actor: CurrentActor, db: Db) -> None:
    """Forget an image that nothing uses. For operators."""
    async with db.write() as tx:
        await service.delete_image(tx, actor, image_id)
