"""Alembic's entry: runs the revisions on the connection `mwl.store.migrations` hands over."""

from alembic import context

from mwl.store.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,  # SQLite cannot alter a table: it is copied
)
with context.begin_transaction():
    context.run_migrations()
