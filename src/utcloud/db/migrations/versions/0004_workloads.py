"""workloads: lost nodes"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    _add_group()
    _add_orders()
    _add_notices()


def _add_group() -> None:
    with op.batch_alter_table("workloads") as batch:
        batch.add_column(sa.Column("group_id", sa.String(40), nullable=True))
        name = op.f("fk_workloads_group_id_groups")
        batch.create_foreign_key(name, "groups", ["group_id"], ["id"], ondelete="SET NULL")
        batch.create_index(op.f("ix_workloads_group_id"), ["group_id"])


def _add_orders() -> None:
    op.add_column("workloads", sa.Column("payer", sa.String(8), nullable=False, server_default="user"))
    op.add_column("workloads", sa.Column("max_cost", sa.BigInteger(), nullable=True))
    op.add_column("workloads", sa.Column("max_ms", sa.BigInteger(), nullable=True))
    op.add_column("replicas", sa.Column("order_id", sa.String(40), nullable=False, server_default=""))
    op.create_index("ix_replicas_order_id", "replicas", ["order_id"])


def _add_notices() -> None:
    told = sa.text("notice IS NOT NULL")
    op.add_column("replicas", sa.Column("notice", sa.Text(), nullable=True))
    op.create_index("ix_replicas_told", "replicas", ["node_id"], sqlite_where=told, postgresql_where=told)


def downgrade() -> None:
    raise NotImplementedError("there is no way back; restore a backup")
