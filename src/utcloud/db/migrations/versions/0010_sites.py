"""sites: networks of pages, tokens that are replaced, suspension; a chip's uid belongs to its miner; held earnings"""

import sqlalchemy as sa
from alembic import op

from utcloud.db.base import Timestamp

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    _sites()
    _chips()
    _routes()
    _accounts()


def _sites() -> None:
    for column in (
        sa.Column("old_token_hash", sa.String(64), nullable=True),
        sa.Column("old_token_until", Timestamp(), nullable=True),
        sa.Column("agent_id", sa.String(64), nullable=False, server_default=""),
        sa.Column("agent_before", sa.String(64), nullable=False, server_default=""),
        sa.Column("two_agents_at", Timestamp(), nullable=True),
        sa.Column("local", sa.Boolean(), nullable=False, server_default=sa.false()),
        sa.Column("networks", sa.JSON(), nullable=False, server_default="[]"),
        sa.Column("engine_networks", sa.JSON(), nullable=False, server_default="[]"),
        sa.Column("suspended_at", Timestamp(), nullable=True),
    ):
        op.add_column("sites", column)
    op.create_index(op.f("ix_sites_old_token_hash"), "sites", ["old_token_hash"], unique=True)
    for name in ("work_flags", "advice"):
        op.add_column("nodes", sa.Column(name, sa.JSON(), nullable=False, server_default="[]"))
    op.execute("UPDATE sites SET report_digest = ''")  # it is made of more now


def _chips() -> None:
    op.add_column("chips", sa.Column("miner_id", sa.String(40), nullable=True))
    op.execute(
        "UPDATE chips SET miner_id = (SELECT sites.miner_id FROM nodes JOIN sites ON sites.id = nodes.site_id "
        "WHERE nodes.id = chips.node_id)"
    )
    with op.batch_alter_table("chips") as table:
        table.alter_column("miner_id", existing_type=sa.String(40), nullable=False)
        table.drop_constraint(op.f("uq_chips_uid"), type_="unique")
        table.create_unique_constraint(op.f("uq_chips_miner_id"), ["miner_id", "uid"])
        table.create_foreign_key(op.f("fk_chips_miner_id_users"), "users", ["miner_id"], ["id"])
    op.create_index(op.f("ix_chips_uid"), "chips", ["uid"])


def _routes() -> None:
    """What a site named before counts only of the server's own host; there it is named anew at once."""
    op.add_column("edge_routes", sa.Column("site_id", sa.String(40), nullable=False, server_default=""))
    op.execute(
        "UPDATE edge_routes SET site_id = coalesce("
        "(SELECT replicas.site_id FROM replicas WHERE replicas.id = edge_routes.replica_id), '')"
    )
    op.execute(
        "DELETE FROM edge_routes WHERE upstream LIKE '%@%' OR upstream LIKE '%\\%%' ESCAPE '\\' "
        "OR site_id NOT IN (SELECT id FROM sites WHERE name = 'local')"
    )
    op.execute(
        "DELETE FROM edge_routes WHERE EXISTS (SELECT 1 FROM edge_routes AS other "
        "WHERE other.upstream = edge_routes.upstream AND other.replica_id > edge_routes.replica_id)"
    )
    op.execute(
        "UPDATE attempts SET endpoint = '' "
        "WHERE endpoint <> '' AND replica_id NOT IN (SELECT replica_id FROM edge_routes)"
    )
    live = sa.text("upstream <> ''")
    op.create_index(
        "uq_edge_routes_upstream",
        "edge_routes",
        ["upstream"],
        unique=True,
        sqlite_where=live,
        postgresql_where=live,
    )


def _accounts() -> None:
    kind, not_negative = op.f("ck_ledger_accounts_kind"), op.f("ck_ledger_accounts_not_negative")
    with op.batch_alter_table("ledger_accounts") as table:
        if op.get_bind().dialect.name != "sqlite":  # there a table is made anew, without what is not named here
            table.drop_constraint(kind, type_="check")
        else:
            table.create_check_constraint(not_negative, "balance >= 0 or kind = 'issuance'")
        table.create_check_constraint(kind, "kind in ('wallet', 'earnings', 'held', 'fee', 'issuance')")


def downgrade() -> None:
    raise NotImplementedError("there is no way back; restore a backup")
