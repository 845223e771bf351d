"""axe-core in a page: what keeps people who see, hear or move otherwise from using it."""

from typing import Any

from playwright.sync_api import Page

from tests.e2e.browser import NARROW, WIDE
from tests.support.stack import ROOT

AXE = ROOT / "web" / "node_modules" / "axe-core" / "axe.min.js"
GRAVE = {"serious", "critical"}
COLOURS = ["color-contrast", "link-in-text-block"]
"""The rules whose answer depends on light or dark."""
_RUN = """async rules => {
    for (const one of document.getAnimations()) if (one instanceof CSSTransition) one.finish();
    const only = rules ? { runOnly: { type: "rule", values: rules } } : {};
    return (await axe.run(document, { resultTypes: ["violations"], ...only })).violations;
}"""
_SETTLED = """() => !document.querySelector(".ant-skeleton, .ant-spin-spinning")"""


def grave_faults(page: Page, rules: list[str] | None = None) -> list[str]:
    """The serious and critical faults of what is shown, by ``rules`` or by all: which, where, and how it fails."""
    if not page.evaluate("() => Boolean(window.axe)"):
        page.evaluate(AXE.read_text())
    found: list[dict[str, Any]] = page.evaluate(_RUN, rules)
    return [
        f"{fault['id']}: {node['html'][:160]} ({' '.join(node['failureSummary'].split())[:240]})"
        for fault in found
        if fault["impact"] in GRAVE
        for node in fault["nodes"][:3]
    ]


def in_every_look(page: Page) -> list[str]:
    """The faults of a page wide and narrow, light and dark, without loading it again. Leaves it wide and light."""
    faults = []
    for width, shape in (("390", NARROW), ("1440", WIDE)):
        page.set_viewport_size(shape)  # type: ignore[arg-type]
        for look, rules in (("dark", COLOURS), ("light", None)):
            set_look(page, look)
            page.wait_for_function(_SETTLED)
            faults += [f"{width} {look}: {fault}" for fault in grave_faults(page, rules)]
    return faults


def set_look(page: Page, look: str) -> None:
    """Light or dark, by what the person's system prefers."""
    page.emulate_media(color_scheme=look)  # type: ignore[arg-type]
    page.wait_for_function("look => document.documentElement.style.colorScheme === look", arg=look)
