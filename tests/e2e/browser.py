"""A real browser, driven as a person would: by what is on the page. Fields are found by their names in a form."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from playwright.sync_api import Browser, BrowserContext, Locator, Page, expect, sync_playwright
from playwright.sync_api import Error as PlaywrightError

from tests.support.stack import ROOT

SHOTS = ROOT / "build" / "screenshots"
CHROMIUM = os.environ.get("UTCLOUD_TEST_CHROMIUM", "/usr/bin/chromium")
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-dev-shm-usage"]
WIDE, NARROW = {"width": 1440, "height": 900}, {"width": 390, "height": 844}
SLOW_MS = 20_000
ENGLISH = re.compile(r"\b[A-Za-z]?[a-z]+ [a-z]+ [a-z]+\b")
"""Three words in a row: no name has so many."""
UNREACHABLE = "The server cannot be reached"
NETWORK_CHANGED = ("ERR_NETWORK_CHANGED", "chrome-error://", "is interrupted by another navigation")


@contextmanager
def chromium() -> Iterator[Browser]:
    """Debian's Chromium, headless."""
    expect.set_options(timeout=SLOW_MS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS, headless=True)
        yield browser
        browser.close()


@dataclass
class Screen:
    """One end of the platform in one browser window; ``base`` such as http://localhost:8080/admin."""

    page: Page
    base: str

    @classmethod
    def open(cls, browser: Browser, base: str) -> "Screen":
        context: BrowserContext = browser.new_context(viewport=WIDE, locale="en-US")  # type: ignore[arg-type]
        page = context.new_page()
        page.set_default_timeout(SLOW_MS)
        one = cls(page, base.rstrip("/"))
        page.on("pageerror", lambda error: one.faults.append(str(error)))
        page.on(
            "response",
            lambda answer: one.faults.append(f"{answer.status} {answer.url}") if answer.status >= 500 else None,
        )
        return one

    def __post_init__(self) -> None:
        self.faults: list[str] = []
        """Script errors and answers of 5xx that happened while the person was there."""

    def log_in(self, username: str, password: str) -> None:
        self.visit(f"{self.base}/")
        expect(self.page.locator("#login_username")).to_be_visible()
        self.fill("login", username=username, password=password)
        self.page.locator("form#login button[type=submit]").click()
        expect(self.page.get_by_role("navigation")).to_be_visible()

    def go(self, path: str) -> None:
        """Go to a page by its address, as with a bookmark."""
        self.visit(f"{self.base}/{path}")
        expect(self.main.locator("h3:not(.ant-skeleton-title)").first).to_be_visible()
        expect(self.main.locator(".ant-skeleton")).to_have_count(0)

    def visit(self, url: str) -> None:
        """Load a page. Chromium drops what it loads whenever a container's bridge comes or goes on this machine, and
        shows its own error page a moment later, which may interrupt the next try; then load again."""
        for _ in range(10):
            try:
                self.page.goto(url)
                return
            except PlaywrightError as error:
                if not any(sign in error.message for sign in NETWORK_CHANGED):
                    raise
        raise AssertionError(f"the network never stood still for {url}")

    @property
    def main(self) -> Locator:
        return self.page.get_by_role("main")

    def row(self, text: str | re.Pattern[str]) -> Locator:
        """The row of a table that has this text."""
        return self.main.locator("tr.ant-table-row").filter(has_text=text).first

    def named(self, name: str) -> Locator:
        """The row of a table whose name, a link to its details, is just this."""
        link = self.page.get_by_role("button", name=name, exact=True)
        return self.main.locator("tr.ant-table-row").filter(has=link).first

    def begin(self) -> None:
        """Press the page's main button and wait for its dialog."""
        self.main.locator("section button.ant-btn-primary").first.click()
        expect(self.dialog).to_be_visible()

    @property
    def dialog(self) -> Locator:
        return self.page.locator(".ant-modal:visible").last

    def fill(self, form: str, **fields: str) -> None:
        for name, value in fields.items():
            self.page.locator(f"[id='{form}_{name}']").fill(value)

    def choose(self, form: str, field: str, text: str) -> None:
        """Choose the option with ``text`` in a select."""
        control = self.page.locator(f"[id='{form}_{field}']")
        control.click()
        control.fill(text)
        self.page.locator(".ant-select-dropdown:visible .ant-select-item-option").filter(has_text=text).first.click()
        title = self.dialog.locator(".ant-modal-title")
        if self.page.locator(".ant-select-dropdown:visible").count():
            title.click()

    def submit(self) -> None:
        """Send the dialog's form and wait until the dialog is gone; press again when the network changed just then."""
        form = self.page.locator(".ant-modal:visible form")
        unreachable = self.page.locator(".ant-notification-notice").filter(has_text=UNREACHABLE)
        for _ in range(3):
            self.dialog.locator("button[type=submit]").click()
            expect(unreachable.or_(self.page.locator("body:not(:has(.ant-modal form))")).first).to_be_visible()
            if form.count() == 0:
                return
            unreachable.locator(".ant-notification-notice-close").first.click()
        expect(form).to_have_count(0)

    def confirm(self) -> None:
        """Say yes to a question, and wait until what it asked is done."""
        question = self.page.locator(".ant-modal-confirm:visible")
        question.locator(".ant-modal-confirm-btns button").last.click()
        expect(question).to_have_count(0)

    def button(self, where: Locator, text: str) -> Locator:
        return where.get_by_role("button", name=re.compile(f"^{re.escape(text)}$", re.IGNORECASE))

    def shot(self, name: str) -> Path:
        """Keep a picture of the whole page."""
        SHOTS.mkdir(parents=True, exist_ok=True)
        path = SHOTS / f"{name}.png"
        self.page.screenshot(path=path, full_page=True, animations="disabled")
        return path

    def narrow_shot(self, name: str) -> None:
        """The same on a telephone: nothing sticks out."""
        self.page.set_viewport_size(NARROW)  # type: ignore[arg-type]
        expect(self.main).to_be_visible()
        try:
            self._fits()
        finally:
            self.shot(f"{name}-390")
            self.page.set_viewport_size(WIDE)  # type: ignore[arg-type]

    def _fits(self) -> None:
        """Wait until the page is not wider than the window. ``wait_for_function`` would break the page's own policy."""
        for _ in range(100):
            if self.page.evaluate("document.body.scrollWidth - document.documentElement.clientWidth") <= 1:
                return
            self.page.wait_for_timeout(50)
        raise AssertionError("the page is wider than the window")

    def english(self, *own: str) -> list[str]:
        """The lines on the page, and what it says to ears, that are English sentences; people's ``own`` words apart."""
        shown = self.main.inner_text().splitlines()
        names = self.main.locator("[aria-label], [placeholder], [title]")
        heard: list[str] = names.evaluate_all("all => all.flatMap(one => [one.ariaLabel, one.placeholder, one.title])")
        found = {line for line in [*shown, *heard] if line and ENGLISH.search(line)}
        return sorted(line for line in found if not any(words in line for words in own))

    def speak(self, language: str) -> None:
        """Switch the language, as the button in the account's menu does."""
        self.page.evaluate("language => localStorage.setItem('utcloud.language', language)", language)
        self.visit(self.page.url)
        expect(self.page.locator(f"html[lang={language}]")).to_have_count(1)
