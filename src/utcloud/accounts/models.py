"""Tables of users, groups, quotas, invitations, applications, sessions, API tokens, throttling and the audit trail."""

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from utcloud.db import Base, Id, JsonDict, JsonList, MicroUnc, ShortText, append_only, utcnow_column


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
    frozen_reason: Mapped[str] = mapped_column(Text, default="", server_default="")
    created_at: Mapped[datetime] = utcnow_column()
    last_seen_at: Mapped[datetime | None]
    """When a request last came with the user's credential; to the minute."""
    second_factor_at: Mapped[datetime | None]
    """Since when a login takes a second step: there is an authenticator app or a passkey."""


class Group(Base):
    """Users who share pools."""

    __tablename__ = "groups"

    id: Mapped[Id] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(64), unique=True)
    description: Mapped[str] = mapped_column(Text, default="")
    created_at: Mapped[datetime] = utcnow_column()


class GroupMember(Base):
    """A user's place in a group. A manager may bring in and take out members."""

    __tablename__ = "group_members"

    group_id: Mapped[Id] = mapped_column(ForeignKey("groups.id", ondelete="CASCADE"), primary_key=True)
    user_id: Mapped[Id] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), primary_key=True, index=True)
    role: Mapped[str] = mapped_column(String(16), default="member", server_default="member")
    """``member`` or ``manager``."""


class Quota(Base):
    """How much a user, or a group together, may use at once. A user or group without a row may use what there is."""

    __tablename__ = "quotas"
    __table_args__ = (CheckConstraint("(user_id is null) <> (group_id is null)", name="subject"),)

    id: Mapped[Id] = mapped_column(primary_key=True)
    user_id: Mapped[str | None] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), unique=True)
    group_id: Mapped[str | None] = mapped_column(ForeignKey("groups.id", ondelete="CASCADE"), unique=True)
    resources: Mapped[JsonDict] = mapped_column(default=dict)
    """The most of each system resource, in base units."""
    notebooks: Mapped[int | None]
    tasks: Mapped[int | None]
    """The most at the same time, waiting ones counted; null: any number."""


class Invitation(Base):
    """A secret that makes its holder a user, once. Only its SHA-256 is kept; ``hint`` is its first characters."""

    __tablename__ = "invitations"

    id: Mapped[Id] = mapped_column(primary_key=True)
    code_hash: Mapped[str] = mapped_column(String(64), unique=True)
    hint: Mapped[str] = mapped_column(String(16))
    email: Mapped[ShortText] = mapped_column(default="")
    roles: Mapped[JsonList] = mapped_column(default=list)
    group_ids: Mapped[JsonList] = mapped_column(default=list)
    grant: Mapped[MicroUnc] = mapped_column(default=0)
    created_by_id: Mapped[Id]
    created_by_name: Mapped[str] = mapped_column(String(64))
    created_at: Mapped[datetime] = utcnow_column()
    expires_at: Mapped[datetime]
    revoked_at: Mapped[datetime | None]
    accepted_at: Mapped[datetime | None]
    user_id: Mapped[str | None] = mapped_column(String(40))
    username: Mapped[str] = mapped_column(String(64), default="")
    """Who accepted it."""


class Application(Base):
    """Somebody asks to become a user. The user comes into being when an operator approves.

    The password's hash moves to the user then; that of a rejected applicant stays, so that he alone reads the reason.
    """

    __tablename__ = "applications"
    __table_args__ = (
        CheckConstraint("status in ('waiting', 'approved', 'rejected')", name="status"),
        Index(
            "uq_applications_waiting",
            "username",
            unique=True,
            sqlite_where=text("status = 'waiting'"),
            postgresql_where=text("status = 'waiting'"),
        ),
        Index("ix_applications_username", "username"),
        Index("ix_applications_status", "status", "id"),
    )

    id: Mapped[Id] = mapped_column(primary_key=True)
    username: Mapped[str] = mapped_column(String(64))
    display_name: Mapped[ShortText] = mapped_column(default="")
    email: Mapped[ShortText] = mapped_column(default="")
    password_hash: Mapped[str] = mapped_column(Text)
    note: Mapped[str] = mapped_column(Text, default="")
    ip: Mapped[str] = mapped_column(String(64), default="")
    status: Mapped[str] = mapped_column(String(16), default="waiting")
    created_at: Mapped[datetime] = utcnow_column()
    decided_at: Mapped[datetime | None]
    decided_by: Mapped[str] = mapped_column(String(64), default="")
    """The operator's user name."""
    reason: Mapped[str] = mapped_column(Text, default="")
    """What the operator said of it."""
    grant: Mapped[MicroUnc] = mapped_column(default=0)
    user_id: Mapped[str | None] = mapped_column(String(40))


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


