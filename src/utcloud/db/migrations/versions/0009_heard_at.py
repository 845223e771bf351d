"""billing: when a meter's site last spoke of it; nothing takes an entry's place or is added to it"""

import sqlalchemy as sa
from alembic import op

from utcloud.db.base import Timestamp

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("meters", sa.Column("heard_at", Timestamp(), nullable=True))
    op.execute("UPDATE meters SET heard_at = witnessed_until")
    if op.get_bind().dialect.name == "postgresql":
        op.execute(
            "CREATE OR REPLACE FUNCTION utcloud_sum_to_zero() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
            "IF EXISTS (SELECT 1 FROM added GROUP BY entry_id HAVING sum(amount) <> 0) THEN "
            "RAISE EXCEPTION 'the postings of a journal entry sum to zero' USING ERRCODE = 'check_violation'; END IF; "
            "IF EXISTS (SELECT 1 FROM journal_entries WHERE id IN (SELECT entry_id FROM added) "
            "AND xmin <> pg_current_xact_id()::xid) THEN "
            "RAISE EXCEPTION 'the journal is append-only: nothing is added to an entry' "
            "USING ERRCODE = 'restrict_violation'; END IF; "
            "RETURN NULL; END $$"
        )
        return
    op.execute(
        "CREATE TRIGGER journal_entries_in_order BEFORE INSERT ON journal_entries "
        "WHEN NEW.seq <> (SELECT coalesce(max(seq), 0) + 1 FROM journal_entries) "
        "OR EXISTS (SELECT 1 FROM journal_entries WHERE id = NEW.id) "
        "OR EXISTS (SELECT 1 FROM journal_entries WHERE idempotency_key = NEW.idempotency_key) "
        "BEGIN SELECT RAISE(ABORT, 'the journal is append-only: an entry takes no other''s place'); END"
    )
