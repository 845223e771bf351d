"""billing: hash chain, limits of a wallet, orders, spending caps, price history, events"""

import hashlib
import json

import sqlalchemy as sa
from alembic import op

from utcloud.common.ids import new_id
from utcloud.db.base import Timestamp

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_REFUSAL = "the journal is append-only: reverse an entry by another one"
_ENTRIES = (
    "SELECT id, idempotency_key, kind, cause_type, cause_id, note, actor_id, actor_name, at "
    "FROM journal_entries WHERE id > :last ORDER BY id LIMIT 1000"
)


def upgrade() -> None:
    _chain()
    _sums_to_zero()
    _columns()
    _tables()
    _first_prices()


def _chain() -> None:
    """Number and chain the entries that are there, in the order in which they came."""
    op.add_column("journal_entries", sa.Column("seq", sa.BigInteger(), nullable=False, server_default="0"))
    op.add_column("journal_entries", sa.Column("hash", sa.String(64), nullable=False, server_default=""))
    bind = op.get_bind()
    postgres = bind.dialect.name == "postgresql"
    if postgres:
        op.execute("ALTER TABLE journal_entries DISABLE TRIGGER journal_entries_append_only")
    else:
        op.execute("DROP TRIGGER journal_entries_no_update")
    seq, before, last = 0, "0" * 64, ""
    while rows := bind.execute(sa.text(_ENTRIES), {"last": last}).all():
        found = bind.execute(
            sa.text("SELECT entry_id, account_id, amount FROM postings WHERE entry_id >= :a AND entry_id <= :b"),
            {"a": rows[0].id, "b": rows[-1].id},
        )
        lines: dict[str, list[tuple[str, int]]] = {}
        for entry_id, account_id, amount in found:
            lines.setdefault(entry_id, []).append((account_id, amount))
        chained = []
        for row in rows:
            seq += 1
            form = [1, before, seq, *row, sorted(lines[row.id])]
            before = hashlib.sha256(json.dumps(form, separators=(",", ":")).encode()).hexdigest()
            chained.append({"id": row.id, "seq": seq, "hash": before})
        bind.execute(sa.text("UPDATE journal_entries SET seq = :seq, hash = :hash WHERE id = :id"), chained)
        last = rows[-1].id
    if postgres:
        op.execute("ALTER TABLE journal_entries ENABLE TRIGGER journal_entries_append_only")
    else:
        op.execute(
            "CREATE TRIGGER journal_entries_no_update BEFORE UPDATE ON journal_entries "
            f"BEGIN SELECT RAISE(ABORT, '{_REFUSAL}'); END"
        )
    op.create_index("uq_journal_entries_seq", "journal_entries", ["seq"], unique=True)


def _sums_to_zero() -> None:
    if op.get_bind().dialect.name == "postgresql":
        op.execute(
            "CREATE OR REPLACE FUNCTION utcloud_sum_to_zero() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
            "IF EXISTS (SELECT 1 FROM added GROUP BY entry_id HAVING sum(amount) <> 0) THEN "
            "RAISE EXCEPTION 'the postings of a journal entry sum to zero' USING ERRCODE = 'check_violation'; END IF; "
            "RETURN NULL; END $$"
        )
        op.execute(
            "CREATE TRIGGER postings_sum_to_zero AFTER INSERT ON postings REFERENCING NEW TABLE AS added "
            "FOR EACH STATEMENT EXECUTE FUNCTION utcloud_sum_to_zero()"
        )
        return
    op.execute(
        "CREATE TRIGGER journal_entries_sum_to_zero BEFORE INSERT ON journal_entries "
        "WHEN (SELECT coalesce(sum(amount), 1) FROM postings WHERE entry_id = NEW.id) <> 0 "
        "BEGIN SELECT RAISE(ABORT, 'the postings of a journal entry sum to zero'); END"
    )
    op.execute(
        "CREATE TRIGGER postings_of_whole_entries BEFORE INSERT ON postings "
        "WHEN EXISTS (SELECT 1 FROM journal_entries WHERE id = NEW.entry_id) "
        "BEGIN SELECT RAISE(ABORT, 'the journal is append-only: nothing is added to an entry'); END"
    )


def _columns() -> None:
    op.add_column("ledger_accounts", sa.Column("low_balance", sa.BigInteger(), nullable=False, server_default="0"))
    op.add_column("ledger_accounts", sa.Column("warned_at", Timestamp(), nullable=True))
    op.add_column("meters", sa.Column("group_id", sa.String(40), nullable=True))
    for name in ("order_id", "spec_id", "node_id"):
        op.add_column("meters", sa.Column(name, sa.String(40), nullable=False, server_default=""))
    op.add_column("meters", sa.Column("credited", sa.BigInteger(), nullable=False, server_default="0"))
    op.add_column("meters", sa.Column("cause", sa.String(50), nullable=False, server_default=""))
    op.add_column("meters", sa.Column("note", sa.Text(), nullable=False, server_default=""))
    if op.get_bind().dialect.name == "postgresql":
        op.execute("ALTER TABLE meters SET (fillfactor = 70)")
    op.drop_index("ix_postings_account_entry", "postings")
    op.create_index("ix_meters_order_id", "meters", ["order_id"])
    op.create_index("ix_meters_wallet_ended", "meters", ["wallet_id", "ended_at"])
    op.create_index("ix_meters_wallet_id_id", "meters", ["wallet_id", "id"])


