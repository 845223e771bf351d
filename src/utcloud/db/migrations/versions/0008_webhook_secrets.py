"""billing: a webhook's secret can be changed, and the old one signs for a while"""

import sqlalchemy as sa
from alembic import op

from utcloud.db.base import Timestamp

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("webhooks", sa.Column("old_secret", sa.String(255), nullable=False, server_default=""))
    op.add_column("webhooks", sa.Column("old_secret_until", Timestamp(), nullable=True))


def downgrade() -> None:
    op.drop_column("webhooks", "old_secret_until")
    op.drop_column("webhooks", "old_secret")
