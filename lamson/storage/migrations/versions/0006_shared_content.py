"""Messages that several rows of the outbox share."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    op.create_table(
        "lamson_content",
        sa.Column(
            "id",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            primary_key=True,
            autoincrement=False,
        ),
        sa.Column("content", sa.LargeBinary(), nullable=False),
    )
    shared = sa.Column("shared", sa.BigInteger(), nullable=False, server_default="0")
    op.add_column("lamson_outbox", shared)
    is_shared = sa.text("shared != 0")
    op.create_index(
        "lamson_outbox_shared",
        "lamson_outbox",
        ["shared"],
        sqlite_where=is_shared,
        postgresql_where=is_shared,
    )
