"""The journal can only be added to, in whole entries that sum to zero: the database itself refuses anything else.

``create_all`` attaches these to the tables (see ``models``); migrations run the same statements one by one.

PostgreSQL looks at all postings that one statement adds: they sum to zero for each entry, and the entry was written in
the same transaction (not in a savepoint of it). SQLite knows no such thing; there the postings come first, the entry is
refused unless its postings sum to zero, and nothing comes after it. SQLite would also let ``INSERT OR REPLACE`` take a
row's place without asking any trigger on deletions: so an entry must be the next one, under an id and key of its own.
"""

from sqlalchemy import DDL, Table, event
from sqlalchemy.schema import ExecutableDDLElement

from utcloud.db import append_only

RULES = "journal_rules"

_APPEND_ONLY = """
CREATE OR REPLACE FUNCTION utcloud_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'the journal is append-only: reverse an entry by another one' USING ERRCODE = 'restrict_violation';
END $$
"""
_SUM_TO_ZERO = """
CREATE OR REPLACE FUNCTION utcloud_sum_to_zero() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF EXISTS (SELECT 1 FROM added GROUP BY entry_id HAVING sum(amount) <> 0) THEN
    RAISE EXCEPTION 'the postings of a journal entry sum to zero' USING ERRCODE = 'check_violation';
  END IF;
  IF EXISTS (SELECT 1 FROM journal_entries
    WHERE id IN (SELECT entry_id FROM added) AND xmin <> pg_current_xact_id()::xid) THEN
    RAISE EXCEPTION 'the journal is append-only: nothing is added to an entry' USING ERRCODE = 'restrict_violation';
  END IF;
  RETURN NULL;
END $$
"""
_SQLITE = {
    "journal_entries": [
        "CREATE TRIGGER journal_entries_sum_to_zero BEFORE INSERT ON journal_entries "
        "WHEN (SELECT coalesce(sum(amount), 1) FROM postings WHERE entry_id = NEW.id) <> 0 "
        "BEGIN SELECT RAISE(ABORT, 'the postings of a journal entry sum to zero'); END",
        "CREATE TRIGGER journal_entries_in_order BEFORE INSERT ON journal_entries "
        "WHEN NEW.seq <> (SELECT coalesce(max(seq), 0) + 1 FROM journal_entries) "
        "OR EXISTS (SELECT 1 FROM journal_entries WHERE id = NEW.id) "
        "OR EXISTS (SELECT 1 FROM journal_entries WHERE idempotency_key = NEW.idempotency_key) "
        "BEGIN SELECT RAISE(ABORT, 'the journal is append-only: an entry takes no other''s place'); END",
    ],
    "postings": [
        "CREATE TRIGGER postings_of_whole_entries BEFORE INSERT ON postings "
        "WHEN EXISTS (SELECT 1 FROM journal_entries WHERE id = NEW.entry_id) "
        "BEGIN SELECT RAISE(ABORT, 'the journal is append-only: nothing is added to an entry'); END",
    ],
}


def statements(dialect: str, table: str) -> list[str]:
    """What makes ``table`` append-only and its entries sum to zero, on ``sqlite`` or ``postgresql``."""
    if table == RULES:
        return append_only.statements(dialect, table, "the rules of the journal stay", "utcloud_rules_stay", "version")
    if dialect == "postgresql":
        made = [
            _APPEND_ONLY,
            f"CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE ON {table} "
            "FOR EACH ROW EXECUTE FUNCTION utcloud_append_only()",
            f"CREATE TRIGGER {table}_no_truncate BEFORE TRUNCATE ON {table} "
            "FOR EACH STATEMENT EXECUTE FUNCTION utcloud_append_only()",
        ]
        if table == "postings":
            made += [
                _SUM_TO_ZERO,
                "CREATE TRIGGER postings_sum_to_zero AFTER INSERT ON postings REFERENCING NEW TABLE AS added "
                "FOR EACH STATEMENT EXECUTE FUNCTION utcloud_sum_to_zero()",
            ]
        return made
    return [
        *(
            f"CREATE TRIGGER {table}_no_{verb.lower()} BEFORE {verb} ON {table} "
            "BEGIN SELECT RAISE(ABORT, 'the journal is append-only: reverse an entry by another one'); END"
            for verb in ("UPDATE", "DELETE")
        ),
        *_SQLITE[table],
    ]


ROOM = "ALTER TABLE meters SET (fillfactor = 70)"


def leave_room(table: Table) -> None:
    """Let PostgreSQL keep a changed meter on its page: it changes with every report, and no index need follow."""
    ddl: ExecutableDDLElement = DDL(ROOM).execute_if(dialect="postgresql")  # type: ignore[no-untyped-call]
    event.listen(table, "after_create", ddl)


def attach(table: Table) -> None:
    """Let ``create_all`` make the triggers along with the table."""
    append_only.attach(table, {dialect: statements(dialect, table.name) for dialect in ("sqlite", "postgresql")})
