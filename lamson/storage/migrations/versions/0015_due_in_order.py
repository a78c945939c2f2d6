"""What is due is found in the order of an index, whatever else waits."""

from alembic import op

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    op.drop_index("lamson_outbox_due", "lamson_outbox")
    op.create_index(
        "lamson_outbox_due", "lamson_outbox", ["due_at", "id", "lease_until", "lease_owner"]
    )
