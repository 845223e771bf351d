"""Tables that can only be added to: the database itself refuses anything else.

SQLite would let ``INSERT OR REPLACE`` take a row's place without asking any trigger on deletions, so there a new row
must have a key of its own.
"""

from sqlalchemy import DDL, Table, event
from sqlalchemy.schema import ExecutableDDLElement


def statements(dialect: str, table: str, refusal: str, function: str, key: str = "id") -> list[str]:
    """What makes ``table`` append-only on ``sqlite`` or ``postgresql``: there by ``function``, said by ``refusal``."""
    if dialect == "postgresql":
        return [
            f"CREATE OR REPLACE FUNCTION {function}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
            f"RAISE EXCEPTION '{refusal}' USING ERRCODE = 'restrict_violation'; END $$",
            f"CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE ON {table} "
            f"FOR EACH ROW EXECUTE FUNCTION {function}()",
            f"CREATE TRIGGER {table}_no_truncate BEFORE TRUNCATE ON {table} "
            f"FOR EACH STATEMENT EXECUTE FUNCTION {function}()",
        ]
    taken = f"EXISTS (SELECT 1 FROM {table} WHERE {key} = NEW.{key})"  # noqa: S608 - names of our own
    return [
        *(
            f"CREATE TRIGGER {table}_no_{verb.lower()} BEFORE {verb} ON {table} "
            f"BEGIN SELECT RAISE(ABORT, '{refusal}'); END"
            for verb in ("UPDATE", "DELETE")
        ),
        f"CREATE TRIGGER {table}_no_replace BEFORE INSERT ON {table} WHEN {taken} "
        f"BEGIN SELECT RAISE(ABORT, '{refusal}'); END",
    ]


def attach(table: Table, made: dict[str, list[str]]) -> None:
    """Let ``create_all`` run the statements of its dialect along with the table."""
    for dialect, own in made.items():
        for statement in own:
            ddl: ExecutableDDLElement = DDL(statement).execute_if(dialect=dialect)  # type: ignore[no-untyped-call]
            event.listen(table, "after_create", ddl)
