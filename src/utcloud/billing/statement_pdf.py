"""A monthly statement as a PDF of A4 pages, in English or Chinese."""

import re
from datetime import datetime
from io import BytesIO
from typing import Any, Literal
from xml.sax.saxutils import escape

from reportlab.lib import colors
from reportlab.lib.enums import TA_LEFT, TA_RIGHT
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.cidfonts import UnicodeCIDFont
from reportlab.platypus import Paragraph, SimpleDocTemplate, Spacer, Table, TableStyle

from utcloud.billing.schemas import StatementLineOut, StatementOut
from utcloud.common.money import format_unc

Language = Literal["en", "zh"]

_LATIN, _CJK = "Helvetica", "STSong-Light"
_NOT_LATIN = re.compile(r"([^\x00-\xff]+)")
_GREY, _LINE = colors.HexColor("#595959"), colors.HexColor("#d9d9d9")
_TEXTS: dict[Language, dict[str, str]] = {
    "en": {
        "payer": "Statement of machine hours",
        "payee": "Statement of earnings",
        "account": "Account",
        "period": "Period (UTC)",
        "issued": "Issued",
        "opening": "Opening balance",
        "incoming": "Came in",
        "outgoing": "Went out",
        "closing": "Closing balance",
        "so_far": "The month is not over: this is what is booked so far.",
        "exact": "All amounts in UNC, exact to the millionth; each line is the sum of its journal postings.",
        "at": "From",
        "what": "What",
        "price": "UNC/hour",
        "amount": "Amount (UNC)",
        "none": "Nothing moved in this month.",
        "recharge": "Recharge",
        "deduct": "Deduction",
        "charge": "Use",
        "credit": "Credit",
    },
    "zh": {
        "payer": "机时账单",
        "payee": "收益账单",
        "account": "账户",
        "period": "期间(UTC)",
        "issued": "出具时间",
        "opening": "期初余额",
        "incoming": "收入",
        "outgoing": "支出",
        "closing": "期末余额",
        "so_far": "本月尚未结束:以下为目前已入账的内容。",
        "exact": "金额单位为 UNC,精确到百万分之一;每一行都是其账目分录之和。",
        "at": "起始",
        "what": "事项",
        "price": "UNC/小时",
        "amount": "金额 (UNC)",
        "none": "本月没有变动。",
        "recharge": "充值",
        "deduct": "扣减",
        "charge": "使用",
        "credit": "退还",
    },
}


def render(statement: StatementOut, language: Language, now: datetime) -> bytes:
    """The statement as the bytes of a PDF file."""
    pdfmetrics.registerFont(UnicodeCIDFont(_CJK))
    words = _TEXTS[language]
    title = f"{words[statement.role]} · {statement.month}"
    story: list[Any] = [_text("utcloud", 10, _GREY), _text(title, 18), Spacer(1, 4 * mm), _facts(statement, words, now)]
    story += [Spacer(1, 4 * mm), _sums(statement, words), Spacer(1, 2 * mm)]
    story += [_text(words["exact"], 8, _GREY)]
    if not statement.complete:
        story.append(_text(words["so_far"], 8, _GREY))
    story += [Spacer(1, 6 * mm), _lines(statement.lines, words) if statement.lines else _text(words["none"], 10)]
    buffer = BytesIO()
    document = SimpleDocTemplate(
        buffer,
        pagesize=A4,
        leftMargin=20 * mm,
        rightMargin=20 * mm,
        topMargin=18 * mm,
        bottomMargin=18 * mm,
        title=title,
        author="utcloud",
    )

    def footer(canvas: Any, page: Any) -> None:
        canvas.setFont(_LATIN, 8)
        canvas.setFillColor(_GREY)
        canvas.drawRightString(A4[0] - 20 * mm, 10 * mm, str(page.page))

    document.build(story, onFirstPage=footer, onLaterPages=footer)
    return buffer.getvalue()


def _text(text: str, size: float, color: Any = colors.black, *, right: bool = False) -> Paragraph:
    style = ParagraphStyle(
        "cell",
        fontName=_LATIN,
        fontSize=size,
        leading=size * 1.35,
        textColor=color,
        alignment=TA_RIGHT if right else TA_LEFT,
    )
    return Paragraph(_NOT_LATIN.sub(rf'<font name="{_CJK}">\1</font>', escape(text)), style)


def _moment(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M}"


def _facts(statement: StatementOut, words: dict[str, str], now: datetime) -> Table:
    period = f"{_moment(statement.since)} – {_moment(statement.until)}"
    rows = [
        (words["account"], f"{statement.owner_name}  {statement.account_id}"),
        (words["period"], period.replace("–", "-")),
        (words["issued"], _moment(now) + " UTC"),
    ]
    table = Table([[_text(name, 9, _GREY), _text(value, 9)] for name, value in rows], colWidths=[35 * mm, 135 * mm])
    table.setStyle(TableStyle([("BOTTOMPADDING", (0, 0), (-1, -1), 1), ("TOPPADDING", (0, 0), (-1, -1), 1)]))
    return table


def _sums(statement: StatementOut, words: dict[str, str]) -> Table:
    parts = {
        "opening": statement.opening,
        "incoming": statement.incoming,
        "outgoing": statement.outgoing,
        "closing": statement.closing,
    }
    table = Table(
        [[_text(words[name], 8, _GREY) for name in parts], [_text(format_unc(value), 13) for value in parts.values()]],
        colWidths=[42.5 * mm] * 4,
    )
    table.setStyle(
        TableStyle([("BOX", (0, 0), (-1, -1), 0.5, _LINE), ("INNERGRID", (0, 0), (-1, -1), 0, colors.white)])
    )
    return table


def _lines(lines: list[StatementLineOut], words: dict[str, str]) -> Table:
    head = [_text(words[name], 8, _GREY) for name in ("at", "what")]
    head += [_text(words[name], 8, _GREY, right=True) for name in ("price", "amount")]
    rows = [head]
    for line in lines:
        what = " · ".join(filter(None, [words.get(line.kind, line.kind), line.text, line.spec]))
        rows.append(
            [
                _text(_moment(line.at), 9),
                _text(what, 9),
                _text(format_unc(line.price) if line.price is not None else "", 9, right=True),
                _text(format_unc(line.amount), 9, right=True),
            ]
        )
    table = Table(rows, colWidths=[30 * mm, 80 * mm, 25 * mm, 35 * mm], repeatRows=1)
    table.setStyle(TableStyle([("LINEBELOW", (0, 0), (-1, -1), 0.4, _LINE), ("VALIGN", (0, 0), (-1, -1), "TOP")]))
    return table
