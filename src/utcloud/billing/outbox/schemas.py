"""What the API says of notices, webhooks and their deliveries."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from utcloud.accounts.schemas import Input


class NoticeKind(StrEnum):
    LOW_BALANCE = "low_balance"
    STOP_ANNOUNCED = "stop_announced"
    WORKLOAD_STOPPED = "workload_stopped"
    ORDER_SETTLED = "order_settled"
    RECHARGED = "recharged"
    CREDITED = "credited"


class Channel(StrEnum):
    WEBHOOK = "webhook"
    MAIL = "mail"


class DeliveryState(StrEnum):
    WAITING = "waiting"
    DELIVERED = "delivered"
    DEAD = "dead"


Kinds = Annotated[list[NoticeKind], Field(min_length=1, max_length=len(NoticeKind))]
Url = Annotated[str, Field(min_length=8, max_length=2000, examples=["https://example.org/utcloud"])]


class NoticeOut(BaseModel):
    """Something that happened to one's money."""

    id: str
    kind: NoticeKind
    wallet_id: str
    owner: Literal["user", "group"]
    owner_name: str
    """Whose wallet it is: one's own, another renter's, or a group's."""
    object_id: str
    """The order, the workload or the journal entry."""
    detail: dict[str, Any]
    at: datetime
    seen: bool


class NoticeSettingsOut(BaseModel):
    mail: list[NoticeKind]
    """What is sent by mail, where the platform has a mail server and one has an address."""
    mail_possible: bool
    language: Literal["en", "zh"]
    unseen: int


class NoticeSettingsUpdate(Input):
    mail: Annotated[list[NoticeKind] | None, Field(max_length=len(NoticeKind))] = None
    language: Literal["en", "zh"] | None = None


class WebhookOut(BaseModel):
    id: str
    url: str
    kinds: list[NoticeKind]
    active: bool
    waiting: int
    """Deliveries on their way."""
    dead: int
    """Deliveries that were given up."""
    old_secret_until: datetime | None
    """Until then the secret before the present one signs as well."""
    created_at: datetime


class WebhookCreate(Input):
    """The answer holds the secret with which messages are signed (Standard Webhooks)."""

    url: Url
    kinds: Kinds = list(NoticeKind)


class WebhookCreated(WebhookOut):
    """``secret`` is shown once."""

    secret: str


class WebhookUpdate(Input):
    url: Url | None = None
    kinds: Kinds | None = None
    active: bool | None = None


class DeliveryOut(BaseModel):
    id: str
    channel: Channel
    webhook_id: str | None
    target: str
    """The URL, or the mail address."""
    kind: str
    state: DeliveryState
    attempts: int
    next_at: datetime | None
    status: int | None
    error: str
    payload: dict[str, Any]
    created_at: datetime
    done_at: datetime | None
