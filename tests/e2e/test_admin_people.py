"""Users, groups, quotas, applications, invitations, work, preset assets and the audit trail, as an operator uses them.

Each page's main path and its worst error, with pictures in build/screenshots.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from tests.e2e.browser import Screen, chromium
from tests.e2e.cloud import Cloud
from tests.support.api import Api
from tests.support.stack import Stack

pytestmark = [pytest.mark.in_order, pytest.mark.containers, pytest.mark.browser, pytest.mark.timeout(600)]

PASSWORD = "a long enough password"
NOTE = "I want to train detectors."
FROZEN = "The contract ended."
REJECTED = "We do not know you."


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as one:
        yield one


@pytest.fixture(scope="module")
def admin(browser: Browser, stack: Stack) -> Screen:
    screen = Screen.open(browser, stack.access["admin_url"])
    screen.log_in(stack.access["username"], stack.access["password"])
    return screen


@pytest.fixture
def visitor(browser: Browser, stack: Stack) -> Iterator[Screen]:
    """Somebody at the chip user end, not logged in."""
    screen = Screen.open(browser, stack.access["console_url"])
    yield screen
    screen.page.context.close()


@pytest.fixture(autouse=True)
def _picture(request: pytest.FixtureRequest, admin: Screen) -> Iterator[None]:
    """What a failed step looked like is kept."""
    failed_before = request.session.testsfailed
    yield
    if request.session.testsfailed > failed_before:
        admin.shot(f"failed-{request.node.name}-admin")
    else:
        assert admin.faults == []


def test_applications(admin: Screen, visitor: Screen, cloud: Cloud) -> None:
    """A visitor applies, is told to wait, and is let in with a first grant; another is rejected and told why."""
    for name in ("sven", "mallory"):
        visitor.visit(visitor.base)
        visitor.page.get_by_role("link", name="Apply for one").click()
        visitor.fill("register", username=name, password=PASSWORD, note=f"I am {name}. {NOTE}")
        visitor.shot("console-register")
        visitor.page.locator("form#register button[type=submit]").click()
        expect(visitor.main).to_contain_text("Your application was received")
    visitor.narrow_shot("console-applied")
    _refused(visitor, "sven", "waits for an operator's answer")
    visitor.shot("console-application-waits")

    admin.go("applications?status=waiting")
    expect(admin.page.locator("nav .ant-badge-count")).to_be_visible()
    admin.shot("admin-applications")
    admin.narrow_shot("admin-applications")
    admin.button(admin.row("mallory"), "Reject").click()
    admin.dialog.locator("button[type=submit]").click()
    expect(admin.dialog.locator(".ant-form-item-explain-error")).to_be_visible()
    admin.fill("reject", reason=REJECTED)
    admin.submit()
    admin.button(admin.row("sven"), "Approve").click()
    admin.fill("approve", grant="1,5")
    admin.dialog.locator("button[type=submit]").click()
    expect(admin.dialog.locator(".ant-form-item-explain-error")).to_be_visible()
    admin.fill("approve", grant="12.5")
    admin.choose("approve", "group_ids", cloud.group["name"])
    admin.shot("admin-approve")
    admin.submit()
    admin.go("applications?status=approved")
    expect(admin.row("sven")).to_contain_text("12.5 UNC")

    _refused(visitor, "mallory", REJECTED)
    expect(visitor.page.get_by_role("link", name="Apply again")).to_be_visible()
    visitor.log_in("sven", PASSWORD)
    visitor.go("overview")
    expect(visitor.main).to_contain_text("12.5 UNC")


def test_invitations(admin: Screen, visitor: Screen, cloud: Cloud, browser: Browser) -> None:
    """A link shown once makes its holder a user, once; a revoked one makes nobody anything."""
    admin.go("invitations")
    admin.begin()
    admin.fill("invitation", email="not an address", grant="7")
    admin.page.locator("#invitation_expires_in_days").fill("14")
    admin.choose("invitation", "group_ids", cloud.group["name"])
    admin.dialog.locator("button[type=submit]").click()
    expect(admin.dialog.locator(".ant-form-item-explain-error")).to_be_visible()
    admin.fill("invitation", email="guest@example.org")
    admin.submit()
    link = _shown_once(admin, "admin-invitation-link")
    expect(admin.row("guest@example.org")).to_contain_text("Open")
    admin.shot("admin-invitations")
    admin.narrow_shot("admin-invitations")

    visitor.visit(link)
    expect(visitor.main).to_contain_text("7 UNC")
    visitor.shot("console-invitation")
    visitor.narrow_shot("console-invitation")
    visitor.fill("accept", username=cloud.user["username"], password=PASSWORD)
    visitor.page.locator("form#accept button[type=submit]").click()
    expect(visitor.main.locator(".ant-form-item-explain-error")).to_be_visible()
    visitor.fill("accept", username="guest")
    visitor.page.locator("form#accept button[type=submit]").click()
    expect(visitor.main).to_contain_text("7 UNC", timeout=30_000)
    expect(visitor.page.get_by_role("navigation")).to_be_visible()
    again = Screen.open(browser, visitor.base)
    again.visit(link)
    expect(again.main.get_by_role("alert")).to_be_visible()
    again.shot("console-invitation-used")

    admin.begin()
    admin.submit()
    revoked = _shown_once(admin)
    admin.button(admin.row("Whoever has the link"), "Revoke").click()
    admin.confirm()
    expect(admin.row("Whoever has the link")).to_contain_text("Revoked")
    again.visit("about:blank")
    again.visit(revoked)
    expect(again.main.get_by_role("alert")).to_be_visible()
    again.page.context.close()


def test_users(admin: Screen, visitor: Screen, cloud: Cloud) -> None:
    """Create, look at, set a quota, reset the password, freeze with a reason; who has records is not deleted."""
    admin.go("users")
    admin.begin()
    admin.fill("create-user", username="Not A Name")
    admin.dialog.locator("button[type=submit]").click()
    expect(admin.dialog.locator(".ant-form-item-explain-error")).to_be_visible()
    admin.fill("create-user", username="oskar", display_name="Oskar Lindqvist")
    admin.choose("create-user", "group_ids", cloud.group["name"])
    admin.submit()
    first = _shown_once(admin, "admin-first-password")
    visitor.log_in("oskar", first)
    expect(admin.named("oskar")).to_contain_text("Oskar Lindqvist")
    admin.shot("admin-users-list")
    admin.narrow_shot("admin-users-list")

    admin.named("oskar").get_by_role("button", name="oskar").click()
    drawer = admin.page.locator(".ant-drawer:visible")
    admin.button(drawer, "Set quota").click()
    admin.fill("quota", notebooks="2")
    admin.button(admin.dialog, "Add a resource").click()
    admin.choose("quota", "resources_0_resource", "cpu")
    admin.fill("quota", resources_0_most="much")
    admin.dialog.locator("button[type=submit]").click()
    expect(admin.dialog.locator(".ant-form-item-explain-error")).to_contain_text("Not a quantity")
    admin.shot("admin-quota-refused")
    admin.fill("quota", resources_0_most="4")
    admin.submit()
    expect(drawer).to_contain_text("0 of 2")
    expect(drawer).to_contain_text("0 of 4")
    admin.shot("admin-user")
    admin.narrow_shot("admin-user")
    _close_drawer(admin)

    _more(admin, "oskar", "Reset password")
    _yes(admin)
    second = _shown_once(admin)
    assert second != first
    _more(admin, "oskar", "Freeze")
    admin.fill("freeze-user", reason=FROZEN)
    admin.shot("admin-freeze")
    admin.submit()
    expect(admin.named("oskar")).to_contain_text("Frozen")
    _refused(visitor, "oskar", FROZEN, second)
    _more(admin, "oskar", "Unfreeze")
    expect(admin.named("oskar")).to_contain_text("Active")
    _more(admin, "oskar", "Delete")
    admin.confirm()
    expect(admin.named("oskar")).to_have_count(0)

    _more(admin, cloud.user["username"], "Delete")
    _yes(admin)
    question = admin.page.locator(".ant-modal-confirm:visible").filter(has_text="cannot be deleted")
    expect(question).to_be_visible()
    admin.shot("admin-user-not-deleted")
    admin.button(question, "Cancel").click()


def test_several_users_are_frozen_at_once(admin: Screen, cloud: Cloud) -> None:
    made = [cloud.add_renter(f"bulk{number}")[0] for number in range(2)]
    admin.go("users?search=bulk")
    for user in made:
        admin.row(user["username"]).get_by_role("checkbox").check()
    bulk = admin.main.get_by_role("region", name="The chosen rows")
    admin.button(bulk, "Freeze").click()
    admin.submit()
    for user in made:
        expect(admin.row(user["username"])).to_contain_text("Frozen")
    admin.shot("admin-users-bulk")
    admin.button(bulk, "Unfreeze").click()
    for user in made:
        expect(admin.row(user["username"])).to_contain_text("Active")


def test_groups(admin: Screen, visitor: Screen, cloud: Cloud, operator: Api) -> None:
    """A group's page; its manager, a renter, brings in a member and takes him out again, and can do no more."""
    other, _ = cloud.add_renter("member")
    operator.delete(f"/groups/{cloud.group['id']}/members/{other['id']}")
    admin.go("groups")
    admin.begin()
    admin.fill("create-group", name=cloud.group["name"])
    admin.dialog.locator("button[type=submit]").click()
    expect(admin.dialog.locator(".ant-form-item-explain-error")).to_be_visible()
    admin.page.keyboard.press("Escape")
    admin.main.get_by_role("link", name=cloud.group["name"]).click()
    expect(admin.main).to_contain_text(cloud.pool["name"])
    admin.main.get_by_label(f"Role: {cloud.user['username']}").click()
    admin.page.locator(".ant-select-dropdown:visible .ant-select-item-option").filter(has_text="Manager").click()
    admin.button(admin.main, "Set quota").click()
    admin.fill("quota", notebooks="5")
    admin.submit()
    expect(admin.main).to_contain_text("of 5")
    admin.shot("admin-group")
    admin.narrow_shot("admin-group")
    admin.button(admin.main, "Delete").click()
    _yes(admin)
    refusal = admin.page.locator(".ant-notification-notice")
    expect(refusal).to_contain_text(f"is used by 1 pool ({cloud.pool['name']!r})")
    admin.page.locator(".ant-notification-notice-close").click()

    visitor.log_in(cloud.user["username"], cloud.user["initial_password"])
    visitor.go("groups")
    expect(visitor.main).to_contain_text("You manage this group.")
    visitor.button(visitor.main, "Add member").click()
    visitor.fill("add-member", username="nobody-of-this-name")
    visitor.dialog.locator("button[type=submit]").click()
    expect(visitor.dialog.locator(".ant-form-item-explain-error")).to_be_visible()
    visitor.fill("add-member", username=other["username"])
    visitor.submit()
    remove = visitor.main.get_by_role("button", name=f"Remove: {other['username']}")
    expect(remove).to_be_visible()
    visitor.shot("console-my-groups")
    visitor.narrow_shot("console-my-groups")
    remove.click()
    visitor.confirm()
    expect(remove).to_have_count(0)


