"""billing: renters are told beforehand that their work will be stopped"""

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    name = op.f("ck_billing_events_kind")
    kinds = "'low_balance', 'stop_announced', 'workload_stopped', 'order_settled', 'recharged'"
    with op.batch_alter_table("billing_events") as table:
        if op.get_bind().dialect.name != "sqlite":  # there a table is made anew, without what is not named here
            table.drop_constraint(name, type_="check")
        table.create_check_constraint(name, f"kind in ({kinds})")
