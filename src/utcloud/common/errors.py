"""Errors that say what is wrong, where, and what to do about it (RFC 9457 problem details)."""

from collections.abc import Mapping


class Problem(Exception):  # noqa: N818 - the RFC's word
    """An error to be shown to a person.

    ``field`` is the path of the offending input, such as ``price`` or ``items.0.quantity``; ``cure`` says what to do.
    The server turns it into ``application/problem+json`` with ``type``, ``title``, ``status``, ``detail``,
    ``code``, ``field`` and ``cure``.
    """

    status = 400
    code = "bad_request"
    title = "The request cannot be carried out"

    def __init__(
        self,
        detail: str,
        *,
        field: str | None = None,
        cure: str | None = None,
        code: str | None = None,
        members: Mapping[str, str] | None = None,
    ):
        super().__init__(detail)
        self.detail = detail
        self.field = field
        self.cure = cure
        self.members = dict(members or {})
        """Extension members of its problem details, for programs."""
        if code:
            self.code = code


class Invalid(Problem):
    """A field has a value that it cannot have."""

    status, code, title = 422, "invalid", "A field is not valid"


class Unauthenticated(Problem):
    """Nobody is logged in, or the credential is wrong or has ended."""

    status, code, title = 401, "unauthenticated", "Log in first"


class Forbidden(Problem):
    """The user is known and may not do this."""

    status, code, title = 403, "forbidden", "Not allowed"


class NotFound(Problem):
    """There is no such thing, or it is another tenant's."""

    status, code, title = 404, "not_found", "Not found"

    @classmethod
    def of(cls, noun: str, ident: str, field: str | None = None) -> "NotFound":
        return cls(f"There is no {noun} {ident[:80]!r}.", field=field, cure=f"Choose one from the list of {noun}s.")


class Conflict(Problem):
    """The present state does not allow it: a name is taken, a thing is in use."""

    status, code, title = 409, "conflict", "The present state does not allow this"


class TooMany(Problem):
    """Too many attempts, or too much at once. ``retry_after_s`` becomes the Retry-After header."""

    status, code, title = 429, "too_many", "Too many requests"

    def __init__(self, detail: str, *, retry_after_s: int, cure: str | None = None):
        super().__init__(detail, cure=cure)
        self.retry_after_s = retry_after_s


class InsufficientFunds(Problem):
    """The wallet cannot pay for it."""

    status, code, title = 402, "insufficient_funds", "The wallet holds too little"


class TooLarge(Problem):
    """The content is larger than is allowed."""

    status, code, title = 413, "too_large", "Too large"
