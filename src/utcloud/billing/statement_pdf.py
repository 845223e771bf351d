"""A monthly statement as a PDF of A4 pages, in English or Chinese."""

import re
from datetime import datetime
from functools import lru_cache
from io import BytesIO
from itertools import groupby
from pathlib import Path
from typing import Any, Literal
from xml.sax.saxutils import escape

from reportlab.lib import colors
from reportlab.lib.enums import TA_LEFT, TA_RIGHT
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.cidfonts import UnicodeCIDFont
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.platypus import Flowable, Paragraph, SimpleDocTemplate, Spacer, Table, TableStyle

from utcloud.billing.schemas import StatementLineOut, StatementOut
from utcloud.common.money import format_unc

Language = Literal["en", "zh"]

_LATIN = "Helvetica"
_FONT_FILE = Path("/usr/share/fonts/truetype/wqy/wqy-microhei.ttc")
"""Debian's fonts-wqy-microhei: Chinese, Greek, Cyrillic and more; what is used of it goes into the file."""
_NOT_LATIN = re.compile(r"([^\x00-\xff]+)")
_COLUMNS = ((0, 30 * mm, False), (30 * mm, 82 * mm, False), (112 * mm, 25 * mm, True), (137 * mm, 33 * mm, True))
"""Of the lines: from the left, width, whether flush right."""
_SIZE, _LEADING, _PAD = 9, 12.0, 2.5
_GREY, _LINE = colors.HexColor("#595959"), colors.HexColor("#d9d9d9")
_TEXTS: dict[Language, dict[str, str]] = {
    "en": {
        "payer": "Statement of machine hours",
        "payee": "Statement of earnings",
        "user": "Of",
        "group": "Of the group",
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
        "head": "Head of the journal when issued",
        "none": "Nothing moved in this month.",
        "recharge": "Recharge",
        "deduct": "Deduction",
        "charge": "Use",
        "credit": "Credit",
    },
    "zh": {
        "payer": "机时账单",
        "payee": "收益账单",
        "user": "用户",
        "group": "用户组",
        "account": "账户",
        "period": "期间（UTC）",
        "issued": "出具时间",
        "opening": "期初余额",
        "incoming": "收入",
        "outgoing": "支出",
        "closing": "期末余额",
        "so_far": "本月尚未结束：以下为目前已入账的内容。",
        "exact": "金额单位为 UNC，精确到百万分之一；每一行都是其账目分录之和。",
        "at": "起始",
        "what": "事项",
        "price": "UNC/小时",
        "amount": "金额（UNC）",
        "head": "出具时的日记账头",
        "none": "本月没有变动。",
        "recharge": "充值",
        "deduct": "扣减",
        "charge": "使用",
        "credit": "退还",
    },
}


def render(statement: StatementOut, language: Language, now: datetime) -> bytes:
    """The statement as the bytes of a PDF file."""
    words = _TEXTS[language]
    title = f"{words[statement.role]} · {statement.month}"
    story: list[Any] = [_text("utcloud", 10, _GREY), _text(title, 18), Spacer(1, 4 * mm), _facts(statement, words, now)]
    story += [Spacer(1, 4 * mm), _sums(statement, words), Spacer(1, 2 * mm)]
    story += [_text(words["exact"], 8, _GREY)]
    if not statement.complete:
        story.append(_text(words["so_far"], 8, _GREY))
    story.append(Spacer(1, 6 * mm))
    heads = [words[name] for name in ("at", "what", "price", "amount")]
    if statement.lines:
        story += [_Row(heads, _GREY), *(_Row(_cells(line, words)) for line in statement.lines)]
    else:
        story.append(_text(words["none"], 10))
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
        if statement.journal_head:
            words_ = _text(f"{words['head']}: {statement.journal_head}", 6.5, _GREY)
            words_.wrapOn(canvas, A4[0] - 55 * mm, 0)
            words_.drawOn(canvas, 20 * mm, 10 * mm)

    def later(canvas: Any, page: Any) -> None:
        footer(canvas, page)
        head = _Row([title, "", words["price"], words["amount"]], _GREY)
        head.wrapOn(canvas, A4[0] - 40 * mm, 0)
        head.drawOn(canvas, 20 * mm + 6, A4[1] - 16 * mm)  # where the frame's own lines begin

    document.build(story, onFirstPage=footer, onLaterPages=later)
    return buffer.getvalue()


