"""Brings what happened to those who want to hear of it: makes the deliveries of new events, and sends what is due."""

import asyncio
import contextlib
import json
from datetime import datetime, timedelta
from typing import Any

import aiosmtplib
import httpx
import structlog
from sqlalchemy import func, or_, select, update
from standardwebhooks import Webhook as Signer

from utcloud.accounts.models import GroupMember, User
from utcloud.billing.events import EVENTS
from utcloud.billing.models import BillingEvent
from utcloud.billing.outbox import mail
from utcloud.billing.outbox.addresses import RefusedAddressError, Target, close_resolver, look_up
from utcloud.billing.outbox.models import Delivery, DispatchedEvent, NoticeSettings, Webhook
from utcloud.billing.outbox.schemas import Channel, DeliveryState
from utcloud.billing.outbox.service import MAIL_BY_DEFAULT, OUTBOX, delivery_to, forget_old
from utcloud.billing.service.common import owners_of
from utcloud.common.clock import Clock
from utcloud.common.ids import new_id
from utcloud.common.settings import Settings
from utcloud.db import Database, Tx, emit
from utcloud.db.upsert import insert_if_absent

log = structlog.get_logger()

RETRY_AFTER = tuple(timedelta(seconds=seconds) for seconds in (10, 60, 300, 1800, 7200, 21_600, 43_200))
"""Pauses between tries; after the last one fails, the message is dead: about a day."""
LEASE = timedelta(seconds=60)
TIMEOUT_S = 10.0
"""For a whole try, however slowly the other side speaks."""
_MAIL_TIMEOUT_S = 30.0
_FAIR = 5
"""So many of one user's messages are tried at once: nobody's slow receiver holds up the others' messages."""
_SAFETY_NET_S = 10.0
_BATCH = 50
_LOOK_BACK = timedelta(days=2)


async def deliver(db: Database, clock: Clock, settings: Settings) -> None:
    """For ever: dispatch and send, whenever something is due. A slow mail server holds up neither the rest nor it."""
    try:
        async with (
            httpx.AsyncClient(timeout=TIMEOUT_S, follow_redirects=False, trust_env=False) as client,
            asyncio.TaskGroup() as loops,
        ):
            loops.create_task(_dispatching(db, clock, settings))
            for channel in Channel:
                loops.create_task(_sending(db, clock, settings, client, channel))
    finally:
        await close_resolver()


async def _dispatching(db: Database, clock: Clock, settings: Settings) -> None:
    forgotten = clock.now() - timedelta(days=1)
    with db.listening(EVENTS) as woken:
        while True:
            woken.clear()
            now = clock.now()
            while await dispatch(db, now, settings):
                pass
            if now - forgotten >= timedelta(hours=1):
                forgotten = now
                async with db.write() as tx:
                    await forget_old(tx, now)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(woken.wait(), _SAFETY_NET_S)


async def _sending(db: Database, clock: Clock, settings: Settings, client: httpx.AsyncClient, channel: Channel) -> None:
    with db.listening(OUTBOX) as woken:
        while True:
            woken.clear()
            while await send_due(db, clock, settings, client, channel):
                pass
            pause = await _pause(db, clock, channel)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(woken.wait(), pause)


async def _pause(db: Database, clock: Clock, channel: Channel) -> float:
    """Seconds until the next delivery is due, at most the safety net's."""
    async with db.read() as tx:
        query = select(Delivery.next_at).where(Delivery.state == DeliveryState.WAITING, Delivery.channel == channel)
        soonest = await tx.scalar(query.order_by(Delivery.next_at).limit(1))
    if soonest is None:
        return _SAFETY_NET_S
    return min(max((soonest - clock.now()).total_seconds(), 0.2), _SAFETY_NET_S)


