"""What became of schedules, and an index of the tasks that were tried."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    op.create_table(
        "lamson_schedules",
        sa.Column("name", sa.Text(), primary_key=True),
        sa.Column("ran_at", sa.Float(), nullable=False),
        sa.Column("seconds", sa.Float(), nullable=False),
        sa.Column("error", sa.Text(), nullable=False),
        sa.Column("runs", sa.BigInteger(), nullable=False),
        sa.Column("failures", sa.BigInteger(), nullable=False),
        sqlite_with_rowid=False,
    )
    was_tried = sa.text("attempts > 0")
    op.create_index(
        "lamson_tasks_tried",
        "lamson_tasks",
        ["due_at"],
        sqlite_where=was_tried,
        postgresql_where=was_tried,
    )
