"""Tables of sites, nodes, chips, resources, specifications, pools and allocations."""

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, String, Text, UniqueConstraint, false
from sqlalchemy.orm import Mapped, mapped_column

from utcloud.db import Base, Id, JsonDict, JsonList, MicroUnc, ShortText, utcnow_column


class Site(Base):
    """One place with one engine. ``revision`` grows whenever its desired state changes."""

    __tablename__ = "sites"

    id: Mapped[Id] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(64), unique=True)
    miner_id: Mapped[Id] = mapped_column(ForeignKey("users.id"), index=True)
    token_hash: Mapped[str] = mapped_column(String(64), unique=True)
    old_token_hash: Mapped[str | None] = mapped_column(String(64), unique=True, index=True)
    """Of the token before, which is good until ``old_token_until``."""
    old_token_until: Mapped[datetime | None]
    agent_id: Mapped[str] = mapped_column(String(64), default="", server_default="")
    """Which run of an agent spoke last."""
    agent_before: Mapped[str] = mapped_column(String(64), default="", server_default="")
    """Which spoke before that one. Should it speak again, there are two."""
    local: Mapped[bool] = mapped_column(default=False, server_default=false())
    """It is on the server's own host, by the platform's own doing: what its agent says of networks is believed."""
    networks: Mapped[JsonList] = mapped_column(default=list, server_default="[]")
    """Where its pages may be, as CIDRs: an operator's word. Elsewhere the edge goes nowhere for it."""
    engine_networks: Mapped[JsonList] = mapped_column(default=list, server_default="[]")
    """The same by its own engine's word; only of a ``local`` one."""
    two_agents_at: Mapped[datetime | None]
    """When it was heard last that two agents speak with its token."""
    suspended_at: Mapped[datetime | None]
    """Since when its miner may not have work: what runs there ends, and nothing new comes."""
    revision: Mapped[int] = mapped_column(default=0)
    agent_version: Mapped[str] = mapped_column(String(50), default="")
    clock_offset_ms: Mapped[int] = mapped_column(default=0)
    last_seen_at: Mapped[datetime | None]
    report_digest: Mapped[str] = mapped_column(String(64), default="")
    """Of the last report that was taken in: 32 characters of its nodes, 32 of the rest; shorter when the next one must
    be looked at anew, whatever it says."""
    removed_at: Mapped[datetime | None]
    """Its miner took it away: its agent may no longer join, its history stays."""
    created_at: Mapped[datetime] = utcnow_column()


class Pool(Base):
    """Nodes, and the specifications offered on them. A miner's default pool takes the nodes that are found."""

    __tablename__ = "pools"
    __table_args__ = (UniqueConstraint("miner_id", "name"),)

    id: Mapped[Id] = mapped_column(primary_key=True)
    miner_id: Mapped[Id] = mapped_column(ForeignKey("users.id"))
    name: Mapped[str] = mapped_column(String(64))
    description: Mapped[str] = mapped_column(Text, default="")
    is_default: Mapped[bool] = mapped_column(default=False)
    open_to_all: Mapped[bool] = mapped_column(default=False)
    """Every renter may use it; otherwise the groups that it is bound to."""
    created_at: Mapped[datetime] = utcnow_column()


class Telemetry(Base):
    """What the chips of a site last measured; one row a site, written with each report that measures something.

    It stands apart because it is always new, and says nothing of what a site has.
    """

    __tablename__ = "telemetry"

    site_id: Mapped[Id] = mapped_column(ForeignKey("sites.id", ondelete="CASCADE"), primary_key=True)
    chips: Mapped[JsonDict] = mapped_column(default=dict)
    """By the chip's ``uid``: ``protocol.ChipTelemetry`` without what is absent."""
    measured_at: Mapped[datetime]


