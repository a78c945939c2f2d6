"""Mail that is sent later, mail that is sent once, and mail that is paced."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    # A row moves to the outbox as it is: it has the columns that the outbox has by now.
    columns = sa.inspect(op.get_bind()).get_columns("lamson_outbox")
    op.create_table(
        "lamson_scheduled",
        *(
            sa.Column(
                column["name"],
                column["type"],
                primary_key=column["name"] == "id",
                autoincrement=False,
                nullable=column["nullable"],
            )
            for column in columns
        ),
        sa.Column("key", sa.LargeBinary(16)),
        sa.Column("scope", sa.Text(), nullable=False),
    )
    op.create_index("lamson_scheduled_due", "lamson_scheduled", ["due_at", "id"])
    op.create_index("lamson_scheduled_key", "lamson_scheduled", ["key"])
    is_shared = sa.text("shared != 0")
    op.create_index(
        "lamson_scheduled_shared",
        "lamson_scheduled",
        ["shared"],
        sqlite_where=is_shared,
        postgresql_where=is_shared,
    )
    op.create_table(
        "lamson_keys",
        sa.Column("name", sa.LargeBinary(16), primary_key=True),
        sa.Column("message_id", sa.Text(), nullable=False),
        sa.Column("until", sa.Float(), nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_lamson_keys_until", "lamson_keys", ["until"])
    op.create_table(
        "lamson_pace",
        sa.Column("name", sa.LargeBinary(16), primary_key=True),
        sa.Column("next_at", sa.Float(), nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_lamson_pace_next_at", "lamson_pace", ["next_at"])
