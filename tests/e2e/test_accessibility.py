"""Every page of both ends by axe-core and by keyboard alone: wide and narrow, light and dark, logged out and in."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect

from tests.e2e.axe import COLOURS, grave_faults, in_every_look, set_look
from tests.e2e.browser import Screen, chromium
from tests.e2e.cloud import Cloud
from tests.support.api import Api
from tests.support.stack import Stack

pytestmark = [pytest.mark.in_order, pytest.mark.containers, pytest.mark.browser, pytest.mark.timeout(600)]

PASSWORD = "a long enough password"
ADMIN_DIALOGS = ["resources?tab=custom", "specifications", "resource-pools", "users", "groups", "invitations"]
CONSOLE_DIALOGS = ["notebooks", "algorithms"]
NOT_BEHIND = "() => document.activeElement === document.body || document.activeElement.closest('.ant-modal') !== null"
"""The focus is in the dialog, or with the browser itself; never on the page behind."""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as one:
        yield one


@pytest.fixture(scope="module")
def ids(cloud: Cloud) -> dict[str, str]:
    """Something to see on each page; the ids that addresses name, and an open invitation's link."""
    operator = cloud.operator
    anonymous = cloud.stack.anonymous()
    anonymous.post("/applications", {"username": "applies", "password": PASSWORD, "note": "May I?"})
    operator.post("/algorithms", {"name": "shown-to-all", "visibility": "preset"})
    frozen, _ = cloud.add_renter("frozen")
    operator.post(f"/users/{frozen['id']}/freeze", {"reason": "Gone on holiday."})
    rated = cloud.create("rated", spec_id=cloud.small["id"])["id"]
    cloud.renter.wait_state(rated, "running")
    cloud.renter.post(f"/notebooks/{rated}/stop")
    cloud.renter.wait_state(rated, "stopped")
    (order,) = cloud.renter.all("/orders")
    cloud.renter.post(f"/orders/{order['id']}/rating", {"stars": 4})
    operator.put(f"/users/{cloud.user['id']}/quota", {"notebooks": 1, "resources": {"cpu": "1"}})
    cloud.create("seen")
    link = operator.post("/invitations", {"group_ids": [cloud.group["id"]], "grant": "5"})["url"]
    return {
        "user": cloud.user["id"],
        "name": cloud.user["username"],
        "group": cloud.group["id"],
        "node": cloud.node["id"],
        "link": link,
    }


@pytest.fixture(scope="module")
def admin(browser: Browser, stack: Stack, ids: dict[str, str]) -> Screen:
    screen = Screen.open(browser, stack.access["admin_url"])
    screen.log_in(stack.access["username"], stack.access["password"])
    return screen


@pytest.fixture(scope="module")
def console(browser: Browser, stack: Stack, cloud: Cloud, ids: dict[str, str]) -> Screen:
    screen = Screen.open(browser, stack.access["console_url"])
    screen.log_in(cloud.user["username"], cloud.user["initial_password"])
    return screen


def test_pages_before_the_login(browser: Browser, stack: Stack, ids: dict[str, str]) -> None:
    console = stack.access["console_url"]
    faults = {}
    for url in (console, stack.access["admin_url"], f"{console}register", ids["link"], f"{console}invitation#none"):
        screen = Screen.open(browser, console)
        screen.visit(url)
        expect(screen.main.locator("h3").first).to_be_visible()
        faults[url] = in_every_look(screen.page)
        screen.page.context.close()
    assert not _found(faults)


def test_pages_of_the_miner_management_end(admin: Screen, ids: dict[str, str]) -> None:
    details = [f"users?user={ids['user']}", f"groups/{ids['group']}", f"nodes/{ids['node']}"]
    assert not _found(_faults_of(admin, details))


def test_pages_of_the_chip_user_end(console: Screen) -> None:
    assert not _found(_faults_of(console, []))


@pytest.mark.parametrize("end", ["admin", "console"])
def test_dialogs(end: str, request: pytest.FixtureRequest) -> None:
    """A dialog is opened by keyboard, keeps the focus, ends by Escape, and gives the focus back."""
    screen: Screen = request.getfixturevalue(end)
    faults = {}
    for path in ADMIN_DIALOGS if end == "admin" else CONSOLE_DIALOGS:
        screen.go(path)
        begin = screen.main.locator("section button.ant-btn-primary").first
        begin.focus()
        begin.press("Enter")
        expect(screen.dialog).to_be_visible()
        expect(screen.dialog).to_have_attribute("aria-modal", "true")
        for look, rules in (("dark", COLOURS), ("light", None)):
            set_look(screen.page, look)
            faults[f"{path} {look}"] = grave_faults(screen.page, rules)
        screen.page.wait_for_function("() => document.activeElement.matches('.ant-modal form :is(input, textarea)')")
        for _ in range(25):
            screen.page.keyboard.press("Tab")
            assert screen.page.evaluate(NOT_BEHIND), path
        screen.page.keyboard.press("Escape")
        expect(screen.page.locator(".ant-modal:visible")).to_have_count(0)
        expect(begin).to_be_focused()
    assert not _found(faults)


