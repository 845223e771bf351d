"""Names and their amounts as one text: of thousands of rows, the making of the rows is most of what they cost."""

from sqlalchemy import ColumnElement, String, cast, func


def packed(name: ColumnElement[str], amount: ColumnElement[int]) -> ColumnElement[str]:
    """An aggregate: lines of ``cpu=2000``, in no order; NULL for no rows."""
    return func.aggregate_strings(name + "=" + cast(amount, String), "\n")


def unpacked(text: str | None) -> list[tuple[str, int]]:
    """What ``packed`` put together: as many pairs as rows, or more when a name holds a line break.

    Raises ValueError when it is no such text.
    """
    if not text:
        return []
    return [(name, int(amount)) for name, _, amount in (line.rpartition("=") for line in text.split("\n"))]