async def dispatch(db: Database, now: datetime, settings: Settings) -> int:
    """Make the deliveries of events that have none yet; return how many events there were."""
    fresh = (
        select(BillingEvent)
        .outerjoin(DispatchedEvent, DispatchedEvent.event_id == BillingEvent.id)
        .where(BillingEvent.at > now - _LOOK_BACK, DispatchedEvent.event_id.is_(None))
        .order_by(BillingEvent.at)
        .limit(_BATCH)
    )
    async with db.read() as tx:
        if not (await tx.scalars(fresh)).first():
            return 0
    async with db.write() as tx:
        events = (await tx.scalars(fresh.with_for_update(of=BillingEvent, skip_locked=True))).all()
        for event in events:
            await _dispatch(tx, event, now, mails=bool(settings.smtp_url))
            await insert_if_absent(tx, DispatchedEvent, {"event_id": event.id, "at": now})
        return len(events)


async def _dispatch(tx: Tx, event: BillingEvent, now: datetime, *, mails: bool) -> None:
    managers = select(GroupMember.user_id).where(GroupMember.group_id == event.owner_id, GroupMember.role == "manager")
    people = (
        await tx.scalars(
            select(User).where(
                or_(User.id.in_([event.owner_id, event.user_id or ""]), User.id.in_(managers)), User.status == "active"
            )
        )
    ).all()
    owner, owner_name = (await owners_of(tx, [event.owner_id]))[event.owner_id]
    data: dict[str, Any] = {
        "id": event.id,
        "wallet_id": event.wallet_id,
        "owner_id": event.owner_id,
        "owner": owner,
        "owner_name": owner_name,
        "user_id": event.user_id,
        "object_id": event.object_id,
        **event.detail,
    }
    for user in people:
        for webhook in await tx.scalars(
            select(Webhook).where(Webhook.owner_id == user.id, Webhook.active.is_(True)).order_by(Webhook.id)
        ):
            if event.kind in webhook.kinds:
                made = delivery_to(webhook, event.id, event.kind, data, event.at)
                made.next_at = now
                tx.add(made)
        wanted = await tx.get(NoticeSettings, user.id)
        if mails and user.email and event.kind in (wanted.mail if wanted else MAIL_BY_DEFAULT):
            tx.add(_letter(event, user, wanted.language if wanted else "en", data, now))
        emit(tx, f"ui:{user.id}")
    emit(tx, OUTBOX)
    await tx.flush()


def _letter(event: BillingEvent, user: User, language: str, data: dict[str, Any], now: datetime) -> Delivery:
    return Delivery(
        id=new_id("msg"),
        channel="mail",
        event_id=event.id,
        target=user.id,
        user_id=user.id,
        kind=event.kind,
        payload={"to": user.email, "language": language, "data": data},
        attempts=0,
        next_at=now,
        state=DeliveryState.WAITING,
        created_at=now,
    )


async def send_due(db: Database, clock: Clock, settings: Settings, client: httpx.AsyncClient, channel: Channel) -> int:
    """Try what is due, each by one server at a time; return how many were tried."""
    now = clock.now()
    place = func.row_number().over(partition_by=Delivery.user_id, order_by=Delivery.next_at)
    ranked = (
        select(Delivery.id, Delivery.next_at, place.label("place"))
        .where(Delivery.state == DeliveryState.WAITING, Delivery.next_at <= now, Delivery.channel == channel)
        .subquery()
    )
    due = select(ranked.c.id).where(ranked.c.place <= _FAIR).order_by(ranked.c.next_at).limit(_BATCH)
    async with db.read() as tx:
        idents = list(await tx.scalars(due))
    tried = await asyncio.gather(*(_try(db, clock, settings, client, ident) for ident in idents))
    return sum(tried)


