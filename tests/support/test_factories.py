"""Each factory makes what the real schema, and the real protocol, takes: by its defaults alone, more than once."""

from typing import Any

import pytest
from polyfactory import Require
from sqlalchemy import inspect

from tests.support import factories
from tests.support.factories import MessageFactory, TableFactory
from utcloud.db import Database
from utcloud.resources.models import Node, Pool, PoolSpec, Site, Spec


def _all(base: type) -> list[type]:
    return [
        one for one in vars(factories).values() if isinstance(one, type) and issubclass(one, base) and one is not base
    ]


TABLES, MESSAGES = _all(TableFactory), _all(MessageFactory)


@pytest.mark.postgres
@pytest.mark.parametrize("factory", TABLES)
async def test_its_defaults_make_a_row_that_the_database_takes(db: Database, factory: type[TableFactory[Any]]) -> None:
    async with db.write() as tx:
        rows = [await factory.insert(tx), await factory.insert(tx)]
        keys = {inspect(row).identity for row in rows}
    assert len(keys) == 2
    async with db.read() as tx:
        for key in keys:
            await tx.get_one(factory.__model__, key)


@pytest.mark.postgres
async def test_what_hangs_together_is_of_one_miner(db: Database) -> None:
    async with db.write() as tx:
        site, pool = await factories.SiteFactory.insert(tx), await factories.PoolFactory.insert(tx)
        spec = await factories.SpecFactory.insert(tx)
        nodes = [await factories.NodeFactory.insert(tx, **given) for given in ({}, {"site_id": site.id})]
        nodes.append(await factories.NodeFactory.insert(tx, pool_id=pool.id))
        offers = [await factories.PoolSpecFactory.insert(tx, **given) for given in ({}, {"spec_id": spec.id})]
        offers.append(await factories.PoolSpecFactory.insert(tx, pool_id=pool.id))
        for node in nodes:
            assert isinstance(node, Node)
            assert (await tx.get_one(Site, node.site_id)).miner_id == (await tx.get_one(Pool, node.pool_id)).miner_id
        for offer in offers:
            assert isinstance(offer, PoolSpec)
            assert (await tx.get_one(Spec, offer.spec_id)).miner_id == (await tx.get_one(Pool, offer.pool_id)).miner_id


@pytest.mark.parametrize("factory", TABLES)
def test_it_sets_what_it_names_and_nothing_else(factory: type[TableFactory[Any]]) -> None:
    """What it leaves out is the model's own business: a test sees the defaults that users see."""
    columns = [column.key for column in inspect(factory.__model__).attrs]
    named = {name: getattr(factory, name) for name in columns if hasattr(factory, name)}
    row = factory.build(**{name: "x" for name, value in named.items() if isinstance(value, Require)})
    assert vars(row).keys() - {"_sa_instance_state"} == named.keys()


@pytest.mark.parametrize("factory", MESSAGES)
def test_its_defaults_make_a_message_that_can_be_sent(factory: type[MessageFactory[Any]]) -> None:
    made = factory.build()
    assert made.model_fields_set == {name for name in type(made).model_fields if hasattr(factory, name)}
    assert type(made).model_validate_json(made.model_dump_json()) == made


def test_unknown_names_are_refused() -> None:
    with pytest.raises(TypeError, match="nmae"):
        factories.GroupFactory.build(nmae="lab")


def test_a_node_has_as_many_chips_as_it_is_told() -> None:
    node = factories.node_report("attic", 2, cpu=1000)
    assert [(chip.uid, chip.index, chip.simulated) for chip in node.chips] == [
        ("attic-chip-0", 0, True),
        ("attic-chip-1", 1, True),
    ]
    assert {one.name: one.capacity for one in node.resources} == {"cpu": 1000, "memory": 16 * factories.GB}
    real = factories.node_report(cards=["S1", "S2"], uid="tpu")
    assert [(chip.uid, chip.serial, chip.simulated) for chip in real.chips] == [
        ("tpu-0", "S1", False),
        ("tpu-1", "S2", False),
    ]
