"""Threads: conversations about one thing, who takes part in them, and what was said."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    op.create_table(
        "lamson_threads",
        sa.Column("id", sa.Text(), primary_key=True),
        sa.Column("modules", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("used_at", sa.Float(), nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_lamson_threads_used_at", "lamson_threads", ["used_at"])
    op.create_table(
        "lamson_thread_participants",
        sa.Column("thread", sa.Text(), primary_key=True),
        sa.Column("address", sa.Text(), primary_key=True),
        sa.Column("is_open", sa.Boolean(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "lamson_thread_ids",
        sa.Column("digest", sa.LargeBinary(16), primary_key=True),
        sa.Column("thread", sa.Text(), nullable=False),
        sa.Column("sent_at", sa.Float(), nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_lamson_thread_ids_thread", "lamson_thread_ids", ["thread"])
    op.create_table(
        "lamson_thread_messages",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), primary_key=True),
        sa.Column("thread", sa.Text(), nullable=False),
        sa.Column("digest", sa.LargeBinary(16), nullable=False),
        sa.Column("message_id", sa.Text(), nullable=False),
        sa.Column("author", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("said_at", sa.Float(), nullable=False),
        sa.Column("kept_at", sa.Float(), nullable=False),
        sa.Column("is_ours", sa.Boolean(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
    )
    op.create_index(
        "lamson_thread_messages_digest",
        "lamson_thread_messages",
        ["thread", "digest"],
        unique=True,
    )
