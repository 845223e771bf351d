"""Notices, webhooks and their deliveries over HTTP."""

from fastapi import APIRouter, Response

from utcloud.accounts.auth import CurrentActor
from utcloud.accounts.schemas import Cursor, IdPath, IdQuery, Moment
from utcloud.billing.outbox import service
from utcloud.billing.outbox.schemas import (
    Channel,
    DeliveryOut,
    DeliveryState,
    NoticeKind,
    NoticeOut,
    NoticeSettingsOut,
    NoticeSettingsUpdate,
    WebhookCreate,
    WebhookCreated,
    WebhookOut,
    WebhookUpdate,
)
from utcloud.common import export
from utcloud.common.paging import Limit, Page
from utcloud.db.web import AppSettings, Db, Now

router = APIRouter()


@router.get("/notices", tags=["notices"], response_model=Page[NoticeOut], responses=export.RESPONSES)
async def list_notices(
    actor: CurrentActor,
    db: Db,
    limit: Limit = 50,
    cursor: Cursor = None,
    kind: NoticeKind | None = None,
    since: Moment = None,
    until: Moment = None,
    file: export.Wanted = None,
) -> Page[NoticeOut] | Response:
    """List what happened to one's money, newest first."""
    wanted = service.NoticeFilter(kind=kind, since=since, until=until)

    async def load(limit: int, cursor: str | None) -> tuple[list[NoticeOut], str | None]:
        async with db.read() as tx:
            return await service.list_notices(tx, actor, wanted, limit=limit, cursor=cursor)

    if file:
        return export.response(file, NoticeOut, load, "notices")
    items, after = await load(limit, cursor)
    return Page(items=items, next_cursor=after)


@router.post("/notices/seen", status_code=204, tags=["notices"])
async def see_notices(actor: CurrentActor, db: Db, now: Now) -> None:
    """Say that one has seen all notices."""
    async with db.write() as tx:
        await service.see_all(tx, now, actor)


@router.get("/notices/settings", tags=["notices"])
async def get_notice_settings(actor: CurrentActor, db: Db, settings: AppSettings) -> NoticeSettingsOut:
    """Show what one hears by mail, and how many notices one has not seen."""
    async with db.read() as tx:
        return await service.notice_settings(tx, settings, actor)


@router.patch("/notices/settings", tags=["notices"])
async def update_notice_settings(
    body: NoticeSettingsUpdate, actor: CurrentActor, db: Db, settings: AppSettings
) -> NoticeSettingsOut:
    """Choose what one hears by mail, and in which language."""
    async with db.write() as tx:
        return await service.update_notice_settings(tx, settings, actor, body)


@router.get("/webhooks", tags=["webhooks"], response_model=Page[WebhookOut], responses=export.RESPONSES)
async def list_webhooks(
    actor: CurrentActor, db: Db, limit: Limit = 50, cursor: Cursor = None, file: export.Wanted = None
) -> Page[WebhookOut] | Response:
    """List one's webhooks, newest first."""

    async def load(limit: int, cursor: str | None) -> tuple[list[WebhookOut], str | None]:
        async with db.read() as tx:
            return await service.list_webhooks(tx, actor, limit=limit, cursor=cursor)

    if file:
        return export.response(file, WebhookOut, load, "webhooks")
    items, after = await load(limit, cursor)
    return Page(items=items, next_cursor=after)


@router.post("/webhooks", status_code=201, tags=["webhooks"])
async def create_webhook(body: WebhookCreate, actor: CurrentActor, db: Db, now: Now) -> WebhookCreated:
    """Add a webhook; the answer holds the secret that signs its messages, once."""
    async with db.write() as tx:
        return await service.create_webhook(tx, now, actor, body)


@router.get("/webhooks/{webhook_id}", tags=["webhooks"])
async def get_webhook(webhook_id: IdPath, actor: CurrentActor, db: Db) -> WebhookOut:
    """Show a webhook."""
    async with db.read() as tx:
        return await service.get_webhook(tx, actor, webhook_id)


@router.patch("/webhooks/{webhook_id}", tags=["webhooks"])
async def update_webhook(webhook_id: IdPath, body: WebhookUpdate, actor: CurrentActor, db: Db) -> WebhookOut:
    """Change a webhook's URL or kinds, or switch it off and on."""
    async with db.write() as tx:
        return await service.update_webhook(tx, actor, webhook_id, body)


@router.post("/webhooks/{webhook_id}/rotate-secret", tags=["webhooks"])
async def rotate_webhook_secret(webhook_id: IdPath, actor: CurrentActor, db: Db, now: Now) -> WebhookCreated:
    """Give a webhook a new secret, shown once. For a day messages are signed with the old one as well."""
    async with db.write() as tx:
        return await service.rotate_secret(tx, now, actor, webhook_id)


@router.delete("/webhooks/{webhook_id}", status_code=204, tags=["webhooks"])
async def delete_webhook(webhook_id: IdPath, actor: CurrentActor, db: Db) -> None:
    """Delete a webhook with what is on its way."""
    async with db.write() as tx:
        await service.delete_webhook(tx, actor, webhook_id)


@router.post("/webhooks/{webhook_id}/test", status_code=202, tags=["webhooks"])
async def test_webhook(webhook_id: IdPath, actor: CurrentActor, db: Db, now: Now) -> DeliveryOut:
    """Send a test message to a webhook."""
    async with db.write() as tx:
        return await service.test_webhook(tx, now, actor, webhook_id)


@router.get("/deliveries", tags=["webhooks"], response_model=Page[DeliveryOut], responses=export.RESPONSES)
async def list_deliveries(
    actor: CurrentActor,
    db: Db,
    limit: Limit = 50,
    cursor: Cursor = None,
    channel: Channel | None = None,
    webhook_id: IdQuery = None,
    state: DeliveryState | None = None,
    since: Moment = None,
    until: Moment = None,
    file: export.Wanted = None,
) -> Page[DeliveryOut] | Response:
    """List messages to one's webhooks and mailbox, newest first; `state=dead` are those that were given up."""
    wanted = service.DeliveryFilter(channel=channel, webhook_id=webhook_id, state=state, since=since, until=until)

    async def load(limit: int, cursor: str | None) -> tuple[list[DeliveryOut], str | None]:
        async with db.read() as tx:
            return await service.list_deliveries(tx, actor, wanted, limit=limit, cursor=cursor)

    if file:
        return export.response(file, DeliveryOut, load, "deliveries")
    items, after = await load(limit, cursor)
    return Page(items=items, next_cursor=after)


@router.post("/deliveries/{delivery_id}/retry", tags=["webhooks"])
async def retry_delivery(delivery_id: IdPath, actor: CurrentActor, db: Db, now: Now) -> DeliveryOut:
    """Try a message again that was given up."""
    async with db.write() as tx:
        return await service.retry(tx, now, actor, delivery_id)
