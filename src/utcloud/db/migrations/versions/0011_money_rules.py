"""billing: silence is not billed, who set a cap, where a group pays, credits by hand, when a server was there"""

from datetime import UTC, datetime

import sqlalchemy as sa
from alembic import op

from utcloud.common.ids import new_id
from utcloud.db.base import Timestamp

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

_EVENTS = "'low_balance', 'stop_announced', 'workload_stopped', 'order_settled', 'recharged', 'credited'"
_ENTRIES = "'recharge', 'deduct', 'charge', 'reversal', 'credit'"


def upgrade() -> None:
    sqlite = op.get_bind().dialect.name == "sqlite"
    op.create_table(
        "server_uptime",
        sa.Column("id", sa.String(40), nullable=False),
        sa.Column("began_at", Timestamp(), nullable=False),
        sa.Column("until", Timestamp(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_server_uptime")),
    )
    op.create_index(op.f("ix_server_uptime_until"), "server_uptime", ["until"])
    op.add_column("meters", sa.Column("silent_ms", sa.BigInteger(), server_default="0", nullable=False))
    for name in ("page_since", "page_told"):
        op.add_column("attempts", sa.Column(name, Timestamp(), nullable=True))
    unseen = sa.text("page_since IS NOT NULL")
    op.create_index(
        op.f("ix_attempts_page_since"), "attempts", ["page_since"], sqlite_where=unseen, postgresql_where=unseen
    )
    op.add_column("ledger_accounts", sa.Column("max_price", sa.BigInteger(), nullable=True))
    op.create_table(
        "wallet_pools",
        sa.Column("wallet_id", sa.String(40), nullable=False),
        sa.Column("pool_id", sa.String(40), nullable=False),
        sa.ForeignKeyConstraint(
            ["wallet_id"],
            ["ledger_accounts.id"],
            name=op.f("fk_wallet_pools_wallet_id_ledger_accounts"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["pool_id"], ["pools.id"], name=op.f("fk_wallet_pools_pool_id_pools"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("wallet_id", "pool_id", name=op.f("pk_wallet_pools")),
    )
    op.create_index(op.f("ix_wallet_pools_pool_id"), "wallet_pools", ["pool_id"])
    _wallets_of_groups()
    op.execute(  # where a group's wallet could pay as a matter of course, it still can
        "INSERT INTO wallet_pools (wallet_id, pool_id) SELECT ledger_accounts.id, pool_groups.pool_id "
        "FROM pool_groups JOIN ledger_accounts ON ledger_accounts.kind = 'wallet' "
        "AND ledger_accounts.owner_id = pool_groups.group_id"
    )
    _caps()
    _checked("billing_events", _EVENTS, sqlite=sqlite)
    if sqlite:
        _journal_on_sqlite()
    else:
        _checked("journal_entries", _ENTRIES, sqlite=False)


def _wallets_of_groups() -> None:
    """A group got its wallet when somebody looked first; those that pools are bound to need one now."""
    accounts = sa.table(
        "ledger_accounts",
        *(sa.column(name) for name in ("id", "kind", "owner_id", "balance", "low_balance")),
        sa.column("created_at", Timestamp()),
    )
    bound = sa.table("pool_groups", sa.column("group_id"))
    have = sa.select(accounts.c.owner_id).where(accounts.c.kind == "wallet")
    lacking = sa.select(bound.c.group_id).distinct().where(bound.c.group_id.not_in(have))
    for group_id in list(op.get_bind().scalars(lacking)):
        row = {"id": new_id("acc"), "kind": "wallet", "owner_id": group_id, "balance": 0, "low_balance": 0}
        op.get_bind().execute(sa.insert(accounts).values(created_at=datetime.now(UTC), **row))


def _caps() -> None:
    """Made anew: the level becomes a part of the key."""
    op.create_table(
        "spending_caps_by_level",
        sa.Column("wallet_id", sa.String(40), nullable=False),
        sa.Column("user_id", sa.String(40), nullable=False),
        sa.Column("level", sa.String(16), server_default="keeper", nullable=False),
        sa.Column("daily", sa.BigInteger(), nullable=True),
        sa.Column("monthly", sa.BigInteger(), nullable=True),
        sa.Column("total", sa.BigInteger(), nullable=True),
        sa.Column("changed_at", Timestamp(), nullable=False),
        sa.CheckConstraint("level in ('keeper', 'operator')", name=op.f("ck_spending_caps_level")),
        sa.ForeignKeyConstraint(
            ["wallet_id"], ["ledger_accounts.id"], name=op.f("fk_spending_caps_by_level_wallet_id_ledger_accounts")
        ),
        sa.PrimaryKeyConstraint("wallet_id", "user_id", "level", name=op.f("pk_spending_caps_by_level")),
    )
    columns = "wallet_id, user_id, daily, monthly, total, changed_at"
    op.execute(f"INSERT INTO spending_caps_by_level ({columns}) SELECT {columns} FROM spending_caps")  # noqa: S608
    op.drop_table("spending_caps")
    op.rename_table("spending_caps_by_level", "spending_caps")
    if op.get_bind().dialect.name == "postgresql":
        for old, new in (
            ("pk_spending_caps_by_level", "pk_spending_caps"),
            (
                "fk_spending_caps_by_level_wallet_id_ledger_accounts",
                "fk_spending_caps_wallet_id_ledger_accounts",
            ),
        ):
            op.execute(f"ALTER TABLE spending_caps RENAME CONSTRAINT {old} TO {new}")


def _checked(table_name: str, kinds: str, *, sqlite: bool) -> None:
    name = op.f(f"ck_{table_name}_kind")
    with op.batch_alter_table(table_name) as table:
        if not sqlite:  # there a table is made anew, without what is not named here
            table.drop_constraint(name, type_="check")
        table.create_check_constraint(name, f"kind in ({kinds})")


_TRIGGERS = "SELECT name, sql FROM sqlite_master WHERE type = 'trigger' AND tbl_name IN ('journal_entries', 'postings')"


def _journal_on_sqlite() -> None:
    """The table is made anew, so its triggers, and those that look at it, are put aside meanwhile."""
    triggers = op.get_bind().exec_driver_sql(_TRIGGERS).all()
    for name, _ in triggers:
        op.execute(f"DROP TRIGGER {name}")
    _checked("journal_entries", _ENTRIES, sqlite=True)
    for _, statement in triggers:
        op.execute(statement)
