"""The trial report, lived through in a real browser: miner and renter, from the first login to the bill."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.e2e.browser import SHOTS, Screen, chromium
from tests.e2e.cloud import expected_amount, micro
from tests.support.api import Api, wait_for
from tests.support.stack import Stack

pytestmark = [pytest.mark.in_order, pytest.mark.containers, pytest.mark.browser, pytest.mark.timeout(600)]

SPEC = "0.5CPU-1GB-1TPU1684X"
RENTER, PASSWORD = "lin", "a long enough password"
MINUTE_MS = 60_000
CHINESE = re.compile("[\u4e00-\u9fff]")


@dataclass
class Journey:
    """Both people, each in a browser window of his own."""

    stack: Stack
    admin: Screen
    console: Screen
    lin: Api | None = None
    lost_at: str = ""

    @property
    def renter(self) -> Api:
        if self.lin is None:
            self.lin = self.stack.anonymous().login(RENTER, PASSWORD)
        return self.lin

    def notebook_id(self, name: str) -> str:
        found = self.renter.named("/notebooks", name)
        assert found
        return str(found["id"])


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as one:
        yield one


@pytest.fixture(scope="module")
def journey(stack: Stack, browser: Browser) -> Iterator[Journey]:
    admin = Screen.open(browser, stack.access["admin_url"])
    console = Screen.open(browser, stack.access["console_url"])
    one = Journey(stack, admin, console)
    yield one
    if one.lin:
        for notebook in one.lin.all("/notebooks"):
            one.lin.post(f"/notebooks/{notebook['id']}/stop")
        for notebook in one.lin.all("/notebooks"):
            one.lin.wait_state(notebook["id"], "stopped", "failed")


@pytest.fixture(autouse=True)
def _step(request: pytest.FixtureRequest, journey: Journey) -> Iterator[None]:
    """Each step stands on the one before; what a failed one looked like is kept."""
    if journey.lost_at:
        pytest.skip(f"the journey ended at {journey.lost_at}")
    failed_before = request.session.testsfailed
    yield
    if request.session.testsfailed > failed_before:
        journey.lost_at = request.node.name
        journey.admin.shot(f"failed-{request.node.name}-admin")
        for number, page in enumerate(journey.console.page.context.pages):
            page.screenshot(path=SHOTS / f"failed-{request.node.name}-console-{number}.png")


def test_01_the_miner_logs_in(journey: Journey) -> None:
    admin, access = journey.admin, journey.stack.access
    admin.visit(access["admin_url"])
    expect(admin.page.locator("#login_username")).to_be_visible()
    admin.shot("admin-login")
    admin.fill("login", username="admin", password="wrong password")
    admin.page.locator("form#login button[type=submit]").click()
    expect(admin.page.get_by_role("alert")).to_be_visible()
    admin.log_in(access["username"], access["password"])
    admin.go("home")
    admin.shot("admin-home")


def test_02_this_machine_was_found_by_itself(journey: Journey, operator: Api) -> None:
    admin = journey.admin
    (node,) = [one for one in operator.all("/nodes") if one["status"] == "ready"]
    admin.go("nodes")
    row = admin.row(node["name"])
    expect(row).to_contain_text(node["ip"])
    expect(row).to_contain_text("imulated")
    admin.shot("admin-nodes")
    row.get_by_role("link", name=node["name"]).click()
    for device in ("BM1684X", "SC7", "°C"):
        expect(admin.main).to_contain_text(device)
    admin.shot("admin-node-detail")


def test_03_a_custom_resource_on_a_system_resource(journey: Journey) -> None:
    admin = journey.admin
    admin.go("resources")
    expect(admin.row("sophgo.com/bm1684x")).to_contain_text("3")
    admin.shot("admin-system-resources")
    admin.go("resources?tab=custom")
    admin.begin()
    admin.fill("custom-resource", name="TPU1684X")
    admin.choose("custom-resource", "system_resource", "sophgo.com/bm1684x")
    admin.submit()
    expect(admin.row("TPU1684X")).to_be_visible()
    admin.shot("admin-custom-resources")


def test_04_a_specification_with_a_price(journey: Journey) -> None:
    admin = journey.admin
    admin.go("specifications")
    admin.begin()
    admin.dialog.locator("button.ant-btn-dashed").click()
    admin.choose("create-spec", "items_2_resource", "TPU1684X")
    admin.fill("create-spec", items_0_quantity="0.5", items_1_quantity="1GB", items_2_quantity="1", name=SPEC)
    admin.fill("create-spec", price="1,5")
    admin.dialog.locator("button[type=submit]").click()
    expect(admin.dialog.locator(".ant-form-item-explain-error").first).to_be_visible()
    admin.fill("create-spec", price="1.5")
    admin.shot("admin-create-specification")
    admin.submit()
    expect(admin.row(SPEC)).to_contain_text("1.5")
    admin.shot("admin-specifications")


def test_05_a_user_in_a_group(journey: Journey) -> None:
    admin = journey.admin
    admin.go("groups")
    admin.begin()
    admin.fill("create-group", name="research")
    admin.submit()
    expect(admin.row("research")).to_be_visible()
    admin.shot("admin-groups")
    admin.go("users")
    admin.begin()
    admin.fill("create-user", username=RENTER, password=PASSWORD)
    admin.choose("create-user", "group_ids", "research")
    admin.submit()
    expect(admin.row(RENTER)).to_contain_text("research")
    admin.shot("admin-users")


def test_06_a_pool_bound_to_the_group(journey: Journey, operator: Api) -> None:
    admin = journey.admin
    (node,) = [one for one in operator.all("/nodes") if one["status"] == "ready"]
    admin.go("resource-pools")
    admin.begin()
    admin.fill("pool", name="lab")
    admin.choose("pool", "node_ids", node["name"])
    admin.choose("pool", "notebook_spec_ids", SPEC)
    admin.choose("pool", "group_ids", "research")
    admin.submit()
    expect(admin.row("lab")).to_contain_text("research")
    expect(admin.row("lab")).to_contain_text(node["name"])
    admin.shot("admin-resource-pools")


def test_07_a_recharge_with_a_note(journey: Journey) -> None:
    admin = journey.admin
    admin.go("time-management")
    admin.row(RENTER).locator("button.ant-btn-primary").click()
    admin.fill("recharge", amount="10", note="welcome")
    admin.shot("admin-recharge")
    admin.submit()
    expect(admin.row(RENTER)).to_contain_text("10")
    admin.shot("admin-machine-hours")
    admin.go("time-management?tab=recharges")
    expect(admin.row("welcome")).to_contain_text("10")
    admin.shot("admin-recharges")


def test_08_the_renter_logs_in(journey: Journey) -> None:
    console = journey.console
    console.visit(journey.stack.access["console_url"])
    expect(console.page.locator("#login_username")).to_be_visible()
    console.shot("console-login")
    console.log_in(RENTER, PASSWORD)
    console.go("overview")
    expect(console.main).to_contain_text("10 UNC")
    console.shot("console-overview-first")
    console.go("images")
    expect(console.row("jupyter")).to_be_visible()
    console.shot("console-images")


def test_09_the_algorithm_is_uploaded_as_a_folder(journey: Journey, example: Path) -> None:
    console = journey.console
    console.go("algorithms")
    console.begin()
    console.fill("create-asset", name="example")
    console.dialog.locator("input[type=file][webkitdirectory]").set_input_files(example)
    console.shot("console-upload")
    console.submit()
    drawer = console.page.locator(".ant-drawer")
    expect(drawer.locator(".ant-tag").filter(has_text=re.compile("^Ready$", re.I))).to_be_visible(timeout=MINUTE_MS)
    console.shot("console-algorithm")
    console.page.locator(".ant-drawer-close").click()
    expect(console.row("example")).to_contain_text("v1")
    console.shot("console-algorithms")


def offer(console: Screen) -> Locator:
    """The specification's card of the pool that has the machine; the default pool offers it too, and is empty now."""
    return console.dialog.locator(".ant-radio-wrapper").filter(has_text=SPEC).filter(has_text="Pool: lab")


