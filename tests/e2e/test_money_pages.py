"""Time management on both ends, in a real browser: each tab's main path and its worst error; sums equal the API."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from tests.e2e.browser import Screen, chromium
from tests.e2e.cloud import Cloud, expected_amount, micro
from tests.support.api import Api, Json

pytestmark = [pytest.mark.in_order, pytest.mark.containers, pytest.mark.browser, pytest.mark.timeout(180)]

ERROR = ".ant-form-item-explain-error"


@dataclass
class Money:
    """The miner's and the renter's windows, and a notebook of two tasks that ran and was stopped."""

    cloud: Cloud
    admin: Screen
    console: Screen
    order: Json

    @property
    def renter(self) -> Api:
        return self.cloud.renter

    @property
    def name(self) -> str:
        return str(self.cloud.user["username"])


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as one:
        yield one


@pytest.fixture(scope="module")
def money(cloud: Cloud, browser: Browser) -> Money:
    access, renter = cloud.stack.access, cloud.renter
    made = cloud.create("settled", tasks=2, spec_id=cloud.small["id"], max_cost="3", max_hours=2)
    renter.wait_state(made["id"], "running")
    renter.post(f"/notebooks/{made['id']}/stop")
    renter.wait_state(made["id"], "stopped")
    (order,) = renter.all("/orders")
    admin, console = Screen.open(browser, access["admin_url"]), Screen.open(browser, access["console_url"])
    admin.log_in(access["username"], access["password"])
    console.log_in(cloud.user["username"], cloud.user["initial_password"])
    return Money(cloud, admin, console, order)


def open_order(screen: Screen, name: str) -> None:
    screen.go("time-management?tab=orders")
    screen.named(name).get_by_role("button", name=name, exact=True).click()
    expect(screen.page.locator(".ant-drawer")).to_contain_text("How the cost comes about")


def refused(screen: Screen, words: str | re.Pattern[str]) -> None:
    """The dialog is still there and says at a field what is wrong."""
    screen.dialog.locator("button[type=submit]").click()
    expect(screen.dialog.locator(ERROR).first).to_contain_text(words)


def test_recharging_users_and_groups(money: Money) -> None:
    admin, group = money.admin, money.cloud.group["name"]
    admin.go("time-management?tab=machine-hours")
    admin.button(admin.named(group), "Recharge").click()
    admin.fill("recharge", amount="1e30")
    refused(admin, "at most six decimals")
    admin.fill("recharge", amount="0")
    refused(admin, re.compile("greater than|more than|0"))
    admin.fill("recharge", amount="7.000001", note="for the group")
    admin.submit()
    expect(admin.named(group)).to_contain_text("7.000001")
    admin.button(admin.named(group), "Deduct").click()
    admin.fill("recharge", amount="8")
    refused(admin, "7.000001")
    admin.dialog.get_by_role("button", name="Cancel").click()
    admin.go("time-management?tab=recharges")
    expect(admin.row("for the group")).to_contain_text(group)


def test_an_order_explains_every_micro_unc(money: Money) -> None:
    console = money.console
    open_order(console, "settled")
    detail = money.renter.get(f"/orders/{money.order['id']}")
    attempts = [
        attempt for subtask in detail["subtasks"] for replica in subtask["replicas"] for attempt in replica["attempts"]
    ]
    assert len(attempts) == 2
    assert sum(expected_amount(one) for one in attempts) == micro(detail["cost"]) > 0
    drawer = console.page.locator(".ant-drawer")
    for one in attempts:
        expect(drawer).to_contain_text(one["formula"])
    for shown in (detail["cost"], "3 UNC", "2 h", "last hour"):
        expect(drawer).to_contain_text(shown)
    entries = money.renter.all(f"/orders/{detail['id']}/entries")
    expect(drawer.locator("tr.ant-table-row")).to_have_count(len(entries))
    console.button(drawer, "Rate").click()
    expect(drawer.locator(ERROR)).to_be_visible()
    drawer.locator(".ant-rate-star").nth(3).click()
    console.fill("rating", comment="quick and exact")
    console.button(drawer, "Rate").click()
    expect(console.page.locator(".ant-message")).to_be_visible()
    rated = money.renter.get(f"/orders/{detail['id']}")
    assert (rated["stars"], rated["comment"]) == (4, "quick and exact")
    money.admin.go("time-management?tab=orders")
    expect(money.admin.row(money.name)).to_contain_text("quick and exact")


def test_the_estimate_says_what_a_start_would_cost_and_a_cap_refuses_it(money: Money) -> None:
    console = money.console
    console.go("time-management?tab=machine-hours")
    console.button(console.main, "Set caps").click()
    console.fill("caps", daily="-1")
    refused(console, "at most six decimals")
    console.fill("caps", daily="0.001")
    console.submit()
    expect(console.main).to_contain_text("of 0.001 UNC")
    console.go("notebooks?create=1")
    console.fill("create-notebook", name="capped")
    console.choose("create-notebook", "image_id", "jupyter")
    console.dialog.locator(".ant-radio-wrapper").filter(has_text=money.cloud.spec["name"]).click()
    expect(console.dialog).to_contain_text("It cannot be started now")
    expect(console.dialog).to_contain_text("daily cap of 0.001 UNC")
    console.dialog.locator("button[type=submit]").click()
    expect(console.dialog.locator(f"{ERROR}, [role=alert]").first).to_contain_text("daily cap")
    console.dialog.get_by_text("A group's machine hours").click()
    console.choose("create-notebook", "group_id", money.cloud.group["name"])
    console.fill("create-notebook", max_cost="3")
    expect(console.dialog).to_contain_text("It can run for 2 h, until the most that it may cost is reached")
    console.dialog.locator(".ant-modal-close").click()
    console.go("time-management?tab=groups")
    expect(console.main).to_contain_text("7.000001")
    wallet = money.renter.get("/wallets/mine")
    money.renter.call("PUT", f"/wallets/{wallet['id']}/caps", {})


def test_the_banner_says_that_the_wallet_runs_low(money: Money) -> None:
    console = money.console
    console.go("time-management?tab=machine-hours")
    console.button(console.main, "Change").click()
    console.fill("low-balance", low_balance="1000")
    console.submit()
    for page in ("notebooks", "images"):
        console.go(page)
        expect(console.main).to_contain_text("Machine hours run low")
    wallet = money.renter.get("/wallets/mine")
    money.renter.patch(f"/wallets/{wallet['id']}", {"low_balance": "0"})
    expect(console.main).not_to_contain_text("Machine hours run low")


def test_sums_records_and_statements_equal_the_api(money: Money, tmp_path: Path) -> None:
    console = money.console
    total = money.renter.get("/analytics/charges", role="payer")["total"]
    paid = sum(micro(one["paid"]) for one in money.renter.all("/charges", role="payer"))
    assert micro(total) == paid > 0
    console.go("time-management?tab=sums")
    expect(console.main).to_contain_text(f"{total} UNC")
    console.go("time-management?tab=charges")
    for charge in money.renter.all("/charges", role="payer"):
        expect(console.row(charge["replica"])).to_contain_text(charge["amount"])
    head = console.page.get_by_role("columnheader", name="Seconds")
    for sort in ("seconds", "-seconds"):
        head.click()
        expect(console.page).to_have_url(re.compile(f"sort={sort}"))
        ranked = money.renter.all("/charges", role="payer", sort=sort)
        expect(console.main.locator("tr.ant-table-row").first).to_contain_text(f"{ranked[0]['seconds']:.3f}")
    console.page.get_by_placeholder("Search").fill("no such task")
    expect(console.main).to_contain_text("Nothing matches")
    console.go("time-management?tab=statements")
    (month,) = money.renter.get("/statements")["items"]
    expect(console.row(month["month"])).to_contain_text(month["closing"])
    with console.page.expect_download() as got:
        console.row(month["month"]).get_by_role("link").click()
    got.value.save_as(tmp_path / "statement.pdf")
    assert (tmp_path / "statement.pdf").read_bytes().startswith(b"%PDF")
    with console.page.expect_download() as got:
        console.go("time-management?tab=orders")
        console.button(console.main, "Export").click()
        console.page.get_by_role("link", name=re.compile("CSV")).click()
    got.value.save_as(tmp_path / "orders.csv")
    assert money.order["id"] in (tmp_path / "orders.csv").read_text()


def test_a_manager_recharges_his_group_and_sees_what_it_spent(money: Money) -> None:
    console, group = money.console, money.cloud.group
    money.cloud.operator.call("PUT", f"/groups/{group['id']}/members/{money.cloud.user['id']}", {"role": "manager"})
    console.go("time-management?tab=groups")
    before = micro(next(one for one in money.renter.all("/wallets?mine=true") if one["owner"] == "group")["balance"])
    console.button(console.main, "Recharge").click()
    console.fill("give", amount="100000")
    refused(console, "are available")
    console.fill("give", amount="1.5", note="for all")
    console.submit()
    wallet = next(one for one in money.renter.all("/wallets?mine=true") if one["owner"] == "group")
    assert micro(wallet["balance"]) == before + 1_500_000
    console.go(f"time-management?tab=recharges&wallet={wallet['id']}")
    expect(console.row("for all")).to_contain_text("1.5 UNC")
    console.go(f"time-management?tab=sums&wallet={wallet['id']}")
    expect(console.main).to_contain_text("Paid in this time")
    console.go(f"time-management?tab=statements&wallet={wallet['id']}")
    month = console.main.locator("tr.ant-table-row").first
    expect(month).to_contain_text(wallet["balance"])
    month.locator("button.ant-btn-link").click()
    drawer = console.page.locator(".ant-drawer")
    expect(drawer).to_contain_text("Its bookings")
    expect(drawer.locator("tr.ant-table-row").filter(has_text="for all").first).to_be_visible()


def test_notices(money: Money) -> None:
    console = money.console
    console.go("overview")
    unseen = money.renter.get("/notices/settings")["unseen"]
    expect(console.page.get_by_role("navigation").locator(".ant-badge")).to_contain_text(str(unseen))
    console.go("time-management?tab=notices")
    notice = console.row("Order settled")
    expect(notice).to_contain_text(f"cost {money.renter.get('/orders/' + money.order['id'])['cost']} UNC")
    expect(notice).to_contain_text("your wallet")
    console.button(notice, "Order").click()
    expect(console.page.locator(".ant-drawer")).to_contain_text("How the cost comes about")
    console.page.locator(".ant-drawer-close").click()
    console.button(console.main, "Mark all as read").click()
    expect(console.page.get_by_role("navigation").locator(".ant-badge-count")).to_have_count(0)
    console.button(console.main, "Messages").click()
    expect(console.page.locator(".ant-drawer")).to_contain_text("No messages yet")


def test_webhooks(money: Money) -> None:
    console = money.console
    console.go("time-management?tab=webhooks")
    console.begin()
    console.fill("webhook", url="ftp://example.org/hook")
    refused(console, "http or https")
    console.fill("webhook", url="http://127.0.0.1:9/hook")
    console.submit()
    secret = console.page.locator(".ant-modal-confirm")
    expect(secret).to_contain_text("whsec_")
    first = secret.locator("code").inner_text()
    console.page.locator(".ant-modal-confirm-btns button").last.click()
    console.button(console.row("127.0.0.1"), "Edit").click()
    console.fill("webhook", url="http://127.0.0.1:9/other")
    console.submit()
    console.button(console.row("/other"), "New secret").click()
    console.page.locator(".ant-modal-confirm-btns button").last.click()
    expect(secret.filter(has_text="whsec_")).to_be_visible()
    assert secret.filter(has_text="whsec_").locator("code").inner_text() != first
    console.page.locator(".ant-modal-confirm-btns button").last.click()
    console.button(console.row("/other"), "Test").click()
    console.row("/other").locator("button.ant-btn-link").click()
    expect(console.page.locator(".ant-drawer")).to_contain_text("lies where webhooks do not go")


def test_the_operator_verifies_the_journal(money: Money) -> None:
    admin = money.admin
    admin.go("time-management?tab=journal")
    admin.button(admin.main, "Verify the journal").click()
    expect(admin.main).to_contain_text("All is right")
    admin.go("time-management?tab=earnings")
    expect(admin.main).to_contain_text(money.cloud.operator.get("/earnings")["this_month"])


@pytest.mark.parametrize("end", ["admin", "console"])
def test_every_tab_fits_a_telephone_and_nothing_failed(money: Money, end: str) -> None:
    screen = money.admin if end == "admin" else money.console
    own = ["earnings", "journal"] if end == "admin" else ["groups", "sums"]
    for tab in ["machine-hours", "orders", "charges", "recharges", "statements", "notices", "webhooks", *own]:
        screen.go(f"time-management?tab={tab}")
        screen.narrow_shot(f"{end}-money-{tab}")
    assert screen.faults == []
