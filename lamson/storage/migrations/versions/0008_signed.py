"""Tokens that were used, and messages that wait for one."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    op.create_table(
        "lamson_redeemed",
        sa.Column("digest", sa.LargeBinary(16), primary_key=True),
        sa.Column("until", sa.Float(), nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_lamson_redeemed_until", "lamson_redeemed", ["until"])
    op.create_table(
        "lamson_pending",
        sa.Column("digest", sa.LargeBinary(16), primary_key=True),
        sa.Column("until", sa.Float(), nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("sender", sa.Text(), nullable=False),
        sa.Column("recipient", sa.Text(), nullable=False),
        sa.Column("smtputf8", sa.Boolean(), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
    )
    op.create_index("lamson_pending_until", "lamson_pending", ["until", "size"])