class Node(Base):
    """A server of a site, found by its agent. Gone when its agent no longer names it."""

    __tablename__ = "nodes"
    __table_args__ = (UniqueConstraint("site_id", "name"),)

    id: Mapped[Id] = mapped_column(primary_key=True)
    site_id: Mapped[Id] = mapped_column(ForeignKey("sites.id"))
    pool_id: Mapped[Id] = mapped_column(ForeignKey("pools.id"), index=True)
    name: Mapped[ShortText]
    ip: Mapped[str] = mapped_column(String(64), default="")
    os: Mapped[ShortText] = mapped_column(default="")
    kernel: Mapped[ShortText] = mapped_column(default="")
    architecture: Mapped[str] = mapped_column(String(50), default="")
    engine: Mapped[ShortText] = mapped_column(default="")
    hostname: Mapped[ShortText] = mapped_column(default="", server_default="")
    labels: Mapped[JsonDict] = mapped_column(default=dict)
    """As reported."""
    own_labels: Mapped[JsonDict] = mapped_column(default=dict, server_default="{}")
    """Its miner's."""
    flags: Mapped[JsonList] = mapped_column(default=list, server_default="[]")
    """What of its last report made no sense and was left out."""
    advice: Mapped[JsonList] = mapped_column(default=list, server_default="[]")
    """What its miner had better change there, by its last report; it is no fault."""
    work_flags: Mapped[JsonList] = mapped_column(default=list, server_default="[]")
    """What of the last report of its work was set aside."""
    ready: Mapped[bool] = mapped_column(default=False)
    """As its agent last said. A silent site's nodes are not ready, whatever stands here."""
    reason: Mapped[str] = mapped_column(Text, default="")
    ready_since: Mapped[datetime | None]
    gone: Mapped[bool] = mapped_column(default=False)
    cordoned: Mapped[bool] = mapped_column(default=False, server_default=false())
    """Its miner wants no new work on it. So it is, too, while it drains or moves."""
    cordon_reason: Mapped[str] = mapped_column(Text, default="", server_default="")
    drain_at: Mapped[datetime | None]
    """From then on nothing may run on it."""
    drain_reason: Mapped[str] = mapped_column(Text, default="", server_default="")
    moving_to_pool_id: Mapped[str | None] = mapped_column(ForeignKey("pools.id", ondelete="SET NULL"))
    """Where it goes as soon as nothing is held on it."""
    removed_at: Mapped[datetime | None]
    """Its miner took it away: it is gone, and what is reported of it is ignored until he takes it back."""
    created_at: Mapped[datetime] = utcnow_column()


class NodeResource(Base):
    """How much of a system resource a node has, in base units."""

    __tablename__ = "node_resources"

    node_id: Mapped[Id] = mapped_column(ForeignKey("nodes.id", ondelete="CASCADE"), primary_key=True)
    name: Mapped[ShortText] = mapped_column(primary_key=True)
    capacity: Mapped[int]
    simulated: Mapped[bool] = mapped_column(default=False)


class Chip(Base):
    """One AI chip. ``uid`` is its own lasting mark; the same chip of a miner cannot stand in two places.

    Any renter can read a uid, so that of another miner's chip proves nothing: it is flagged, and nobody loses his.
    """

    __tablename__ = "chips"
    __table_args__ = (UniqueConstraint("miner_id", "uid"),)

    id: Mapped[Id] = mapped_column(primary_key=True)
    miner_id: Mapped[Id] = mapped_column(ForeignKey("users.id"))
    """Of the site on which it stands."""
    uid: Mapped[ShortText] = mapped_column(index=True)
    node_id: Mapped[Id] = mapped_column(ForeignKey("nodes.id", ondelete="CASCADE"), index=True)
    resource: Mapped[ShortText]
    index: Mapped[int]
    model: Mapped[str] = mapped_column(String(100))
    card: Mapped[str] = mapped_column(String(100), default="")
    serial: Mapped[str] = mapped_column(String(100), default="")
    bus_id: Mapped[str] = mapped_column(String(100), default="")
    memory_bytes: Mapped[int | None]
    device_paths: Mapped[JsonList] = mapped_column(default=list)
    healthy: Mapped[bool] = mapped_column(default=True)
    simulated: Mapped[bool] = mapped_column(default=False)
    present: Mapped[bool] = mapped_column(default=True)


