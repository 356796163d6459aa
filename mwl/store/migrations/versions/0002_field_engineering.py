"""Captured queries, drafts in shadow, handles, the history of profiles, what devices would refuse."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "handles",
        sa.Column(
            "key", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False
        ),
        sa.Column("tag", sa.String().with_variant(sa.String(collation="C"), "postgresql"), nullable=False),
        sa.Column("handle", sa.String().with_variant(sa.String(collation="C"), "postgresql"), nullable=False),
        sa.Column("value", sa.String().with_variant(sa.String(collation="C"), "postgresql"), nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_handles")),
        sa.UniqueConstraint("tag", "handle", name=op.f("uq_handles_tag_handle")),
        sa.UniqueConstraint("tag", "value", name=op.f("uq_handles_tag_value")),
    )
    op.create_table(
        "profile_sets",
        sa.Column(
            "key", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False
        ),
        sa.Column("at", sa.String().with_variant(sa.String(collation="C"), "postgresql"), nullable=False),
        sa.Column("digest", sa.String().with_variant(sa.String(collation="C"), "postgresql"), nullable=False),
        sa.Column("who", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("files", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_profile_sets")),
    )
    op.create_table(
        "queries",
        sa.Column(
            "key", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False
        ),
        sa.Column(
            "calling_ae", sa.String().with_variant(sa.String(collation="C"), "postgresql"), nullable=False
        ),
        sa.Column(
            "called_ae", sa.String().with_variant(sa.String(collation="C"), "postgresql"), nullable=False
        ),
        sa.Column(
            "address", sa.String().with_variant(sa.String(collation="C"), "postgresql"), nullable=False
        ),
        sa.Column(
            "implementation_uid",
            sa.String().with_variant(sa.String(collation="C"), "postgresql"),
            nullable=False,
        ),
        sa.Column(
            "implementation_version",
            sa.String().with_variant(sa.String(collation="C"), "postgresql"),
            nullable=False,
        ),
        sa.Column("association", sa.Text(), nullable=False),
        sa.Column(
            "transfer_syntax",
            sa.String().with_variant(sa.String(collation="C"), "postgresql"),
            nullable=False,
        ),
        sa.Column("identifier", sa.LargeBinary(), nullable=False),
        sa.Column("digest", sa.String().with_variant(sa.String(collation="C"), "postgresql"), nullable=False),
        sa.Column(
            "first_at", sa.String().with_variant(sa.String(collation="C"), "postgresql"), nullable=False
        ),
        sa.Column(
            "last_at", sa.String().with_variant(sa.String(collation="C"), "postgresql"), nullable=False
        ),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column(
            "profile", sa.String().with_variant(sa.String(collation="C"), "postgresql"), nullable=False
        ),
        sa.Column(
            "profile_digest", sa.String().with_variant(sa.String(collation="C"), "postgresql"), nullable=False
        ),
        sa.Column("status", sa.String().with_variant(sa.String(collation="C"), "postgresql"), nullable=False),
        sa.Column("matched", sa.Integer(), nullable=False),
        sa.Column("sent", sa.Integer(), nullable=False),
        sa.Column("left_out", sa.Text(), nullable=False),
        sa.Column("microseconds", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_queries")),
        sa.UniqueConstraint("calling_ae", "digest", name=op.f("uq_queries_calling_ae_digest")),
    )
    op.create_index(op.f("ix_queries_calling_ae_last_at"), "queries", ["calling_ae", "last_at"], unique=False)
    op.create_index(op.f("ix_queries_last_at"), "queries", ["last_at"], unique=False)
    op.create_table(
        "shadows",
        sa.Column(
            "key", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False
        ),
        sa.Column(
            "calling_ae", sa.String().with_variant(sa.String(collation="C"), "postgresql"), nullable=False
        ),
        sa.Column(
            "query_digest", sa.String().with_variant(sa.String(collation="C"), "postgresql"), nullable=False
        ),
        sa.Column(
            "profile", sa.String().with_variant(sa.String(collation="C"), "postgresql"), nullable=False
        ),
        sa.Column(
            "profile_digest", sa.String().with_variant(sa.String(collation="C"), "postgresql"), nullable=False
        ),
        sa.Column(
            "last_at", sa.String().with_variant(sa.String(collation="C"), "postgresql"), nullable=False
        ),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("differences", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_shadows")),
        sa.UniqueConstraint(
            "calling_ae",
            "query_digest",
            "profile_digest",
            name=op.f("uq_shadows_calling_ae_query_digest_profile_digest"),
        ),
    )
    op.create_index(op.f("ix_shadows_last_at"), "shadows", ["last_at"], unique=False)
    op.create_table(
        "doubts",
        sa.Column(
            "key", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False
        ),
        sa.Column("step_key", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("message_key", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column(
            "calling_ae", sa.String().with_variant(sa.String(collation="C"), "postgresql"), nullable=False
        ),
        sa.Column("path", sa.String().with_variant(sa.String(collation="C"), "postgresql"), nullable=False),
        sa.Column("withheld", sa.Boolean(), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("origin", sa.Text(), nullable=False),
        sa.Column("at", sa.String().with_variant(sa.String(collation="C"), "postgresql"), nullable=False),
        sa.ForeignKeyConstraint(
            ["message_key"], ["messages.key"], name=op.f("fk_doubts_message_key"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["step_key"], ["steps.key"], name=op.f("fk_doubts_step_key"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_doubts")),
        sa.UniqueConstraint(
            "step_key",
            "calling_ae",
            "path",
            "message",
            name=op.f("uq_doubts_step_key_calling_ae_path_message"),
        ),
    )
    op.create_index(op.f("ix_doubts_message_key"), "doubts", ["message_key"], unique=False)
    op.create_index(op.f("ix_doubts_step_key"), "doubts", ["step_key"], unique=False)
    op.add_column("callers", sa.Column("association", sa.Text(), server_default="", nullable=False))