def test_work_on_my_hardware(admin: Screen, cloud: Cloud) -> None:
    """Whose work it is, in whose name, where and for how much; stopped with a reason that its owner reads."""
    notebook = cloud.create("seen-by-the-miner", spec_id=cloud.small["id"])
    cloud.renter.wait_state(notebook["id"], "running")
    admin.go("work?search=" + cloud.user["username"])
    row = admin.row(cloud.user["username"])
    for text in (cloud.group["name"], cloud.pool["name"], cloud.small["name"], "UNC"):
        expect(row).to_contain_text(text)
    admin.shot("admin-work")
    admin.narrow_shot("admin-work")
    admin.go("work?kind=task&search=" + cloud.user["username"])
    expect(admin.main).to_contain_text("Nothing matches")
    admin.button(admin.main, "Take search and filters away").click()
    admin.button(admin.row(cloud.user["username"]), "Stop").click()
    admin.dialog.locator("button[type=submit]").click()
    expect(admin.dialog.locator(".ant-form-item-explain-error")).to_be_visible()
    admin.fill("stop-replica", reason="The power goes at noon.")
    admin.submit()
    stopped = cloud.renter.wait_state(notebook["id"], "stopped")
    assert "The power goes at noon." in stopped["replicas"][0]["reason"]


def test_preset_assets(admin: Screen, cloud: Cloud, tmp_path: Path) -> None:
    """An operator uploads for everybody; renters read it, and cannot change it."""
    admin.go("preset-assets")
    admin.begin()
    admin.fill("add-image", name="torch", reference=cloud.image["reference"])
    admin.dialog.locator("button[type=submit]").click()
    expect(admin.dialog.locator(".ant-form-item-explain-error")).to_be_visible()
    admin.page.keyboard.press("Escape")
    admin.shot("admin-preset-images")

    (tmp_path / "digits.csv").write_text("1,2,3\n")
    admin.go("preset-assets?tab=datasets")
    admin.begin()
    admin.fill("create-asset", name="digits", description="Handwritten digits")
    admin.dialog.locator(".ant-segmented").get_by_text("Files").click()
    admin.dialog.locator("input[type=file]").set_input_files(tmp_path / "digits.csv")
    expect(admin.dialog).to_contain_text("digits.csv")
    admin.submit()
    expect(admin.page.locator(".ant-drawer:visible")).to_contain_text("Ready")
    admin.shot("admin-preset-dataset")
    _close_drawer(admin)
    expect(admin.named("digits")).to_contain_text("v1")
    admin.narrow_shot("admin-preset-datasets")
    shared = cloud.renter.named("/datasets", "digits")
    assert shared
    assert (shared["visibility"], shared["can_change"]) == ("preset", False)
    admin.button(admin.named("digits"), "Delete").click()
    admin.confirm()
    expect(admin.named("digits")).to_have_count(0)


