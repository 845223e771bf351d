"""accounts: invitations, applications, group managers and quotas"""

import sqlalchemy as sa
from alembic import op

from utcloud.db.base import Timestamp

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("users", sa.Column("frozen_reason", sa.Text(), server_default="", nullable=False))
    op.add_column("users", sa.Column("last_seen_at", Timestamp(), nullable=True))
    op.add_column("group_members", sa.Column("role", sa.String(16), server_default="member", nullable=False))
    op.create_table(
        "quotas",
        sa.Column("id", sa.String(40), nullable=False),
        sa.Column("user_id", sa.String(40), nullable=True),
        sa.Column("group_id", sa.String(40), nullable=True),
        sa.Column("resources", sa.JSON(), nullable=False),
        sa.Column("notebooks", sa.BigInteger(), nullable=True),
        sa.Column("tasks", sa.BigInteger(), nullable=True),
        sa.CheckConstraint("(user_id is null) <> (group_id is null)", name=op.f("ck_quotas_subject")),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_quotas_user_id_users"), ondelete="CASCADE"),
        sa.ForeignKeyConstraint(
            ["group_id"], ["groups.id"], name=op.f("fk_quotas_group_id_groups"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_quotas")),
        sa.UniqueConstraint("user_id", name=op.f("uq_quotas_user_id")),
        sa.UniqueConstraint("group_id", name=op.f("uq_quotas_group_id")),
    )
    op.create_table(
        "invitations",
        sa.Column("id", sa.String(40), nullable=False),
        sa.Column("code_hash", sa.String(64), nullable=False),
        sa.Column("hint", sa.String(16), nullable=False),
        sa.Column("email", sa.String(255), nullable=False),
        sa.Column("roles", sa.JSON(), nullable=False),
        sa.Column("group_ids", sa.JSON(), nullable=False),
        sa.Column("grant", sa.BigInteger(), nullable=False),
        sa.Column("created_by_id", sa.String(40), nullable=False),
        sa.Column("created_by_name", sa.String(64), nullable=False),
        sa.Column("created_at", Timestamp(), nullable=False),
        sa.Column("expires_at", Timestamp(), nullable=False),
        sa.Column("revoked_at", Timestamp(), nullable=True),
        sa.Column("accepted_at", Timestamp(), nullable=True),
        sa.Column("user_id", sa.String(40), nullable=True),
        sa.Column("username", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_invitations")),
        sa.UniqueConstraint("code_hash", name=op.f("uq_invitations_code_hash")),
    )
    op.create_table(
        "applications",
        sa.Column("id", sa.String(40), nullable=False),
        sa.Column("username", sa.String(64), nullable=False),
        sa.Column("display_name", sa.String(255), nullable=False),
        sa.Column("email", sa.String(255), nullable=False),
        sa.Column("password_hash", sa.Text(), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("ip", sa.String(64), nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("created_at", Timestamp(), nullable=False),
        sa.Column("decided_at", Timestamp(), nullable=True),
        sa.Column("decided_by", sa.String(64), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("grant", sa.BigInteger(), nullable=False),
        sa.Column("user_id", sa.String(40), nullable=True),
        sa.CheckConstraint("status in ('waiting', 'approved', 'rejected')", name=op.f("ck_applications_status")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_applications")),
    )
    op.create_index("ix_applications_username", "applications", ["username"])
    op.create_index("ix_applications_status", "applications", ["status", "id"])
    waiting = sa.text("status = 'waiting'")
    op.create_index(
        "uq_applications_waiting",
        "applications",
        ["username"],
        unique=True,
        sqlite_where=waiting,
        postgresql_where=waiting,
    )
    op.add_column("audit_events", sa.Column("owner_id", sa.String(40), nullable=True))
    op.drop_index("ix_audit_events_object", "audit_events")
    op.drop_index("ix_audit_events_actor_id", "audit_events")
    for name, columns in (
        ("at", []),
        ("actor", ["actor_id"]),
        ("owner", ["owner_id"]),
        ("action", ["action"]),
        ("object", ["object_type", "object_id"]),
        ("ip", ["ip"]),
    ):
        op.create_index(f"ix_audit_events_{name}", "audit_events", [*columns, "at", "id"])


def downgrade() -> None:
    raise NotImplementedError("there is no way back; restore a backup")
