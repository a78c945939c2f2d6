"""Letters that were counted."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "counted",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("letter", sa.Text(), nullable=False),
        sa.Column("recipient", sa.Text(), nullable=False),
        sa.Column("queue_id", sa.Text(), nullable=False),
        sa.Column("node", sa.Text(), nullable=False),
    )


def downgrade() -> None:
    op.drop_table("counted")