def test_the_audit_trail(admin: Screen, cloud: Cloud, operator: Api) -> None:
    """Who did what to what: narrowed by address, read with before and after, and taken along as a file."""
    operator.patch(f"/images/{cloud.image['id']}", {"description": "JupyterLab for all"})
    admin.go(f"audit-trail?action=image.update&object_id={cloud.image['id']}")
    row = admin.row("image.update")
    expect(row).to_contain_text(cloud.image["name"])
    admin.shot("admin-audit")
    row.get_by_role("button").first.click()
    drawer = admin.page.locator(".ant-drawer:visible")
    expect(drawer).to_contain_text("Before")
    expect(drawer).to_contain_text("JupyterLab for all")
    admin.shot("admin-audit-event")
    admin.narrow_shot("admin-audit-event")
    drawer.get_by_role("link", name=re.compile("^All that admin did")).click()
    expect(admin.row("user.create")).to_be_visible()
    admin.main.get_by_label("Who", exact=True).fill("nobody-at-all")
    expect(admin.main).to_contain_text("Nothing matches")
    admin.button(admin.main, "Take search and filters away").click()
    expect(admin.row("user.create")).to_be_visible()
    admin.narrow_shot("admin-audit")
    admin.button(admin.main, "Export").click()
    with admin.page.expect_download() as download:
        admin.page.get_by_role("link", name="CSV, for spreadsheets").click()
    content = download.value.path().read_text()
    assert content.startswith("id,at,actor_id,")
    assert "image.update" in content


