"""Nodes that are alike are looked at once: the answer is the same as when each is looked at."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.factories import CustomResourceFactory
from utcloud.resources.capacity import Names, NodeState
from utcloud.resources.service.fit import Fits

pytestmark = pytest.mark.postgres

NAMES = ("cpu", "memory", "gpu")
AMOUNTS = st.dictionaries(st.sampled_from(NAMES), st.integers(0, 3), max_size=3)


@st.composite
def nodes(draw: st.DrawFn) -> list[NodeState]:
    found = []
    for number in range(draw(st.integers(0, 8))):
        capacity = draw(AMOUNTS)
        free = {name: draw(st.integers(0, amount)) for name, amount in capacity.items()}
        pool = draw(st.sampled_from(["a", "b"]))
        state = NodeState(f"n{number}", "", "site", pool, "mina", ready=draw(st.booleans()), capacity=capacity)
        state.free = free
        found.append(state)
    return found


@given(
    nodes(),
    st.dictionaries(st.sampled_from([*NAMES, "TPU"]), st.integers(1, 3), min_size=1),
    st.lists(st.integers(0, 8).map("n{}".format), max_size=4),
)
def test_the_same_as_one_by_one(there: list[NodeState], items: dict[str, int], chosen: list[str]) -> None:
    names = Names([CustomResourceFactory.build(miner_id="mina", name="TPU", system_resource="gpu", node_ids=chosen)])
    fits = Fits({pool: [node for node in there if node.pool_id == pool] for pool in ("a", "b")}, names)
    for pool in ("a", "b", "c"):
        inside = [(node, names.on(node, items)) for node in there if node.pool_id == pool]
        now = [node.room_for(needs) if node.ready else 0 for node, needs in inside]
        at_best = [node.at_best(needs) for node, needs in inside]
        assert fits.times(pool, items) == (sum(now), sum(at_best))
        on = fits.nodes(pool, items)
        assert (on.now, on.at_best) == (sum(map(bool, now)), sum(map(bool, at_best)))
        assert on.at_best + on.never == len(inside)
