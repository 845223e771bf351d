"""Container images that the platform knows."""

from datetime import datetime

from sqlalchemy import ColumnElement, delete, or_, select
from sqlalchemy.exc import IntegrityError

from utcloud.accounts import audit
from utcloud.accounts.auth import SYSTEM, Actor
from utcloud.assets.models import Image
from utcloud.assets.schemas import ImageCreate, ImageSort, ImageUpdate, Visibility
from utcloud.assets.service.common import InUseCheck, in_use, refuse_in_use
from utcloud.common.errors import Conflict, NotFound
from utcloud.common.ids import new_id
from utcloud.db import Tx, emit, paginate

image_in_use_checks: list[InUseCheck] = []
"""Rooms above add theirs, so that a refusal to delete can name what stands in the way."""


async def list_images(
    tx: Tx,
    actor: Actor,
    *,
    limit: int,
    cursor: str | None = None,
    search: str | None = None,
    jupyter: bool | None = None,
    sort: ImageSort = ImageSort.NAME,
) -> tuple[list[Image], str | None]:
    """One page of the images that the actor may use."""
    query = select(Image).where(_visible(actor))
    if search:
        fields = (Image.name, Image.reference, Image.description)
        query = query.where(or_(*(field.icontains(search, autoescape=True) for field in fields)))
    if jupyter is not None:
        query = query.where(Image.jupyter.is_(jupyter))
    columns = {"name": Image.name, "reference": Image.reference}
    return await paginate(tx, query, Image.id, limit=limit, cursor=cursor, sort=sort, columns=columns)


async def usable_image(tx: Tx, actor: Actor, image_id: str) -> Image:
    """The image; raises NotFound on the field ``image_id``."""
    image = await tx.scalar(select(Image).where(Image.id == image_id, _visible(actor)))
    if image is None:
        raise NotFound.of("image", image_id, field="image_id")
    return image


async def create_image(tx: Tx, actor: Actor, body: ImageCreate, now: datetime) -> Image:
    """Make an image of the sites' engines known, for everybody."""
    actor.require_operator()
    await _refuse_taken(tx, body)
    image = Image(
        id=new_id("img"),
        owner_id=actor.id,
        name=body.name,
        reference=body.reference,
        description=body.description,
        visibility=Visibility.PRESET,
        jupyter=body.jupyter,
        created_at=now,
    )
    tx.add(image)
    try:
        await tx.flush()
    except IntegrityError:
        raise _taken("name", body.name) from None
    audit.record(tx, actor, "image.create", "image", image.id, image.name, {"reference": image.reference})
    emit(tx, "ui:miners")
    return image


async def update_image(tx: Tx, actor: Actor, image_id: str, body: ImageUpdate) -> Image:
    """Change what ``body`` names; leave the rest."""
    actor.require_operator()
    image = await usable_image(tx, actor, image_id)
    await _refuse_taken(tx, body, but=image.id)
    changes = body.model_dump(exclude_none=True)
    before = {field: getattr(image, field) for field in changes}
    for field, value in changes.items():
        setattr(image, field, value)
    try:
        await tx.flush()
    except IntegrityError:
        raise _taken("name", body.name or image.name) from None
    audit.record(tx, actor, "image.update", "image", image.id, image.name, {"before": before, "after": changes})
    emit(tx, "ui:miners")
    return image


async def delete_image(tx: Tx, actor: Actor, image_id: str) -> None:
    """Forget an image that nothing uses; the engines keep it."""
    actor.require_operator()
    image = await usable_image(tx, actor, image_id)
    what = f"The image {image.name!r}"
    await refuse_in_use(tx, image.id, what, image_in_use_checks)
    try:
        await tx.execute(delete(Image).where(Image.id == image.id))
    except IntegrityError:
        raise in_use(what) from None
    audit.record(tx, actor, "image.delete", "image", image.id, image.name)
    emit(tx, "ui:miners")


async def ensure_preset_image(tx: Tx, owner_id: str, name: str, reference: str, description: str) -> Image:
    """Make the preset image ``name`` stand for ``reference``, whether it is new or was built anew.

    What an operator wrote of it, its name even, stays.
    """
    image = await tx.scalar(select(Image).where(Image.reference == reference))
    if image is not None:
        return image
    image = await tx.scalar(select(Image).where(Image.name == name))
    if image is None:
        image = Image(
            id=new_id("img"), owner_id=owner_id, name=name, description=description, visibility=Visibility.PRESET
        )
        tx.add(image)
    image.reference = reference
    audit.record(tx, SYSTEM, "image.preset", "image", image.id, name, {"reference": reference})
    await tx.flush()
    return image


async def _refuse_taken(tx: Tx, body: ImageCreate | ImageUpdate, but: str = "") -> None:
    for field, column, value in (("name", Image.name, body.name), ("reference", Image.reference, body.reference)):
        if value is not None and await tx.scalar(select(Image.id).where(column == value, Image.id != but)):
            raise _taken(field, value)


def _visible(actor: Actor) -> ColumnElement[bool]:
    return or_(Image.visibility == Visibility.PRESET, Image.owner_id == actor.id)


def _taken(field: str, value: str) -> Conflict:
    return Conflict(
        f"There is an image with the {field} {value!r} already.", field=field, cure=f"Choose another {field}."
    )
