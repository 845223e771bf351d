"""resources: telemetry, cordons, drains, labels, unit prices"""

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Nothing yet."""


def downgrade() -> None:
    raise NotImplementedError("there is no way back; restore a backup")
