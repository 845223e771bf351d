"""The base of all tables, and the column types that they share."""

from datetime import UTC, datetime
from typing import Annotated, Any

from sqlalchemy import JSON, BigInteger, Dialect, MetaData, String, TypeDecorator
from sqlalchemy.orm import DeclarativeBase, mapped_column

from utcloud.common.clock import from_ms, to_ms


class Timestamp(TypeDecorator[datetime]):
    """A moment in UTC, kept as milliseconds since the epoch: exact, and alike in SQLite and PostgreSQL."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:
        return None if value is None else to_ms(value)

    def process_result_value(self, value: int | None, dialect: Dialect) -> datetime | None:
        return None if value is None else from_ms(value)


Id = Annotated[str, mapped_column(String(40))]
ShortText = Annotated[str, mapped_column(String(255))]
MicroUnc = Annotated[int, mapped_column(BigInteger)]
JsonDict = Annotated[dict[str, Any], mapped_column(JSON)]
JsonList = Annotated[list[Any], mapped_column(JSON)]


class Base(DeclarativeBase):
    """Every table's base. Constraint names are fixed, so that migrations can name them."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(column_0_label)s",
            "uq": "uq_%(table_name)s_%(column_0_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {datetime: Timestamp, int: BigInteger}


def utcnow_column() -> Any:
    """A column that holds the moment at which its row was made."""
    return mapped_column(Timestamp, default=lambda: datetime.now(UTC))
