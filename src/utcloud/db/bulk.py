"""Thousands of rows in one statement: arrays on PostgreSQL, which parses and checks it once; a loop in SQLite."""

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Dialect, any_, insert, literal, text, update
from sqlalchemy import bindparam as parameter
from sqlalchemy.dialects.postgresql import ARRAY

from utcloud.db.base import Base
from utcloud.db.database import Tx


def among(tx: Tx, column: ColumnElement[str], values: Iterable[str]) -> ColumnElement[bool]:
    """``column IN values``, where these may be thousands."""
    given = list(values)
    if tx.get_bind().dialect.name != "postgresql":
        return column.in_(given)
    return column == any_(literal(given, ARRAY(column.type)))


async def insert_rows(tx: Tx, model: type[Base], rows: Sequence[dict[str, Any]]) -> None:
    """Insert ``rows``, which all have the same keys. Columns that they lack get what the database itself gives."""
    if not rows:
        return
    dialect = tx.get_bind().dialect
    if dialect.name != "postgresql":
        await tx.execute(insert(model), list(rows))
        return
    columns = [model.__table__.c[name] for name in rows[0]]
    names = ", ".join(f'"{column.name}"' for column in columns)
    statement = f"INSERT INTO {model.__tablename__} ({names}) SELECT * FROM unnest({_arrays(columns, dialect)})"  # noqa: S608
    await tx.execute(text(statement), _values(columns, rows, dialect))


async def update_rows(tx: Tx, model: type[Base], rows: Sequence[dict[str, Any]], add: Sequence[str] = ()) -> None:
    """Set what ``rows`` say in the rows of the same ``id``; values of columns named in ``add`` are added instead."""
    if not rows:
        return
    dialect = tx.get_bind().dialect
    names = [name for name in rows[0] if name != "id"]
    if dialect.name != "postgresql":
        columns = model.__table__.c
        values = {
            name: columns[name] + parameter(f"v_{name}") if name in add else parameter(f"v_{name}") for name in names
        }
        statement = update(model.__table__).where(columns.id == parameter("v_id")).values(values)  # type: ignore[arg-type]
        await (await tx.connection()).execute(
            statement, [{f"v_{key}": value for key, value in row.items()} for row in rows]
        )
        return
    own = [model.__table__.c[name] for name in rows[0]]
    sets = ", ".join(
        f'"{name}" = ' + (f'old."{name}" + new."{name}"' if name in add else f'new."{name}"') for name in names
    )
    given = ", ".join(f'"{column.name}"' for column in own)
    statement_text = (
        f"UPDATE {model.__tablename__} AS old SET {sets} "  # noqa: S608 - names of our own
        f"FROM unnest({_arrays(own, dialect)}) AS new ({given}) WHERE old.id = new.id"
    )
    await tx.execute(text(statement_text), _values(own, rows, dialect))


def _arrays(columns: Sequence[Any], dialect: Dialect) -> str:
    return ", ".join(f"CAST(:{column.name} AS {column.type.compile(dialect)}[])" for column in columns)


def _values(columns: Sequence[Any], rows: Sequence[dict[str, Any]], dialect: Dialect) -> dict[str, list[Any]]:
    values = {}
    for column in columns:
        process = column.type.dialect_impl(dialect).bind_processor(dialect)
        own = [row[column.name] for row in rows]
        values[column.name] = own if process is None else [process(value) for value in own]
    return values
