"""Images."""

from fastapi import APIRouter

from utcloud.accounts.auth import CurrentActor
from utcloud.accounts.schemas import Cursor, IdPath, Search
from utcloud.assets import service
from utcloud.assets.schemas import ImageCreate, ImageOut
from utcloud.common.paging import Limit, Page
from utcloud.db.web import Db, Now

router = APIRouter(prefix="/images", tags=["images"])


@router.get("")
async def list_images(
    actor: CurrentActor, db: Db, limit: Limit = 50, cursor: Cursor = None, search: Search = None
) -> Page[ImageOut]:
    """Images to start notebooks from, by name."""
    async with db.read() as tx:
        images, next_cursor = await service.list_images(tx, actor, limit=limit, cursor=cursor, search=search)
        return Page(items=[ImageOut.model_validate(image) for image in images], next_cursor=next_cursor)


@router.post("", status_code=201)
async def create_image(body: ImageCreate, actor: CurrentActor, db: Db, now: Now) -> ImageOut:
    """Make an image that the sites' engines have known to everybody. For operators."""
    async with db.write() as tx:
        return ImageOut.model_validate(await service.create_image(tx, actor, body, now))


@router.delete("/{image_id}", status_code=204)
async def delete_image(image_id: IdPath, actor: CurrentActor, db: Db) -> None:
    """Forget an image that nothing uses. For operators."""
    async with db.write() as tx:
        await service.delete_image(tx, actor, image_id)
