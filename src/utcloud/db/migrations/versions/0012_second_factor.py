"""accounts: a second factor: authenticator apps, passkeys, recovery codes"""

import sqlalchemy as sa
from alembic import op

from utcloud.db.base import Timestamp

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("users", sa.Column("second_factor_at", Timestamp(), nullable=True))
    op.create_table(
        "totp_secrets",
        _user(primary_key=True),
        sa.Column("sealed", sa.Text(), nullable=False),
        sa.Column("confirmed_at", Timestamp(), nullable=True),
        sa.Column("last_step", sa.BigInteger(), nullable=False),
        sa.Column("created_at", Timestamp(), nullable=False),
        _of_user("totp_secrets"),
        sa.PrimaryKeyConstraint("user_id", name=op.f("pk_totp_secrets")),
    )
    op.create_table(
        "recovery_codes",
        sa.Column("code_hash", sa.String(64), nullable=False),
        _user(),
        sa.Column("created_at", Timestamp(), nullable=False),
        sa.Column("used_at", Timestamp(), nullable=True),
        _of_user("recovery_codes"),
        sa.PrimaryKeyConstraint("code_hash", name=op.f("pk_recovery_codes")),
    )
    op.create_table(
        "passkeys",
        sa.Column("id", sa.String(40), nullable=False),
        _user(),
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("credential_hash", sa.String(64), nullable=False),
        sa.Column("credential_id", sa.Text(), nullable=False),
        sa.Column("public_key", sa.Text(), nullable=False),
        sa.Column("sign_count", sa.BigInteger(), nullable=False),
        sa.Column("created_at", Timestamp(), nullable=False),
        sa.Column("last_used_at", Timestamp(), nullable=True),
        _of_user("passkeys"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_passkeys")),
        sa.UniqueConstraint("credential_hash", name=op.f("uq_passkeys_credential_hash")),
    )
    op.create_table(
        "passkey_challenges",
        sa.Column("challenge_hash", sa.String(64), nullable=False),
        _user(),
        sa.Column("purpose", sa.String(16), nullable=False),
        sa.Column("expires_at", Timestamp(), nullable=False),
        _of_user("passkey_challenges"),
        sa.PrimaryKeyConstraint("challenge_hash", name=op.f("pk_passkey_challenges")),
    )
    for table in ("recovery_codes", "passkeys", "passkey_challenges"):
        op.create_index(op.f(f"ix_{table}_user_id"), table, ["user_id"])


def _user(*, primary_key: bool = False) -> sa.Column[str]:
    return sa.Column("user_id", sa.String(40), nullable=False, primary_key=primary_key)


def _of_user(table: str) -> sa.ForeignKeyConstraint:
    name = op.f(f"fk_{table}_user_id_users")
    return sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=name, ondelete="CASCADE")


def downgrade() -> None:
    for table in ("passkey_challenges", "passkeys", "recovery_codes", "totp_secrets"):
        op.drop_table(table)
    op.drop_column("users", "second_factor_at")