def test_windows_of_rows(admin: Screen, ids: dict[str, str]) -> None:
    """What the buttons of rows and cards open: without grave faults, ended by Escape, the focus back on the button."""
    windows = {
        f"users?search={ids['name']}": ["Edit"],
        f"users?user={ids['user']}": ["Edit quota"],
        f"groups/{ids['group']}": ["Edit", "Add member", "Set quota"],
        "applications?status=waiting": ["Approve", "Reject"],
        f"work?search={ids['name']}": ["Stop"],
        "preset-assets?tab=algorithms": ["shown-to-all"],
        "audit-trail": ["the first"],
    }
    faults = {}
    page = admin.page
    for path, names in windows.items():
        for name in names:
            admin.go(path)
            opener = page.get_by_role("button", name=name, exact=True).last
            if path == "audit-trail":
                opener = admin.main.locator("tr.ant-table-row button").first
            opener.focus()
            opener.press("Enter")
            window = page.locator(".ant-modal:visible, .ant-drawer:visible").last
            expect(window).to_be_visible()
            for look, rules in (("dark", COLOURS), ("light", None)):
                set_look(page, look)
                faults[f"{path} {name} {look}"] = grave_faults(page, rules)
            page.keyboard.press("Escape")
            expect(opener).to_be_focused()
    assert not _found(faults)


def test_the_content_is_two_keys_away(admin: Screen) -> None:
    """Before the menu there is a link to the content, seen once it has the focus."""
    admin.go("users")
    page = admin.page
    page.keyboard.press("Tab")
    skip = page.locator("a.skip")
    expect(skip).to_be_focused()
    expect(skip).to_be_in_viewport()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    assert page.evaluate("() => Boolean(document.activeElement.closest('main, [role=main]'))")


def test_the_focus_is_seen(admin: Screen) -> None:
    """Whatever takes the focus by keyboard shows it: an outline, a shadow or another border."""
    admin.go("groups")
    page = admin.page
    seen = """() => {
        const one = document.activeElement;
        const around = [one, one.parentElement, one.closest(".ant-input-affix-wrapper, .ant-select, .ant-checkbox")];
        return around.filter(Boolean).some((each) => {
            const style = getComputedStyle(each);
            const inner = getComputedStyle(each, "::after");
            return (style.outlineStyle !== "none" && parseFloat(style.outlineWidth) > 0)
                || style.boxShadow !== "none" || inner.outlineStyle !== "none";
        }) || one.outerHTML.slice(0, 200);
    }"""
    page.locator("main, [role=main]").focus()
    for _ in range(8):
        page.keyboard.press("Tab")
        assert page.evaluate(seen) is True


def test_a_miner_works_by_keyboard_alone(admin: Screen, operator: Api) -> None:
    admin.go("groups")
    begin = admin.main.locator("section button.ant-btn-primary").first
    begin.focus()
    keys = admin.page.keyboard
    keys.press("Enter")
    expect(admin.page.locator("#create-group_name")).to_be_focused()
    keys.type("by-keyboard")
    keys.press("Enter")
    expect(admin.dialog).to_have_count(0)
    expect(admin.row("by-keyboard")).to_be_visible()
    assert operator.named("/groups", "by-keyboard")


def _faults_of(screen: Screen, more: list[str]) -> dict[str, list[str]]:
    """The faults of every page that the menu leads to, of every tab of it, and of the pages ``more``."""
    faults: dict[str, list[str]] = {}
    screen.go("")
    items = screen.page.locator("nav li.ant-menu-item")
    assert items.count() > 5
    for index in range(items.count()):
        items.nth(index).click()
        _look_at(screen, faults)
        tabs = screen.main.locator(".ant-tabs-nav [role=tab]")
        for tab in range(1, tabs.count()):
            tabs.nth(tab).click()
            _look_at(screen, faults)
    for path in more:
        screen.go(path)
        _look_at(screen, faults)
    assert screen.faults == []
    return faults


def _look_at(screen: Screen, faults: dict[str, list[str]]) -> None:
    expect(screen.main.locator("h3:not(.ant-skeleton-title)").first).to_be_visible()
    expect(screen.main.locator(".ant-skeleton")).to_have_count(0)
    faults[screen.page.url.removeprefix(screen.base)] = in_every_look(screen.page)


def _found(faults: dict[str, list[str]]) -> dict[str, list[str]]:
    return {where: what for where, what in faults.items() if what}
