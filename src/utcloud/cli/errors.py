"""Why a command ends badly: what is wrong, what to do, and the exit status."""

from typing import Any


class CliError(Exception):
    """``detail`` says what is wrong, ``cure`` what to do about it; the process ends with ``status``."""

    def __init__(self, detail: str, cure: str | None = None, *, status: int = 1) -> None:
        super().__init__(detail)
        self.detail, self.cure, self.status = detail, cure, status


class NotLoggedInError(CliError):
    """Nobody is logged in here, or the token has ended."""

    def __init__(self, detail: str = "You are not logged in.") -> None:
        super().__init__(detail, "Run: utcloud login", status=3)


class UnreachableError(CliError):
    """The server does not answer."""

    def __init__(self, server: str, why: str = "") -> None:
        because = f" ({why})" if why else ""
        super().__init__(f"The server at {server} does not answer{because}.", "Is it running? make up", status=4)


class ApiError(CliError):
    """The server refused. ``http_status`` and ``code`` are the problem's own."""

    def __init__(self, http_status: int, problem: dict[str, Any]) -> None:
        super().__init__(str(problem.get("detail") or f"The server answered {http_status}."), problem.get("cure"))
        self.http_status, self.code, self.problem = http_status, str(problem.get("code", "")), problem
