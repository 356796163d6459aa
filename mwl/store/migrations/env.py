"""Alembic's entry: runs the revisions on the connection `mwl.store.migrations` hands over."""

from alembic import context

from mwl.store.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,  # SQLite cannot alter a table: it is copied
    transactional_ddl=True,  # SQLite's DDL is transactional, once the driver keeps out of it
)
with context.begin_transaction():
    context.run_migrations()
