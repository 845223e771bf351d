"""The small pages that a visitor sees when a replica's page cannot be shown. Served by Caddy and by the server."""

from html import escape

from utcloud.common.settings import Settings

HEADERS = {
    "Content-Type": "text/html; charset=utf-8",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


def not_opened(settings: Settings) -> str:
    """For a visitor without the page's cookie, and for a link that was used or has ended."""
    return _page(
        settings,
        "Open this page from the console",
        "It opens only to the one who pressed “Open” there. A link works once, within a minute.",
        "请从控制台打开此页面",
        "只有在控制台点击“打开”的人才能访问。链接只能使用一次，一分钟内有效。",
    )


def not_answering(settings: Settings) -> str:
    """For a page whose container does not answer."""
    return _page(
        settings,
        "This page is starting or has stopped",
        "Go back to the console to see how it is, and open it again from there.",
        "页面正在启动或已停止",
        "请返回控制台查看状态，然后从那里重新打开。",
    )


def _page(settings: Settings, title: str, text: str, title_zh: str, text_zh: str) -> str:
    """No curly braces: Caddy would take them for placeholders."""
    link = escape(f"{settings.console_origin}/console/")
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width"><meta name="color-scheme" content="light dark">'
        f"<title>{title} · utcloud</title>"
        '<body style="font: 16px/1.6 system-ui, sans-serif; max-width: 32em; margin: 15vh auto; padding: 0 1em">'
        f"<h1>{title}</h1><p>{text}</p>"
        f'<h2 lang="zh">{title_zh}</h2><p lang="zh">{text_zh}</p>'
        f'<p><a href="{link}">{link}</a></p></body></html>\n'
    )
