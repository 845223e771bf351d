"""Notices, webhooks and deliveries of a user."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, delete, func, or_, select

from utcloud.accounts import audit
from utcloud.accounts.auth import Actor
from utcloud.accounts.models import GroupMember
from utcloud.accounts.service import throttle
from utcloud.billing.models import BillingEvent
from utcloud.billing.outbox.addresses import check_url
from utcloud.billing.outbox.models import Delivery, NoticeSettings, Webhook, new_webhook_secret
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
from utcloud.billing.service.common import owners_of
from utcloud.common.errors import Conflict, NotFound
from utcloud.common.ids import new_id
from utcloud.common.settings import Settings
from utcloud.db import Tx, emit, paginate

MAX_WEBHOOKS = 20
OLD_SECRET_FOR = timedelta(days=1)
"""So long the secret before the present one signs as well."""
MAIL_BY_DEFAULT = [NoticeKind.LOW_BALANCE, NoticeKind.STOP_ANNOUNCED, NoticeKind.WORKLOAD_STOPPED]
OUTBOX = "outbox"
"""The signal that there is something to send."""


def concerns(user_id: str) -> ColumnElement[bool]:
    """The events that a user hears of: of his own wallet, of his own work, of the wallets of groups that he manages."""
    managed = select(GroupMember.group_id).where(GroupMember.user_id == user_id, GroupMember.role == "manager")
    return or_(BillingEvent.owner_id == user_id, BillingEvent.user_id == user_id, BillingEvent.owner_id.in_(managed))


@dataclass(frozen=True, slots=True)
class NoticeFilter:
    """Which notices are wanted."""

    kind: NoticeKind | None = None
    since: datetime | None = None
    until: datetime | None = None


async def list_notices(
    tx: Tx, actor: Actor, wanted: NoticeFilter, *, limit: int, cursor: str | None
) -> tuple[list[NoticeOut], str | None]:
    """One page of what happened to the actor's money, newest first."""
    query = select(BillingEvent).where(concerns(actor.id))
    if wanted.kind is not None:
        query = query.where(BillingEvent.kind == wanted.kind)
    if wanted.since is not None:
        query = query.where(BillingEvent.at >= wanted.since)
    if wanted.until is not None:
        query = query.where(BillingEvent.at < wanted.until)
    events, after = await paginate(tx, query, BillingEvent.id, limit=limit, cursor=cursor)
    settings = await tx.get(NoticeSettings, actor.id)
    seen = settings.seen_until if settings else None
    owners = await owners_of(tx, [event.owner_id for event in events])
    return [
        NoticeOut(
            id=event.id,
            kind=NoticeKind(event.kind),
            wallet_id=event.wallet_id,
            owner=owners[event.owner_id][0],
            owner_name=owners[event.owner_id][1],
            object_id=event.object_id,
            detail=event.detail,
            at=event.at,
            seen=seen is not None and event.at <= seen,
        )
        for event in events
    ], after


async def notice_settings(tx: Tx, settings: Settings, actor: Actor) -> NoticeSettingsOut:
    """What the actor wants to hear, and how much he has not seen."""
    own = await tx.get(NoticeSettings, actor.id)
    unseen = select(func.count()).select_from(BillingEvent).where(concerns(actor.id))
    if own and own.seen_until:
        unseen = unseen.where(BillingEvent.at > own.seen_until)
    return NoticeSettingsOut(
        mail=[NoticeKind(kind) for kind in own.mail] if own else MAIL_BY_DEFAULT,
        mail_possible=bool(settings.smtp_url),
        language="zh" if own and own.language == "zh" else "en",
        unseen=(await tx.scalar(unseen)) or 0,
    )


async def _own_settings(tx: Tx, actor: Actor) -> NoticeSettings:
    own = await tx.get(NoticeSettings, actor.id)
    if own is None:
        own = NoticeSettings(user_id=actor.id, mail=list(MAIL_BY_DEFAULT), language="en")
        tx.add(own)
        await tx.flush()
    return own


async def update_notice_settings(
    tx: Tx, settings: Settings, actor: Actor, body: NoticeSettingsUpdate
) -> NoticeSettingsOut:
    own = await _own_settings(tx, actor)
    if body.mail is not None:
        own.mail = sorted(set(body.mail))
    if body.language is not None:
        own.language = body.language
    await tx.flush()
    audit.record(
        tx, actor, "notice_settings.update", "user", actor.id, actor.username, body.model_dump(exclude_none=True)
    )
    return await notice_settings(tx, settings, actor)


