"""One stack for all whole-journey tests, and what most of them need in it."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.cloud import Cloud
from tests.support.api import Api
from tests.support.stack import ROOT, Stack, Traces, missing, new_stack

BEFORE = pytest.StashKey[Traces]()


@pytest.fixture(scope="package")
def before(request: pytest.FixtureRequest, stack: Stack) -> Traces:
    """This machine before anything was started."""
    return request.config.stash[BEFORE]


@pytest.fixture(scope="package")
def stack(request: pytest.FixtureRequest) -> Iterator[Stack]:
    """A whole utcloud, as `make up` starts it."""
    if lacking := missing():
        pytest.skip(lacking)
    one = new_stack()
    request.config.stash[BEFORE] = Traces.of(one)
    one.up()
    try:
        one.wait_until_heard(one.operator())
        yield one
    finally:
        one.down()


@pytest.fixture(scope="package")
def operator(stack: Stack) -> Api:
    return stack.operator()


@pytest.fixture(scope="session")
def example() -> Path:
    """The example algorithm, with its real model."""
    subprocess.run([ROOT / "scripts" / "example-model"], check=True)
    return ROOT / "build" / "example"


@pytest.fixture(scope="module")
def cloud(stack: Stack, operator: Api, request: pytest.FixtureRequest) -> Iterator[Cloud]:
    """A pool, specifications and a renter for one module's tests; its notebooks are stopped at the end."""
    name = str(request.module.__name__).rpartition(".")[2].removeprefix("test_").replace("_", "-")
    one = Cloud.build(stack, operator, name)
    yield one
    one.stop_all()
