"""Notices by mail, over SMTP."""

from datetime import UTC, datetime
from email.message import EmailMessage
from email.utils import format_datetime
from typing import Any
from urllib.parse import unquote, urlsplit

import aiosmtplib

from utcloud.billing.outbox.models import Delivery
from utcloud.common.settings import Settings

_TEXTS: dict[str, dict[str, tuple[str, str]]] = {
    "en": {
        "low_balance": (
            "Machine hours are running low",
            "{Wallet} has {available} UNC available. At the present rate of {burn_per_hour} UNC per hour it will be "
            "used up on {runs_out_at}.\n\nRecharge it, or stop what you do not need. Work is stopped in time, and its "
            "files are kept.",
        ),
        "low_idle": (
            "Machine hours are running low",
            "{Wallet} has {available} UNC available: less than the limit at which a warning was wanted. Nothing that "
            "costs runs now.",
        ),
        "stop_announced": (
            "{workload} will be stopped",
            "{workload} will be stopped on {stops_at}, paid for by {wallet}.\n\nThe reason: {reason}\n\nSave your "
            "work: its files are kept.",
        ),
        "workload_stopped": (
            "{workload} was stopped",
            "{workload} was stopped, paid for by {wallet}.\n\nThe reason: {reason}",
        ),
        "order_settled": (
            "{workload} is settled: {cost} UNC",
            "The order for {workload} ({spec}) is settled: it cost {cost} UNC, paid for by {wallet}.",
        ),
        "recharged": ("{amount} UNC recharged", "{amount} UNC were put into {wallet} by {by}."),
        "deducted": ("{amount} UNC deducted", "{amount} UNC were taken out of {wallet} by {by}."),
        "credited": (
            "{amount} UNC credited for {workload}",
            "{by} gave {amount} UNC of what {workload} cost back to its payer, from what its miner and the platform "
            "got of it.\n\nThe reason: {reason}",
        ),
        "note": ("", "The note: {note}"),
        "user": ("", "the wallet of {owner_name}"),
        "group": ("", "the wallet of the group {owner_name}"),
    },
    "zh": {
        "low_balance": (
            "机时余额不足",
            "{Wallet}可用 {available} UNC。按目前每小时 {burn_per_hour} UNC 的用量，将于 {runs_out_at} 用完。\n\n"
            "请充值，或停止不需要的任务。任务会在用完之前停止，文件会保留。",
        ),
        "low_idle": ("机时余额不足", "{Wallet}可用 {available} UNC，低于您设置的提醒额度。目前没有正在计费的任务。"),
        "stop_announced": (
            "{workload} 即将停止",
            "{workload} 将于 {stops_at} 停止，费用由{wallet}支付。\n\n原因：{reason}\n\n请保存您的工作：文件会保留。",
        ),
        "workload_stopped": ("{workload} 已停止", "{workload} 已停止，费用由{wallet}支付。\n\n原因：{reason}"),
        "order_settled": (
            "{workload} 已结算：{cost} UNC",
            "{workload}（{spec}）的订单已结算：共 {cost} UNC，由{wallet}支付。",
        ),
        "recharged": ("已充值 {amount} UNC", "{by} 向{wallet}充值了 {amount} UNC。"),
        "deducted": ("已扣减 {amount} UNC", "{by} 从{wallet}扣减了 {amount} UNC。"),
        "credited": (
            "{workload} 已退还 {amount} UNC",
            "{by} 将 {workload} 费用中的 {amount} UNC 退还给付款方，由矿工和平台按所得退回。\n\n原因：{reason}",
        ),
        "note": ("", "备注：{note}"),
        "user": ("", "{owner_name} 的钱包"),
        "group": ("", "用户组 {owner_name} 的钱包"),
    },
}


class NoMailServerError(Exception):
    """The platform was started without a mail server."""


class _Known(dict[str, Any]):
    """What a message does not know is a dash, never an error."""

    def __missing__(self, key: str) -> str:
        return "–"


def compose(settings: Settings, delivery: Delivery) -> EmailMessage:
    """The message of ``delivery``, with a link to the console; the same id however often it is tried."""
    payload = delivery.payload
    texts = _TEXTS.get(payload["language"], _TEXTS["en"])
    subject, text = texts[_variant(delivery.kind, payload["data"])]
    known = _shown(texts, payload["data"])
    if "note" in known:
        text += "\n\n" + texts["note"][1]
    message = EmailMessage()
    message["From"] = settings.mail_from
    message["To"] = payload["to"]
    message["Subject"] = " ".join(f"utcloud: {subject.format_map(known)}".split())[:200]
    message["Date"] = format_datetime(delivery.created_at)
    message["Message-ID"] = f"<{delivery.id}@{urlsplit(settings.console_origin).hostname}>"
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(f"{text.format_map(known)}\n\n{settings.console_origin}/console/time-management?tab=notices\n")
    return message


def _variant(kind: str, data: dict[str, Any]) -> str:
    if kind == "low_balance" and not data.get("runs_out_at"):
        return "low_idle"
    return "deducted" if data.get("change") == "deduct" else kind


def _shown(texts: dict[str, tuple[str, str]], data: dict[str, Any]) -> _Known:
    """The event's data as a person reads it."""
    known = _Known({key: value for key, value in data.items() if value not in (None, "")})
    for key in ("runs_out_at", "stops_at"):
        if key in known:
            moment = datetime.fromisoformat(known[key]).astimezone(UTC)
            known[key] = f"{moment:%Y-%m-%d %H:%M} UTC"
    if "amount" in known:
        known["amount"] = known["amount"].removeprefix("-")
    wallet = texts[known.get("owner", "user")][1].format_map(known)
    return _Known(known, wallet=wallet, Wallet="The" + wallet[3:] if wallet.startswith("the ") else wallet)


async def deliver(settings: Settings, delivery: Delivery) -> None:
    """Hand it to the mail server; raises NoMailServerError, aiosmtplib.SMTPException or OSError."""
    if not settings.smtp_url:
        raise NoMailServerError("the platform has no mail server")
    parts = urlsplit(settings.smtp_url)
    await aiosmtplib.send(
        compose(settings, delivery),
        hostname=parts.hostname or "localhost",
        port=parts.port or (465 if parts.scheme == "smtps" else 587 if parts.username else 25),
        username=unquote(parts.username) if parts.username else None,
        password=unquote(parts.password) if parts.password else None,
        use_tls=parts.scheme == "smtps",
        timeout=20,
    )
