"""The schema of the first release."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "callers",
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
        sa.Column("reason", sa.String().with_variant(sa.String(collation="C"), "postgresql"), nullable=False),
        sa.Column(
            "first_seen", sa.String().with_variant(sa.String(collation="C"), "postgresql"), nullable=False
        ),
        sa.Column(
            "last_seen", sa.String().with_variant(sa.String(collation="C"), "postgresql"), nullable=False
        ),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_callers")),
        sa.UniqueConstraint(
            "calling_ae", "called_ae", "address", name=op.f("uq_callers_calling_ae_called_ae_address")
        ),
    )
    op.create_table(
        "messages",
        sa.Column(
            "key", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False
        ),
        sa.Column(
            "received_at", sa.String().with_variant(sa.String(collation="C"), "postgresql"), nullable=False
        ),
        sa.Column(
            "last_at", sa.String().with_variant(sa.String(collation="C"), "postgresql"), nullable=False
        ),
        sa.Column("receipts", sa.Integer(), nullable=False),
        sa.Column("peer", sa.String().with_variant(sa.String(collation="C"), "postgresql"), nullable=False),
        sa.Column("system", sa.String().with_variant(sa.String(collation="C"), "postgresql"), nullable=False),
        sa.Column(
            "application", sa.String().with_variant(sa.String(collation="C"), "postgresql"), nullable=False
        ),
        sa.Column(
            "facility", sa.String().with_variant(sa.String(collation="C"), "postgresql"), nullable=False
        ),
        sa.Column(
            "control_id", sa.String().with_variant(sa.String(collation="C"), "postgresql"), nullable=False
        ),
        sa.Column("kind", sa.String().with_variant(sa.String(collation="C"), "postgresql"), nullable=False),
        sa.Column("digest", sa.String().with_variant(sa.String(collation="C"), "postgresql"), nullable=False),
        sa.Column("raw", sa.LargeBinary(), nullable=False),
        sa.Column(
            "outcome", sa.String().with_variant(sa.String(collation="C"), "postgresql"), nullable=False
        ),
        sa.Column("acknowledgement", sa.LargeBinary(), nullable=True),
        sa.Column("error", sa.Text(), nullable=False),
        sa.Column(
            "attempted_at", sa.String().with_variant(sa.String(collation="C"), "postgresql"), nullable=False
        ),
        sa.Column("replayed", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_messages")),
    )
    op.create_index(op.f("ix_messages_control_id_digest"), "messages", ["control_id", "digest"], unique=False)
    op.create_index(op.f("ix_messages_last_at"), "messages", ["last_at"], unique=False)
    op.create_index(op.f("ix_messages_outcome_last_at"), "messages", ["outcome", "last_at"], unique=False)
    op.create_index(op.f("ix_messages_system_last_at"), "messages", ["system", "last_at"], unique=False)
    op.create_table(
        "outbox",
        sa.Column(
            "key", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False
        ),
        sa.Column("kind", sa.String().with_variant(sa.String(collation="C"), "postgresql"), nullable=False),
        sa.Column(
            "destination", sa.String().with_variant(sa.String(collation="C"), "postgresql"), nullable=False
        ),
        sa.Column("thread", sa.String().with_variant(sa.String(collation="C"), "postgresql"), nullable=False),
        sa.Column("state", sa.String().with_variant(sa.String(collation="C"), "postgresql"), nullable=False),
        sa.Column(
            "control_id", sa.String().with_variant(sa.String(collation="C"), "postgresql"), nullable=False
        ),
        sa.Column("facts", sa.Text(), nullable=False),
        sa.Column("payload", sa.LargeBinary(), nullable=True),
        sa.Column(
            "created_at", sa.String().with_variant(sa.String(collation="C"), "postgresql"), nullable=False
        ),
        sa.Column("due_at", sa.String().with_variant(sa.String(collation="C"), "postgresql"), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column(
            "lease_owner", sa.String().with_variant(sa.String(collation="C"), "postgresql"), nullable=True
        ),
        sa.Column(
            "lease_until", sa.String().with_variant(sa.String(collation="C"), "postgresql"), nullable=True
        ),
        sa.Column(
            "finished_at", sa.String().with_variant(sa.String(collation="C"), "postgresql"), nullable=True
        ),
        sa.Column("last_error", sa.Text(), nullable=False),
        sa.CheckConstraint(
            "(state IN ('delivered', 'discarded')) = (finished_at IS NOT NULL)",
            name=op.f("ck_outbox_finished"),
        ),
        sa.CheckConstraint(
            "state IN ('pending', 'delivered', 'parked', 'discarded')", name=op.f("ck_outbox_state")
        ),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_outbox")),
        sa.UniqueConstraint("control_id", name=op.f("uq_outbox_control_id")),
    )
    op.create_index(
        op.f("ix_outbox_state_destination_thread_key"),
        "outbox",
        ["state", "destination", "thread", "key"],
        unique=False,
    )
    op.create_table(
        "patients",
        sa.Column(
            "key", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False
        ),
        sa.Column(
            "patient_id", sa.String().with_variant(sa.String(collation="C"), "postgresql"), nullable=False
        ),
        sa.Column("issuer", sa.String().with_variant(sa.String(collation="C"), "postgresql"), nullable=False),
        sa.Column("merged_into", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column("document", sa.Text(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["merged_into"], ["patients.key"], name=op.f("fk_patients_merged_into"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_patients")),
        sa.UniqueConstraint("patient_id", "issuer", name=op.f("uq_patients_patient_id_issuer")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_patients_merged_into"), "patients", ["merged_into"], unique=False)
    op.create_table(
        "performed",
        sa.Column(
            "key", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False
        ),
        sa.Column(
            "sop_instance_uid",
            sa.String().with_variant(sa.String(collation="C"), "postgresql"),
            nullable=False,
        ),
        sa.Column("state", sa.String().with_variant(sa.String(collation="C"), "postgresql"), nullable=False),
        sa.Column(
            "calling_ae", sa.String().with_variant(sa.String(collation="C"), "postgresql"), nullable=False
        ),
        sa.Column(
            "study_instance_uid",
            sa.String().with_variant(sa.String(collation="C"), "postgresql"),
            nullable=False,
        ),
        sa.Column("document", sa.Text(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column(
            "created_at", sa.String().with_variant(sa.String(collation="C"), "postgresql"), nullable=False
        ),
        sa.Column(
            "updated_at", sa.String().with_variant(sa.String(collation="C"), "postgresql"), nullable=False
        ),
        sa.CheckConstraint(
            "state IN ('IN PROGRESS', 'COMPLETED', 'DISCONTINUED')", name=op.f("ck_performed_state")
        ),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_performed")),
        sa.UniqueConstraint("sop_instance_uid", name=op.f("uq_performed_sop_instance_uid")),
    )
    op.create_index(
        op.f("ix_performed_study_instance_uid"), "performed", ["study_instance_uid"], unique=False
    )
    op.create_table(
        "patient_names",
        sa.Column(
            "key", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False
        ),
        sa.Column("patient_key", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("representation", sa.Integer(), nullable=False),
        sa.Column("folded", sa.String().with_variant(sa.String(collation="C"), "postgresql"), nullable=False),
        sa.ForeignKeyConstraint(
            ["patient_key"], ["patients.key"], name=op.f("fk_patient_names_patient_key"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_patient_names")),
    )
    op.create_index(
        op.f("ix_patient_names_folded_patient_key"), "patient_names", ["folded", "patient_key"], unique=False
    )
    op.create_index(op.f("ix_patient_names_patient_key"), "patient_names", ["patient_key"], unique=False)
    op.create_table(
        "name_keys",
        sa.Column(
            "key", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False
        ),
        sa.Column("patient_key", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("folded", sa.String().with_variant(sa.String(collation="C"), "postgresql"), nullable=False),
        sa.ForeignKeyConstraint(
            ["patient_key"], ["patients.key"], name=op.f("fk_name_keys_patient_key"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_name_keys")),
    )
    op.create_index(
        op.f("ix_name_keys_folded_patient_key"), "name_keys", ["folded", "patient_key"], unique=False
    )
    op.create_index(op.f("ix_name_keys_patient_key"), "name_keys", ["patient_key"], unique=False)
    op.create_table(
        "procedures",
        sa.Column(
            "key", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False
        ),
        sa.Column("patient_key", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("system", sa.String().with_variant(sa.String(collation="C"), "postgresql"), nullable=False),
        sa.Column("placer", sa.String().with_variant(sa.String(collation="C"), "postgresql"), nullable=False),
        sa.Column(
            "placer_issuer", sa.String().with_variant(sa.String(collation="C"), "postgresql"), nullable=False
        ),
        sa.Column("filler", sa.String().with_variant(sa.String(collation="C"), "postgresql"), nullable=False),
        sa.Column(
            "filler_issuer", sa.String().with_variant(sa.String(collation="C"), "postgresql"), nullable=False
        ),
        sa.Column(
            "accession", sa.String().with_variant(sa.String(collation="C"), "postgresql"), nullable=False
        ),
        sa.Column(
            "accession_issuer",
            sa.String().with_variant(sa.String(collation="C"), "postgresql"),
            nullable=False,
        ),
        sa.Column(
            "requested_procedure_id",
            sa.String().with_variant(sa.String(collation="C"), "postgresql"),
            nullable=False,
        ),
        sa.Column(
            "study_instance_uid",
            sa.String().with_variant(sa.String(collation="C"), "postgresql"),
            nullable=False,
        ),
        sa.Column("booked", sa.Text(), nullable=False),
        sa.Column("document", sa.Text(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column(
            "sent_at", sa.String().with_variant(sa.String(collation="C"), "postgresql"), nullable=False
        ),
        sa.Column(
            "effective_at", sa.String().with_variant(sa.String(collation="C"), "postgresql"), nullable=False
        ),
        sa.Column(
            "sent_by", sa.String().with_variant(sa.String(collation="C"), "postgresql"), nullable=False
        ),
        sa.ForeignKeyConstraint(
            ["patient_key"], ["patients.key"], name=op.f("fk_procedures_patient_key"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_procedures")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_procedures_accession"), "procedures", ["accession"], unique=False)
    op.create_index(op.f("ix_procedures_filler"), "procedures", ["filler"], unique=False)
    op.create_index(op.f("ix_procedures_patient_key"), "procedures", ["patient_key"], unique=False)
    op.create_index(op.f("ix_procedures_placer"), "procedures", ["placer"], unique=False)
    op.create_index(
        op.f("ix_procedures_requested_procedure_id"), "procedures", ["requested_procedure_id"], unique=False
    )
    op.create_index(
        op.f("ix_procedures_study_instance_uid"), "procedures", ["study_instance_uid"], unique=False
    )
    op.create_table(
        "refused_days",
        sa.Column("day", sa.String().with_variant(sa.String(collation="C"), "postgresql"), nullable=False),
        sa.Column(
            "allowance", sa.String().with_variant(sa.String(collation="C"), "postgresql"), nullable=False
        ),
        sa.Column("kept", sa.Integer(), nullable=False),
        sa.Column("octets", sa.BigInteger(), nullable=False),
        sa.Column("left_out", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("day", "allowance", name=op.f("pk_refused_days")),
    )
    op.create_table(
        "steps",
        sa.Column(
            "key", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False
        ),
        sa.Column("procedure_key", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column(
            "step_id", sa.String().with_variant(sa.String(collation="C"), "postgresql"), nullable=False
        ),
        sa.Column(
            "modality", sa.String().with_variant(sa.String(collation="C"), "postgresql"), nullable=False
        ),
        sa.Column("state", sa.String().with_variant(sa.String(collation="C"), "postgresql"), nullable=False),
        sa.Column("held", sa.Boolean(), nullable=False),
        sa.Column("start", sa.String().with_variant(sa.String(collation="C"), "postgresql"), nullable=False),
        sa.Column(
            "start_time", sa.String().with_variant(sa.String(collation="C"), "postgresql"), nullable=False
        ),
        sa.Column("document", sa.Text(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column(
            "created_at", sa.String().with_variant(sa.String(collation="C"), "postgresql"), nullable=False
        ),
        sa.Column(
            "updated_at", sa.String().with_variant(sa.String(collation="C"), "postgresql"), nullable=False
        ),
        sa.CheckConstraint(
            "state IN ('SCHEDULED', 'ARRIVED', 'READY', 'STARTED', 'COMPLETED', 'DISCONTINUED', 'CANCELED')",
            name=op.f("ck_steps_state"),
        ),
        sa.ForeignKeyConstraint(
            ["procedure_key"], ["procedures.key"], name=op.f("fk_steps_procedure_key"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_steps")),
        sa.UniqueConstraint("procedure_key", "step_id", name=op.f("uq_steps_procedure_key_step_id")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_steps_modality_start"), "steps", ["modality", "start"], unique=False)
    op.create_index(op.f("ix_steps_procedure_key"), "steps", ["procedure_key"], unique=False)
    op.create_index(op.f("ix_steps_start_key"), "steps", ["start", "key"], unique=False)
    op.create_index(op.f("ix_steps_step_id"), "steps", ["step_id"], unique=False)
    op.create_table(
        "message_attempts",
        sa.Column(
            "key", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False
        ),
        sa.Column("message_key", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column(
            "attempted_at", sa.String().with_variant(sa.String(collation="C"), "postgresql"), nullable=False
        ),
        sa.Column("replayed", sa.Integer(), nullable=False),
        sa.Column(
            "outcome", sa.String().with_variant(sa.String(collation="C"), "postgresql"), nullable=False
        ),
        sa.Column("acknowledgement", sa.LargeBinary(), nullable=True),
        sa.Column("error", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["message_key"],
            ["messages.key"],
            name=op.f("fk_message_attempts_message_key"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_message_attempts")),
    )
    op.create_index(
        op.f("ix_message_attempts_message_key"), "message_attempts", ["message_key"], unique=False
    )
    op.create_table(
        "message_keys",
        sa.Column("kind", sa.String().with_variant(sa.String(collation="C"), "postgresql"), nullable=False),
        sa.Column("value", sa.String().with_variant(sa.String(collation="C"), "postgresql"), nullable=False),
        sa.Column("message_key", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.ForeignKeyConstraint(
            ["message_key"], ["messages.key"], name=op.f("fk_message_keys_message_key"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("kind", "value", "message_key", name=op.f("pk_message_keys")),
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_message_keys_message_key"), "message_keys", ["message_key"], unique=False)
    op.create_table(
        "message_links",
        sa.Column(
            "key", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False
        ),
        sa.Column("message_key", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("patient_key", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column("procedure_key", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column("step_key", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.ForeignKeyConstraint(
            ["message_key"], ["messages.key"], name=op.f("fk_message_links_message_key"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["patient_key"], ["patients.key"], name=op.f("fk_message_links_patient_key"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["procedure_key"],
            ["procedures.key"],
            name=op.f("fk_message_links_procedure_key"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["step_key"], ["steps.key"], name=op.f("fk_message_links_step_key"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_message_links")),
    )
    op.create_index(op.f("ix_message_links_message_key"), "message_links", ["message_key"], unique=False)
    op.create_index(op.f("ix_message_links_patient_key"), "message_links", ["patient_key"], unique=False)
    op.create_index(op.f("ix_message_links_procedure_key"), "message_links", ["procedure_key"], unique=False)
    op.create_index(op.f("ix_message_links_step_key"), "message_links", ["step_key"], unique=False)
    op.create_table(
        "performed_links",
        sa.Column(
            "key", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False
        ),
        sa.Column("performed_key", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("step_key", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("rule", sa.String().with_variant(sa.String(collation="C"), "postgresql"), nullable=False),
        sa.ForeignKeyConstraint(
            ["performed_key"],
            ["performed.key"],
            name=op.f("fk_performed_links_performed_key"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["step_key"], ["steps.key"], name=op.f("fk_performed_links_step_key"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_performed_links")),
        sa.UniqueConstraint(
            "performed_key", "step_key", name=op.f("uq_performed_links_performed_key_step_key")
        ),
    )
    op.create_index(
        op.f("ix_performed_links_performed_key"), "performed_links", ["performed_key"], unique=False
    )
    op.create_index(op.f("ix_performed_links_step_key"), "performed_links", ["step_key"], unique=False)
    op.create_table(
        "step_history",
        sa.Column(
            "key", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False
        ),
        sa.Column("step_key", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("at", sa.String().with_variant(sa.String(collation="C"), "postgresql"), nullable=False),
        sa.Column("event", sa.String().with_variant(sa.String(collation="C"), "postgresql"), nullable=False),
        sa.Column("before", sa.String().with_variant(sa.String(collation="C"), "postgresql"), nullable=False),
        sa.Column("after", sa.String().with_variant(sa.String(collation="C"), "postgresql"), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["step_key"], ["steps.key"], name=op.f("fk_step_history_step_key"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_step_history")),
    )
    op.create_index(op.f("ix_step_history_step_key"), "step_history", ["step_key"], unique=False)
    op.create_table(
        "step_stations",
        sa.Column(
            "key", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False
        ),
        sa.Column("step_key", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column(
            "ae_title", sa.String().with_variant(sa.String(collation="C"), "postgresql"), nullable=False
        ),
        sa.Column("start", sa.String().with_variant(sa.String(collation="C"), "postgresql"), nullable=False),
        sa.ForeignKeyConstraint(
            ["step_key"], ["steps.key"], name=op.f("fk_step_stations_step_key"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_step_stations")),
    )
    op.create_index(
        op.f("ix_step_stations_ae_title_start_step_key"),
        "step_stations",
        ["ae_title", "start", "step_key"],
        unique=False,
    )
    op.create_index(op.f("ix_step_stations_step_key"), "step_stations", ["step_key"], unique=False)
