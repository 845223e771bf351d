"""Tables of users, groups, sessions, API tokens, login throttling and the audit trail."""

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from utcloud.db import Base, Id, JsonDict, ShortText, utcnow_column


class User(Base):
    """A person. ``is_operator``, ``is_miner`` and ``is_renter`` are roles; one person may have several."""

    __tablename__ = "users"
    __table_args__ = (CheckConstraint("status in ('active', 'frozen')", name="status"),)

    id: Mapped[Id] = mapped_column(primary_key=True)
    username: Mapped[str] = mapped_column(String(64), unique=True)
    display_name: Mapped[ShortText] = mapped_column(default="")
    email: Mapped[ShortText] = mapped_column(default="")
    password_hash: Mapped[str] = mapped_column(Text)
    is_operator: Mapped[bool] = mapped_column(default=False)
    is_miner: Mapped[bool] = mapped_column(default=False)
    is_renter: Mapped[bool] = mapped_column(default=True)
    status: Mapped[str] = mapped_column(String(16), default="active")
    created_at: Mapped[datetime] = utcnow_column()


class Group(Base):
    """Users who share pools."""

    __tablename__ = "groups"

    id: Mapped[Id] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(64), unique=True)
    description: Mapped[str] = mapped_column(Text, default="")
    created_at: Mapped[datetime] = utcnow_column()


class GroupMember(Base):
    """A user's place in a group."""

    __tablename__ = "group_members"

    group_id: Mapped[Id] = mapped_column(ForeignKey("groups.id", ondelete="CASCADE"), primary_key=True)
    user_id: Mapped[Id] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), primary_key=True, index=True)


class BrowserSession(Base):
    """A browser's login. Only hashes are kept: of the cookie's secret and of the CSRF token."""

    __tablename__ = "browser_sessions"

    id: Mapped[Id] = mapped_column(primary_key=True)
    user_id: Mapped[Id] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    secret_hash: Mapped[str] = mapped_column(String(64), unique=True)
    csrf_hash: Mapped[str] = mapped_column(String(64))
    ip: Mapped[str] = mapped_column(String(64), default="")
    user_agent: Mapped[ShortText] = mapped_column(default="")
    created_at: Mapped[datetime] = utcnow_column()
    expires_at: Mapped[datetime]


class ApiToken(Base):
    """A bearer token. Only its SHA-256 is kept; ``hint`` is its first characters, to recognise it by."""

    __tablename__ = "api_tokens"

    id: Mapped[Id] = mapped_column(primary_key=True)
    user_id: Mapped[Id] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    name: Mapped[str] = mapped_column(String(64))
    token_hash: Mapped[str] = mapped_column(String(64), unique=True)
    hint: Mapped[str] = mapped_column(String(16))
    created_at: Mapped[datetime] = utcnow_column()
    expires_at: Mapped[datetime | None]
    last_used_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]


class LoginFailure(Base):
    """Failed logins of late, by user name or by address (``subject`` is ``user:…`` or ``ip:…``)."""

    __tablename__ = "login_failures"

    subject: Mapped[str] = mapped_column(String(160), primary_key=True)
    failures: Mapped[int] = mapped_column(default=0)
    last_at: Mapped[datetime]


class AuditEvent(Base):
    """Who did what to what, from where."""

    __tablename__ = "audit_events"
    __table_args__ = (Index("ix_audit_events_object", "object_type", "object_id"),)

    id: Mapped[Id] = mapped_column(primary_key=True)
    at: Mapped[datetime] = utcnow_column()
    actor_id: Mapped[str | None] = mapped_column(String(40), index=True)
    actor_name: Mapped[str] = mapped_column(String(64), default="")
    ip: Mapped[str] = mapped_column(String(64), default="")
    action: Mapped[str] = mapped_column(String(64))
    object_type: Mapped[str] = mapped_column(String(32))
    object_id: Mapped[str] = mapped_column(String(40), default="")
    object_name: Mapped[ShortText] = mapped_column(default="")
    detail: Mapped[JsonDict] = mapped_column(default=dict)
