"""What is deleted by its age is found by it: when a patient was last spoken of, when an outbox row ended."""

from __future__ import annotations

import datetime as dt

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    instant = sa.String().with_variant(sa.String(collation="C"), "postgresql")
    op.add_column("patients", sa.Column("touched_at", instant, server_default="", nullable=False))
    # Of those on record nobody knows it: they are kept as long as if it had been now.
    now = dt.datetime.now(dt.UTC).isoformat(timespec="microseconds")
    op.execute(sa.text("UPDATE patients SET touched_at = :now").bindparams(now=now))
    ended = sa.text("finished_at IS NOT NULL")
    op.create_index(
        "ix_outbox_finished_at", "outbox", ["finished_at"], sqlite_where=ended, postgresql_where=ended
    )
