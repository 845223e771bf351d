"""Tables of the journal, and of the meters that feed it."""

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, Text, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from utcloud.billing import triggers
from utcloud.db import Base, Id, JsonDict, JsonList, MicroUnc, ShortText, utcnow_column


class Account(Base):
    """One side of the journal. ``balance`` is the sum of its postings, kept in the same transaction.

    Kinds: ``wallet`` (machine hours of a user or a group, never below zero), ``earnings`` (a miner's), ``held`` (what a
    miner earned while he may not have work, until an operator decides), ``fee`` (the platform's), ``issuance`` (where
    recharges come from; it alone goes below zero).
    """

    __tablename__ = "journal_accounts"
    __table_args__ = (
        CheckConstraint("kind in ('wallet', 'earnings', 'held', 'fee', 'issuance')", name="kind"),
        CheckConstraint("balance >= 0 or kind = 'issuance'", name="not_negative"),
        UniqueConstraint("kind", "owner_id"),
    )

    id: Mapped[Id] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(String(16))
    owner_id: Mapped[str] = mapped_column(String(40), index=True)
    """A user's or a group's id; ``platform`` for fee and issuance."""
    balance: Mapped[MicroUnc] = mapped_column(default=0)
    low_balance: Mapped[MicroUnc] = mapped_column(default=0, server_default="0")
    """A wallet's owner is warned when less than this is available; and always when it runs out within the hour."""
    warned_at: Mapped[datetime | None]
    """When he was; null again as soon as there is enough."""
    max_price: Mapped[int | None]
    """A group's wallet: the most per hour and replica, in micro-UNC, that it pays in any pool; null: it pays in the
    pools that were allowed (``WalletPool``) alone."""
    created_at: Mapped[datetime] = utcnow_column()


IS_RECHARGE = text("kind in ('recharge', 'deduct')")


class Entry(Base):
    """One journal entry: never changed, never deleted. Its postings sum to zero.

    ``seq`` counts the entries without a gap; ``hash`` covers the entry, its facts, its postings and the hash before
    (``chain``). Which facts it tells depends on its kind: see ``facts.KINDS``.
    """

    __tablename__ = "journal_entries"
    __table_args__ = (
        CheckConstraint("kind in ('recharge', 'deduct', 'charge', 'reversal', 'credit')", name="kind"),
        Index("uq_journal_entries_seq", "seq", unique=True),
        Index("ix_journal_entries_recharges", "id", sqlite_where=IS_RECHARGE, postgresql_where=IS_RECHARGE),
    )

    id: Mapped[Id] = mapped_column(primary_key=True)
    seq: Mapped[int]
    hash: Mapped[str] = mapped_column(String(64))
    idempotency_key: Mapped[ShortText] = mapped_column(unique=True)
    kind: Mapped[str] = mapped_column(String(16))
    cause_type: Mapped[str] = mapped_column(String(32), default="")
    cause_id: Mapped[str] = mapped_column(String(40), default="", index=True)
    note: Mapped[str] = mapped_column(Text, default="")
    actor_id: Mapped[str] = mapped_column(String(40), default="")
    actor_name: Mapped[str] = mapped_column(String(64), default="")
    at: Mapped[datetime] = utcnow_column()
    facts: Mapped[str | None] = mapped_column(Text)
    """What it tells of its lines (``facts``), as canonical JSON; null for entries from before there were facts."""


class JournalRule(Base):
    """From which entry on which version of the chain holds, where that was not so from the first entry on.

    The migration that brought facts wrote it once: since then no entry may pretend to be from before.
    """

    __tablename__ = "journal_rules"

    version: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    first_seq: Mapped[int]


class Posting(Base):
    """One line of an entry: micro-UNC into (positive) or out of (negative) an account."""

    __tablename__ = "postings"
    __table_args__ = (Index("ix_postings_account_at", "account_id", "at"),)

    entry_id: Mapped[Id] = mapped_column(ForeignKey("journal_entries.id"), primary_key=True)
    account_id: Mapped[Id] = mapped_column(ForeignKey("journal_accounts.id"), primary_key=True)
    amount: Mapped[MicroUnc]
    at: Mapped[datetime]
    """The entry's moment, for sums over a time."""


class WalletPool(Base):
    """A pool in which a group's wallet pays at any price: an operator or a manager of the group allowed it."""

    __tablename__ = "wallet_pools"

    wallet_id: Mapped[Id] = mapped_column(ForeignKey("journal_accounts.id", ondelete="CASCADE"), primary_key=True)
    pool_id: Mapped[Id] = mapped_column(ForeignKey("pools.id", ondelete="CASCADE"), primary_key=True, index=True)