async def see_all(tx: Tx, now: datetime, actor: Actor) -> None:
    """The actor has seen all notices up to now."""
    (await _own_settings(tx, actor)).seen_until = now
    await tx.flush()
    emit(tx, f"ui:{actor.id}")


async def list_webhooks(tx: Tx, actor: Actor, *, limit: int, cursor: str | None) -> tuple[list[WebhookOut], str | None]:
    """One page of the actor's webhooks, newest first."""
    query = select(Webhook).where(Webhook.owner_id == actor.id)
    found, after = await paginate(tx, query, Webhook.id, limit=limit, cursor=cursor)
    return await _webhooks_out(tx, found), after


async def get_webhook(tx: Tx, actor: Actor, ident: str) -> WebhookOut:
    return (await _webhooks_out(tx, [await _own(tx, actor, ident)]))[0]


async def create_webhook(tx: Tx, now: datetime, actor: Actor, body: WebhookCreate) -> WebhookCreated:
    """Add a webhook; the answer holds its secret, once."""
    check_url(body.url)
    count = await tx.scalar(select(func.count()).select_from(Webhook).where(Webhook.owner_id == actor.id))
    if (count or 0) >= MAX_WEBHOOKS:
        raise Conflict(f"You have {count} webhooks.", cure="Delete one that you no longer need.")
    webhook = Webhook(
        id=new_id("wh"),
        owner_id=actor.id,
        url=body.url,
        kinds=sorted(set(body.kinds)),
        secret=new_webhook_secret(),
        created_at=now,
    )
    tx.add(webhook)
    await tx.flush()
    audit.record(tx, actor, "webhook.create", "webhook", webhook.id, webhook.url, {"kinds": webhook.kinds})
    (out,) = await _webhooks_out(tx, [webhook])
    return WebhookCreated(**out.model_dump(), secret=webhook.secret)


async def rotate_secret(tx: Tx, now: datetime, actor: Actor, ident: str) -> WebhookCreated:
    """Give a webhook a new secret; the answer holds it, once. For a day messages are signed with the old one too."""
    webhook = await _own(tx, actor, ident)
    webhook.old_secret, webhook.old_secret_until = webhook.secret, now + OLD_SECRET_FOR
    webhook.secret = new_webhook_secret()
    await tx.flush()
    audit.record(tx, actor, "webhook.rotate_secret", "webhook", webhook.id, webhook.url)
    (out,) = await _webhooks_out(tx, [webhook])
    return WebhookCreated(**out.model_dump(), secret=webhook.secret)


async def update_webhook(tx: Tx, actor: Actor, ident: str, body: WebhookUpdate) -> WebhookOut:
    webhook = await _own(tx, actor, ident)
    if body.url is not None:
        check_url(body.url)
        webhook.url = body.url
    if body.kinds is not None:
        webhook.kinds = sorted(set(body.kinds))
    if body.active is not None:
        webhook.active = body.active
    await tx.flush()
    audit.record(tx, actor, "webhook.update", "webhook", webhook.id, webhook.url, body.model_dump(exclude_none=True))
    return (await _webhooks_out(tx, [webhook]))[0]


async def delete_webhook(tx: Tx, actor: Actor, ident: str) -> None:
    """Take a webhook away, with what was still on its way."""
    webhook = await _own(tx, actor, ident)
    audit.record(tx, actor, "webhook.delete", "webhook", webhook.id, webhook.url)
    await tx.delete(webhook)
    await tx.flush()


async def test_webhook(tx: Tx, now: datetime, actor: Actor, ident: str) -> DeliveryOut:
    """Send a message of type ``ping``, to try the way out. Raises TooMany: the platform is no source of floods."""
    webhook = await _own(tx, actor, ident)
    await throttle.begin_own(tx, now, "webhook", actor.id)
    made = delivery_to(webhook, new_id("ping"), "ping", {"message": "This is a test."}, now)
    tx.add(made)
    await tx.flush()
    audit.record(tx, actor, "webhook.test", "webhook", webhook.id, webhook.url)
    emit(tx, OUTBOX)
    return (await _deliveries_out(tx, [made]))[0]


def delivery_to(webhook: Webhook, event_id: str, kind: str, data: dict[str, object], at: datetime) -> Delivery:
    """A message to a webhook, in the form of the Standard Webhooks specification."""
    return Delivery(
        id=new_id("msg"),
        channel="webhook",
        event_id=event_id,
        target=webhook.id,
        user_id=webhook.owner_id,
        webhook_id=webhook.id,
        kind=kind,
        payload={"type": kind, "timestamp": at.isoformat().replace("+00:00", "Z"), "data": data},
        attempts=0,
        next_at=at,
        state=DeliveryState.WAITING,
        created_at=at,
    )


