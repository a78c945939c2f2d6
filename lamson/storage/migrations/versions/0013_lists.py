"""Mailing lists: who is on them, what was posted, and what waits for a moderator."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"

_ROW = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "lamson_list_members",
        sa.Column("id", _ROW, primary_key=True),
        *_texts("list", "key", "address", "status", "mode"),
        *_flags("is_owner", "is_moderator", "is_held", "own_posts", "copies"),
        sa.Column("score", sa.Float(), nullable=False),
        sa.Column("scored_at", sa.Float(), nullable=False),
        sa.Column("pauses", sa.Integer(), nullable=False),
        sa.Column("since", sa.Float(), nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_lamson_list_members_key", "lamson_list_members", ["key"])
    op.create_index("lamson_list_members_list", "lamson_list_members", ["list", "key"], unique=True)
    op.create_index("lamson_list_members_order", "lamson_list_members", ["list", "id"])
    op.create_table(
        "lamson_list_posts",
        sa.Column("id", _ROW, primary_key=True),
        *_texts("list"),
        sa.Column("digest", sa.LargeBinary(16), nullable=False),
        *_texts("message_id", "subject", "author"),
        sa.Column("posted_at", sa.Float(), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        *_texts("mode"),
        *_flags("smtputf8"),
        *_texts("named"),
        sa.Column("shared", sa.BigInteger(), nullable=False),
        *_flags("is_digested", "is_archived"),
    )
    op.create_index(
        "lamson_list_posts_digest", "lamson_list_posts", ["list", "digest"], unique=True
    )
    op.create_index("lamson_list_posts_order", "lamson_list_posts", ["list", "id"])
    op.create_index(
        "lamson_list_posts_forgotten", "lamson_list_posts", ["is_archived", "posted_at"]
    )
    under_way = sa.text("shared != 0")
    op.create_index(
        "lamson_list_posts_shared",
        "lamson_list_posts",
        ["shared"],
        sqlite_where=under_way,
        postgresql_where=under_way,
    )
    op.create_table(
        "lamson_list_held",
        sa.Column("id", _ROW, primary_key=True),
        *_texts("list"),
        sa.Column("digest", sa.LargeBinary(16), nullable=False),
        *_texts("author", "subject", "reason"),
        sa.Column("held_at", sa.Float(), nullable=False),
        *_texts("sender", "recipient"),
        *_flags("smtputf8"),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        *_texts("decision", "decided_by"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_lamson_list_held_list", "lamson_list_held", ["list"])
    op.create_index("ix_lamson_list_held_held_at", "lamson_list_held", ["held_at"])


def _texts(*names: str) -> list["sa.Column[str]"]:
    return [sa.Column(name, sa.Text(), nullable=False) for name in names]


def _flags(*names: str) -> list["sa.Column[bool]"]:
    return [sa.Column(name, sa.Boolean(), nullable=False) for name in names]
