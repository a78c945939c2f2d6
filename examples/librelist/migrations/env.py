"""Alembic's environment for the application's own tables; `lamson syncdb` runs it."""

from alembic import context

from app.model import Base

tables = Base.metadata.tables

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    render_as_batch=True,
    # Lamson keeps tables of its own in the same database; only the application's are compared.
    include_name=lambda name, kind, parents: kind != "table" or name in tables,
)
with context.begin_transaction():
    context.run_migrations()