@dataclass(frozen=True, slots=True)
class DeliveryFilter:
    """Which messages are wanted."""

    channel: Channel | None = None
    webhook_id: str | None = None
    state: DeliveryState | None = None
    since: datetime | None = None
    until: datetime | None = None


async def list_deliveries(
    tx: Tx, actor: Actor, wanted: DeliveryFilter, *, limit: int, cursor: str | None
) -> tuple[list[DeliveryOut], str | None]:
    """One page of the actor's messages, newest first; those that were given up stand here too."""
    query = select(Delivery).where(Delivery.user_id == actor.id)
    for name in ("channel", "webhook_id", "state"):
        if (value := getattr(wanted, name)) is not None:
            query = query.where(getattr(Delivery, name) == value)
    if wanted.since is not None:
        query = query.where(Delivery.created_at >= wanted.since)
    if wanted.until is not None:
        query = query.where(Delivery.created_at < wanted.until)
    found, after = await paginate(tx, query, Delivery.id, limit=limit, cursor=cursor)
    return await _deliveries_out(tx, found), after


async def retry(tx: Tx, now: datetime, actor: Actor, ident: str) -> DeliveryOut:
    """Try a message again that was given up or waits for its next try; it counts like a test."""
    found = await tx.scalar(select(Delivery).where(Delivery.id == ident, Delivery.user_id == actor.id))
    if found is None:
        raise NotFound.of("delivery", ident)
    if found.state == DeliveryState.DELIVERED:
        raise Conflict("It has arrived already.", code="already_delivered")
    await throttle.begin_own(tx, now, "webhook", actor.id)
    found.state, found.attempts, found.next_at, found.done_at = DeliveryState.WAITING, 0, now, None
    await tx.flush()
    audit.record(tx, actor, "delivery.retry", "delivery", found.id, found.kind)
    emit(tx, OUTBOX)
    return (await _deliveries_out(tx, [found]))[0]


async def forget_old(tx: Tx, now: datetime) -> None:
    """Messages that arrived are kept for 30 days, dead ones for 90."""
    for state, days in ((DeliveryState.DELIVERED, 30), (DeliveryState.DEAD, 90)):
        old = now - timedelta(days=days)
        await tx.execute(delete(Delivery).where(Delivery.state == state, Delivery.done_at < old))


async def _own(tx: Tx, actor: Actor, ident: str) -> Webhook:
    webhook = await tx.scalar(select(Webhook).where(Webhook.id == ident, Webhook.owner_id == actor.id))
    if webhook is None:
        raise NotFound.of("webhook", ident)
    return webhook


async def _webhooks_out(tx: Tx, found: Sequence[Webhook]) -> list[WebhookOut]:
    counts: dict[tuple[str | None, str], int] = {}
    rows = await tx.execute(
        select(Delivery.webhook_id, Delivery.state, func.count())
        .where(Delivery.webhook_id.in_([webhook.id for webhook in found]), Delivery.state != DeliveryState.DELIVERED)
        .group_by(Delivery.webhook_id, Delivery.state)
    )
    for webhook_id, state, count in rows:
        counts[webhook_id, state] = count
    return [
        WebhookOut(
            id=webhook.id,
            url=webhook.url,
            kinds=[NoticeKind(kind) for kind in webhook.kinds],
            active=webhook.active,
            waiting=counts.get((webhook.id, DeliveryState.WAITING), 0),
            dead=counts.get((webhook.id, DeliveryState.DEAD), 0),
            old_secret_until=webhook.old_secret_until,
            created_at=webhook.created_at,
        )
        for webhook in found
    ]


async def _deliveries_out(tx: Tx, found: Sequence[Delivery]) -> list[DeliveryOut]:
    rows = await tx.execute(
        select(Webhook.id, Webhook.url).where(Webhook.id.in_({one.webhook_id for one in found if one.webhook_id}))
    )
    urls = {ident: url for ident, url in rows}  # noqa: C416 - mypy knows rows
    return [_delivery_out(one, urls.get(one.webhook_id or "") or str(one.payload.get("to", ""))) for one in found]


def _delivery_out(one: Delivery, target: str) -> DeliveryOut:
    waiting = one.state == DeliveryState.WAITING
    return DeliveryOut(
        id=one.id,
        channel=Channel(one.channel),
        webhook_id=one.webhook_id,
        target=target,
        kind=one.kind,
        state=DeliveryState(one.state),
        attempts=one.attempts,
        next_at=one.next_at if waiting else None,
        status=one.status,
        error=one.error,
        payload=one.payload,
        created_at=one.created_at,
        done_at=one.done_at,
    )