async def _try(db: Database, clock: Clock, settings: Settings, client: httpx.AsyncClient, ident: str) -> bool:
    now = clock.now()
    async with db.write() as tx:
        leased = await tx.execute(
            update(Delivery)
            .where(Delivery.id == ident, Delivery.state == DeliveryState.WAITING, Delivery.next_at <= now)
            .values(next_at=now + LEASE, attempts=Delivery.attempts + 1)
            .returning(Delivery.id)
            .execution_options(synchronize_session=False)
        )
        if leased.first() is None:
            return False  # another server has it
    async with db.read() as tx:
        delivery = await tx.get_one(Delivery, ident)
        webhook = await tx.get(Webhook, delivery.webhook_id) if delivery.webhook_id else None
    if webhook is not None and not webhook.active and delivery.kind != "ping":  # a test is wanted all the same
        status, error, last = None, "the webhook is switched off", True
    else:
        status, error = await _send(settings, client, delivery, webhook, now)
        last = status == 410 or delivery.attempts > len(RETRY_AFTER)
    async with db.write() as tx:
        current = await tx.get(Delivery, ident)
        if current is not None:
            _note(current, status, error, clock.now(), last=last)
            emit(tx, f"ui:{current.user_id}")
    return True


async def _send(
    settings: Settings, client: httpx.AsyncClient, delivery: Delivery, webhook: Webhook | None, now: datetime
) -> tuple[int | None, str]:
    """The status that was answered, and what went wrong, or an empty text."""
    allowed = TIMEOUT_S if webhook else _MAIL_TIMEOUT_S
    try:
        async with asyncio.timeout(allowed):
            if webhook is not None:
                return await _post(settings, client, delivery, webhook, now)
            await mail.deliver(settings, delivery)
            return None, ""
    except TimeoutError:
        return None, f"no answer within {allowed:g} s"
    except (httpx.HTTPError, aiosmtplib.SMTPException, mail.NoMailServerError, RefusedAddressError, OSError) as error:
        return None, (str(error) or type(error).__name__)[:500]
    except Exception as error:  # one message that cannot be sent must not keep the others
        log.error("a message cannot be sent", delivery=delivery.id, kind=delivery.kind, exc_info=error)
        return None, f"it cannot be sent: {error}"[:500]


async def _post(
    settings: Settings, client: httpx.AsyncClient, delivery: Delivery, webhook: Webhook, now: datetime
) -> tuple[int | None, str]:
    targets = await look_up(webhook.url, private=settings.webhook_private, user_id=webhook.owner_id)
    body = json.dumps(delivery.payload, separators=(",", ":"), ensure_ascii=False)
    headers = {
        "Host": targets[0].host,
        "Content-Type": "application/json",
        "User-Agent": "utcloud-webhooks",
        "webhook-id": delivery.id,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": " ".join(Signer(secret).sign(delivery.id, now, body) for secret in webhook.secrets(now)),
    }
    answer = await _reach(client, targets, body.encode(), headers)
    await answer.aclose()  # what it says beyond its status is of no interest
    good = 200 <= answer.status_code < 300
    return answer.status_code, "" if good else f"answered {answer.status_code} {answer.reason_phrase}".strip()


async def _reach(
    client: httpx.AsyncClient, targets: list[Target], body: bytes, headers: dict[str, str]
) -> httpx.Response:
    """The answer of the first address that can be connected to."""
    for target in targets[:-1]:
        with contextlib.suppress(httpx.ConnectError, httpx.ConnectTimeout):
            return await _request(client, target, body, headers)
    return await _request(client, targets[-1], body, headers)


async def _request(client: httpx.AsyncClient, target: Target, body: bytes, headers: dict[str, str]) -> httpx.Response:
    extensions = {"sni_hostname": target.name}
    request = client.build_request("POST", target.url, content=body, headers=headers, extensions=extensions)
    return await client.send(request, stream=True)


def _note(delivery: Delivery, status: int | None, error: str, now: datetime, *, last: bool) -> None:
    delivery.status, delivery.error = status, error
    if not error:
        delivery.state, delivery.done_at = DeliveryState.DELIVERED, now
    elif last:
        delivery.state, delivery.done_at = DeliveryState.DEAD, now
        log.warning("a message is given up", delivery=delivery.id, kind=delivery.kind, error=error)
    else:
        delivery.next_at = now + RETRY_AFTER[delivery.attempts - 1]