@lru_cache(maxsize=1)
def _other() -> str:
    """The font of what is not Latin. Where there is none to put into the file, the reader's own Chinese one."""
    font = TTFont("other", str(_FONT_FILE)) if _FONT_FILE.exists() else UnicodeCIDFont("STSong-Light")
    pdfmetrics.registerFont(font)
    return str(font.fontName)


def _text(text: str, size: float, color: Any = colors.black, *, right: bool = False) -> Paragraph:
    style = ParagraphStyle(
        "cell",
        fontName=_LATIN,
        fontSize=size,
        leading=size * 1.35,
        textColor=color,
        alignment=TA_RIGHT if right else TA_LEFT,
    )
    return Paragraph(_NOT_LATIN.sub(rf'<font name="{_other()}">\1</font>', escape(text)), style)


def _moment(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M}"


def _facts(statement: StatementOut, words: dict[str, str], now: datetime) -> Table:
    period = f"{_moment(statement.since)} – {_moment(statement.until)}"
    rows = [
        (words[statement.owner], statement.owner_name),
        (words["account"], statement.account_id),
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


def _cells(line: StatementLineOut, words: dict[str, str]) -> list[str]:
    what = " · ".join(filter(None, [words.get(line.kind, line.kind), line.text, line.spec]))
    price = "" if line.price is None else format_unc(line.price)
    return [_moment(line.at), what, price, format_unc(line.amount)]


class _Row(Flowable):  # type: ignore[misc]
    """A line of four cells with a rule below; drawn by hand, because a month may have thousands."""

    def __init__(self, cells: list[str], color: Any = colors.black) -> None:
        super().__init__()
        self.color = color
        self.cells = [_wrapped(cell, width) for cell, (_, width, _) in zip(cells, _COLUMNS, strict=True)]

    def wrap(self, width: float, height: float) -> tuple[float, float]:
        """Its size; what the frame offers makes no difference."""
        return sum(column[1] for column in _COLUMNS), max(map(len, self.cells)) * _LEADING + 2 * _PAD

    def draw(self) -> None:
        width, height = self.wrap(0, 0)
        self.canv.setFillColor(self.color)
        for lines, (left, room, flush) in zip(self.cells, _COLUMNS, strict=True):
            for number, line in enumerate(lines):
                x = left + (room - sum(map(_width, line)) if flush else 0)
                self._say(x, height - _PAD - _LEADING * number - _SIZE, line)
        self.canv.setStrokeColor(_LINE)
        self.canv.setLineWidth(0.4)
        self.canv.line(0, 0, width, 0)

    def _say(self, x: float, y: float, line: str) -> None:
        for font, run in groupby(line, _font):
            text = "".join(run)
            self.canv.setFont(font, _SIZE)
            self.canv.drawString(x, y, text)
            x += sum(map(_width, text))


def _wrapped(text: str, room: float) -> list[str]:
    """The lines of ``text``, broken after a space where there is one."""
    lines = []
    while text:
        fits, used = 0, 0.0
        while fits < len(text) and (used := used + _width(text[fits])) <= room:
            fits += 1
        cut = len(text) if fits == len(text) else text.rfind(" ", 0, fits) + 1 or max(fits, 1)
        lines.append(text[:cut].rstrip())
        text = text[cut:]
    return lines or [""]


def _font(char: str) -> str:
    return _LATIN if char <= "\xff" else _other()


@lru_cache(maxsize=8192)
def _width(char: str) -> float:
    return float(pdfmetrics.stringWidth(char, _font(char), _SIZE))
