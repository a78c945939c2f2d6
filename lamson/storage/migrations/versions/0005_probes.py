"""What arrived of the doctor's probes."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.create_table(
        "lamson_probes",
        sa.Column("name", sa.Text(), primary_key=True),
        sa.Column("until", sa.Float(), nullable=False),
        sa.Column("record", sa.Text(), nullable=False),
        sqlite_with_rowid=False,
    )
