"""Tables of workloads, subtasks, replicas, attempts and their timeline."""

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, Text, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from utcloud.db import Base, Id, JsonDict, JsonList, MicroUnc, SealedText, ShortText, utcnow_column


class Workload(Base):
    """A notebook, as its user asked for it (training tasks come on the same ground).

    ``wanted`` is the user's intention (running, stopped, deleted); ``state`` follows from the replicas.
    """

    __tablename__ = "workloads"
    __table_args__ = (
        CheckConstraint("kind in ('notebook', 'task')", name="kind"),
        CheckConstraint("wanted in ('running', 'stopped', 'deleted')", name="wanted"),
        Index("ix_workloads_owner_id_id", "owner_id", "id"),
        UniqueConstraint("owner_id", "kind", "name"),
    )

    id: Mapped[Id] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(String(16))
    owner_id: Mapped[Id] = mapped_column(ForeignKey("users.id"))
    name: Mapped[str] = mapped_column(String(64))
    description: Mapped[str] = mapped_column(Text, default="")
    pool_id: Mapped[Id] = mapped_column(ForeignKey("pools.id"))
    group_id: Mapped[str | None] = mapped_column(ForeignKey("groups.id", ondelete="SET NULL"), index=True)
    """In whose name it runs: it counts against this group's quota."""
    payer: Mapped[str] = mapped_column(String(8), default="user", server_default="user")
    """Whose wallet pays: the owner's (``user``) or that of ``group_id`` (``group``)."""
    max_cost: Mapped[int | None]
    """The most that one start of it may cost, in micro-UNC."""
    max_ms: Mapped[int | None]
    """The longest that one start of it may run, in milliseconds."""
    wanted: Mapped[str] = mapped_column(String(16), default="running")
    state: Mapped[str] = mapped_column(String(16), default="pending", index=True)
    reason: Mapped[str] = mapped_column(Text, default="")
    algorithm_version_id: Mapped[str | None] = mapped_column(ForeignKey("asset_versions.id"), index=True)
    dataset_version_id: Mapped[str | None] = mapped_column(ForeignKey("asset_versions.id"), index=True)
    image_id: Mapped[Id] = mapped_column(ForeignKey("images.id"), index=True)
    facts: Mapped[JsonDict] = mapped_column(default=dict)
    """As they were when it was made: algorithm, dataset, image, pool, spec (names), simulated."""
    created_at: Mapped[datetime] = utcnow_column()
    changed_at: Mapped[datetime] = utcnow_column()


class Subtask(Base):
    """A role of a workload. Its image, spec and command hold for all its replicas."""

    __tablename__ = "subtasks"
    __table_args__ = (UniqueConstraint("workload_id", "name"),)

    id: Mapped[Id] = mapped_column(primary_key=True)
    workload_id: Mapped[Id] = mapped_column(ForeignKey("workloads.id", ondelete="CASCADE"))
    name: Mapped[str] = mapped_column(String(64))
    spec_id: Mapped[Id] = mapped_column(ForeignKey("specs.id"), index=True)
    image: Mapped[ShortText]
    replicas: Mapped[int] = mapped_column(default=1)


_IS_TOLD = text("notice IS NOT NULL")


class Replica(Base):
    """One container of a subtask, through all its attempts."""

    __tablename__ = "replicas"
    __table_args__ = (
        CheckConstraint(
            "state in ('pending','assigned','starting','running','stopping','succeeded','failed','stopped')",
            name="state",
        ),
        UniqueConstraint("subtask_id", "index"),
        Index("ix_replicas_told", "node_id", sqlite_where=_IS_TOLD, postgresql_where=_IS_TOLD),
    )

    id: Mapped[Id] = mapped_column(primary_key=True)
    workload_id: Mapped[Id] = mapped_column(ForeignKey("workloads.id", ondelete="CASCADE"), index=True)
    subtask_id: Mapped[Id] = mapped_column(ForeignKey("subtasks.id", ondelete="CASCADE"))
    index: Mapped[int] = mapped_column(default=0)
    state: Mapped[str] = mapped_column(String(16), default="pending", index=True)
    reason: Mapped[str] = mapped_column(Text, default="")
    attempts: Mapped[int] = mapped_column(default=0)
    attempt_id: Mapped[str | None] = mapped_column(String(40))
    """The present attempt, or the last."""
    order_id: Mapped[str] = mapped_column(String(40), default="", server_default="", index=True)
    """The order of its present start, or of the last."""
    site_id: Mapped[str | None] = mapped_column(String(40), index=True)
    """Where its volume lies; a restart goes there again."""
    node_id: Mapped[str | None] = mapped_column(String(40), index=True)
    notice: Mapped[str | None] = mapped_column(Text)
    """What its owner was told while it runs: its node will be drained. It stands in ``reason`` too."""
    queued_at: Mapped[datetime] = utcnow_column()