def make_notebook(console: Screen, name: str, *, algorithm: str = "example", tasks: int = 1) -> None:
    console.go("notebooks")
    console.begin()
    console.fill("create-notebook", name=name)
    console.choose("create-notebook", "algorithm_id", algorithm)
    console.choose("create-notebook", "image_id", "jupyter")
    offer(console).click()
    if tasks > 1:
        console.dialog.locator(".ant-collapse-header").click()
        console.fill("create-notebook", tasks=str(tasks))
    console.shot(f"console-create-{name}")
    console.submit()


def open_lab(console: Screen, name: str, subtask: int = 0) -> Page:
    """Press Open, choose the subtask in the floating window, and wait for JupyterLab in the new tab."""
    console.named(name).locator("button.ant-btn-primary").click()
    item = console.dialog.get_by_role("listitem").nth(subtask)
    expect(item).to_be_visible()
    console.shot(f"console-open-{name}")
    with console.page.context.expect_page() as opened:
        item.get_by_role("button").click()
    lab = opened.value
    lab.wait_for_url(re.compile(r"\.apps\.localhost:\d+/lab"), timeout=MINUTE_MS)
    expect(lab.locator("#jp-main-dock-panel")).to_be_visible(timeout=MINUTE_MS)
    console.dialog.locator(".ant-modal-close").click()
    expect(console.page.locator(".ant-modal:visible")).to_have_count(0)
    return lab


