"""The tables that the framework itself keeps, beside those of the application.

All small but the journal and the archives of lists, where those are kept: what was handled already,
where each conversation stands, the mail that waits to be submitted or for its time, the work that
waits for its time, what is sent once, how many answers went out this hour, what filters remember,
what arrived of the doctor's probes, what becomes of mail that is tracked and who gets none any
more, the threads that mail belongs to, who is on which mailing list and what was posted there, and
the clock by which most of this is forgotten. Times are seconds since the epoch. Texts have no
limit, so that no mail can be too long for a column; those in an index are kept short where they are
made. `SCHEMA_REVISION` is the newest migration under ``migrations/versions``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    literal_column,
)

if TYPE_CHECKING:
    from sqlalchemy.sql import ColumnElement, FromClause

SCHEMA_REVISION = "0016"
VERSION_TABLE = "lamson_version"

metadata = MetaData()

# What has been handled: a row for each queue entry and recipient (see lamson/storage/seen.py).
# `handled_at` is in seconds of the service clock.
seen = Table(
    "lamson_seen",
    metadata,
    Column("key", LargeBinary(24), primary_key=True),
    Column("content", LargeBinary(16), nullable=False),
    Column("handled_at", Float, nullable=False),
    sqlite_with_rowid=False,
)

# The same of an earlier version (see lamson/storage/seen_before.py).
seen_before = Table(
    "lamson_seen_before",
    metadata,
    Column("key", LargeBinary(32), primary_key=True),
    Column("handled_at", Float, nullable=False),
    Index("ix_lamson_seen_handled_at", "handled_at"),
    sqlite_with_rowid=False,
)

# One row: how long the service has run (see lamson/storage/service_clock.py).
clock = Table(
    "lamson_clock",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("seconds", Float, nullable=False),
)

# How many automatic answers went out within an hour of the service clock (see
# lamson/storage/answers.py); `key` is a digest of a mailbox or an organisation.
answers = Table(
    "lamson_answers",
    metadata,
    Column("key", LargeBinary(16), primary_key=True),
    Column("hour", Integer, nullable=False),
    Column("number", Integer, nullable=False),
    sqlite_with_rowid=False,
)

# Where a correspondent stands in a module's state machine. No row means START.
state = Table(
    "lamson_state",
    metadata,
    Column("module", Text, primary_key=True),
    Column("author", Text, primary_key=True),
    Column("state", Text, nullable=False),
    sqlite_with_rowid=False,
)

# SQLite's Integer has 64 bits too, and as a primary key needs no index beside the table.
_ROW = BigInteger().with_variant(Integer, "sqlite")

# Mail that was committed and not yet taken by Postfix. `id` rises with time, so it is the order.
outbox = Table(
    "lamson_outbox",
    metadata,
    Column("id", _ROW, primary_key=True, autoincrement=False),
    Column("source", Text, nullable=False),
    Column("message_id", Text, nullable=False),
    Column("sender", Text, nullable=False),
    Column("recipients", Text, nullable=False),
    Column("conversation", Text, nullable=False),
    Column("smtputf8", Boolean, nullable=False),
    Column("content", LargeBinary, nullable=False),
    Column("created_at", Float, nullable=False),
    Column("attempts", Integer, nullable=False, default=0),
    Column("due_at", Float, nullable=False),
    Column("lease_owner", Text, nullable=False, default=""),
    Column("lease_until", Float, nullable=False, default=0),
    Column("last_error", Text, nullable=False, default=""),
    # The row of `content` that this one shares with others; 0 where `content` is its own.
    Column("shared", BigInteger, nullable=False, server_default="0"),
    # What submission is asked to report (RFC 3461): under which id, and when. "" where nothing.
    Column("envid", Text, nullable=False, server_default=""),
    Column("notify", Text, nullable=False, server_default=""),
    # The order in which rows are taken over; what is not due, or leased, is known by it alone.
    Index("lamson_outbox_due", "due_at", "id", "lease_until", "lease_owner"),
)


def halves(rows: FromClause) -> dict[str, ColumnElement[bool]]:
    """What of the outbox waits, and what processes have on hand: each is an index.

    Conversations are found in these, so that mail that leaves at once costs the same however much
    waits. A query has to say which half it means, in these words, or it finds no index.
    """
    nobody: ColumnElement[str] = literal_column("''")
    return {"waiting": rows.c.lease_owner == nobody, "leased": rows.c.lease_owner != nobody}


for _name, _is_half in halves(outbox).items():
    Index(
        f"lamson_outbox_{_name}",
        outbox.c.conversation,
        outbox.c.id,
        sqlite_where=_is_half,
        postgresql_where=_is_half,
    )
# Whether a content is still used; most rows have their own, and cost nothing here.
_IS_SHARED = outbox.c.shared != 0
Index(
    "lamson_outbox_shared",
    outbox.c.shared,
    sqlite_where=_IS_SHARED,
    postgresql_where=_IS_SHARED,
)

# Messages that several rows of the outbox share: mail to many is stored once.
content = Table(
    "lamson_content",
    metadata,
    Column("id", _ROW, primary_key=True, autoincrement=False),
    Column("content", LargeBinary, nullable=False),
)

# What filters remember (see lamson/storage/policy.py). On SQLite it is used in a file of its own.
policy = Table(
    "lamson_policy",
    metadata,
    Column("name", Text, primary_key=True),
    Column("number", BigInteger, nullable=False),
    Column("since", Float, nullable=False),
    Column("until", Float, nullable=False, index=True),
    sqlite_with_rowid=False,
)

# What arrived of the doctor's probes (see lamson/storage/probes.py).
probes = Table(
    "lamson_probes",
    metadata,
    Column("name", Text, primary_key=True),
    Column("until", Float, nullable=False),
    Column("record", Text, nullable=False),
    sqlite_with_rowid=False,
)

# Work that waits for its time, or for somebody to do it (see lamson/storage/tasks.py).
tasks = Table(
    "lamson_tasks",
    metadata,
    Column("id", _ROW, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("payload", Text, nullable=False),
    Column("made_at", Float, nullable=False),
    Column("due_at", Float, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("last_error", Text, nullable=False),
    Index("lamson_tasks_name", "kind", "name", unique=True),
    Index("lamson_tasks_due", "due_at"),
)

# Tokens of addresses that counted once, and were used (see lamson/storage/redeemed.py).
redeemed = Table(
    "lamson_redeemed",
    metadata,
    Column("digest", LargeBinary(16), primary_key=True),
    Column("until", Float, nullable=False, index=True),
    sqlite_with_rowid=False,
)

# Messages that wait for who comes with a token (see lamson/storage/pending.py). `size` is what one
# counts; with `until` it stands in an index, so that to add it up reads no message.
pending = Table(
    "lamson_pending",
    metadata,
    Column("digest", LargeBinary(16), primary_key=True),
    Column("until", Float, nullable=False),
    Column("size", Integer, nullable=False),
    Column("source", Text, nullable=False),
    Column("sender", Text, nullable=False),
    Column("recipient", Text, nullable=False),
    Column("smtputf8", Boolean, nullable=False),
    Column("content", LargeBinary, nullable=False),
    Index("lamson_pending_until", "until", "size"),
)

# Mail of which the application wants to know what became (see lamson/storage/tracked.py).
tracked = Table(
    "lamson_tracked",
    metadata,
    Column("id", Text, primary_key=True),
    Column("message_id", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("recipients", Text, nullable=False),
    Column("module", Text, nullable=False),
    # Whose conversation it was sent in: a key of `state`; "" where in none.
    Column("state_module", Text, nullable=False),
    Column("state_author", Text, nullable=False),
    Column("scope", Text, nullable=False),
    Column("sent_at", Float, nullable=False),
    Column("until", Float, nullable=False, index=True),
    sqlite_with_rowid=False,
)

# What the application was told of it already; `key` is a digest of mail, recipient and outcome.
outcomes = Table(
    "lamson_outcomes",
    metadata,
    Column("key", Text, primary_key=True),
    Column("until", Float, nullable=False, index=True),
    sqlite_with_rowid=False,
)

# How often mail to an address failed (see lamson/storage/bounced.py); `key` is its digest.
bounced = Table(
    "lamson_bounced",
    metadata,
    Column("key", Text, primary_key=True),
    Column("hard", Integer, nullable=False),
    Column("soft", Integer, nullable=False),
    Column("since", Float, nullable=False),
    Column("last", Float, nullable=False, index=True),
    sqlite_with_rowid=False,
)

# Who gets no mail any more (see lamson/storage/suppressed.py); `key` is a digest of both.
suppressed = Table(
    "lamson_suppressed",
    metadata,
    Column("key", Text, primary_key=True),
    Column("address", Text, nullable=False),
    Column("scope", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("diagnostic", Text, nullable=False),
    Column("since", Float, nullable=False),
    sqlite_with_rowid=False,
)

# Conversations about one thing (see lamson/storage/threads.py). `modules` are those whose handlers
# were given it, `used_at` is in seconds of the service clock.
threads = Table(
    "lamson_threads",
    metadata,
    Column("id", Text, primary_key=True),
    Column("modules", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("used_at", Float, nullable=False, index=True),
    sqlite_with_rowid=False,
)

# Who takes part in them, in the order of `number`; `is_open` as the others may know that.
thread_participants = Table(
    "lamson_thread_participants",
    metadata,
    Column("thread", Text, primary_key=True),
    Column("address", Text, primary_key=True),
    Column("is_open", Boolean, nullable=False),
    Column("number", Integer, nullable=False),
    sqlite_with_rowid=False,
)

# The Message-IDs of what was sent in them, as digests. One belongs to the thread that had it first.
thread_ids = Table(
    "lamson_thread_ids",
    metadata,
    Column("digest", LargeBinary(16), primary_key=True),
    Column("thread", Text, nullable=False, index=True),
    Column("sent_at", Float, nullable=False),
    sqlite_with_rowid=False,
)

# The newest of what was said in them. `digest` is that of the message, so that it is there once.
thread_messages = Table(
    "lamson_thread_messages",
    metadata,
    Column("id", _ROW, primary_key=True),
    Column("thread", Text, nullable=False),
    Column("digest", LargeBinary(16), nullable=False),
    Column("message_id", Text, nullable=False),
    Column("author", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("said_at", Float, nullable=False),
    Column("kept_at", Float, nullable=False),
    Column("is_ours", Boolean, nullable=False),
    Column("text", Text, nullable=False),
    Index("lamson_thread_messages_digest", "thread", "digest", unique=True),
)

# Few have been tried; who looks for these does not look at all others.
_WAS_TRIED = tasks.c.attempts > 0
Index("lamson_tasks_tried", tasks.c.due_at, sqlite_where=_WAS_TRIED, postgresql_where=_WAS_TRIED)

# What became of schedules (see lamson/storage/schedules.py): when each ran last, for how many
# seconds, and why it failed, "" where it did not. `failures` are those since it last went well.
schedules = Table(
    "lamson_schedules",
    metadata,
    Column("name", Text, primary_key=True),
    Column("ran_at", Float, nullable=False),
    Column("seconds", Float, nullable=False),
    Column("error", Text, nullable=False),
    Column("runs", BigInteger, nullable=False),
    Column("failures", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

# Mail whose time has not come (see lamson/storage/scheduled.py): rows of the outbox to be, with all
# columns of it. `key` is the digest of what it can be cancelled by, `scope` the list that it is of.
scheduled = Table(
    "lamson_scheduled",
    metadata,
    *(
        Column(
            column.name,
            column.type,
            primary_key=column.primary_key,
            autoincrement=False,
            nullable=column.nullable,
        )
        for column in outbox.columns
    ),
    Column("key", LargeBinary(16)),
    Column("scope", Text, nullable=False),
    Index("lamson_scheduled_due", "due_at", "id"),
    Index("lamson_scheduled_key", "key"),
)
_IS_SHARED_LATER = scheduled.c.shared != 0
Index(
    "lamson_scheduled_shared",
    scheduled.c.shared,
    sqlite_where=_IS_SHARED_LATER,
    postgresql_where=_IS_SHARED_LATER,
)

# When the next message may go to a domain, or from a sender, that is paced (see
# lamson/storage/pace.py); `name` is a digest of it.
pace = Table(
    "lamson_pace",
    metadata,
    Column("name", LargeBinary(16), primary_key=True),
    Column("next_at", Float, nullable=False, index=True),
    sqlite_with_rowid=False,
)

# What was sent once, and is not to be sent again (see lamson/storage/keys.py): `name` is a digest,
# `until` is 0 where that holds for ever.
keys = Table(
    "lamson_keys",
    metadata,
    Column("name", LargeBinary(16), primary_key=True),
    Column("message_id", Text, nullable=False),
    Column("until", Float, nullable=False, index=True),
    sqlite_with_rowid=False,
)

# What came and what became of it, where the application keeps a journal (see
# lamson/storage/journal_rows.py). `id` is a time in nanoseconds, and of mail that was sent the id
# of its row in the outbox. `words` are what is searched, `kept` the octets that a row counts.
journal = Table(
    "lamson_journal",
    metadata,
    Column("id", _ROW, primary_key=True, autoincrement=False),
    Column("direction", Text, nullable=False),
    Column("at", Float, nullable=False),
    Column("done_at", Float, nullable=False),
    Column("source", Text, nullable=False),
    Column("message_id", Text, nullable=False),
    Column("correspondent", Text, nullable=False),
    Column("ours", Text, nullable=False),
    Column("recipients", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("size", Integer, nullable=False),
    Column("handler", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("next_state", Text, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("reply", Text, nullable=False),
    Column("envid", Text, nullable=False),
    Column("about", Text, nullable=False),
    Column("sent", Text, nullable=False),
    Column("words", Text, nullable=False),
    Column("kept", Integer, nullable=False),
    # A conversation by pages; by a Message-ID or a queue id only an operator looks.
    Index("lamson_journal_correspondent", "correspondent", "id"),
)
_IS_TRACKED = journal.c.envid != ""
Index(
    "lamson_journal_envid",
    journal.c.envid,
    sqlite_where=_IS_TRACKED,
    postgresql_where=_IS_TRACKED,
)

# Their headers or contents: apart, so that a page of the journal is read without them.
journal_content = Table(
    "lamson_journal_content",
    metadata,
    Column("id", _ROW, primary_key=True, autoincrement=False),
    Column("content", LargeBinary, nullable=False),
)

# Who is on which mailing list (see lamson/storage/lists.py). `list` and `key` are addresses as they
# are compared, `address` is as it was written.
list_members = Table(
    "lamson_list_members",
    metadata,
    Column("id", _ROW, primary_key=True),
    Column("list", Text, nullable=False),
    Column("key", Text, nullable=False, index=True),
    Column("address", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("mode", Text, nullable=False),
    Column("is_owner", Boolean, nullable=False),
    Column("is_moderator", Boolean, nullable=False),
    Column("is_held", Boolean, nullable=False),
    Column("own_posts", Boolean, nullable=False),
    Column("copies", Boolean, nullable=False),
    Column("score", Float, nullable=False),
    Column("scored_at", Float, nullable=False),
    Column("pauses", Integer, nullable=False),
    Column("since", Float, nullable=False),
    Index("lamson_list_members_list", "list", "key", unique=True),
    Index("lamson_list_members_order", "list", "id"),
    sqlite_autoincrement=True,  # a token for a member that has left is for no later one
)

# What was posted. `content` is b"" where it is not kept; `shared` is a row of `content` while the
# post is on its way to members, else 0.
list_posts = Table(
    "lamson_list_posts",
    metadata,
    Column("id", _ROW, primary_key=True),
    Column("list", Text, nullable=False),
    Column("digest", LargeBinary(16), nullable=False),
    Column("message_id", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("author", Text, nullable=False),
    Column("posted_at", Float, nullable=False),
    Column("content", LargeBinary, nullable=False),
    Column("mode", Text, nullable=False),
    Column("smtputf8", Boolean, nullable=False),
    Column("named", Text, nullable=False),
    Column("shared", BigInteger, nullable=False),
    Column("is_digested", Boolean, nullable=False),
    Column("is_archived", Boolean, nullable=False),
    Index("lamson_list_posts_digest", "list", "digest", unique=True),
    Index("lamson_list_posts_order", "list", "id"),
    Index("lamson_list_posts_forgotten", "is_archived", "posted_at"),
)
_IS_UNDER_WAY = list_posts.c.shared != 0
Index(
    "lamson_list_posts_shared",
    list_posts.c.shared,
    sqlite_where=_IS_UNDER_WAY,
    postgresql_where=_IS_UNDER_WAY,
)

# Posts that wait for a moderator; `decision` is "" until then.
list_held = Table(
    "lamson_list_held",
    metadata,
    Column("id", _ROW, primary_key=True),
    Column("list", Text, nullable=False, index=True),
    Column("digest", LargeBinary(16), nullable=False),
    Column("author", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("held_at", Float, nullable=False, index=True),
    Column("sender", Text, nullable=False),
    Column("recipient", Text, nullable=False),
    Column("smtputf8", Boolean, nullable=False),
    Column("content", LargeBinary, nullable=False),
    Column("decision", Text, nullable=False),
    Column("decided_by", Text, nullable=False),
    sqlite_autoincrement=True,
)