def test_in_chinese_and_dark(admin: Screen, cloud: Cloud) -> None:
    """The same pages in Chinese, in the dark: nothing is left in English, nothing sticks out."""
    admin.page.emulate_media(color_scheme="dark")
    admin.speak("zh")
    for path in ("users", f"groups/{cloud.group['id']}", "applications", "invitations", "audit-trail", "preset-assets"):
        admin.go(path)
        title = admin.main.locator("h3").first
        if not path.startswith("groups/"):
            assert re.search("[\u4e00-\u9fff]", title.inner_text()), path
        assert admin.english(NOTE, REJECTED) == [], path
        name = path.partition("/")[0]
        admin.shot(f"admin-{name}-zh-dark")
        admin.narrow_shot(f"admin-{name}-zh-dark")
    admin.speak("en")
    admin.page.emulate_media(color_scheme="light")


def _refused(visitor: Screen, username: str, why: str, password: str = PASSWORD) -> None:
    """Try to log in, and be told why not."""
    visitor.page.context.clear_cookies()
    visitor.visit(visitor.base)
    visitor.fill("login", username=username, password=password)
    visitor.page.locator("form#login button[type=submit]").click()
    expect(visitor.page.get_by_role("alert")).to_contain_text(why)


def _shown_once(screen: Screen, picture: str = "") -> str:
    """What a dialog shows this once; closes it."""
    shown = screen.page.locator(".ant-modal-confirm-success:visible")
    text = shown.locator("code").inner_text().strip()
    if picture:
        screen.shot(picture)
    shown.locator(".ant-modal-confirm-btns button").last.click()
    expect(shown).to_have_count(0)
    assert text
    return text


def _more(screen: Screen, username: str, what: str) -> None:
    screen.button(screen.named(username), "More").click()
    screen.page.locator(".ant-dropdown:visible").get_by_role("menuitem", name=what, exact=True).click()


def _yes(screen: Screen) -> None:
    """Say yes to a question that is followed by another window."""
    screen.page.locator(".ant-modal-confirm-confirm:visible .ant-modal-confirm-btns button").last.click()


def _close_drawer(screen: Screen) -> None:
    screen.page.keyboard.press("Escape")
    expect(screen.page.locator(".ant-drawer:visible")).to_have_count(0)
