"""Home, nodes, sites, resources, specifications and pools, as a miner uses them.

Each page's main path and its worst error, with pictures in build/screenshots.
"""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Locator, expect

from tests.e2e.browser import Screen, chromium
from tests.e2e.cloud import Cloud
from tests.support.api import Api, Json
from tests.support.factories import CHIP
from tests.support.stack import Stack

pytestmark = [pytest.mark.in_order, pytest.mark.containers, pytest.mark.browser, pytest.mark.timeout(600)]

NAME = "admin-hardware"
REASON = "new cooling"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as one:
        yield one


@pytest.fixture(scope="module")
def admin(browser: Browser, stack: Stack) -> Screen:
    screen = Screen.open(browser, stack.access["admin_url"])
    screen.log_in(stack.access["username"], stack.access["password"])
    return screen


@pytest.fixture(scope="module")
def notebook(cloud: Cloud) -> Json:
    """Work on the node."""
    made = cloud.create("busy")
    return cloud.renter.wait_state(made["id"], "running")


@pytest.fixture(autouse=True)
def _picture(request: pytest.FixtureRequest, admin: Screen) -> Iterator[None]:
    """What a failed step looked like is kept."""
    failed_before = request.session.testsfailed
    yield
    if request.session.testsfailed > failed_before:
        admin.shot(f"failed-{request.node.name}-admin")
    else:
        assert admin.faults == []


def error(admin: Screen) -> Locator:
    """What the open dialog says at one of its fields."""
    return admin.dialog.locator(".ant-form-item-explain-error").first


def press(admin: Screen, text: str) -> None:
    admin.button(admin.main, text).first.click()


def leave(admin: Screen) -> None:
    admin.dialog.get_by_role("button", name="Cancel").click()
    expect(admin.page.locator(".ant-modal:visible")).to_have_count(0)


def shots(admin: Screen, name: str) -> None:
    admin.shot(f"hardware-{name}")
    admin.narrow_shot(f"hardware-{name}")


def test_home(admin: Screen, cloud: Cloud, operator: Api) -> None:
    """Figures, the earnings of two weeks for eyes and ears, and what needs attention, each a link to the very thing."""
    cloud.renter.wait_state(cloud.create("short", spec_id=cloud.small["id"])["id"], "running")
    operator.post("/pools", {"name": "bare", "group_ids": [cloud.group["id"]]})
    admin.go("home")
    expect(admin.main.locator(".figure")).to_have_count(6)
    expect(admin.main.locator("figure svg")).to_be_visible()
    expect(admin.main.locator("figure tbody tr")).to_have_count(14)
    shots(admin, "home")
    admin.main.locator(".attention").filter(has_text="bare").click()
    expect(admin.row("bare")).to_contain_text("No nodes")
    expect(admin.page).to_have_url(re.compile(r"resource-pools\?without=nodes$"))
    expect(admin.row(cloud.pool["name"])).to_have_count(0)  # narrowed to those that lack nodes

    admin.page.route("**/api/v1/overview/miner", lambda route: route.abort())
    admin.visit(f"{admin.base}/home")
    expect(admin.main).to_contain_text("cannot be reached")
    admin.shot("hardware-home-unreachable")
    admin.page.unroute("**/api/v1/overview/miner")
    press(admin, "Try again")
    expect(admin.main.locator(".figure")).to_have_count(6)


def test_a_list_keeps_its_search_and_order_in_the_address(admin: Screen, cloud: Cloud) -> None:
    admin.go("nodes")
    admin.main.get_by_role("searchbox", name="Search").fill("no such server")
    expect(admin.main).to_contain_text("Nothing matches")
    admin.visit(admin.page.url)
    expect(admin.main).to_contain_text("Nothing matches")
    press(admin, "Take search and filters away")
    expect(admin.row(cloud.node["name"])).to_be_visible()
    admin.main.locator("th").filter(has_text="IP").click()
    expect(admin.page).to_have_url(re.compile(r"sort=ip"))
    press(admin, "Export")
    with admin.page.expect_download() as started:
        admin.page.get_by_role("menuitem", name="CSV, for spreadsheets").click()
    assert cloud.node["id"] in started.value.path().read_text()


def test_nodes_rest_and_work_again(admin: Screen, cloud: Cloud) -> None:
    admin.go("nodes")
    row = admin.row(cloud.node["name"])
    expect(row).to_contain_text(cloud.node["ip"])
    shots(admin, "nodes")
    row.get_by_role("checkbox").check()
    bulk = admin.main.get_by_role("region", name="The chosen rows")
    admin.button(bulk, "Cordon").click()
    admin.fill("cordon", reason="a look inside")
    admin.submit()
    expect(row).to_contain_text("Cordoned")
    admin.button(bulk, "Take new work again").click()
    expect(row).not_to_contain_text("Cordoned")


