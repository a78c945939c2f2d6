"""Alembic's environment for our own tables; `lamson syncdb` runs it."""

from alembic import context

from lamson.storage import tables

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=tables.metadata,
    version_table=tables.VERSION_TABLE,
    render_as_batch=True,
    # The application's tables share the database; only ours are compared here.
    include_name=lambda name, kind, parents: kind != "table" or name in tables.metadata.tables,
)
with context.begin_transaction():
    context.run_migrations()
