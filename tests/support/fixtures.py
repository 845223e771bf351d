"""Fixtures for every package; ``tests/conftest.py`` registers them."""

from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass

import pytest
from argon2 import PasswordHasher
from fastapi import FastAPI

from tests.support.clock import FakeClock
from tests.support.scenario import Scenario
from tests.support.web import Person, make_app, person
from utcloud.accounts import passwords
from utcloud.accounts.schemas import Role
from utcloud.billing.outbox.routes import router as notices
from utcloud.billing.routes import router as billing
from utcloud.billing.statement_routes import router as statements
from utcloud.common.settings import Settings
from utcloud.db import Database
from utcloud.resources.routes import router as resources


@pytest.fixture(scope="session", autouse=True)
def _cheap_passwords() -> Iterator[None]:
    """Hashing takes no time to speak of, in every server of this process."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(passwords, "hasher", PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))
        patch.setattr(passwords, "_nobodys_hash", None)
        yield


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
async def world(db: Database) -> Scenario:
    """A miner's cloud with an offer, and renters with money."""
    return await Scenario.build(db)


@dataclass(frozen=True)
class People:
    """An operator, two miners and a renter, each with a client."""

    db: Database
    clock: FakeClock
    app: FastAPI
    oscar: Person
    mina: Person
    boris: Person
    rita: Person


@pytest.fixture
async def people(db: Database, clock: FakeClock) -> AsyncIterator[People]:
    app = make_app(db, clock, Settings(), resources, billing, statements, notices)
    async with AsyncExitStack() as stack:
        oscar = await stack.enter_async_context(person(app, "oscar", Role.OPERATOR))
        mina = await stack.enter_async_context(person(app, "mina", Role.MINER))
        boris = await stack.enter_async_context(person(app, "boris", Role.MINER))
        rita = await stack.enter_async_context(person(app, "rita", Role.RENTER))
        yield People(db, clock, app, oscar, mina, boris, rita)


@pytest.fixture
async def alice(app: FastAPI) -> AsyncIterator[Person]:
    """A renter at the ``app`` of the test's package."""
    async with person(app, "alice") as someone:
        yield someone


@pytest.fixture
async def bob(app: FastAPI) -> AsyncIterator[Person]:
    """Another renter there."""
    async with person(app, "bob") as someone:
        yield someone
