"""Every error leaves as an RFC 9457 problem that names the field and the cure."""

import http
from collections.abc import Mapping, Sequence
from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError, SQLAlchemyError
from sqlalchemy.orm.exc import StaleDataError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from utcloud.accounts.schemas import SecondFactorAsked
from utcloud.accounts.service.second_factor import SecondStepRequired
from utcloud.common.errors import Conflict, Problem, TooMany
from utcloud.common.patterns import in_words

log = structlog.get_logger()


class FieldError(BaseModel):
    """One offending input."""

    field: str
    detail: str


class ProblemDetails(BaseModel):
    """RFC 9457 problem details. ``code`` is for programs, ``detail`` and ``cure`` are for people."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    code: str
    field: str | None = None
    cure: str | None = None
    errors: list[FieldError] = []
    expected_price: str | None = None
    """With code `price_changed`: what was expected, in UNC per hour …"""
    price: str | None = None
    """… and what it costs now."""
    second_factor: SecondFactorAsked | None = None
    """With the code `second_factor_required`: how the second step of a login can be taken."""


def problem_response(problem: ProblemDetails, headers: Mapping[str, str] | None = None) -> JSONResponse:
    """Answer with ``problem`` as ``application/problem+json``."""
    return JSONResponse(
        problem.model_dump(exclude_none=True),
        status_code=problem.status,
        media_type="application/problem+json",
        headers=headers,
    )


def from_problem(error: Problem) -> JSONResponse:
    """Turn a rule's refusal into its answer."""
    headers = {"Retry-After": str(error.retry_after_s)} if isinstance(error, TooMany) else None
    if error.status == http.HTTPStatus.UNAUTHORIZED:
        headers = {"WWW-Authenticate": 'Bearer realm="utcloud"'}
    details = ProblemDetails(
        title=error.title,
        status=error.status,
        detail=error.detail,
        code=error.code,
        field=error.field,
        cure=error.cure,
        errors=[FieldError(field=error.field, detail=error.detail)] if error.field else [],
        second_factor=error.second_factor if isinstance(error, SecondStepRequired) else None,
        **error.members,
    )
    return problem_response(details, headers)


def install(app: FastAPI) -> None:
    """Make ``app`` answer all errors as problems."""

    @app.exception_handler(Problem)
    async def _problem(_request: Request, error: Problem) -> JSONResponse:
        return from_problem(error)

    @app.exception_handler(RequestValidationError)
    async def _invalid(_request: Request, error: RequestValidationError) -> JSONResponse:
        errors = [_field_error(item) for item in error.errors()[:20]]
        first = errors[0]
        return problem_response(
            ProblemDetails(
                title="A field is not valid",
                status=422,
                code="invalid",
                field=first.field,
                detail=f"{first.field}: {first.detail}",
                cure="Correct it and send it again.",
                errors=errors,
            )
        )

    @app.exception_handler(HTTPException)
    async def _http(_request: Request, error: HTTPException) -> JSONResponse:
        if error.detail == _UNREADABLE_BODY:
            return problem_response(_not_json())
        title = http.HTTPStatus(error.status_code).phrase
        detail = error.detail if error.detail != title else f"{title}: see /api/v1/openapi.json for what there is."
        code = title.lower().replace(" ", "_")
        return problem_response(
            ProblemDetails(title=title, status=error.status_code, detail=detail, code=code), error.headers
        )

    @app.exception_handler(ClientDisconnect)
    async def _gone(_request: Request, _error: ClientDisconnect) -> JSONResponse:
        return problem_response(_not_json())  # nobody hears it

    @app.exception_handler(DBAPIError)
    async def _refused(request: Request, error: DBAPIError) -> JSONResponse:
        at_once = getattr(error.orig, "sqlstate", None) in _AT_ONCE
        return await (_at_once if at_once else _unexpected)(request, error)

    @app.exception_handler(StaleDataError)
    @app.exception_handler(IntegrityError)
    async def _at_once(request: Request, error: SQLAlchemyError) -> JSONResponse:
        log.warning("changed at the same moment", path=request.url.path, error=str(getattr(error, "orig", error)))
        detail = "Somebody else changed the same thing at this moment; nothing of yours was done."
        return from_problem(Conflict(detail, cure="Look at it again, and try again."))

    @app.exception_handler(OperationalError)
    async def _database(_request: Request, error: OperationalError) -> JSONResponse:
        log.error("database", error=str(error.orig))
        return problem_response(
            ProblemDetails(
                title="The database does not answer",
                status=503,
                code="database",
                detail="The database does not answer at the moment; nothing was changed.",
                cure="Try again in a few seconds.",
            ),
            {"Retry-After": "3"},
        )

    @app.exception_handler(Exception)
    async def _unexpected(request: Request, error: Exception) -> JSONResponse:
        log.error("unexpected", path=request.url.path, exc_info=error)
        return problem_response(
            ProblemDetails(
                title="A fault of the platform",
                status=500,
                code="internal",
                detail="The platform made a mistake; it was written to the server's log, and nothing was changed.",
                cure="Try again; if it stays, tell an operator what you did and when.",
            )
        )


_AT_ONCE = ("40001", "40P01")
"""What PostgreSQL says when transactions stand in each other's way: serialization_failure, deadlock_detected."""
_UNREADABLE_BODY = "There was an error parsing the body"
"""FastAPI's words for a body that is not even UTF-8."""


def _not_json() -> ProblemDetails:
    fault = FieldError(field="body", detail="The body is not valid JSON.")
    return ProblemDetails(
        title="A field is not valid",
        status=422,
        code="invalid",
        field=fault.field,
        detail=fault.detail,
        cure="Send JSON in UTF-8, with Content-Type: application/json.",
        errors=[fault],
    )


def _field_error(item: Mapping[str, Any]) -> FieldError:
    place: Sequence[Any] = item["loc"]
    if place and place[0] in ("body", "query", "path", "header", "cookie"):
        place = place[1:]
    message = str(item["msg"]).removeprefix("Value error, ")
    if item["type"] == "json_invalid":
        return FieldError(field="body", detail="The body is not valid JSON.")
    if item["type"] == "string_pattern_mismatch":
        message = in_words(item["ctx"]["pattern"])
    return FieldError(field=".".join(str(part) for part in place if part != "[key]") or "body", detail=message)
