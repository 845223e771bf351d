"""Notices by mail, over SMTP."""

from email.message import EmailMessage
from typing import Any
from urllib.parse import unquote, urlsplit

import aiosmtplib

from utcloud.common.settings import Settings

_TEXTS: dict[str, dict[str, tuple[str, str]]] = {
    "en": {
        "low_balance": (
            "Machine hours are running low",
            "The wallet holds {available} UNC; at the present rate of "
            "{burn_per_hour} UNC per hour it will be empty at {runs_out_at}. Recharge it, or stop what you do "
            "not need: work is stopped in time, and its files are kept.",
        ),
        "stop_announced": (
            "{workload} will be stopped",
            "{workload} will be stopped at {stops_at}: {reason}. Save your work: its files are kept.",
        ),
        "workload_stopped": ("{workload} was stopped", "{workload} was stopped: {reason}"),
        "order_settled": ("{workload} is settled", "The order for {workload} ({spec}) is settled: it cost {cost} UNC."),
        "recharged": ("Machine hours: {amount} UNC", "{amount} UNC were booked into the wallet. {note}"),
    },
    "zh": {
        "low_balance": (
            "机时余额不足",
            "钱包余额 {available} UNC;按目前每小时 {burn_per_hour} UNC 的用量,将于 {runs_out_at} "
            "用完。请充值,或停止不需要的任务:任务会在用完之前停止,文件会保留。",
        ),
        "stop_announced": (
            "{workload} 即将停止",
            "{workload} 将于 {stops_at} 停止:{reason}。请保存您的工作:文件会保留。",
        ),
        "workload_stopped": ("{workload} 已停止", "{workload} 已停止:{reason}"),
        "order_settled": ("{workload} 已结算", "{workload}({spec})的订单已结算:共 {cost} UNC。"),
        "recharged": ("机时:{amount} UNC", "钱包入账 {amount} UNC。{note}"),
    },
}


class _Known(dict[str, Any]):
    """What a message does not know is a dash, never an error."""

    def __missing__(self, key: str) -> str:
        return "–"


def compose(settings: Settings, address: str, language: str, kind: str, data: dict[str, Any]) -> EmailMessage:
    """The message about ``kind``, with a link to the console."""
    subject, text = _TEXTS[language if language in _TEXTS else "en"][kind]
    known = _Known({key: value for key, value in data.items() if value not in (None, "")})
    message = EmailMessage()
    message["From"] = settings.mail_from
    message["To"] = address
    message["Subject"] = " ".join(f"utcloud: {subject.format_map(known)}".split())[:200]
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(f"{text.format_map(known)}\n\n{settings.console_origin}/console/\n")
    return message


async def send(settings: Settings, message: EmailMessage) -> None:
    """Hand it to the mail server; raises aiosmtplib.SMTPException or OSError."""
    parts = urlsplit(settings.smtp_url)
    await aiosmtplib.send(
        message,
        hostname=parts.hostname or "localhost",
        port=parts.port or (465 if parts.scheme == "smtps" else 587 if parts.username else 25),
        username=unquote(parts.username) if parts.username else None,
        password=unquote(parts.password) if parts.password else None,
        use_tls=parts.scheme == "smtps",
        timeout=20,
    )
