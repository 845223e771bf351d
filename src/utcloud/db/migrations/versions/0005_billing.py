"""billing: hash chain, group wallets, caps, orders, webhooks"""

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Nothing yet."""


def downgrade() -> None:
    raise NotImplementedError("there is no way back; restore a backup")
