"""resources: telemetry, cordons, drains, labels, unit prices"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    _unit_prices()


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
