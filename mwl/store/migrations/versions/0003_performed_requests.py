"""Requests of performed steps as they came, what to look at in them, and a short way to what is due."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "performed_requests",
        sa.Column(
            "key", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False
        ),
        sa.Column("performed_key", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("at", sa.String().with_variant(sa.String(collation="C"), "postgresql"), nullable=False),
        sa.Column(
            "operation", sa.String().with_variant(sa.String(collation="C"), "postgresql"), nullable=False
        ),
        sa.Column(
            "calling_ae", sa.String().with_variant(sa.String(collation="C"), "postgresql"), nullable=False
        ),
        sa.Column(
            "address", sa.String().with_variant(sa.String(collation="C"), "postgresql"), nullable=False
        ),
        sa.Column(
            "transfer_syntax",
            sa.String().with_variant(sa.String(collation="C"), "postgresql"),
            nullable=False,
        ),
        sa.Column("data", sa.LargeBinary(), nullable=True),
        sa.ForeignKeyConstraint(
            ["performed_key"],
            ["performed.key"],
            name=op.f("fk_performed_requests_performed_key"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_performed_requests")),
    )
    op.create_index(
        op.f("ix_performed_requests_performed_key"), "performed_requests", ["performed_key"], unique=False
    )
    op.create_index(op.f("ix_outbox_state_key"), "outbox", ["state", "key"], unique=False)
    op.add_column("performed", sa.Column("remarks", sa.Text(), server_default="", nullable=False))
    op.add_column("performed", sa.Column("settled_by", sa.Text(), server_default="", nullable=False))
    op.add_column(
        "performed",
        sa.Column(
            "settled_at",
            sa.String().with_variant(sa.String(collation="C"), "postgresql"),
            server_default="",
            nullable=False,
        ),
    )
    op.create_index(op.f("ix_performed_state_updated_at"), "performed", ["state", "updated_at"], unique=False)
