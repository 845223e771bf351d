"""Tables of webhooks, of the messages on their way, and of what each user wants to hear."""

import base64
import secrets
from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from utcloud.db import Base, Id, JsonDict, JsonList, SealedText, utcnow_column


def new_webhook_secret() -> str:
    """A secret as Standard Webhooks writes it."""
    return "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()


class Webhook(Base):
    """A URL of a user's that wants to hear of some kinds of events."""

    __tablename__ = "webhooks"

    id: Mapped[Id] = mapped_column(primary_key=True)
    owner_id: Mapped[Id] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    url: Mapped[str] = mapped_column(String(2000))
    kinds: Mapped[JsonList] = mapped_column(default=list)
    secret: Mapped[str] = mapped_column(SealedText("webhooks.secret", new_webhook_secret))
    """``whsec_…``: signs each message; shown to the owner once."""
    old_secret: Mapped[str] = mapped_column(
        SealedText("webhooks.secret", new_webhook_secret), default="", server_default=""
    )
    """The one before: signs as well until ``old_secret_until``, so that a receiver can change over in peace."""
    old_secret_until: Mapped[datetime | None]
    active: Mapped[bool] = mapped_column(default=True)
    created_at: Mapped[datetime] = utcnow_column()

    def secrets(self, now: datetime) -> list[str]:
        """The secrets that sign a message, the present one first."""
        old = self.old_secret_until is not None and now < self.old_secret_until
        return [self.secret, self.old_secret] if old else [self.secret]


class Delivery(Base):
    """One message on its way to one webhook or mailbox. ``payload`` stays the same however often it is tried."""

    __tablename__ = "deliveries"
    __table_args__ = (
        CheckConstraint("state in ('waiting', 'delivered', 'dead')", name="state"),
        CheckConstraint("channel in ('webhook', 'mail')", name="channel"),
        UniqueConstraint("event_id", "target"),
        Index("ix_deliveries_state_next_at", "state", "next_at"),
        Index("ix_deliveries_user_id_id", "user_id", "id"),
        Index("ix_deliveries_webhook_id_id", "webhook_id", "id"),
    )

    id: Mapped[Id] = mapped_column(primary_key=True)
    channel: Mapped[str] = mapped_column(String(16))
    event_id: Mapped[Id]
    target: Mapped[Id]
    """The webhook's id, or the user's for mail: an event goes to each target once."""
    user_id: Mapped[Id] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    webhook_id: Mapped[str | None] = mapped_column(ForeignKey("webhooks.id", ondelete="CASCADE"))
    kind: Mapped[str] = mapped_column(String(32))
    payload: Mapped[JsonDict]
    state: Mapped[str] = mapped_column(String(16), default="waiting")
    attempts: Mapped[int] = mapped_column(default=0)
    next_at: Mapped[datetime]
    """When it is tried next; while it is being tried, when it may be taken up again."""
    status: Mapped[int | None]
    """What the webhook answered last."""
    error: Mapped[str] = mapped_column(Text, default="")
    created_at: Mapped[datetime] = utcnow_column()
    done_at: Mapped[datetime | None]


class DispatchedEvent(Base):
    """A billing event whose deliveries were made."""

    __tablename__ = "dispatched_events"

    event_id: Mapped[Id] = mapped_column(primary_key=True)
    at: Mapped[datetime] = utcnow_column()


class NoticeSettings(Base):
    """What a user wants by mail, in which language, and up to when the notices were seen."""

    __tablename__ = "notice_settings"

    user_id: Mapped[Id] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), primary_key=True)
    mail: Mapped[JsonList] = mapped_column(default=list)
    language: Mapped[str] = mapped_column(String(8), default="en")
    seen_until: Mapped[datetime | None]
