"""Keys of what was seen lead with the time, and a digest of the content stands beside them.

The former keys tell neither. They move aside as they are, which takes no longer for many of them,
and are asked until the last one is forgotten (see lamson/storage/seen_before.py).
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.rename_table("lamson_seen", "lamson_seen_before")
    if op.get_bind().dialect.name == "postgresql":
        op.execute("ALTER INDEX lamson_seen_pkey RENAME TO lamson_seen_before_pkey")
    op.create_table(
        "lamson_seen",
        sa.Column("key", sa.LargeBinary(24), primary_key=True),
        sa.Column("content", sa.LargeBinary(16), nullable=False),
        sa.Column("handled_at", sa.Float(), nullable=False),
        sqlite_with_rowid=False,
    )


def downgrade() -> None:
    op.drop_table("lamson_seen")
    op.rename_table("lamson_seen_before", "lamson_seen")
    if op.get_bind().dialect.name == "postgresql":
        op.execute("ALTER INDEX lamson_seen_before_pkey RENAME TO lamson_seen_pkey")