def test_a_node_with_its_chips_labels_and_work(admin: Screen, cloud: Cloud, notebook: Json) -> None:
    admin.go("nodes")
    admin.main.get_by_role("link", name=cloud.node["name"], exact=True).click()
    expect(admin.main.get_by_role("heading", name=cloud.node["name"], exact=True)).to_be_visible()
    for fact in ("/dev/bm-sophon", "BM1684X", "SC7", "°C", cloud.user["username"]):
        expect(admin.main).to_contain_text(fact)
    expect(admin.main).to_contain_text(cloud.spec["name"])

    press(admin, "Edit labels")
    admin.dialog.get_by_role("button", name="Add label").click()
    admin.fill("labels", labels_0_key="-rack", labels_0_value="4")
    admin.dialog.locator("button[type=submit]").click()
    expect(error(admin)).to_be_visible()
    admin.fill("labels", labels_0_key="rack")
    admin.submit()
    expect(admin.main).to_contain_text("rack=4")
    shots(admin, "node")


def test_draining_says_who_is_told(admin: Screen, cloud: Cloud, notebook: Json) -> None:
    admin.go(f"nodes/{cloud.node['id']}")
    press(admin, "Drain")
    expect(admin.dialog).to_contain_text(cloud.user["username"])
    admin.dialog.locator("button[type=submit]").click()
    expect(error(admin)).to_be_visible()
    admin.fill("drain", reason=REASON)
    admin.page.locator("#drain_grace_minutes").click()
    admin.page.get_by_title("7 d").click()
    admin.shot("hardware-drain")
    admin.submit()
    expect(admin.main).to_contain_text("what still runs at")
    expect(admin.main).to_contain_text(REASON)
    assert REASON in cloud.renter.notebook(notebook["id"])["replicas"][0]["reason"]
    notices = [one["detail"] for one in cloud.renter.get("/notices", kind="stop_announced")["items"]]
    assert REASON in next(one["reason"] for one in notices if one["workload"] == notebook["name"])
    press(admin, "Take new work again")
    expect(admin.main).not_to_contain_text("what still runs at")


def test_moving_a_busy_node_asks_what_becomes_of_its_work(admin: Screen, cloud: Cloud, notebook: Json) -> None:
    admin.go(f"nodes/{cloud.node['id']}")
    press(admin, "More")
    admin.page.get_by_role("menuitem", name="Move to another pool").click()
    admin.choose("move", "pool_id", "default")
    admin.dialog.locator("button[type=submit]").click()
    expect(error(admin)).to_contain_text("Choose one, or cancel")
    admin.dialog.get_by_role("radio", name=re.compile("^Wait")).check()
    admin.narrow_shot("hardware-move")
    admin.submit()
    expect(admin.main).to_contain_text("moves to the pool default")
    press(admin, "Take new work again")
    expect(admin.main).not_to_contain_text("moves to the pool default")


def test_a_busy_node_is_not_removed(admin: Screen, cloud: Cloud, notebook: Json) -> None:
    admin.go(f"nodes/{cloud.node['id']}")
    press(admin, "More")
    admin.page.get_by_role("menuitem", name="Remove").click()
    admin.confirm()
    expect(admin.page.locator(".ant-notification-notice")).to_contain_text(cloud.node["name"])
    admin.shot("hardware-remove-refused")
    admin.page.locator(".ant-notification-notice-close").first.click()


def test_sites(admin: Screen) -> None:
    admin.go("nodes")
    press(admin, "Add a server")
    admin.fill("site", name="local")
    admin.dialog.locator("button[type=submit]").click()
    expect(error(admin)).to_be_visible()
    admin.fill("site", name="attic")
    admin.dialog.locator("button[type=submit]").click()
    expect(admin.dialog).to_contain_text("utcloud agent")
    expect(admin.dialog).to_contain_text("UTCLOUD_SERVER_URL=http")
    admin.shot("hardware-join")
    admin.dialog.get_by_role("button", name="I have copied it").click()
    expect(admin.row("attic")).to_contain_text("Not joined yet")
    shots(admin, "sites")
    admin.button(admin.row("attic"), "Delete").click()
    admin.confirm()
    expect(admin.row("attic")).to_have_count(0)


def test_resources(admin: Screen, cloud: Cloud) -> None:
    """Two names over the same chips share them, and the page says so; a name that is taken is refused at its field."""
    admin.go("resources")
    row = admin.row(CHIP)
    row.get_by_role("button").first.click()
    expect(admin.main.locator(".over-nodes")).to_contain_text(cloud.node["name"])
    shots(admin, "system-resources")
    admin.go("resources?tab=custom")
    admin.begin()
    admin.fill("custom-resource", name=f"TPU-{NAME}")
    admin.choose("custom-resource", "system_resource", CHIP)
    expect(admin.dialog).to_contain_text(re.compile(f"Shares chips with .*TPU-{NAME}"))
    admin.dialog.locator("button[type=submit]").click()
    expect(error(admin)).to_be_visible()
    admin.shot("hardware-custom-resource-taken")
    admin.fill("custom-resource", name="other-name")
    admin.submit()
    for name in ("other-name", f"TPU-{NAME}"):
        expect(admin.row(re.compile(f"Shares chips with .*{name}"))).to_be_visible()
    shots(admin, "custom-resources")


