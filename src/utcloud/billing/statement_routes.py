"""Sums by day and by what for, and monthly statements, over HTTP."""

import asyncio
from typing import Annotated, Literal

from fastapi import APIRouter, Path, Query, Response

from utcloud.accounts.auth import CurrentActor
from utcloud.accounts.schemas import Cursor, Ident, Moment
from utcloud.billing import analytics, statement_pdf, statements
from utcloud.billing.analytics import By, Side
from utcloud.billing.order_schemas import BookingOut
from utcloud.billing.schemas import AnalyticsOut, StatementMonthOut, StatementOut
from utcloud.common import export
from utcloud.common.paging import Limit, Page
from utcloud.db.web import Db, Now

router = APIRouter(tags=["statements"])
WalletId = Annotated[
    Ident | None, Query(description="A wallet that one keeps, such as that of a group that one manages.")
]
MonthPath = Annotated[str, Path(max_length=16)]
Role = Annotated[Side, Query(description="`payer`: what one paid; `payee`: what one earned as a miner.")]


@router.get("/analytics/charges")
async def get_charge_analytics(
    actor: CurrentActor,
    db: Db,
    now: Now,
    by: By = By.DAY,
    role: Role = Side.PAYER,
    wallet_id: Annotated[
        Ident | None, Query(description="Only what was paid from this wallet. Left out: from whichever.")
    ] = None,
    since: Moment = None,
    until: Moment = None,
) -> AnalyticsOut:
    """Sum up what one paid or earned by day, specification, node, renter, miner or workload; 30 days by default."""
    when = analytics.period(now, since, until)
    async with db.read() as tx:
        return await analytics.sums(tx, now, actor, role, by, when, wallet_id)


@router.get("/statements", response_model=Page[StatementMonthOut], responses=export.RESPONSES)
async def list_statements(
    actor: CurrentActor,
    db: Db,
    now: Now,
    role: Role = Side.PAYER,
    wallet_id: WalletId = None,
    file: export.Wanted = None,
) -> Page[StatementMonthOut] | Response:
    """List the months in which one's account moved, the latest first."""
    async with db.read() as tx:
        found = await statements.months(tx, now, actor, role, wallet_id)
    return export.whole(file, StatementMonthOut, found, "statements")


@router.get(
    "/statements/{month}",
    response_model=StatementOut,
    responses={200: {"content": {"application/pdf": {"schema": {"type": "string", "format": "binary"}}}}},
)
async def get_statement(
    month: MonthPath,
    actor: CurrentActor,
    db: Db,
    now: Now,
    role: Role = Side.PAYER,
    wallet_id: WalletId = None,
    format: Literal["json", "pdf"] = "json",  # noqa: A002 - the parameter's name in the URL
    lang: statement_pdf.Language = "en",
) -> StatementOut | Response:
    """Show a month's statement, such as `2026-01`, or get it as a PDF file."""
    async with db.read() as tx:
        found = await statements.statement(tx, now, actor, role, statements.Month.parse(month), wallet_id)
    if format == "json":
        return found
    headers = {"Content-Disposition": f'attachment; filename="utcloud-{found.role}-{found.month}.pdf"'}
    file = await asyncio.to_thread(statement_pdf.render, found, lang, now)  # a long one takes its time
    return Response(file, media_type="application/pdf", headers=headers)


@router.get("/statements/{month}/entries", response_model=Page[BookingOut], responses=export.RESPONSES)
async def list_statement_entries(
    month: MonthPath,
    actor: CurrentActor,
    db: Db,
    limit: Limit = 50,
    cursor: Cursor = None,
    role: Role = Side.PAYER,
    wallet_id: WalletId = None,
    file: export.Wanted = None,
) -> Page[BookingOut] | Response:
    """List the bookings that a month's statement sums up, newest first."""
    when = statements.Month.parse(month)

    async def load(limit: int, cursor: str | None) -> tuple[list[BookingOut], str | None]:
        async with db.read() as tx:
            return await statements.entries(tx, actor, role, when, wallet_id, limit=limit, cursor=cursor)

    if file:
        return export.response(file, BookingOut, load, f"bookings-{when}")
    items, after = await load(limit, cursor)
    return Page(items=items, next_cursor=after)