def running(console: Screen, name: str, timeout: float = 2 * MINUTE_MS) -> None:
    """The list says so by itself, without a reload."""
    expect(console.named(name).locator(".ant-tag").filter(has_text=re.compile("^Running$", re.I))).to_be_visible(
        timeout=timeout
    )


def stop(console: Screen, name: str) -> None:
    console.button(console.named(name), "Stop").click()
    console.confirm()
    expect(console.named(name).locator(".ant-tag").filter(has_text=re.compile("^Stopped$", re.I))).to_be_visible(
        timeout=MINUTE_MS
    )


def contents(lab: Page, path: str) -> str:
    """A file as the notebook's own server has it, asked with the page's own cookie."""
    ask = "path => fetch(`/api/contents/${path}`).then(answer => answer.ok ? answer.json() : null)"
    found = lab.evaluate(ask, path)
    return str(found["content"]) if found else ""


def test_10_a_notebook_becomes_ready_and_opens(journey: Journey) -> None:
    """The uploaded folder is there; what is typed is saved by itself; the terminal infers on the rented chip."""
    console = journey.console
    make_notebook(console, "first")
    running(console, "first")
    console.shot("console-notebooks")
    lab = open_lab(console, "first")
    for name in ("infer.py", "model.onnx", "sample.txt"):
        expect(lab.locator(".jp-DirListing-item").filter(has_text=name)).to_be_visible(timeout=MINUTE_MS)
    lab.screenshot(path=SHOTS / "jupyterlab.png")
    names = {cookie["name"] for cookie in lab.context.cookies(lab.url)}
    assert "utcloud_session" not in names, "the console's cookie must not reach a renter's page"

    lab.locator(".jp-DirListing-item").filter(has_text="sample.txt").dblclick()
    editor = lab.locator(".jp-FileEditor .cm-content")
    editor.click()
    lab.keyboard.press("Control+End")
    lab.keyboard.type("edited in the browser")
    wait_for(lambda: "edited in the browser" in contents(lab, "example/sample.txt"), "it is saved by itself", 30)
    lab.screenshot(path=SHOTS / "jupyterlab-editor.png")

    lab.locator(".lm-TabBar-tab").filter(has_text="Launcher").first.click()
    lab.locator(".jp-LauncherCard:visible").filter(has_text="Terminal").first.click()
    screen = lab.locator(".jp-Terminal .xterm-screen")
    expect(screen).to_be_visible()
    screen.click()
    lab.keyboard.type("cd ~/example && python3 infer.py --dev 0 | tee answer.txt; ls /dev/bm-* > chips.txt\n")
    answer = wait_for(lambda: contents(lab, "example/answer.txt"), "an answer", 60)
    wait_for(lambda: contents(lab, "example/chips.txt"), "the list of chips", 30)
    lab.screenshot(path=SHOTS / "jupyterlab-terminal.png")
    answer = contents(lab, "example/answer.txt")
    assert "answer: sample.txt is" in answer
    assert "simulated" in answer
    assert contents(lab, "example/chips.txt").split() == ["/dev/bm-sophon0"]
    lab.close()


def test_11_stop_ends_the_bill_exactly(journey: Journey) -> None:
    console, admin = journey.console, journey.admin
    console.go("notebooks")
    stop(console, "first")
    (charge,) = journey.renter.all("/charges")
    amount = expected_amount(charge)
    assert micro(charge["amount"]) == amount > 0
    console.go("time-management?tab=charges")
    row = console.row("first")
    for shown in (SPEC, "1.5", charge["amount"], f"{charge['seconds']:.3f}"):
        expect(row).to_contain_text(shown)
    console.shot("console-charges")
    admin.go("time-management?tab=charges")
    for shown in (RENTER, charge["amount"], charge["miner_share"]):
        expect(admin.row(SPEC)).to_contain_text(shown)
    admin.row(SPEC).get_by_role("button", name="Expand row").click()
    expect(admin.main).to_contain_text(charge["platform_fee"])
    admin.shot("admin-charges")
    assert micro(charge["miner_share"]) + micro(charge["platform_fee"]) == amount
    assert micro(journey.renter.get("/wallets/mine")["balance"]) == 10_000_000 - amount
    admin.go("time-management?tab=earnings")
    admin.shot("admin-earnings")
    console.go("time-management")
    console.shot("console-machine-hours")


