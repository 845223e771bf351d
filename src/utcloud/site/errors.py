"""Why something cannot be done, in words for a person."""


class CannotRun(Exception):  # noqa: N818 - the caller's sentence, not a mistake of ours
    """This attempt cannot run, and trying again would not help. ``cause`` is one of the protocol's causes."""

    def __init__(self, cause: str, reason: str):
        super().__init__(reason)
        self.cause = cause
        self.reason = reason


class ServerAway(Exception):  # noqa: N818
    """The server cannot be reached now, or answers with an error of its own. ``retry_after_s``: not before that."""

    def __init__(self, detail: str, retry_after_s: float = 0.0):
        super().__init__(detail)
        self.retry_after_s = retry_after_s


class ServerRefused(Exception):  # noqa: N818
    """The server answered that it will not: ``status`` is its HTTP status."""

    def __init__(self, status: int, detail: str):
        super().__init__(f"{status}: {detail}")
        self.status = status
        self.detail = detail
