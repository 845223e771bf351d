"""System resources, and a miner's own names for them."""

from tests.resources.conftest import People
from tests.resources.steps import join, make_spec, ok
from tests.resources.support import CHIP, node
from tests.support.web import problem
from utcloud.resources import service


async def test_custom_resource(people: People) -> None:
    await join(people, people.mina, node(chips=3, simulated=True), node("plain"))
    nodes = (await ok(people.mina.client.get("/nodes")))["items"]
    with_chips, plain = (next(one["id"] for one in nodes if one["name"] == name) for name in ("node-1", "plain"))
    post = people.mina.client.post
    body = {"name": "TPU1684X", "system_resource": CHIP, "node_ids": [with_chips]}
    made = await ok(post("/custom-resources", json=body), 201)
    assert made["usage"]["capacity"] == 3
    assert made["simulated"]
    assert [one["id"] for one in made["nodes"]] == [with_chips]
    (system,) = (await ok(people.mina.client.get("/system-resources", params={"search": "SOPHGO"})))["items"]
    assert system["custom_names"] == ["TPU1684X"]
    for change, status, field in (
        ({}, 409, "name"),
        ({"name": CHIP}, 422, "name"),  # a slash
        ({"name": "cpu"}, 409, "name"),
        ({"name": "Memory"}, 409, "name"),
        ({"name": "X" * 10_000}, 422, "name"),
        ({"name": "Y", "system_resource": "nvidia.com/gpu"}, 422, "system_resource"),
        ({"name": "Y", "node_ids": ["nd_none"]}, 422, "node_ids.0"),
        ({"name": "Y", "node_ids": [with_chips, plain]}, 422, "node_ids.1"),
    ):
        problem(await post("/custom-resources", json={**body, **change}), status, field=field)
    spec = await make_spec(people.mina, items=[{"resource": "TPU1684X", "quantity": "1"}])
    assert spec["simulated"]
    refused = problem(await people.mina.client.delete(f"/custom-resources/{made['id']}"), 409, "in_use")
    assert "small" in refused["detail"]
    changed = await ok(people.mina.client.patch(f"/custom-resources/{made['id']}", json={"node_ids": []}))
    assert changed["nodes"] == []
    assert changed["used_by_specs"] == ["small"]
    async with people.db.read() as tx:
        assert {"TPU1684X", CHIP} <= await service.simulated_names(tx)