def test_12_the_edit_is_there_again(journey: Journey) -> None:
    console = journey.console
    console.go("notebooks")
    console.button(console.named("first"), "Start").click()
    running(console, "first")
    lab = open_lab(console, "first")
    assert "edited in the browser" in contents(lab, "example/sample.txt")
    lab.close()
    console.named("first").get_by_role("button", name="first", exact=True).click()
    expect(console.page.locator(".ant-drawer")).to_contain_text("first")
    console.shot("console-notebook-detail")
    console.page.locator(".ant-drawer-close").click()


def test_13_three_chips_and_a_fourth_that_waits_with_the_reason(journey: Journey) -> None:
    console, stack = journey.console, journey.stack
    for name in ("second", "third", "fourth"):
        make_notebook(console, name)
    for name in ("first", "second", "third"):
        running(console, name)
    fourth = console.named("fourth")
    expect(fourth).to_contain_text(re.compile(r"needs 1 TPU1684X.* 0 free of 3"))
    console.shot("console-notebooks-waiting")
    ids = {journey.notebook_id(name) for name in ("first", "second", "third")}
    containers = [one for one in stack.containers() if one["Labels"]["utcloud.workload"] in ids]
    seen = [stack.chips_in(one["Id"]) for one in containers]
    assert [list(chips) for chips in seen] == [["/dev/bm-sophon0"]] * 3
    assert len({chips["/dev/bm-sophon0"] for chips in seen}) == 3
    journey.admin.go("work")
    for _ in ids:
        expect(journey.admin.row(RENTER)).to_be_visible()
    journey.admin.shot("admin-work")
    journey.admin.go("home")
    journey.admin.shot("admin-home-busy")
    stop(console, "second")
    running(console, "fourth")
    for name in ("first", "third", "fourth"):
        stop(console, name)


def test_14_the_floating_window_offers_the_subtasks(journey: Journey) -> None:
    console = journey.console
    make_notebook(console, "gang", tasks=2)
    running(console, "gang")
    lab = open_lab(console, "gang", subtask=1)
    expect(lab.locator(".jp-DirListing-item").filter(has_text="infer.py")).to_be_visible(timeout=MINUTE_MS)
    lab.close()
    stop(console, "gang")
    console.go("overview")
    console.shot("console-overview")


def test_15_what_is_wrong_is_said_at_the_field(journey: Journey) -> None:
    console, admin = journey.console, journey.admin
    console.go("notebooks")
    console.begin()
    console.fill("create-notebook", name="first")
    console.choose("create-notebook", "image_id", "jupyter")
    offer(console).click()
    console.dialog.locator("button[type=submit]").click()
    expect(console.dialog.locator(".ant-form-item-explain-error").first).to_contain_text("first")
    console.shot("console-name-taken")
    admin.go("specifications")
    admin.button(admin.row(SPEC), "Delete").click()
    admin.page.locator(".ant-modal-confirm-btns button").last.click()
    expect(admin.page.locator(".ant-notification-notice, .ant-notification-notice-wrapper").first).to_contain_text(
        "lab"
    )
    admin.shot("admin-in-use")


PAGES = {
    "admin": ["home", "nodes", "resources", "specifications", "resource-pools", "work", "users", "groups"],
    "console": ["overview", "notebooks", "algorithms", "datasets", "models", "images", "time-management"],
}


@pytest.mark.parametrize("end", ["admin", "console"])
def test_16_every_page_in_chinese_and_on_a_telephone(journey: Journey, end: str) -> None:
    screen = journey.admin if end == "admin" else journey.console
    for path in PAGES[end]:
        screen.go(path)
        screen.narrow_shot(f"{end}-{path}")
    screen.speak("zh")
    for path in PAGES[end]:
        screen.go(path)
        expect(screen.main, f"{end}/{path} in Chinese").to_contain_text(CHINESE)
        assert screen.english() == [], f"{end}/{path} in Chinese"
        screen.shot(f"{end}-{path}-zh")
    screen.speak("en")


def test_17_nothing_went_wrong_behind_the_scenes(journey: Journey) -> None:
    """No script error and no 5xx in all that time; the audit trail knows who did what."""
    assert journey.admin.faults == []
    assert journey.console.faults == []
    journey.admin.go("audit-trail")
    expect(journey.admin.main).to_contain_text("notebook.create")
    journey.admin.shot("admin-audit-trail")
