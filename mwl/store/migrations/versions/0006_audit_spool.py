"""Audit messages that the collector does not have yet."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    instant = sa.String().with_variant(sa.String(collation="C"), "postgresql")
    op.create_table(
        "audit_spool",
        sa.Column(
            "key", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False
        ),
        sa.Column("created_at", instant, nullable=False),
        sa.Column("message", sa.LargeBinary(), nullable=False),
        sa.Column("lease_owner", instant, nullable=True),
        sa.Column("lease_until", instant, nullable=True),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_audit_spool")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_audit_spool_created_at"), "audit_spool", ["created_at"], unique=False)
