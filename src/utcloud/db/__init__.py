"""The database: one base for all tables, sessions, and signals that are sent when a transaction has been committed."""

from utcloud.db.base import Base, Id, JsonDict, JsonList, MicroUnc, ShortText, Timestamp, utcnow_column
from utcloud.db.database import Database, Tx, emit, memory, take_turns
from utcloud.db.paging import page_of, paginate
from utcloud.db.sealed import SealedText

__all__ = [
    "Base",
    "Database",
    "Id",
    "JsonDict",
    "JsonList",
    "MicroUnc",
    "SealedText",
    "ShortText",
    "Timestamp",
    "Tx",
    "emit",
    "memory",
    "page_of",
    "paginate",
    "take_turns",
    "utcnow_column",
]
