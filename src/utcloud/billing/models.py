"""Tables of the journal, and of the meters that feed it."""

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, Text, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from utcloud.billing import triggers
from utcloud.db import Base, Id, JsonDict, MicroUnc, ShortText, utcnow_column


class Account(Base):
    """One side of the journal. ``balance`` is the sum of its postings, kept in the same transaction.

    Kinds: ``wallet`` (a user's machine hours, never below zero), ``earnings`` (a miner's), ``fee`` (the platform's),
    ``issuance`` (where recharges come from; it alone goes below zero).
    """

    __tablename__ = "ledger_accounts"
    __table_args__ = (
        CheckConstraint("kind in ('wallet', 'earnings', 'fee', 'issuance')", name="kind"),
        CheckConstraint("balance >= 0 or kind = 'issuance'", name="not_negative"),
        UniqueConstraint("kind", "owner_id"),
    )

    id: Mapped[Id] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(String(16))
    owner_id: Mapped[str] = mapped_column(String(40), index=True)
    """A user's id; ``platform`` for fee and issuance."""
    balance: Mapped[MicroUnc] = mapped_column(default=0)
    created_at: Mapped[datetime] = utcnow_column()


IS_RECHARGE = text("kind in ('recharge', 'deduct')")


class Entry(Base):
    """One journal entry: never changed, never deleted. Its postings sum to zero."""

    __tablename__ = "journal_entries"
    __table_args__ = (
        CheckConstraint("kind in ('recharge', 'deduct', 'charge', 'reversal')", name="kind"),
        Index("ix_journal_entries_recharges", "id", sqlite_where=IS_RECHARGE, postgresql_where=IS_RECHARGE),
    )

    id: Mapped[Id] = mapped_column(primary_key=True)
    idempotency_key: Mapped[ShortText] = mapped_column(unique=True)
    kind: Mapped[str] = mapped_column(String(16))
    cause_type: Mapped[str] = mapped_column(String(32), default="")
    cause_id: Mapped[str] = mapped_column(String(40), default="", index=True)
    note: Mapped[str] = mapped_column(Text, default="")
    actor_id: Mapped[str] = mapped_column(String(40), default="")
    actor_name: Mapped[str] = mapped_column(String(64), default="")
    at: Mapped[datetime] = utcnow_column()


class Posting(Base):
    """One line of an entry: micro-UNC into (positive) or out of (negative) an account."""

    __tablename__ = "postings"
    __table_args__ = (
        Index("ix_postings_account_entry", "account_id", "entry_id"),
        Index("ix_postings_account_at", "account_id", "at"),
    )

    entry_id: Mapped[Id] = mapped_column(ForeignKey("journal_entries.id"), primary_key=True)
    account_id: Mapped[Id] = mapped_column(ForeignKey("ledger_accounts.id"), primary_key=True)
    amount: Mapped[MicroUnc]
    at: Mapped[datetime]
    """The entry's moment, for sums over a time."""


class Meter(Base):
    """The billed interval of one attempt, and so one charge record.

    It accrues ``price × (until − started_at)``, where ``until`` is ``ended_at`` or else ``witnessed_until``.
    ``settled`` micro-UNC of that are in the journal; ``waived`` is what the wallet could no longer pay.
    """

    __tablename__ = "meters"
    __table_args__ = (
        CheckConstraint("ended_at is null or started_at is null or ended_at >= started_at", name="interval"),
        Index("ix_meters_wallet_open", "wallet_id", "closed"),
        Index("ix_meters_payer_id_id", "payer_id", "id"),
        Index("ix_meters_payee_id_id", "payee_id", "id"),
        Index(
            "ix_meters_open",
            "payee_id",
            sqlite_where=text("closed IS 0"),
            postgresql_where=text("closed IS false"),
        ),
    )

    id: Mapped[Id] = mapped_column(primary_key=True)
    attempt_id: Mapped[Id] = mapped_column(unique=True)
    wallet_id: Mapped[Id] = mapped_column(ForeignKey("ledger_accounts.id"))
    payer_id: Mapped[Id]
    payee_id: Mapped[Id]
    """The miner."""
    workload_id: Mapped[str] = mapped_column(String(40), default="", index=True)
    price: Mapped[MicroUnc]
    """micro-UNC per hour, as it was when the attempt was placed."""
    fee_ppm: Mapped[int]
    """The platform's share, in millionths."""
    hold: Mapped[MicroUnc] = mapped_column(default=0)
    """Held back in the wallet until the meter is closed."""
    started_at: Mapped[datetime | None]
    witnessed_until: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]
    closed: Mapped[bool] = mapped_column(default=False)
    settled: Mapped[MicroUnc] = mapped_column(default=0)
    settled_fee: Mapped[MicroUnc] = mapped_column(default=0)
    waived: Mapped[MicroUnc] = mapped_column(default=0)
    settled_at: Mapped[datetime | None]
    """When it was last settled."""
    settlements: Mapped[int] = mapped_column(default=0)
    """How many journal entries it has made; the next one's idempotency key is ``<id>:<settlements>``."""
    labels: Mapped[JsonDict] = mapped_column(default=dict)
    """What a person knows it by: workload_id, workload, workload_kind, subtask, replica, replica_id, attempt, spec."""
    created_at: Mapped[datetime] = utcnow_column()


for _table in (Entry.__tablename__, Posting.__tablename__):
    triggers.attach(Base.metadata.tables[_table])