def test_specifications(admin: Screen, cloud: Cloud) -> None:
    """Unit prices suggest, the preview says where it fits, a unit that nobody knows is refused at its row."""
    admin.go("specifications")
    press(admin, "Unit prices")
    admin.fill("unit-prices", prices_0="1,5")
    admin.dialog.locator("button[type=submit]").click()
    expect(error(admin)).to_be_visible()
    for label, price in (("CPU", "0.2"), ("Memory", "0.1"), (f"{CHIP}", "0.8")):
        admin.dialog.get_by_label(label, exact=True).fill(price)
    admin.narrow_shot("hardware-unit-prices")
    admin.submit()

    admin.begin()
    admin.dialog.get_by_role("button", name="Add resource").click()
    admin.choose("create-spec", "items_2_resource", f"TPU-{NAME}")
    admin.fill("create-spec", items_0_quantity="1", items_1_quantity="4 XB", items_2_quantity="2")
    expect(error(admin)).to_contain_text("XB")
    admin.fill("create-spec", items_1_quantity="4000GB")
    expect(admin.dialog.locator(".preview")).to_contain_text("It fits on none of your nodes")
    admin.shot("hardware-specification-never-fits")
    admin.fill("create-spec", items_1_quantity="2GB")
    expect(admin.dialog.locator(".sum tfoot")).to_contain_text("2 UNC/hour")
    expect(admin.dialog.locator(".preview")).to_contain_text("at best 1")
    admin.fill("create-spec", name="suggested")
    shots(admin, "create-specification")
    admin.submit()
    expect(admin.row("suggested")).to_contain_text("2 UNC/hour")

    admin.button(admin.row("suggested"), "Edit").click()
    admin.fill("edit-spec", price="2.5")
    expect(admin.dialog).to_contain_text("What runs keeps its price")
    admin.shot("hardware-edit-specification")
    admin.submit()
    expect(admin.row("suggested")).to_contain_text("2.5 UNC/hour")
    expect(admin.row("suggested")).to_contain_text("suggested 2 UNC")
    shots(admin, "specifications")


def test_pools(admin: Screen, cloud: Cloud, notebook: Json) -> None:
    """A pool is made; taking a busy node out of its own asks whether to wait or to drain, at the field."""
    admin.go("resource-pools")
    admin.begin()
    admin.fill("pool", name=cloud.pool["name"])
    admin.dialog.locator("button[type=submit]").click()
    expect(error(admin)).to_be_visible()
    admin.fill("pool", name="made here")
    admin.choose("pool", "node_ids", cloud.node["name"])
    admin.choose("pool", "training_spec_ids", cloud.small["name"])
    admin.choose("pool", "group_ids", cloud.group["name"])
    admin.dialog.locator("button[type=submit]").click()
    expect(error(admin)).to_contain_text(cloud.node["name"])
    admin.dialog.get_by_role("radio", name=re.compile("^Wait")).check()
    admin.narrow_shot("hardware-pool-busy")
    admin.submit()
    made = admin.row("made here")
    expect(made).to_contain_text(f"{cloud.node['name']} comes")
    expect(made).to_contain_text(cloud.small["name"])
    shots(admin, "pools")

    cloud.operator.post(f"/nodes/{cloud.node['id']}/uncordon")
    expect(made).to_contain_text("No nodes")
    admin.button(made, "Delete").click()
    admin.confirm()
    expect(made).to_have_count(0)


def test_in_chinese_and_dark(admin: Screen, cloud: Cloud, notebook: Json) -> None:
    """What the server says is Chinese too: why work ends, at which field what is wrong."""
    node = f"/nodes/{cloud.node['id']}"
    cloud.operator.post(f"{node}/drain", {"reason": REASON, "grace_minutes": 60})
    admin.page.evaluate("localStorage.setItem('utcloud.dark', '1')")
    admin.speak("zh")
    for name, path in (("home", "home"), ("node", node[1:]), ("pools", "resource-pools"), ("work", "work")):
        admin.go(path)
        assert admin.english() == [], path
        shots(admin, f"{name}-zh-dark")
    expect(admin.main).to_contain_text(f"UTC 排空：{REASON}；请保存您的工作")
    admin.go("resource-pools")
    admin.begin()
    admin.fill("pool", name=cloud.pool["name"])
    admin.dialog.locator("button[type=submit]").click()
    expect(error(admin)).to_have_text(f"已有名为“{cloud.pool['name']}”的资源池。请换一个名称。")
    admin.shot("hardware-pool-name-taken-zh")
    admin.page.evaluate("localStorage.removeItem('utcloud.dark')")
    admin.speak("en")
    cloud.operator.post(f"{node}/uncordon")
