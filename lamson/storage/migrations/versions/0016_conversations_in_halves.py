"""Conversations of the outbox are found apart: what processes have on hand, and what waits."""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"


def upgrade() -> None:
    for name, words in (("leased", "lease_owner != ''"), ("waiting", "lease_owner = ''")):
        is_half = sa.text(words)
        op.create_index(
            f"lamson_outbox_{name}",
            "lamson_outbox",
            ["conversation", "id"],
            sqlite_where=is_half,
            postgresql_where=is_half,
        )
    op.drop_index("lamson_outbox_conversation", "lamson_outbox")
