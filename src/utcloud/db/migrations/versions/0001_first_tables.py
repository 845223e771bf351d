"""the first tables"""

import sqlalchemy as sa
from alembic import op

import utcloud.db.base

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


_REFUSAL = "the journal is append-only: reverse an entry by another one"


def _append_only(dialect: str, table: str) -> list[str]:
    if dialect == "sqlite":
        return [
            f"CREATE TRIGGER {table}_no_{verb.lower()} BEFORE {verb} ON {table} "
            f"BEGIN SELECT RAISE(ABORT, '{_REFUSAL}'); END"
            for verb in ("UPDATE", "DELETE")
        ]
    return [
        "CREATE OR REPLACE FUNCTION utcloud_append_only() RETURNS trigger LANGUAGE plpgsql AS $$ "
        f"BEGIN RAISE EXCEPTION '{_REFUSAL}' USING ERRCODE = 'restrict_violation'; END $$",
        f"CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE ON {table} "
        "FOR EACH ROW EXECUTE FUNCTION utcloud_append_only()",
        f"CREATE TRIGGER {table}_no_truncate BEFORE TRUNCATE ON {table} "
        "FOR EACH STATEMENT EXECUTE FUNCTION utcloud_append_only()",
    ]


def upgrade() -> None:
    op.create_table(
        "audit_events",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("at", utcloud.db.base.Timestamp(), nullable=False),
        sa.Column("actor_id", sa.String(length=40), nullable=True),
        sa.Column("actor_name", sa.String(length=64), nullable=False),
        sa.Column("ip", sa.String(length=64), nullable=False),
        sa.Column("action", sa.String(length=64), nullable=False),
        sa.Column("object_type", sa.String(length=32), nullable=False),
        sa.Column("object_id", sa.String(length=40), nullable=False),
        sa.Column("object_name", sa.String(length=255), nullable=False),
        sa.Column("detail", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit_events")),
    )
    with op.batch_alter_table("audit_events", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_audit_events_actor_id"), ["actor_id"], unique=False)
        batch_op.create_index("ix_audit_events_object", ["object_type", "object_id"], unique=False)

    op.create_table(
        "edge_routes",
        sa.Column("replica_id", sa.String(length=40), nullable=False),
        sa.Column("owner_id", sa.String(length=40), nullable=False),
        sa.Column("host_label", sa.String(length=63), nullable=False),
        sa.Column("upstream", sa.String(length=255), nullable=False),
        sa.Column("upstream_token", sa.String(length=255), nullable=False),
        sa.Column("secret", sa.String(length=255), nullable=False),
        sa.Column("created_at", utcloud.db.base.Timestamp(), nullable=False),
        sa.PrimaryKeyConstraint("replica_id", name=op.f("pk_edge_routes")),
        sa.UniqueConstraint("host_label", name=op.f("uq_edge_routes_host_label")),
    )
    with op.batch_alter_table("edge_routes", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_edge_routes_owner_id"), ["owner_id"], unique=False)

    op.create_table(
        "groups",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("created_at", utcloud.db.base.Timestamp(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_groups")),
        sa.UniqueConstraint("name", name=op.f("uq_groups_name")),
    )
    op.create_table(
        "idempotency_keys",
        sa.Column("key", sa.String(length=64), nullable=False),
        sa.Column("request_hash", sa.String(length=64), nullable=False),
        sa.Column("status", sa.BigInteger(), nullable=False),
        sa.Column("content_type", sa.String(length=100), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", utcloud.db.base.Timestamp(), nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_idempotency_keys")),
    )
    op.create_table(
        "journal_entries",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("idempotency_key", sa.String(length=255), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("cause_type", sa.String(length=32), nullable=False),
        sa.Column("cause_id", sa.String(length=40), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("actor_id", sa.String(length=40), nullable=False),
        sa.Column("actor_name", sa.String(length=64), nullable=False),
        sa.Column("at", utcloud.db.base.Timestamp(), nullable=False),
        sa.CheckConstraint(
            "kind in ('recharge', 'deduct', 'charge', 'reversal')", name=op.f("ck_journal_entries_kind")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_journal_entries")),
        sa.UniqueConstraint("idempotency_key", name=op.f("uq_journal_entries_idempotency_key")),
    )
    with op.batch_alter_table("journal_entries", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_journal_entries_cause_id"), ["cause_id"], unique=False)
        batch_op.create_index(
            "ix_journal_entries_recharges",
            ["id"],
            unique=False,
            sqlite_where=sa.text("kind in ('recharge', 'deduct')"),
            postgresql_where=sa.text("kind in ('recharge', 'deduct')"),
        )

    op.create_table(
        "ledger_accounts",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("owner_id", sa.String(length=40), nullable=False),
        sa.Column("balance", sa.BigInteger(), nullable=False),
        sa.Column("created_at", utcloud.db.base.Timestamp(), nullable=False),
        sa.CheckConstraint("balance >= 0 or kind = 'issuance'", name=op.f("ck_ledger_accounts_not_negative")),
        sa.CheckConstraint("kind in ('wallet', 'earnings', 'fee', 'issuance')", name=op.f("ck_ledger_accounts_kind")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ledger_accounts")),
        sa.UniqueConstraint("kind", "owner_id", name=op.f("uq_ledger_accounts_kind")),
    )
    with op.batch_alter_table("ledger_accounts", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_ledger_accounts_owner_id"), ["owner_id"], unique=False)

    op.create_table(
        "login_failures",
        sa.Column("subject", sa.String(length=160), nullable=False),
        sa.Column("failures", sa.BigInteger(), nullable=False),
        sa.Column("last_at", utcloud.db.base.Timestamp(), nullable=False),
        sa.PrimaryKeyConstraint("subject", name=op.f("pk_login_failures")),
    )
    op.create_table(
        "users",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("username", sa.String(length=64), nullable=False),
        sa.Column("display_name", sa.String(length=255), nullable=False),
        sa.Column("email", sa.String(length=255), nullable=False),
        sa.Column("password_hash", sa.Text(), nullable=False),
        sa.Column("is_operator", sa.Boolean(), nullable=False),
        sa.Column("is_miner", sa.Boolean(), nullable=False),
        sa.Column("is_renter", sa.Boolean(), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("created_at", utcloud.db.base.Timestamp(), nullable=False),
        sa.CheckConstraint("status in ('active', 'frozen')", name=op.f("ck_users_status")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_users")),
        sa.UniqueConstraint("username", name=op.f("uq_users_username")),
    )
    op.create_table(
        "api_tokens",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("user_id", sa.String(length=40), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("token_hash", sa.String(length=64), nullable=False),
        sa.Column("hint", sa.String(length=16), nullable=False),
        sa.Column("created_at", utcloud.db.base.Timestamp(), nullable=False),
        sa.Column("expires_at", utcloud.db.base.Timestamp(), nullable=True),
        sa.Column("last_used_at", utcloud.db.base.Timestamp(), nullable=True),
        sa.Column("revoked_at", utcloud.db.base.Timestamp(), nullable=True),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_api_tokens_user_id_users"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_api_tokens")),
        sa.UniqueConstraint("token_hash", name=op.f("uq_api_tokens_token_hash")),
    )
    with op.batch_alter_table("api_tokens", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_api_tokens_user_id"), ["user_id"], unique=False)

    op.create_table(
        "assets",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("owner_id", sa.String(length=40), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("visibility", sa.String(length=16), nullable=False),
        sa.Column("group_id", sa.String(length=40), nullable=True),
        sa.Column("created_at", utcloud.db.base.Timestamp(), nullable=False),
        sa.CheckConstraint("kind in ('algorithm', 'dataset', 'model')", name=op.f("ck_assets_kind")),
        sa.CheckConstraint("visibility in ('private', 'group', 'preset')", name=op.f("ck_assets_visibility")),
        sa.ForeignKeyConstraint(["group_id"], ["groups.id"], name=op.f("fk_assets_group_id_groups")),
        sa.ForeignKeyConstraint(["owner_id"], ["users.id"], name=op.f("fk_assets_owner_id_users")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_assets")),
        sa.UniqueConstraint("owner_id", "kind", "name", name=op.f("uq_assets_owner_id")),
    )
    with op.batch_alter_table("assets", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_assets_owner_id"), ["owner_id"], unique=False)

    op.create_table(
        "browser_sessions",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("user_id", sa.String(length=40), nullable=False),
        sa.Column("secret_hash", sa.String(length=64), nullable=False),
        sa.Column("csrf_hash", sa.String(length=64), nullable=False),
        sa.Column("ip", sa.String(length=64), nullable=False),
        sa.Column("user_agent", sa.String(length=255), nullable=False),
        sa.Column("created_at", utcloud.db.base.Timestamp(), nullable=False),
        sa.Column("expires_at", utcloud.db.base.Timestamp(), nullable=False),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_browser_sessions_user_id_users"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_browser_sessions")),
        sa.UniqueConstraint("secret_hash", name=op.f("uq_browser_sessions_secret_hash")),
    )
    with op.batch_alter_table("browser_sessions", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_browser_sessions_user_id"), ["user_id"], unique=False)

    op.create_table(
        "custom_resources",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("miner_id", sa.String(length=40), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("system_resource", sa.String(length=255), nullable=False),
        sa.Column("node_ids", sa.JSON(), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("created_at", utcloud.db.base.Timestamp(), nullable=False),
        sa.ForeignKeyConstraint(["miner_id"], ["users.id"], name=op.f("fk_custom_resources_miner_id_users")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_custom_resources")),
        sa.UniqueConstraint("miner_id", "name", name=op.f("uq_custom_resources_miner_id")),
    )
    op.create_table(
        "group_members",
        sa.Column("group_id", sa.String(length=40), nullable=False),
        sa.Column("user_id", sa.String(length=40), nullable=False),
        sa.ForeignKeyConstraint(
            ["group_id"], ["groups.id"], name=op.f("fk_group_members_group_id_groups"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_group_members_user_id_users"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("group_id", "user_id", name=op.f("pk_group_members")),
    )
    with op.batch_alter_table("group_members", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_group_members_user_id"), ["user_id"], unique=False)

    op.create_table(
        "images",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("owner_id", sa.String(length=40), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("reference", sa.String(length=255), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("visibility", sa.String(length=16), nullable=False),
        sa.Column("jupyter", sa.Boolean(), nullable=False),
        sa.Column("created_at", utcloud.db.base.Timestamp(), nullable=False),
        sa.CheckConstraint("visibility in ('private', 'group', 'preset')", name=op.f("ck_images_visibility")),
        sa.ForeignKeyConstraint(["owner_id"], ["users.id"], name=op.f("fk_images_owner_id_users")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_images")),
        sa.UniqueConstraint("name", name=op.f("uq_images_name")),
        sa.UniqueConstraint("reference", name=op.f("uq_images_reference")),
    )
    with op.batch_alter_table("images", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_images_owner_id"), ["owner_id"], unique=False)

    op.create_table(
        "meters",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("attempt_id", sa.String(length=40), nullable=False),
        sa.Column("wallet_id", sa.String(length=40), nullable=False),
        sa.Column("payer_id", sa.String(length=40), nullable=False),
        sa.Column("payee_id", sa.String(length=40), nullable=False),
        sa.Column("workload_id", sa.String(length=40), nullable=False),
        sa.Column("price", sa.BigInteger(), nullable=False),
        sa.Column("fee_ppm", sa.BigInteger(), nullable=False),
        sa.Column("hold", sa.BigInteger(), nullable=False),
        sa.Column("started_at", utcloud.db.base.Timestamp(), nullable=True),
        sa.Column("witnessed_until", utcloud.db.base.Timestamp(), nullable=True),
        sa.Column("ended_at", utcloud.db.base.Timestamp(), nullable=True),
        sa.Column("closed", sa.Boolean(), nullable=False),
        sa.Column("settled", sa.BigInteger(), nullable=False),
        sa.Column("settled_fee", sa.BigInteger(), nullable=False),
        sa.Column("waived", sa.BigInteger(), nullable=False),
        sa.Column("settled_at", utcloud.db.base.Timestamp(), nullable=True),
        sa.Column("settlements", sa.BigInteger(), nullable=False),
        sa.Column("labels", sa.JSON(), nullable=False),
        sa.Column("created_at", utcloud.db.base.Timestamp(), nullable=False),
        sa.CheckConstraint(
            "ended_at is null or started_at is null or ended_at >= started_at", name=op.f("ck_meters_interval")
        ),
        sa.ForeignKeyConstraint(
            ["wallet_id"], ["ledger_accounts.id"], name=op.f("fk_meters_wallet_id_ledger_accounts")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_meters")),
        sa.UniqueConstraint("attempt_id", name=op.f("uq_meters_attempt_id")),
    )
    with op.batch_alter_table("meters", schema=None) as batch_op:
        batch_op.create_index(
            "ix_meters_open",
            ["payee_id"],
            unique=False,
            sqlite_where=sa.text("closed IS 0"),
            postgresql_where=sa.text("closed IS false"),
        )
        batch_op.create_index("ix_meters_payee_id_id", ["payee_id", "id"], unique=False)
        batch_op.create_index("ix_meters_payer_id_id", ["payer_id", "id"], unique=False)
        batch_op.create_index("ix_meters_wallet_open", ["wallet_id", "closed"], unique=False)
        batch_op.create_index(batch_op.f("ix_meters_workload_id"), ["workload_id"], unique=False)

    op.create_table(
        "opening_codes",
        sa.Column("code_hash", sa.String(length=64), nullable=False),
        sa.Column("replica_id", sa.String(length=40), nullable=False),
        sa.Column("path", sa.String(length=255), nullable=False),
        sa.Column("expires_at", utcloud.db.base.Timestamp(), nullable=False),
        sa.ForeignKeyConstraint(
            ["replica_id"],
            ["edge_routes.replica_id"],
            name=op.f("fk_opening_codes_replica_id_edge_routes"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("code_hash", name=op.f("pk_opening_codes")),
    )
    with op.batch_alter_table("opening_codes", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_opening_codes_replica_id"), ["replica_id"], unique=False)

    op.create_table(
        "pools",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("miner_id", sa.String(length=40), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("is_default", sa.Boolean(), nullable=False),
        sa.Column("open_to_all", sa.Boolean(), nullable=False),
        sa.Column("created_at", utcloud.db.base.Timestamp(), nullable=False),
        sa.ForeignKeyConstraint(["miner_id"], ["users.id"], name=op.f("fk_pools_miner_id_users")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_pools")),
        sa.UniqueConstraint("miner_id", "name", name=op.f("uq_pools_miner_id")),
    )
    op.create_table(
        "postings",
        sa.Column("entry_id", sa.String(length=40), nullable=False),
        sa.Column("account_id", sa.String(length=40), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("at", utcloud.db.base.Timestamp(), nullable=False),
        sa.ForeignKeyConstraint(
            ["account_id"], ["ledger_accounts.id"], name=op.f("fk_postings_account_id_ledger_accounts")
        ),
        sa.ForeignKeyConstraint(
            ["entry_id"], ["journal_entries.id"], name=op.f("fk_postings_entry_id_journal_entries")
        ),
        sa.PrimaryKeyConstraint("entry_id", "account_id", name=op.f("pk_postings")),
    )
    with op.batch_alter_table("postings", schema=None) as batch_op:
        batch_op.create_index("ix_postings_account_at", ["account_id", "at"], unique=False)
        batch_op.create_index("ix_postings_account_entry", ["account_id", "entry_id"], unique=False)

    op.create_table(
        "sites",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("miner_id", sa.String(length=40), nullable=False),
        sa.Column("token_hash", sa.String(length=64), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("agent_version", sa.String(length=50), nullable=False),
        sa.Column("clock_offset_ms", sa.BigInteger(), nullable=False),
        sa.Column("last_seen_at", utcloud.db.base.Timestamp(), nullable=True),
        sa.Column("report_digest", sa.String(length=64), nullable=False),
        sa.Column("removed_at", utcloud.db.base.Timestamp(), nullable=True),
        sa.Column("created_at", utcloud.db.base.Timestamp(), nullable=False),
        sa.ForeignKeyConstraint(["miner_id"], ["users.id"], name=op.f("fk_sites_miner_id_users")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sites")),
        sa.UniqueConstraint("name", name=op.f("uq_sites_name")),
        sa.UniqueConstraint("token_hash", name=op.f("uq_sites_token_hash")),
    )
    with op.batch_alter_table("sites", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_sites_miner_id"), ["miner_id"], unique=False)

    op.create_table(
        "specs",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("miner_id", sa.String(length=40), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("price", sa.BigInteger(), nullable=False),
        sa.Column("created_at", utcloud.db.base.Timestamp(), nullable=False),
        sa.CheckConstraint("price >= 0", name=op.f("ck_specs_price")),
        sa.ForeignKeyConstraint(["miner_id"], ["users.id"], name=op.f("fk_specs_miner_id_users")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_specs")),
        sa.UniqueConstraint("miner_id", "name", name=op.f("uq_specs_miner_id")),
    )
    op.create_table(
        "asset_versions",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("asset_id", sa.String(length=40), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("files", sa.BigInteger(), nullable=False),
        sa.Column("created_at", utcloud.db.base.Timestamp(), nullable=False),
        sa.CheckConstraint(
            "status in ('draft', 'processing', 'ready', 'failed')", name=op.f("ck_asset_versions_status")
        ),
        sa.ForeignKeyConstraint(
            ["asset_id"], ["assets.id"], name=op.f("fk_asset_versions_asset_id_assets"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_asset_versions")),
        sa.UniqueConstraint("asset_id", "number", name=op.f("uq_asset_versions_asset_id")),
    )
    op.create_table(
        "dropped_volumes",
        sa.Column("volume", sa.String(length=40), nullable=False),
        sa.Column("site_id", sa.String(length=40), nullable=False),
        sa.Column("created_at", utcloud.db.base.Timestamp(), nullable=False),
        sa.ForeignKeyConstraint(["site_id"], ["sites.id"], name=op.f("fk_dropped_volumes_site_id_sites")),
        sa.PrimaryKeyConstraint("volume", name=op.f("pk_dropped_volumes")),
    )
    with op.batch_alter_table("dropped_volumes", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_dropped_volumes_site_id"), ["site_id"], unique=False)

    op.create_table(
        "nodes",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("site_id", sa.String(length=40), nullable=False),
        sa.Column("pool_id", sa.String(length=40), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("ip", sa.String(length=64), nullable=False),
        sa.Column("os", sa.String(length=255), nullable=False),
        sa.Column("kernel", sa.String(length=255), nullable=False),
        sa.Column("architecture", sa.String(length=50), nullable=False),
        sa.Column("engine", sa.String(length=255), nullable=False),
        sa.Column("labels", sa.JSON(), nullable=False),
        sa.Column("ready", sa.Boolean(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("ready_since", utcloud.db.base.Timestamp(), nullable=True),
        sa.Column("gone", sa.Boolean(), nullable=False),
        sa.Column("created_at", utcloud.db.base.Timestamp(), nullable=False),
        sa.ForeignKeyConstraint(["pool_id"], ["pools.id"], name=op.f("fk_nodes_pool_id_pools")),
        sa.ForeignKeyConstraint(["site_id"], ["sites.id"], name=op.f("fk_nodes_site_id_sites")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_nodes")),
        sa.UniqueConstraint("site_id", "name", name=op.f("uq_nodes_site_id")),
    )
    with op.batch_alter_table("nodes", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_nodes_pool_id"), ["pool_id"], unique=False)

    op.create_table(
        "pool_groups",
        sa.Column("pool_id", sa.String(length=40), nullable=False),
        sa.Column("group_id", sa.String(length=40), nullable=False),
        sa.ForeignKeyConstraint(["group_id"], ["groups.id"], name=op.f("fk_pool_groups_group_id_groups")),
        sa.ForeignKeyConstraint(
            ["pool_id"], ["pools.id"], name=op.f("fk_pool_groups_pool_id_pools"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("pool_id", "group_id", name=op.f("pk_pool_groups")),
    )
    with op.batch_alter_table("pool_groups", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_pool_groups_group_id"), ["group_id"], unique=False)

    op.create_table(
        "pool_specs",
        sa.Column("pool_id", sa.String(length=40), nullable=False),
        sa.Column("spec_id", sa.String(length=40), nullable=False),
        sa.Column("purpose", sa.String(length=16), nullable=False),
        sa.CheckConstraint("purpose in ('notebook', 'training')", name=op.f("ck_pool_specs_purpose")),
        sa.ForeignKeyConstraint(
            ["pool_id"], ["pools.id"], name=op.f("fk_pool_specs_pool_id_pools"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["spec_id"], ["specs.id"], name=op.f("fk_pool_specs_spec_id_specs")),
        sa.PrimaryKeyConstraint("pool_id", "spec_id", "purpose", name=op.f("pk_pool_specs")),
    )
    with op.batch_alter_table("pool_specs", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_pool_specs_spec_id"), ["spec_id"], unique=False)

    op.create_table(
        "spec_items",
        sa.Column("spec_id", sa.String(length=40), nullable=False),
        sa.Column("resource", sa.String(length=255), nullable=False),
        sa.Column("quantity", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("quantity > 0", name=op.f("ck_spec_items_quantity")),
        sa.ForeignKeyConstraint(
            ["spec_id"], ["specs.id"], name=op.f("fk_spec_items_spec_id_specs"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("spec_id", "resource", name=op.f("pk_spec_items")),
    )
    op.create_table(
        "allocations",
        sa.Column("attempt_id", sa.String(length=40), nullable=False),
        sa.Column("resource", sa.String(length=255), nullable=False),
        sa.Column("node_id", sa.String(length=40), nullable=False),
        sa.Column("quantity", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["node_id"], ["nodes.id"], name=op.f("fk_allocations_node_id_nodes")),
        sa.PrimaryKeyConstraint("attempt_id", "resource", name=op.f("pk_allocations")),
    )
    with op.batch_alter_table("allocations", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_allocations_node_id"), ["node_id"], unique=False)

    op.create_table(
        "chips",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("uid", sa.String(length=255), nullable=False),
        sa.Column("node_id", sa.String(length=40), nullable=False),
        sa.Column("resource", sa.String(length=255), nullable=False),
        sa.Column("index", sa.BigInteger(), nullable=False),
        sa.Column("model", sa.String(length=100), nullable=False),
        sa.Column("card", sa.String(length=100), nullable=False),
        sa.Column("serial", sa.String(length=100), nullable=False),
        sa.Column("bus_id", sa.String(length=100), nullable=False),
        sa.Column("memory_bytes", sa.BigInteger(), nullable=True),
        sa.Column("device_paths", sa.JSON(), nullable=False),
        sa.Column("healthy", sa.Boolean(), nullable=False),
        sa.Column("simulated", sa.Boolean(), nullable=False),
        sa.Column("present", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(["node_id"], ["nodes.id"], name=op.f("fk_chips_node_id_nodes"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_chips")),
        sa.UniqueConstraint("uid", name=op.f("uq_chips_uid")),
    )
    with op.batch_alter_table("chips", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_chips_node_id"), ["node_id"], unique=False)

    op.create_table(
        "node_resources",
        sa.Column("node_id", sa.String(length=40), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("capacity", sa.BigInteger(), nullable=False),
        sa.Column("simulated", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(
            ["node_id"], ["nodes.id"], name=op.f("fk_node_resources_node_id_nodes"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("node_id", "name", name=op.f("pk_node_resources")),
    )
    op.create_table(
        "uploads",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("version_id", sa.String(length=40), nullable=False),
        sa.Column("user_id", sa.String(length=40), nullable=False),
        sa.Column("path", sa.String(length=1024), nullable=False),
        sa.Column("is_archive", sa.Boolean(), nullable=False),
        sa.Column("length", sa.BigInteger(), nullable=False),
        sa.Column("offset", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", utcloud.db.base.Timestamp(), nullable=False),
        sa.Column("created_at", utcloud.db.base.Timestamp(), nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_uploads_user_id_users")),
        sa.ForeignKeyConstraint(
            ["version_id"], ["asset_versions.id"], name=op.f("fk_uploads_version_id_asset_versions"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_uploads")),
    )
    with op.batch_alter_table("uploads", schema=None) as batch_op:
        batch_op.create_index("ix_uploads_expires_at", ["expires_at"], unique=False)
        batch_op.create_index(batch_op.f("ix_uploads_version_id"), ["version_id"], unique=False)

    op.create_table(
        "version_files",
        sa.Column("version_id", sa.String(length=40), nullable=False),
        sa.Column("path", sa.String(length=1024), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("executable", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(
            ["version_id"],
            ["asset_versions.id"],
            name=op.f("fk_version_files_version_id_asset_versions"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("version_id", "path", name=op.f("pk_version_files")),
    )
    with op.batch_alter_table("version_files", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_version_files_sha256"), ["sha256"], unique=False)

    op.create_table(
        "workloads",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("owner_id", sa.String(length=40), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("pool_id", sa.String(length=40), nullable=False),
        sa.Column("wanted", sa.String(length=16), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("algorithm_version_id", sa.String(length=40), nullable=True),
        sa.Column("dataset_version_id", sa.String(length=40), nullable=True),
        sa.Column("image_id", sa.String(length=40), nullable=False),
        sa.Column("facts", sa.JSON(), nullable=False),
        sa.Column("created_at", utcloud.db.base.Timestamp(), nullable=False),
        sa.Column("changed_at", utcloud.db.base.Timestamp(), nullable=False),
        sa.CheckConstraint("kind in ('notebook', 'task')", name=op.f("ck_workloads_kind")),
        sa.CheckConstraint("wanted in ('running', 'stopped', 'deleted')", name=op.f("ck_workloads_wanted")),
        sa.ForeignKeyConstraint(
            ["algorithm_version_id"],
            ["asset_versions.id"],
            name=op.f("fk_workloads_algorithm_version_id_asset_versions"),
        ),
        sa.ForeignKeyConstraint(
            ["dataset_version_id"], ["asset_versions.id"], name=op.f("fk_workloads_dataset_version_id_asset_versions")
        ),
        sa.ForeignKeyConstraint(["image_id"], ["images.id"], name=op.f("fk_workloads_image_id_images")),
        sa.ForeignKeyConstraint(["owner_id"], ["users.id"], name=op.f("fk_workloads_owner_id_users")),
        sa.ForeignKeyConstraint(["pool_id"], ["pools.id"], name=op.f("fk_workloads_pool_id_pools")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_workloads")),
        sa.UniqueConstraint("owner_id", "kind", "name", name=op.f("uq_workloads_owner_id")),
    )
    with op.batch_alter_table("workloads", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_workloads_algorithm_version_id"), ["algorithm_version_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_workloads_dataset_version_id"), ["dataset_version_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_workloads_image_id"), ["image_id"], unique=False)
        batch_op.create_index("ix_workloads_owner_id_id", ["owner_id", "id"], unique=False)
        batch_op.create_index(batch_op.f("ix_workloads_state"), ["state"], unique=False)

    op.create_table(
        "chip_claims",
        sa.Column("chip_id", sa.String(length=40), nullable=False),
        sa.Column("attempt_id", sa.String(length=40), nullable=False),
        sa.ForeignKeyConstraint(["chip_id"], ["chips.id"], name=op.f("fk_chip_claims_chip_id_chips")),
        sa.PrimaryKeyConstraint("chip_id", name=op.f("pk_chip_claims")),
    )
    with op.batch_alter_table("chip_claims", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_chip_claims_attempt_id"), ["attempt_id"], unique=False)

    op.create_table(
        "subtasks",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("workload_id", sa.String(length=40), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("spec_id", sa.String(length=40), nullable=False),
        sa.Column("image", sa.String(length=255), nullable=False),
        sa.Column("replicas", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["spec_id"], ["specs.id"], name=op.f("fk_subtasks_spec_id_specs")),
        sa.ForeignKeyConstraint(
            ["workload_id"], ["workloads.id"], name=op.f("fk_subtasks_workload_id_workloads"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_subtasks")),
        sa.UniqueConstraint("workload_id", "name", name=op.f("uq_subtasks_workload_id")),
    )
    with op.batch_alter_table("subtasks", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_subtasks_spec_id"), ["spec_id"], unique=False)

    op.create_table(
        "timeline_events",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("workload_id", sa.String(length=40), nullable=False),
        sa.Column("replica_id", sa.String(length=40), nullable=False),
        sa.Column("attempt", sa.BigInteger(), nullable=False),
        sa.Column("from_state", sa.String(length=16), nullable=False),
        sa.Column("to_state", sa.String(length=16), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("at", utcloud.db.base.Timestamp(), nullable=False),
        sa.ForeignKeyConstraint(
            ["workload_id"], ["workloads.id"], name=op.f("fk_timeline_events_workload_id_workloads"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_timeline_events")),
    )
    with op.batch_alter_table("timeline_events", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_timeline_events_workload_id"), ["workload_id"], unique=False)

    op.create_table(
        "replicas",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("workload_id", sa.String(length=40), nullable=False),
        sa.Column("subtask_id", sa.String(length=40), nullable=False),
        sa.Column("index", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("attempts", sa.BigInteger(), nullable=False),
        sa.Column("attempt_id", sa.String(length=40), nullable=True),
        sa.Column("site_id", sa.String(length=40), nullable=True),
        sa.Column("node_id", sa.String(length=40), nullable=True),
        sa.Column("queued_at", utcloud.db.base.Timestamp(), nullable=False),
        sa.CheckConstraint(
            "state in ('pending','assigned','starting','running','stopping','succeeded','failed','stopped')",
            name=op.f("ck_replicas_state"),
        ),
        sa.ForeignKeyConstraint(
            ["subtask_id"], ["subtasks.id"], name=op.f("fk_replicas_subtask_id_subtasks"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["workload_id"], ["workloads.id"], name=op.f("fk_replicas_workload_id_workloads"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_replicas")),
        sa.UniqueConstraint("subtask_id", "index", name=op.f("uq_replicas_subtask_id")),
    )
    with op.batch_alter_table("replicas", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_replicas_node_id"), ["node_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_replicas_site_id"), ["site_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_replicas_state"), ["state"], unique=False)
        batch_op.create_index(batch_op.f("ix_replicas_workload_id"), ["workload_id"], unique=False)

    op.create_table(
        "attempts",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("replica_id", sa.String(length=40), nullable=False),
        sa.Column("workload_id", sa.String(length=40), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("site_id", sa.String(length=40), nullable=False),
        sa.Column("node_id", sa.String(length=40), nullable=False),
        sa.Column("price", sa.BigInteger(), nullable=False),
        sa.Column("resources", sa.JSON(), nullable=False),
        sa.Column("devices", sa.JSON(), nullable=False),
        sa.Column("token", sa.String(length=255), nullable=False),
        sa.Column("desired", sa.String(length=16), nullable=False),
        sa.Column("stop_reason", sa.Text(), nullable=False),
        sa.Column("endpoint", sa.String(length=255), nullable=False),
        sa.Column("started_at", utcloud.db.base.Timestamp(), nullable=True),
        sa.Column("ended_at", utcloud.db.base.Timestamp(), nullable=True),
        sa.Column("exit_code", sa.BigInteger(), nullable=True),
        sa.Column("cause", sa.String(length=50), nullable=False),
        sa.Column("log_tail", sa.Text(), nullable=False),
        sa.Column("done", sa.Boolean(), nullable=False),
        sa.Column("created_at", utcloud.db.base.Timestamp(), nullable=False),
        sa.ForeignKeyConstraint(["node_id"], ["nodes.id"], name=op.f("fk_attempts_node_id_nodes")),
        sa.ForeignKeyConstraint(
            ["replica_id"], ["replicas.id"], name=op.f("fk_attempts_replica_id_replicas"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["site_id"], ["sites.id"], name=op.f("fk_attempts_site_id_sites")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_attempts")),
    )
    with op.batch_alter_table("attempts", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_attempts_replica_id"), ["replica_id"], unique=False)
        batch_op.create_index("ix_attempts_site_done", ["site_id", "done"], unique=False)
        batch_op.create_index(batch_op.f("ix_attempts_workload_id"), ["workload_id"], unique=False)

    for table in ("journal_entries", "postings"):
        for statement in _append_only(op.get_bind().dialect.name, table):
            op.execute(statement)


def downgrade() -> None:
    with op.batch_alter_table("attempts", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_attempts_workload_id"))
        batch_op.drop_index("ix_attempts_site_done")
        batch_op.drop_index(batch_op.f("ix_attempts_replica_id"))

    op.drop_table("attempts")
    with op.batch_alter_table("replicas", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_replicas_workload_id"))
        batch_op.drop_index(batch_op.f("ix_replicas_state"))
        batch_op.drop_index(batch_op.f("ix_replicas_site_id"))
        batch_op.drop_index(batch_op.f("ix_replicas_node_id"))

    op.drop_table("replicas")
    with op.batch_alter_table("timeline_events", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_timeline_events_workload_id"))

    op.drop_table("timeline_events")
    with op.batch_alter_table("subtasks", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_subtasks_spec_id"))

    op.drop_table("subtasks")
    with op.batch_alter_table("chip_claims", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_chip_claims_attempt_id"))

    op.drop_table("chip_claims")
    with op.batch_alter_table("workloads", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_workloads_state"))
        batch_op.drop_index("ix_workloads_owner_id_id")
        batch_op.drop_index(batch_op.f("ix_workloads_image_id"))
        batch_op.drop_index(batch_op.f("ix_workloads_dataset_version_id"))
        batch_op.drop_index(batch_op.f("ix_workloads_algorithm_version_id"))

    op.drop_table("workloads")
    with op.batch_alter_table("version_files", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_version_files_sha256"))

    op.drop_table("version_files")
    with op.batch_alter_table("uploads", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_uploads_version_id"))
        batch_op.drop_index("ix_uploads_expires_at")

    op.drop_table("uploads")
    op.drop_table("node_resources")
    with op.batch_alter_table("chips", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_chips_node_id"))

    op.drop_table("chips")
    with op.batch_alter_table("allocations", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_allocations_node_id"))

    op.drop_table("allocations")
    op.drop_table("spec_items")
    with op.batch_alter_table("pool_specs", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_pool_specs_spec_id"))

    op.drop_table("pool_specs")
    with op.batch_alter_table("pool_groups", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_pool_groups_group_id"))

    op.drop_table("pool_groups")
    with op.batch_alter_table("nodes", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_nodes_pool_id"))

    op.drop_table("nodes")
    with op.batch_alter_table("dropped_volumes", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_dropped_volumes_site_id"))

    op.drop_table("dropped_volumes")
    op.drop_table("asset_versions")
    op.drop_table("specs")
    with op.batch_alter_table("sites", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_sites_miner_id"))

    op.drop_table("sites")
    with op.batch_alter_table("postings", schema=None) as batch_op:
        batch_op.drop_index("ix_postings_account_entry")
        batch_op.drop_index("ix_postings_account_at")

    op.drop_table("postings")
    op.drop_table("pools")
    with op.batch_alter_table("opening_codes", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_opening_codes_replica_id"))

    op.drop_table("opening_codes")
    with op.batch_alter_table("meters", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_meters_workload_id"))
        batch_op.drop_index("ix_meters_wallet_open")
        batch_op.drop_index("ix_meters_payer_id_id")
        batch_op.drop_index("ix_meters_payee_id_id")
        batch_op.drop_index(
            "ix_meters_open", sqlite_where=sa.text("closed IS 0"), postgresql_where=sa.text("closed IS false")
        )

    op.drop_table("meters")
    with op.batch_alter_table("images", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_images_owner_id"))

    op.drop_table("images")
    with op.batch_alter_table("group_members", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_group_members_user_id"))

    op.drop_table("group_members")
    op.drop_table("custom_resources")
    with op.batch_alter_table("browser_sessions", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_browser_sessions_user_id"))

    op.drop_table("browser_sessions")
    with op.batch_alter_table("assets", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_assets_owner_id"))

    op.drop_table("assets")
    with op.batch_alter_table("api_tokens", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_api_tokens_user_id"))

    op.drop_table("api_tokens")
    op.drop_table("users")
    op.drop_table("login_failures")
    with op.batch_alter_table("ledger_accounts", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_ledger_accounts_owner_id"))

    op.drop_table("ledger_accounts")
    with op.batch_alter_table("journal_entries", schema=None) as batch_op:
        batch_op.drop_index(
            "ix_journal_entries_recharges",
            sqlite_where=sa.text("kind in ('recharge', 'deduct')"),
            postgresql_where=sa.text("kind in ('recharge', 'deduct')"),
        )
        batch_op.drop_index(batch_op.f("ix_journal_entries_cause_id"))

    op.drop_table("journal_entries")
    op.drop_table("idempotency_keys")
    op.drop_table("groups")
    with op.batch_alter_table("edge_routes", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_edge_routes_owner_id"))

    op.drop_table("edge_routes")
    with op.batch_alter_table("audit_events", schema=None) as batch_op:
        batch_op.drop_index("ix_audit_events_object")
        batch_op.drop_index(batch_op.f("ix_audit_events_actor_id"))

    op.drop_table("audit_events")