def _tables() -> None:
    op.create_table(
        "orders",
        sa.Column("id", sa.String(40), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("workload_id", sa.String(40), nullable=False),
        sa.Column("workload_kind", sa.String(16), nullable=False),
        sa.Column("workload", sa.String(64), nullable=False),
        sa.Column("owner_id", sa.String(40), nullable=False),
        sa.Column("group_id", sa.String(40), nullable=True),
        sa.Column("wallet_id", sa.String(40), nullable=False),
        sa.Column("miner_id", sa.String(40), nullable=False),
        sa.Column("pool_id", sa.String(40), nullable=False),
        sa.Column("pool", sa.String(64), nullable=False),
        sa.Column("spec_id", sa.String(40), nullable=False),
        sa.Column("spec", sa.String(64), nullable=False),
        sa.Column("replicas", sa.BigInteger(), nullable=False),
        sa.Column("unit_price", sa.BigInteger(), nullable=False),
        sa.Column("fee_ppm", sa.BigInteger(), nullable=False),
        sa.Column("fault_credit", sa.String(16), nullable=False),
        sa.Column("max_cost", sa.BigInteger(), nullable=True),
        sa.Column("max_ms", sa.BigInteger(), nullable=True),
        sa.Column("estimate", sa.BigInteger(), nullable=False),
        sa.Column("caps", sa.JSON(), nullable=False),
        sa.Column("simulated", sa.Boolean(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("cost", sa.BigInteger(), nullable=False),
        sa.Column("waived", sa.BigInteger(), nullable=False),
        sa.Column("credited", sa.BigInteger(), nullable=False),
        sa.Column("elapsed_ms", sa.BigInteger(), nullable=False),
        sa.Column("stars", sa.BigInteger(), nullable=True),
        sa.Column("comment", sa.Text(), nullable=False),
        sa.Column("rated_at", Timestamp(), nullable=True),
        sa.Column("created_at", Timestamp(), nullable=False),
        sa.Column("settled_at", Timestamp(), nullable=True),
        sa.CheckConstraint("state in ('open', 'settled')", name=op.f("ck_orders_state")),
        sa.CheckConstraint("stars is null or (stars >= 1 and stars <= 5)", name=op.f("ck_orders_stars")),
        sa.ForeignKeyConstraint(
            ["wallet_id"], ["ledger_accounts.id"], name=op.f("fk_orders_wallet_id_ledger_accounts")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_orders")),
    )
    for name, columns in (
        ("ix_orders_workload_id", ["workload_id"]),
        ("ix_orders_spec_id", ["spec_id"]),
        ("ix_orders_owner_id_id", ["owner_id", "id"]),
        ("ix_orders_miner_id_id", ["miner_id", "id"]),
        ("ix_orders_group_id_id", ["group_id", "id"]),
    ):
        op.create_index(name, "orders", columns)
    is_open = sa.text("state = 'open'")
    op.create_index("ix_orders_open", "orders", ["wallet_id"], sqlite_where=is_open, postgresql_where=is_open)
    op.create_table(
        "spending_caps",
        sa.Column("wallet_id", sa.String(40), nullable=False),
        sa.Column("user_id", sa.String(40), nullable=False),
        sa.Column("daily", sa.BigInteger(), nullable=True),
        sa.Column("monthly", sa.BigInteger(), nullable=True),
        sa.Column("total", sa.BigInteger(), nullable=True),
        sa.Column("changed_at", Timestamp(), nullable=False),
        sa.ForeignKeyConstraint(
            ["wallet_id"], ["ledger_accounts.id"], name=op.f("fk_spending_caps_wallet_id_ledger_accounts")
        ),
        sa.PrimaryKeyConstraint("wallet_id", "user_id", name=op.f("pk_spending_caps")),
    )
    op.create_table(
        "spec_prices",
        sa.Column("id", sa.String(40), nullable=False),
        sa.Column("spec_id", sa.String(40), nullable=False),
        sa.Column("price", sa.BigInteger(), nullable=False),
        sa.Column("actor_name", sa.String(64), nullable=False),
        sa.Column("at", Timestamp(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_spec_prices")),
    )
    op.create_index("ix_spec_prices_spec_id_id", "spec_prices", ["spec_id", "id"])
    op.create_table(
        "billing_events",
        sa.Column("id", sa.String(40), nullable=False),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("wallet_id", sa.String(40), nullable=False),
        sa.Column("owner_id", sa.String(40), nullable=False),
        sa.Column("user_id", sa.String(40), nullable=True),
        sa.Column("object_id", sa.String(40), nullable=False),
        sa.Column("detail", sa.JSON(), nullable=False),
        sa.Column("at", Timestamp(), nullable=False),
        sa.CheckConstraint(
            "kind in ('low_balance', 'workload_stopped', 'order_settled', 'recharged')",
            name=op.f("ck_billing_events_kind"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_billing_events")),
    )
    op.create_index("ix_billing_events_owner", "billing_events", ["owner_id", "id"])
    op.create_index("ix_billing_events_at", "billing_events", ["at"])


def _first_prices() -> None:
    """The history of prices begins with those of now."""
    bind = op.get_bind()
    rows = bind.execute(sa.text("SELECT id, price, created_at FROM specs ORDER BY id")).all()
    prices = [{"id": new_id("prc"), "spec_id": row.id, "price": row.price, "at": row.created_at} for row in rows]
    if prices:
        statement = (
            "INSERT INTO spec_prices (id, spec_id, price, actor_name, at) VALUES (:id, :spec_id, :price, '', :at)"
        )
        bind.execute(sa.text(statement), prices)


def downgrade() -> None:
    raise NotImplementedError("there is no way back; restore a backup")
