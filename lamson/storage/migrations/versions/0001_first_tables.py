"""The first tables: what was seen, the clock, states, the outbox."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "lamson_seen",
        sa.Column("key", sa.LargeBinary(32), primary_key=True),
        sa.Column("handled_at", sa.Float(), nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_lamson_seen_handled_at", "lamson_seen", ["handled_at"])
    op.create_table(
        "lamson_clock",
        sa.Column("id", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("seconds", sa.Float(), nullable=False),
    )
    op.create_table(
        "lamson_state",
        sa.Column("module", sa.Text(), primary_key=True),
        sa.Column("author", sa.Text(), primary_key=True),
        sa.Column("state", sa.Text(), nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "lamson_outbox",
        sa.Column(
            "id",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            primary_key=True,
            autoincrement=False,
        ),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("message_id", sa.Text(), nullable=False),
        sa.Column("sender", sa.Text(), nullable=False),
        sa.Column("recipients", sa.Text(), nullable=False),
        sa.Column("conversation", sa.Text(), nullable=False),
        sa.Column("smtputf8", sa.Boolean(), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("due_at", sa.Float(), nullable=False),
        sa.Column("lease_owner", sa.Text(), nullable=False),
        sa.Column("lease_until", sa.Float(), nullable=False),
        sa.Column("last_error", sa.Text(), nullable=False),
    )
    op.create_index("lamson_outbox_conversation", "lamson_outbox", ["conversation", "id"])
    op.create_index("lamson_outbox_due", "lamson_outbox", ["due_at"])


def downgrade() -> None:
    for table in ("lamson_outbox", "lamson_state", "lamson_clock", "lamson_seen"):
        op.drop_table(table)
