"""workloads: lost nodes"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    _add_group()


def _add_group() -> None:
    with op.batch_alter_table("workloads") as batch:
        batch.add_column(sa.Column("group_id", sa.String(40), nullable=True))
        name = op.f("fk_workloads_group_id_groups")
        batch.create_foreign_key(name, "groups", ["group_id"], ["id"], ondelete="SET NULL")
        batch.create_index(op.f("ix_workloads_group_id"), ["group_id"])


def downgrade() -> None:
    raise NotImplementedError("there is no way back; restore a backup")