class Uptime(Base):
    """A time in which a server was there and listened, by its own clock. What lies in none of them is its own silence.

    Any server of the database prolongs the latest one every few seconds (``uptime.beat``).
    """

    __tablename__ = "server_uptime"

    id: Mapped[Id] = mapped_column(primary_key=True)
    began_at: Mapped[datetime]
    until: Mapped[datetime] = mapped_column(index=True)


class Meter(Base):
    """The billed interval of one attempt, and so one charge record.

    It accrues ``price × (until − started_at − silent_ms)``, where ``until`` is ``ended_at`` or else
    ``witnessed_until``. ``settled`` micro-UNC of that are in the journal; ``waived`` is what the wallet could no longer
    pay, or lay beyond what the order or a cap allows; ``credited`` went back to the wallet, for a fault or by an
    operator's hand.
    """

    __tablename__ = "meters"
    __table_args__ = (
        CheckConstraint("ended_at is null or started_at is null or ended_at >= started_at", name="interval"),
        Index("ix_meters_wallet_open", "wallet_id", "closed"),
        Index("ix_meters_wallet_ended", "wallet_id", "ended_at"),
        Index("ix_meters_wallet_id_id", "wallet_id", "id"),
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
    wallet_id: Mapped[Id] = mapped_column(ForeignKey("journal_accounts.id"))
    payer_id: Mapped[Id]
    """The renter. The wallet is his, or that of ``group_id``."""
    group_id: Mapped[str | None] = mapped_column(String(40))
    payee_id: Mapped[Id]
    """The miner."""
    workload_id: Mapped[str] = mapped_column(String(40), default="", index=True)
    order_id: Mapped[str] = mapped_column(String(40), default="", server_default="", index=True)
    spec_id: Mapped[str] = mapped_column(String(40), default="", server_default="")
    node_id: Mapped[str] = mapped_column(String(40), default="", server_default="")
    price: Mapped[MicroUnc]
    """micro-UNC per hour, as it was when the attempt was placed."""
    fee_ppm: Mapped[int]
    """The platform's share, in millionths."""
    hold: Mapped[MicroUnc] = mapped_column(default=0)
    """Held back in the wallet until the meter is closed."""
    started_at: Mapped[datetime | None]
    witnessed_until: Mapped[datetime | None]
    heard_at: Mapped[datetime | None]
    """When its site last spoke of it, by the server's clock; the site's own may be off."""
    silent_ms: Mapped[int] = mapped_column(default=0, server_default="0")
    """Milliseconds of the interval that are not billed: nobody but the site can say what it did while it was silent."""
    ended_at: Mapped[datetime | None]
    closed: Mapped[bool] = mapped_column(default=False)
    settled: Mapped[MicroUnc] = mapped_column(default=0)
    settled_fee: Mapped[MicroUnc] = mapped_column(default=0)
    waived: Mapped[MicroUnc] = mapped_column(default=0)
    credited: Mapped[MicroUnc] = mapped_column(default=0, server_default="0")
    cause: Mapped[str] = mapped_column(String(50), default="", server_default="")
    """Why the attempt ended, for a machine: ``exited``, ``node_lost`` …"""
    note: Mapped[str] = mapped_column(Text, default="", server_default="")
    """What is unusual about it, for a person."""
    settled_at: Mapped[datetime | None]
    """When it was last settled."""
    settlements: Mapped[int] = mapped_column(default=0)
    """How many journal entries it has made; the next one's idempotency key is ``<id>:<settlements>``."""
    labels: Mapped[JsonDict] = mapped_column(default=dict)
    """What a person knows it by: workload_id, workload, workload_kind, subtask, replica, replica_id, attempt, spec."""
    created_at: Mapped[datetime] = utcnow_column()


class Order(Base):
    """What was agreed at one start of a workload, and what came of it. Its meters carry its id.

    ``open`` until all that was started has ended. ``cost``, ``waived``, ``credited`` and ``elapsed_ms`` are the sums of
    its meters at that time, and follow a credit that comes later.
    """

    __tablename__ = "orders"
    __table_args__ = (
        CheckConstraint("state in ('open', 'settled')", name="state"),
        CheckConstraint("stars is null or (stars >= 1 and stars <= 5)", name="stars"),
        Index("ix_orders_owner_id_id", "owner_id", "id"),
        Index("ix_orders_miner_id_id", "miner_id", "id"),
        Index("ix_orders_group_id_id", "group_id", "id"),
        Index(
            "ix_orders_open",
            "wallet_id",
            sqlite_where=text("state = 'open'"),
            postgresql_where=text("state = 'open'"),
        ),
    )

    id: Mapped[Id] = mapped_column(primary_key=True)
    state: Mapped[str] = mapped_column(String(16), default="open")
    workload_id: Mapped[Id] = mapped_column(index=True)
    workload_kind: Mapped[str] = mapped_column(String(16))
    workload: Mapped[str] = mapped_column(String(64))
    owner_id: Mapped[Id]
    """The renter."""
    group_id: Mapped[str | None] = mapped_column(String(40))
    """The group that pays; null: the renter himself."""
    wallet_id: Mapped[Id] = mapped_column(ForeignKey("journal_accounts.id"))
    miner_id: Mapped[Id]
    pool_id: Mapped[Id]
    pool: Mapped[str] = mapped_column(String(64))
    spec_id: Mapped[Id] = mapped_column(index=True)
    spec: Mapped[str] = mapped_column(String(64))
    replicas: Mapped[int]
    unit_price: Mapped[MicroUnc]
    """micro-UNC per hour of one replica, when it was ordered."""
    fee_ppm: Mapped[int]
    fault_credit: Mapped[str] = mapped_column(String(16))
    """What is credited for a fault: none, last_hour or whole."""
    max_cost: Mapped[int | None]
    max_ms: Mapped[int | None]
    """The longest that it may run, in milliseconds from its first start."""
    estimate: Mapped[MicroUnc]
    """What it was said to cost: over ``max_ms``, else in an hour; never more than ``max_cost``."""
    caps: Mapped[JsonList] = mapped_column(default=list)
    """The spending caps that held when it was ordered, in words."""
    simulated: Mapped[bool] = mapped_column(default=False)
    reason: Mapped[str] = mapped_column(Text, default="")
    """Why it ended."""
    cost: Mapped[MicroUnc] = mapped_column(default=0)
    waived: Mapped[MicroUnc] = mapped_column(default=0)
    credited: Mapped[MicroUnc] = mapped_column(default=0)
    elapsed_ms: Mapped[int] = mapped_column(default=0)
    stars: Mapped[int | None]
    comment: Mapped[str] = mapped_column(Text, default="")
    rated_at: Mapped[datetime | None]
    """When it was rated first."""
    created_at: Mapped[datetime] = utcnow_column()
    settled_at: Mapped[datetime | None]


class Cap(Base):
    """The most that may be spent from a wallet in a UTC day, a UTC month, or ever.

    By all together where ``user_id`` is empty, by each member of the group that has none of his own where it is ``*``
    (``caps.EACH``), else by that member. Those of both levels bind: a manager's cannot lift an operator's.
    """

    __tablename__ = "spending_caps"
    __table_args__ = (CheckConstraint("level in ('keeper', 'operator')", name="level"),)

    wallet_id: Mapped[Id] = mapped_column(ForeignKey("journal_accounts.id"), primary_key=True)
    user_id: Mapped[str] = mapped_column(String(40), primary_key=True)
    level: Mapped[str] = mapped_column(String(16), primary_key=True, default="keeper", server_default="keeper")
    """Who set it: the wallet's owner or a manager of its group (``keeper``), or an operator."""
    daily: Mapped[int | None]
    monthly: Mapped[int | None]
    total: Mapped[int | None]
    changed_at: Mapped[datetime] = utcnow_column()


class SpecPrice(Base):
    """A price that a specification had from ``at`` on, in micro-UNC per hour."""

    __tablename__ = "spec_prices"
    __table_args__ = (Index("ix_spec_prices_spec_id_id", "spec_id", "id"),)

    id: Mapped[Id] = mapped_column(primary_key=True)
    spec_id: Mapped[Id]
    price: Mapped[MicroUnc]
    actor_name: Mapped[str] = mapped_column(String(64), default="")
    at: Mapped[datetime] = utcnow_column()


class BillingEvent(Base):
    """Something that a wallet's owner should hear of. Only ever added to, in the transaction in which it happened."""

    __tablename__ = "billing_events"
    __table_args__ = (
        CheckConstraint(
            "kind in ('low_balance', 'stop_announced', 'workload_stopped', 'order_settled', 'recharged', 'credited')",
            name="kind",
        ),
        Index("ix_billing_events_owner", "owner_id", "id"),
        Index("ix_billing_events_at", "at"),
    )

    id: Mapped[Id] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(String(32))
    wallet_id: Mapped[Id]
    owner_id: Mapped[Id]
    """The wallet's owner: a user or a group."""
    user_id: Mapped[str | None] = mapped_column(String(40))
    """The renter whose work it was, where there was any."""
    object_id: Mapped[str] = mapped_column(String(40), default="")
    """The order, the workload or the journal entry."""
    detail: Mapped[JsonDict] = mapped_column(default=dict)
    """For a person and a machine; amounts are decimal strings of UNC."""
    at: Mapped[datetime] = utcnow_column()


triggers.leave_room(Base.metadata.tables[Meter.__tablename__])
for _table in (Entry.__tablename__, Posting.__tablename__, JournalRule.__tablename__):
    triggers.attach(Base.metadata.tables[_table])
