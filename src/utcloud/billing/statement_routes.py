"""Sums by day and by what for, and monthly statements, over HTTP."""

from typing import Annotated, Literal

from fastapi import APIRouter, Query, Response

from utcloud.accounts.auth import CurrentActor
from utcloud.accounts.schemas import Moment
from utcloud.billing import analytics, statement_pdf, statements
from utcloud.billing.analytics import By, Side
from utcloud.billing.schemas import AnalyticsOut, StatementMonthOut, StatementOut
from utcloud.common.paging import Page
from utcloud.db.web import Db, Now

router = APIRouter(tags=["statements"])
Role = Annotated[Side, Query(description="`payer`: what one paid; `payee`: what one earned as a miner.")]


@router.get("/analytics/charges")
async def get_charge_analytics(
    actor: CurrentActor,
    db: Db,
    now: Now,
    by: By = By.DAY,
    role: Role = Side.PAYER,
    since: Moment = None,
    until: Moment = None,
) -> AnalyticsOut:
    """Sum up what one paid or earned by day, specification, node, renter, miner or workload; 30 days by default."""
    when = analytics.period(now, since, until)
    async with db.read() as tx:
        return await analytics.sums(tx, now, actor, role, by, when)


@router.get("/statements")
async def list_statements(actor: CurrentActor, db: Db, now: Now, role: Role = Side.PAYER) -> Page[StatementMonthOut]:
    """List the months in which one's account moved, the latest first."""
    async with db.read() as tx:
        return Page(items=await statements.months(tx, now, actor, role))


@router.get(
    "/statements/{month}",
    response_model=StatementOut,
    responses={200: {"content": {"application/pdf": {"schema": {"type": "string", "format": "binary"}}}}},
)
async def get_statement(
    month: str,
    actor: CurrentActor,
    db: Db,
    now: Now,
    role: Role = Side.PAYER,
    format: Literal["json", "pdf"] = "json",  # noqa: A002 - the parameter's name in the URL
    lang: statement_pdf.Language = "en",
) -> StatementOut | Response:
    """Show a month's statement, such as `2026-01`, or get it as a PDF file."""
    async with db.read() as tx:
        found = await statements.statement(tx, now, actor, role, statements.Month.parse(month))
    if format == "json":
        return found
    headers = {"Content-Disposition": f'attachment; filename="utcloud-{found.role}-{found.month}.pdf"'}
    return Response(statement_pdf.render(found, lang, now), media_type="application/pdf", headers=headers)
