"""What became of mail that was sent, and who gets none any more."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    for name in ("envid", "notify"):
        column = sa.Column(name, sa.Text(), nullable=False, server_default="")
        op.add_column("lamson_outbox", column)
    op.create_table(
        "lamson_tracked",
        sa.Column("id", sa.Text(), primary_key=True),
        *_texts("message_id", "subject", "recipients", "module", "state_module", "state_author"),
        *_texts("scope"),
        sa.Column("sent_at", sa.Float(), nullable=False),
        sa.Column("until", sa.Float(), nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_lamson_tracked_until", "lamson_tracked", ["until"])
    op.create_table(
        "lamson_outcomes",
        sa.Column("key", sa.Text(), primary_key=True),
        sa.Column("until", sa.Float(), nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_lamson_outcomes_until", "lamson_outcomes", ["until"])
    op.create_table(
        "lamson_bounced",
        sa.Column("key", sa.Text(), primary_key=True),
        sa.Column("hard", sa.Integer(), nullable=False),
        sa.Column("soft", sa.Integer(), nullable=False),
        sa.Column("since", sa.Float(), nullable=False),
        sa.Column("last", sa.Float(), nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_lamson_bounced_last", "lamson_bounced", ["last"])
    op.create_table(
        "lamson_suppressed",
        sa.Column("key", sa.Text(), primary_key=True),
        *_texts("address", "scope", "reason", "diagnostic"),
        sa.Column("since", sa.Float(), nullable=False),
        sqlite_with_rowid=False,
    )


def _texts(*names: str) -> list[sa.Column[str]]:
    return [sa.Column(name, sa.Text(), nullable=False) for name in names]
