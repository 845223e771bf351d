"""resources: telemetry, cordons, drains, labels, unit prices"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    _unit_prices()
    _nodes()


def _nodes() -> None:
    with op.batch_alter_table("nodes") as table:
        table.add_column(sa.Column("hostname", sa.String(255), nullable=False, server_default=""))
        table.add_column(sa.Column("own_labels", sa.JSON(), nullable=False, server_default="{}"))
        table.add_column(sa.Column("flags", sa.JSON(), nullable=False, server_default="[]"))
        table.add_column(sa.Column("cordoned", sa.Boolean(), nullable=False, server_default=sa.false()))
        table.add_column(sa.Column("cordon_reason", sa.Text(), nullable=False, server_default=""))
        table.add_column(sa.Column("drain_at", sa.BigInteger(), nullable=True))
        table.add_column(sa.Column("drain_reason", sa.Text(), nullable=False, server_default=""))
        table.add_column(sa.Column("moving_to_pool_id", sa.String(40), nullable=True))
        table.add_column(sa.Column("removed_at", sa.BigInteger(), nullable=True))
        table.create_foreign_key(
            op.f("fk_nodes_moving_to_pool_id_pools"), "pools", ["moving_to_pool_id"], ["id"], ondelete="SET NULL"
        )
    op.create_table(
        "telemetry",
        sa.Column("site_id", sa.String(40), nullable=False),
        sa.Column("chips", sa.JSON(), nullable=False),
        sa.Column("measured_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["site_id"], ["sites.id"], name=op.f("fk_telemetry_site_id_sites"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("site_id", name=op.f("pk_telemetry")),
    )
    op.execute("UPDATE sites SET report_digest = ''")  # it is made of more than the nodes now


def _unit_prices() -> None:
    op.create_table(
        "unit_prices",
        sa.Column("miner_id", sa.String(40), nullable=False),
        sa.Column("resource", sa.String(255), nullable=False),
        sa.Column("price", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("price >= 0", name=op.f("ck_unit_prices_price")),
        sa.ForeignKeyConstraint(["miner_id"], ["users.id"], name=op.f("fk_unit_prices_miner_id_users")),
        sa.PrimaryKeyConstraint("miner_id", "resource", name=op.f("pk_unit_prices")),
    )


def downgrade() -> None:
    raise NotImplementedError("there is no way back; restore a backup")