class TotpSecret(Base):
    """The secret that a user's authenticator app shares with us, sealed with the server's key (``common.seal``)."""

    __tablename__ = "totp_secrets"

    user_id: Mapped[Id] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), primary_key=True)
    sealed: Mapped[str] = mapped_column(Text)
    confirmed_at: Mapped[datetime | None]
    """When a code of it was first typed; until then it is asked of nobody."""
    last_step: Mapped[int] = mapped_column(default=0)
    """The last interval whose code was used; it and those before it are used up."""
    created_at: Mapped[datetime] = utcnow_column()


class RecoveryCode(Base):
    """Lets a user in once who has lost every other second factor. Only its SHA-256 is kept."""

    __tablename__ = "recovery_codes"

    code_hash: Mapped[str] = mapped_column(String(64), primary_key=True)
    user_id: Mapped[Id] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    created_at: Mapped[datetime] = utcnow_column()
    used_at: Mapped[datetime | None]


class Passkey(Base):
    """A WebAuthn credential of a user's: a public key. Bytes are written in base64url."""

    __tablename__ = "passkeys"

    id: Mapped[Id] = mapped_column(primary_key=True)
    user_id: Mapped[Id] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    name: Mapped[str] = mapped_column(String(64))
    credential_hash: Mapped[str] = mapped_column(String(64), unique=True)
    credential_id: Mapped[str] = mapped_column(Text)
    public_key: Mapped[str] = mapped_column(Text)
    sign_count: Mapped[int] = mapped_column(default=0)
    """How often it was used, as it says itself; one that falls behind was copied."""
    created_at: Mapped[datetime] = utcnow_column()
    last_used_at: Mapped[datetime | None]


class PasskeyChallenge(Base):
    """What a browser was asked to sign with a passkey: once, within some minutes, by one user. Only a hash is kept."""

    __tablename__ = "passkey_challenges"

    challenge_hash: Mapped[str] = mapped_column(String(64), primary_key=True)
    user_id: Mapped[Id] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    purpose: Mapped[str] = mapped_column(String(16))
    """``register`` or ``use``."""
    expires_at: Mapped[datetime]


class LoginFailure(Base):
    """Failed logins of late, by user name or by address (``subject`` is ``user:…`` or ``ip:…``)."""

    __tablename__ = "login_failures"

    subject: Mapped[str] = mapped_column(String(160), primary_key=True)
    failures: Mapped[int] = mapped_column(default=0)
    last_at: Mapped[datetime]


class AuditEvent(Base):
    """Who did what to what, from where. Never changed, never deleted: the database refuses it."""

    __tablename__ = "audit_events"
    __table_args__ = (
        Index("ix_audit_events_at", "at", "id"),
        Index("ix_audit_events_actor", "actor_id", "at", "id"),
        Index("ix_audit_events_owner", "owner_id", "at", "id"),
        Index("ix_audit_events_action", "action", "at", "id"),
        Index("ix_audit_events_object", "object_type", "object_id", "at", "id"),
        Index("ix_audit_events_ip", "ip", "at", "id"),
    )

    id: Mapped[Id] = mapped_column(primary_key=True)
    at: Mapped[datetime] = utcnow_column()
    actor_id: Mapped[str | None] = mapped_column(String(40))
    actor_name: Mapped[str] = mapped_column(String(64), default="")
    ip: Mapped[str] = mapped_column(String(64), default="")
    action: Mapped[str] = mapped_column(String(64))
    object_type: Mapped[str] = mapped_column(String(32))
    object_id: Mapped[str] = mapped_column(String(40), default="")
    object_name: Mapped[ShortText] = mapped_column(default="")
    owner_id: Mapped[str | None] = mapped_column(String(40))
    """Whose the object was."""
    detail: Mapped[JsonDict] = mapped_column(default=dict)


def guards(dialect: str) -> list[str]:
    """The triggers that keep the audit trail as it was written."""
    refusal = "the audit trail is append-only"
    return append_only.statements(dialect, AuditEvent.__tablename__, refusal, "utcloud_audit_append_only")


append_only.attach(
    Base.metadata.tables[AuditEvent.__tablename__], {one: guards(one) for one in ("sqlite", "postgresql")}
)
