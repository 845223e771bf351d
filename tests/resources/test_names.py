"""System resources, and a miner's own names for them."""

from tests.resources.steps import join, make_spec, ok
from tests.support.factories import CHIP, ResourceReportFactory, chip_report, node_report
from tests.support.fixtures import People
from tests.support.scenario import add_site, add_spec, heard
from tests.support.web import problem
from utcloud.resources import capacity, service


async def test_custom_resource(people: People) -> None:
    await join(people, people.mina, node_report(chips=3, simulated=True), node_report("plain"))
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


async def test_a_chosen_node_that_is_gone_stays_chosen(people: People) -> None:
    """A name for one node must not become one for all while that node is away."""
    site = await join(people, people.mina, node_report(chips=2), node_report("other", chips=1))
    first = (await ok(people.mina.client.get("/nodes", params={"search": "node-1"})))["items"][0]["id"]
    body = {"name": "TPU", "system_resource": CHIP, "node_ids": [first]}
    made = await ok(people.mina.client.post("/custom-resources", json=body), 201)
    async with people.db.write() as tx:
        await heard(tx, people.clock.now(), site, node_report("other", chips=1))
    (shown,) = (await ok(people.mina.client.get("/custom-resources")))["items"]
    assert ([one["name"] for one in shown["nodes"]], shown["usage"]["capacity"]) == (["node-1"], 0)
    change = {"node_ids": [first], "description": "away"}
    changed = await ok(people.mina.client.patch(f"/custom-resources/{made['id']}", json=change))
    assert [one["id"] for one in changed["nodes"]] == [first]


async def test_a_name_is_never_of_a_name(people: People) -> None:
    """No cycles, no chains: a custom resource names what nodes have."""
    await join(people, people.mina, node_report(chips=3))
    post = people.mina.client.post
    await ok(post("/custom-resources", json={"name": "TPU", "system_resource": CHIP}), 201)
    refused = problem(await post("/custom-resources", json={"name": "B", "system_resource": "TPU"}), 422)
    assert (refused["field"], refused["cure"]) == ("system_resource", f"Name what it stands for: {CHIP}.")
    refused = problem(await post("/custom-resources", json={"name": "C", "system_resource": "C"}), 422)
    assert (refused["field"], refused["detail"]) == ("system_resource", "'C' would name itself.")
    problem(await post("/custom-resources", json={"name": "TPU", "system_resource": "TPU"}), 409, "name_taken", "name")


async def test_a_node_that_reports_a_name_of_ours_doubles_nothing(people: People) -> None:
    """A resource that is called as a custom one is: the name goes on meaning what its miner said."""
    site_id = await join(people, people.mina, node_report(chips=2))
    await ok(people.mina.client.post("/custom-resources", json={"name": "TPU", "system_resource": CHIP}), 201)
    reported = node_report(chips=2)
    reported.resources.append(ResourceReportFactory.build(name="TPU", capacity=100))
    async with people.db.write() as tx:
        await heard(tx, people.clock.now(), site_id, reported)
    spec = await make_spec(people.mina, items=[{"resource": "TPU", "quantity": "1"}])
    (pool,) = (await ok(people.rita.client.get("/pools")))["items"]
    assert [(one["free_now"], one["at_best"]) for one in pool["notebook_specs"]] == [(2, 2)]
    assert spec["fit"] == {"now": 1, "at_best": 1, "never": 0}
    refused = problem(
        await people.mina.client.post("/custom-resources", json={"name": "TPU", "system_resource": "TPU"}), 409
    )
    assert refused["field"] == "name"


async def test_two_names_over_the_same_chips_share_one_capacity(people: People) -> None:
    await join(people, people.mina, node_report(chips=3))
    for name in ("TPU", "Sophon"):
        await ok(people.mina.client.post("/custom-resources", json={"name": name, "system_resource": CHIP}), 201)
    by_two = [{"resource": "TPU", "quantity": "2"}, {"resource": "Sophon", "quantity": "2"}]
    body = {"name": "four", "price": "1", "items": by_two}
    problem(await people.mina.client.post("/specs", json=body), 409, "never_fits")
    spec = await make_spec(people.mina, items=[{"resource": "TPU", "quantity": "2"}])
    other = await make_spec(people.mina, "other", items=[{"resource": "Sophon", "quantity": "2"}])
    (pool,) = (await ok(people.mina.client.get("/pools")))["items"]
    async with people.db.write() as tx:
        demand = capacity.Demand("at_1", spec["id"], pool["id"])
        assert isinstance(await capacity.reserve(tx, people.clock.now(), [demand]), list)
        again = await capacity.reserve(tx, people.clock.now(), [capacity.Demand("at_2", other["id"], pool["id"])])
        assert not isinstance(again, list)
    customs = (await ok(people.mina.client.get("/custom-resources")))["items"]
    assert [(one["name"], one["usage"]["allocated"], one["usage"]["free"]) for one in customs] == [
        ("Sophon", 2, 1),
        ("TPU", 2, 1),
    ]


async def test_system_resources_are_what_the_nodes_have_in_sum(people: People) -> None:
    chips = [chip_report("a-0"), chip_report("a-1", 1, healthy=False, simulated=True), chip_report("a-2", 2)]
    odd = node_report("a").model_copy(update={"chips": chips})
    odd.resources.append(ResourceReportFactory.build(name=CHIP, capacity=99))
    counted = node_report("b", cpu=500)
    counted.resources += [
        ResourceReportFactory.build(name=CHIP, capacity=5),
        ResourceReportFactory.build(name="disk", capacity=10**12),
    ]
    await join(people, people.mina, odd, counted, node_report("c", chips=1, ready=False))
    async with people.db.write() as tx:
        await add_site(tx, people.boris.actor, "elsewhere")
        spec = await add_spec(tx, people.mina.actor, {"cpu": 400, CHIP: 1})
        pool = await service.default_pool(tx, people.mina.id)
        demands = [capacity.Demand(f"at_{number}", spec, pool.id) for number in range(3)]
        assert isinstance(await capacity.reserve(tx, people.clock.now(), demands), list)
    await join(people, people.boris, node_report("d", chips=7))
    listed = (await ok(people.mina.client.get("/system-resources", params={"sort": "-name"})))["items"]
    assert [one["name"] for one in listed] == [CHIP, "memory", "disk", "cpu"]
    assert [one["name"] for one in listed[0]["nodes"]] == ["a", "b", "c"]
    assert (listed[0]["usage"]["capacity"], listed[0]["usage"]["free"], listed[0]["simulated"]) == (9, 5, True)
    page = await ok(people.mina.client.get("/system-resources", params={"sort": "-name", "limit": 3}))
    rest = await ok(
        people.mina.client.get("/system-resources", params={"sort": "-name", "cursor": page["next_cursor"]})
    )
    assert [one["name"] for one in rest["items"]] == ["cpu"]
