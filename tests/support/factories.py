"""One factory for each table and each protocol message that tests make by hand.

``SiteFactory.build(name="attic", miner_id=…)`` makes a row in memory. ``await SiteFactory.insert(tx)`` puts one into
the database, and before it the rows that it must point at, unless they are given. Nothing is random: what a factory
does not name is left to the model's own default.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import cache
from itertools import count
from typing import Any, ClassVar, TypeVar

from polyfactory import Require, Use
from polyfactory.factories.pydantic_factory import ModelFactory
from polyfactory.factories.sqlalchemy_factory import SQLAlchemyFactory
from polyfactory.field_meta import FieldMeta
from pydantic import BaseModel
from sqlalchemy import Column

from utcloud.accounts.auth import Actor
from utcloud.accounts.models import ApiToken, AuditEvent, Group, GroupMember, User
from utcloud.assets.models import Asset, AssetVersion, Image
from utcloud.billing.meters import fee_ppm
from utcloud.billing.models import Account, BillingEvent, Cap, Meter
from utcloud.common.ids import new_id
from utcloud.db import Base, Tx
from utcloud.protocol import (
    ChipReport,
    DesiredReplica,
    Limits,
    NodeReport,
    ObservedReplica,
    Phase,
    ResourceReport,
    SiteReport,
)
from utcloud.resources.models import Chip, CustomResource, Node, NodeResource, Pool, PoolSpec, Site, Spec, SpecItem

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
GB = 10**9
CHIP = "sophgo.com/bm1684x"
CHIP_MODEL = "BM1684X"
PRICE = 1_500_000
"""micro-UNC per hour: 1.5 UNC."""
FEE_PPM = fee_ppm(5.0)

RowT = TypeVar("RowT", bound=Base)
MessageT = TypeVar("MessageT", bound=BaseModel)


def _id(prefix: str) -> Any:
    return Use(new_id, prefix)


def _numbered(name: str) -> Any:
    """``name-1``, ``name-2`` …, for what must be unique."""
    numbers = count(1)
    return Use(lambda: f"{name}-{next(numbers)}")


# Tables


class TableFactory(SQLAlchemyFactory[RowT]):
    """Sets the columns that it names, and no others."""

    __is_base_factory__ = True
    __set_relationships__ = False
    __set_association_proxy__ = False
    __parents__: ClassVar[dict[str, "type[TableFactory[Any]]"]] = {}
    """What a column points at, where it must point at something."""

    @classmethod
    def should_column_be_set(cls, column: Any) -> bool:
        return isinstance(column, Column) and hasattr(cls, column.key)

    @classmethod
    @cache
    def get_model_fields(cls) -> list[FieldMeta]:
        return super().get_model_fields()

    @classmethod
    async def insert(cls, tx: Tx, /, **values: Any) -> RowT:
        """Put one row into the database, and before it the rows that it must point at and that are not given."""
        for column, parent in cls.__parents__.items():
            if column not in values:
                values[column] = (await parent.insert(tx)).id
        row = cls.build(**values)
        tx.add(row)
        await tx.flush()
        return row


class UserFactory(TableFactory[User]):
    """A renter who cannot log in."""

    id = _id("usr")
    username = _numbered("user")
    password_hash = "-"


class MinerFactory(UserFactory):
    username = _numbered("miner")
    is_miner = True
    is_renter = False


class GroupFactory(TableFactory[Group]):
    id = _id("grp")
    name = _numbered("group")


class GroupMemberFactory(TableFactory[GroupMember]):
    __parents__: ClassVar = {"group_id": GroupFactory, "user_id": UserFactory}

    group_id = Require()
    user_id = Require()


class ApiTokenFactory(TableFactory[ApiToken]):
    __parents__: ClassVar = {"user_id": UserFactory}

    id = _id("tok")
    user_id = Require()
    name = "test"
    token_hash = _numbered("hash")
    hint = "utc_"


class AuditEventFactory(TableFactory[AuditEvent]):
    id = _id("ae")
    action = "user.login"
    object_type = "user"


class AssetFactory(TableFactory[Asset]):
    __parents__: ClassVar = {"owner_id": UserFactory}

    id = _id("alg")
    kind = "algorithm"
    owner_id = Require()
    name = _numbered("algorithm")


class AssetVersionFactory(TableFactory[AssetVersion]):
    __parents__: ClassVar = {"asset_id": AssetFactory}

    id = _id("ver")
    asset_id = Require()
    number = 1
    status = "ready"


class ImageFactory(TableFactory[Image]):
    """A preset image with JupyterLab."""

    __parents__: ClassVar = {"owner_id": UserFactory}

    id = _id("img")
    owner_id = Require()
    name = _numbered("image")
    reference = _numbered("localhost/image:1")


class SiteFactory(TableFactory[Site]):
    __parents__: ClassVar = {"miner_id": MinerFactory}

    id = _id("site")
    miner_id = Require()
    name = _numbered("site")
    token_hash = _numbered("hash")


class PoolFactory(TableFactory[Pool]):
    """A pool that no renter may use yet."""

    __parents__: ClassVar = {"miner_id": MinerFactory}

    id = _id("pool")
    miner_id = Require()
    name = _numbered("pool")


class NodeFactory(TableFactory[Node]):
    id = _id("nd")
    site_id = Require()
    pool_id = Require()
    name = _numbered("node")

    @classmethod
    async def insert(cls, tx: Tx, /, **values: Any) -> Node:
        """Put a node into the database; its site and its pool are of one miner."""
        if "site_id" not in values:
            pool = await tx.get_one(Pool, values["pool_id"]) if "pool_id" in values else await PoolFactory.insert(tx)
            values["pool_id"] = pool.id
            values["site_id"] = (await SiteFactory.insert(tx, miner_id=pool.miner_id)).id
        if "pool_id" not in values:
            site = await tx.get_one(Site, values["site_id"])
            values["pool_id"] = (await PoolFactory.insert(tx, miner_id=site.miner_id)).id
        return await super().insert(tx, **values)


class NodeResourceFactory(TableFactory[NodeResource]):
    __parents__: ClassVar = {"node_id": NodeFactory}

    node_id = Require()
    name = "cpu"
    capacity = 8000


class ChipFactory(TableFactory[Chip]):
    __parents__: ClassVar = {"node_id": NodeFactory}

    id = _id("chip")
    miner_id = Require()
    uid = _numbered("chip")
    node_id = Require()
    resource = CHIP
    index = 0
    model = CHIP_MODEL

    @classmethod
    async def insert(cls, tx: Tx, /, **values: Any) -> Chip:
        """Put a chip into the database, of the miner whose node it stands in."""
        if "node_id" not in values:
            values["node_id"] = (await NodeFactory.insert(tx)).id
        node = await tx.get_one(Node, values["node_id"])
        values.setdefault("miner_id", (await tx.get_one(Site, node.site_id)).miner_id)
        return await super().insert(tx, **values)


class CustomResourceFactory(TableFactory[CustomResource]):
    __parents__: ClassVar = {"miner_id": MinerFactory}

    id = _id("cr")
    miner_id = Require()
    name = _numbered("TPU")
    system_resource = CHIP


class SpecFactory(TableFactory[Spec]):
    __parents__: ClassVar = {"miner_id": MinerFactory}

    id = _id("spec")
    miner_id = Require()
    name = _numbered("spec")
    price = PRICE


class SpecItemFactory(TableFactory[SpecItem]):
    __parents__: ClassVar = {"spec_id": SpecFactory}

    spec_id = Require()
    resource = CHIP
    quantity = 1


class PoolSpecFactory(TableFactory[PoolSpec]):
    pool_id = Require()
    spec_id = Require()
    purpose = "notebook"

    @classmethod
    async def insert(cls, tx: Tx, /, **values: Any) -> PoolSpec:
        """Offer a specification in a pool of the same miner."""
        if "pool_id" not in values:
            spec = await tx.get_one(Spec, values["spec_id"]) if "spec_id" in values else await SpecFactory.insert(tx)
            values["spec_id"] = spec.id
            values["pool_id"] = (await PoolFactory.insert(tx, miner_id=spec.miner_id)).id
        if "spec_id" not in values:
            pool = await tx.get_one(Pool, values["pool_id"])
            values["spec_id"] = (await SpecFactory.insert(tx, miner_id=pool.miner_id)).id
        return await super().insert(tx, **values)


class AccountFactory(TableFactory[Account]):
    """An empty wallet. ``money.fund`` puts something into it."""

    id = _id("acc")
    kind = "wallet"
    owner_id = _id("usr")


class MeterFactory(TableFactory[Meter]):
    """A meter that has run since ``NOW``."""

    __parents__: ClassVar = {"wallet_id": AccountFactory}

    id = _id("mtr")
    attempt_id = _id("at")
    wallet_id = Require()
    payer_id = _id("usr")
    payee_id = _id("usr")
    price = PRICE
    fee_ppm = FEE_PPM
    hold = 0
    started_at = NOW
    witnessed_until = NOW
    heard_at = NOW
    closed = False
    settled = 0
    waived = 0
    silent_ms = 0


class CapFactory(TableFactory[Cap]):
    """No cap at all, on what everybody together may spend from a wallet."""

    __parents__: ClassVar = {"wallet_id": AccountFactory}

    wallet_id = Require()
    user_id = ""


class BillingEventFactory(TableFactory[BillingEvent]):
    id = _id("bev")
    kind = "recharged"
    wallet_id = _id("acc")
    owner_id = _id("usr")


# Messages between agent and server


class MessageFactory(ModelFactory[MessageT]):
    """Sets the fields that it names, and no others."""

    __is_base_factory__ = True

    @classmethod
    def should_set_field_value(cls, field_meta: FieldMeta, **kwargs: Any) -> bool:
        return hasattr(cls, field_meta.name) and super().should_set_field_value(field_meta, **kwargs)


class ResourceReportFactory(MessageFactory[ResourceReport]):
    name = "cpu"
    capacity = 8000


class ChipReportFactory(MessageFactory[ChipReport]):
    uid = _numbered("chip")
    resource = CHIP
    index = 0
    model = CHIP_MODEL


class NodeReportFactory(MessageFactory[NodeReport]):
    """A node that has nothing; ``node_report`` gives it something."""

    name = "node-1"
    ip = "10.0.0.1"
    engine = "podman"


class ObservedReplicaFactory(MessageFactory[ObservedReplica]):
    """A replica whose container runs."""

    replica_id = _id("rp")
    attempt_id = _id("at")
    phase = Phase.RUNNING


class SiteReportFactory(MessageFactory[SiteReport]):
    sent_at = NOW


class LimitsFactory(MessageFactory[Limits]):
    cpu_millicores = 500
    memory_bytes = GB


class DesiredReplicaFactory(MessageFactory[DesiredReplica]):
    replica_id = _id("rp")
    attempt_id = _id("at")
    workload_id = _id("nb")
    desired = Phase.RUNNING
    node = "node-1"
    image = "localhost/image:1"
    limits = Use(LimitsFactory.build)


def chip_report(uid: str, index: int = 0, **more: Any) -> ChipReport:
    """What an agent says of one chip."""
    return ChipReportFactory.build(uid=uid, index=index, **more)


def node_report(
    name: str = "node-1",
    chips: int = 0,
    *,
    cpu: int = 8000,
    memory: int = 16 * GB,
    uid: str = "",
    simulated: bool = True,
    cards: Sequence[str] = (),
    **more: Any,
) -> NodeReport:
    """What an agent says of a node with ``chips`` chips, or real ones with the serial numbers ``cards``.

    Their uids are ``node-1-chip-0`` and so on, or begin with ``uid`` instead of ``node-1-chip``.
    """
    found = [
        chip_report(
            f"{uid or f'{name}-chip'}-{index}",
            index,
            serial=serial,
            simulated=simulated and not cards,
            device_paths=[f"/dev/bm-sophon{index}"],
        )
        for index, serial in enumerate(cards or [""] * chips)
    ]
    sizes = {"cpu": cpu, "memory": memory}
    resources = [ResourceReportFactory.build(name=key, capacity=value) for key, value in sizes.items()]
    return NodeReportFactory.build(name=name, resources=resources, chips=found, **more)


def actor_of(user: User) -> Actor:
    """The user as the one who acts."""
    return Actor(user.id, user.username, user.is_operator, user.is_miner, user.is_renter)
