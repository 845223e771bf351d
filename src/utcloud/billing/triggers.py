"""The journal can only be added to: the database itself refuses to change or delete a row of it.

``create_all`` attaches these to the tables (see ``models``); migrations run the same statements one by one.
"""

from sqlalchemy import DDL, Table, event
from sqlalchemy.schema import ExecutableDDLElement

TABLES = ("journal_entries", "postings")

_FUNCTION = """
CREATE OR REPLACE FUNCTION utcloud_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'the journal is append-only: reverse an entry by another one' USING ERRCODE = 'restrict_violation';
END $$
"""


def statements(dialect: str, table: str) -> list[str]:
    """What makes ``table`` append-only on ``sqlite`` or ``postgresql``."""
    if dialect == "postgresql":
        return [
            _FUNCTION,
            f"CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE ON {table} "
            "FOR EACH ROW EXECUTE FUNCTION utcloud_append_only()",
            f"CREATE TRIGGER {table}_no_truncate BEFORE TRUNCATE ON {table} "
            "FOR EACH STATEMENT EXECUTE FUNCTION utcloud_append_only()",
        ]
    return [
        f"CREATE TRIGGER {table}_no_{verb.lower()} BEFORE {verb} ON {table} "
        "BEGIN SELECT RAISE(ABORT, 'the journal is append-only: reverse an entry by another one'); END"
        for verb in ("UPDATE", "DELETE")
    ]


def attach(table: Table) -> None:
    """Let ``create_all`` make the triggers along with the table."""
    for dialect in ("sqlite", "postgresql"):
        for statement in statements(dialect, table.name):
            ddl: ExecutableDDLElement = DDL(statement).execute_if(dialect=dialect)  # type: ignore[no-untyped-call]
            event.listen(table, "after_create", ddl)
