"""billing: entries tell their facts, accounts are the journal's; the audit trail is append-only"""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

_RULES, _AUDIT = "the rules of the journal stay", "the audit trail is append-only"


def upgrade() -> None:
    _rename_accounts()
    op.add_column("journal_entries", sa.Column("facts", sa.Text(), nullable=True))
    op.create_table(
        "journal_rules",
        sa.Column("version", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("first_seq", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("version", name=op.f("pk_journal_rules")),
    )
    op.execute(  # what is there has no facts; no later entry may say so
        "INSERT INTO journal_rules (version, first_seq) SELECT 2, max(seq) + 1 FROM journal_entries HAVING count(*) > 0"
    )
    _append_only("journal_rules", "version", "utcloud_rules_stay", _RULES)
    _append_only("audit_events", "id", "utcloud_audit_append_only", _AUDIT)


def _rename_accounts() -> None:
    """The table, and what is called after it. On SQLite that is text in its schema only, which no row depends on."""
    bind = op.get_bind()
    op.drop_index("ix_ledger_accounts_owner_id", "ledger_accounts")
    op.rename_table("ledger_accounts", "journal_accounts")
    op.create_index("ix_journal_accounts_owner_id", "journal_accounts", ["owner_id"])
    if bind.dialect.name == "sqlite":
        version = bind.exec_driver_sql("PRAGMA schema_version").scalar_one()
        bind.exec_driver_sql("PRAGMA writable_schema = ON")
        bind.exec_driver_sql(
            "UPDATE sqlite_master SET sql = replace(sql, '_ledger_accounts', '_journal_accounts') WHERE type = 'table'"
        )
        bind.exec_driver_sql(f"PRAGMA schema_version = {version + 1}")
        bind.exec_driver_sql("PRAGMA writable_schema = RESET")
        return
    query = (
        "SELECT CAST(conrelid AS regclass)::text, conname FROM pg_constraint "
        "WHERE position('ledger_accounts' in conname) > 0"
    )
    for table, name in bind.execute(sa.text(query)).all():
        new = name.replace("ledger_accounts", "journal_accounts")
        op.execute(f'ALTER TABLE {table} RENAME CONSTRAINT "{name}" TO "{new}"')


def _append_only(table: str, key: str, function: str, refusal: str) -> None:
    if op.get_bind().dialect.name == "postgresql":
        op.execute(
            f"CREATE OR REPLACE FUNCTION {function}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
            f"RAISE EXCEPTION '{refusal}' USING ERRCODE = 'restrict_violation'; END $$"
        )
        op.execute(
            f"CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE ON {table} "
            f"FOR EACH ROW EXECUTE FUNCTION {function}()"
        )
        op.execute(
            f"CREATE TRIGGER {table}_no_truncate BEFORE TRUNCATE ON {table} "
            f"FOR EACH STATEMENT EXECUTE FUNCTION {function}()"
        )
        return
    for verb in ("UPDATE", "DELETE"):
        op.execute(
            f"CREATE TRIGGER {table}_no_{verb.lower()} BEFORE {verb} ON {table} "
            f"BEGIN SELECT RAISE(ABORT, '{refusal}'); END"
        )
    taken = f"EXISTS (SELECT 1 FROM {table} WHERE {key} = NEW.{key})"  # noqa: S608 - names of our own
    op.execute(
        f"CREATE TRIGGER {table}_no_replace BEFORE INSERT ON {table} WHEN {taken} "
        f"BEGIN SELECT RAISE(ABORT, '{refusal}'); END"
    )


def downgrade() -> None:
    raise NotImplementedError("there is no way back; restore a backup")