PAGE_UNSEEN = text("page_since IS NOT NULL")


class Attempt(Base):
    """One run of a replica's container, with its own interval and its own price. Times are the engine's."""

    __tablename__ = "attempts"
    __table_args__ = (
        Index("ix_attempts_site_done", "site_id", "done"),
        Index("ix_attempts_page_since", "page_since", sqlite_where=PAGE_UNSEEN, postgresql_where=PAGE_UNSEEN),
    )

    id: Mapped[Id] = mapped_column(primary_key=True)
    replica_id: Mapped[Id] = mapped_column(ForeignKey("replicas.id", ondelete="CASCADE"), index=True)
    workload_id: Mapped[Id] = mapped_column(index=True)
    number: Mapped[int]
    site_id: Mapped[Id] = mapped_column(ForeignKey("sites.id"))
    node_id: Mapped[Id] = mapped_column(ForeignKey("nodes.id"))
    price: Mapped[MicroUnc]
    resources: Mapped[JsonDict] = mapped_column(default=dict)
    """What it was given, by system resource, in base units."""
    devices: Mapped[JsonList] = mapped_column(default=list)
    token: Mapped[str] = mapped_column(SealedText("attempts.token"), default="")
    """JUPYTER_TOKEN of this run: known to the edge and the container alone."""
    desired: Mapped[str] = mapped_column(String(16), default="running")
    stop_reason: Mapped[str] = mapped_column(Text, default="")
    endpoint: Mapped[ShortText] = mapped_column(default="")
    started_at: Mapped[datetime | None]
    page_since: Mapped[datetime | None]
    """Since when its page answers, as its site says; null again as soon as the edge has had an answer, too."""
    page_told: Mapped[datetime | None]
    """Until when it was known, by the server's clock, that the page did not answer yet."""
    ended_at: Mapped[datetime | None]
    exit_code: Mapped[int | None]
    cause: Mapped[str] = mapped_column(String(50), default="")
    log_tail: Mapped[str] = mapped_column(Text, default="")
    done: Mapped[bool] = mapped_column(default=False)
    """Its end was witnessed: the site need no longer keep the container."""
    created_at: Mapped[datetime] = utcnow_column()


class TimelineEvent(Base):
    """One transition of a replica, written in the same transaction."""

    __tablename__ = "timeline_events"

    id: Mapped[Id] = mapped_column(primary_key=True)
    workload_id: Mapped[Id] = mapped_column(ForeignKey("workloads.id", ondelete="CASCADE"), index=True)
    replica_id: Mapped[Id]
    attempt: Mapped[int] = mapped_column(default=0)
    from_state: Mapped[str] = mapped_column(String(16))
    to_state: Mapped[str] = mapped_column(String(16))
    reason: Mapped[str] = mapped_column(Text, default="")
    at: Mapped[datetime] = utcnow_column()


class DroppedVolume(Base):
    """A volume whose workload was deleted, until its site says that it is gone."""

    __tablename__ = "dropped_volumes"

    volume: Mapped[Id] = mapped_column(primary_key=True)
    site_id: Mapped[Id] = mapped_column(ForeignKey("sites.id"), index=True)
    created_at: Mapped[datetime] = utcnow_column()