class CustomResource(Base):
    """A miner's own name for a system resource, on all of his nodes or on chosen ones."""

    __tablename__ = "custom_resources"
    __table_args__ = (UniqueConstraint("miner_id", "name"),)

    id: Mapped[Id] = mapped_column(primary_key=True)
    miner_id: Mapped[Id] = mapped_column(ForeignKey("users.id"))
    name: Mapped[str] = mapped_column(String(64))
    system_resource: Mapped[ShortText]
    node_ids: Mapped[JsonList] = mapped_column(default=list)
    """Empty: all nodes that have the resource."""
    description: Mapped[str] = mapped_column(Text, default="")
    created_at: Mapped[datetime] = utcnow_column()


class Spec(Base):
    """A named bundle of resources with a price in micro-UNC per hour."""

    __tablename__ = "specs"
    __table_args__ = (UniqueConstraint("miner_id", "name"), CheckConstraint("price >= 0", name="price"))

    id: Mapped[Id] = mapped_column(primary_key=True)
    miner_id: Mapped[Id] = mapped_column(ForeignKey("users.id"))
    name: Mapped[str] = mapped_column(String(64))
    description: Mapped[str] = mapped_column(Text, default="")
    price: Mapped[MicroUnc]
    created_at: Mapped[datetime] = utcnow_column()


class UnitPrice(Base):
    """What a miner asks for an hour of a core, a GB or a piece of a resource; it only suggests prices."""

    __tablename__ = "unit_prices"
    __table_args__ = (CheckConstraint("price >= 0", name="price"),)

    miner_id: Mapped[Id] = mapped_column(ForeignKey("users.id"), primary_key=True)
    resource: Mapped[ShortText] = mapped_column(primary_key=True)
    price: Mapped[MicroUnc]


class SpecItem(Base):
    """So much of a resource, in base units. ``resource`` is a system resource's name or a custom resource's."""

    __tablename__ = "spec_items"
    __table_args__ = (CheckConstraint("quantity > 0", name="quantity"),)

    spec_id: Mapped[Id] = mapped_column(ForeignKey("specs.id", ondelete="CASCADE"), primary_key=True)
    resource: Mapped[ShortText] = mapped_column(primary_key=True)
    quantity: Mapped[int]


class PoolSpec(Base):
    """A specification offered in a pool, for notebooks or for training."""

    __tablename__ = "pool_specs"
    __table_args__ = (CheckConstraint("purpose in ('notebook', 'training')", name="purpose"),)

    pool_id: Mapped[Id] = mapped_column(ForeignKey("pools.id", ondelete="CASCADE"), primary_key=True)
    spec_id: Mapped[Id] = mapped_column(ForeignKey("specs.id"), primary_key=True, index=True)
    purpose: Mapped[str] = mapped_column(String(16), primary_key=True)


class PoolGroup(Base):
    """A group that may use a pool."""

    __tablename__ = "pool_groups"

    pool_id: Mapped[Id] = mapped_column(ForeignKey("pools.id", ondelete="CASCADE"), primary_key=True)
    group_id: Mapped[Id] = mapped_column(ForeignKey("groups.id"), primary_key=True, index=True)


class Allocation(Base):
    """What an attempt holds on a node, by system resource, in base units. Gone when the attempt has ended."""

    __tablename__ = "allocations"

    attempt_id: Mapped[Id] = mapped_column(primary_key=True)
    resource: Mapped[ShortText] = mapped_column(primary_key=True)
    node_id: Mapped[Id] = mapped_column(ForeignKey("nodes.id"), index=True)
    quantity: Mapped[int]


class ChipClaim(Base):
    """A chip that an attempt holds: the primary key makes a second holder impossible."""

    __tablename__ = "chip_claims"

    chip_id: Mapped[Id] = mapped_column(ForeignKey("chips.id"), primary_key=True)
    attempt_id: Mapped[Id] = mapped_column(index=True)
