"""The schema: one table a noun, promoted columns beside documents.

A document column holds a level in the DICOM JSON model.  Promoted columns are what is matched or
what identifies; `mwl.store.promoted` derives them, and nothing else writes them.  Text that is
compared carries the byte-wise collation, so that ranges and prefixes mean the same on SQLite and
on PostgreSQL.  Instants are UTC, ISO 8601 with microseconds, as text: they sort as they read.
Starts of steps are site-local wall time, YYYYMMDDHHMMSS.FFFFFF: that is what a device asks for.
Keys of the three levels are never given twice (SQLite needs to be told): a cached response and the
thread of an outbox row outlive the row they name.
"""

from __future__ import annotations

from sqlalchemy import (
    Boolean,
    CheckConstraint,
    Column,
    ColumnElement,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    column,
    false,
    literal_column,
)
from sqlalchemy.types import BigInteger, TypeEngine

from mwl.lifecycle import CLOSED, OutboxState, PerformedState, StepState

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def _text() -> TypeEngine[str]:
    """Text compared byte by byte."""
    return String().with_variant(String(collation="C"), "postgresql")


def _key() -> Column[int]:
    # SQLite assigns keys by itself only to an INTEGER primary key.
    return Column("key", BigInteger().with_variant(Integer(), "sqlite"), primary_key=True, autoincrement=True)


def _ref(name: str, target: str, *, nullable: bool = False) -> Column[int]:
    kind = BigInteger().with_variant(Integer(), "sqlite")
    return Column(name, kind, ForeignKey(f"{target}.key", ondelete="CASCADE"), nullable=nullable, index=True)


def _one_of(column: str, states: type[StepState | PerformedState | OutboxState]) -> CheckConstraint:
    allowed = ", ".join(f"'{state.value}'" for state in states)
    return CheckConstraint(f"{column} IN ({allowed})", name=column)


def _index(name: str, *columns: str, only: ColumnElement[bool]) -> Index:
    """Return an index of the rows for which *only* holds."""
    return Index(name, *columns, sqlite_where=only, postgresql_where=only)


def unfinished(state: ColumnElement[str]) -> ColumnElement[bool]:
    """Return whether *state* is none of those a step ends in.

    Written out, without parameters: a database takes an index of some rows only where it reads in the
    query the very words that the index was made with.
    """
    return state.not_in([literal_column(f"'{each}'") for each in StepState if each in CLOSED])


patients = Table(
    "patients", metadata, _key(),
    Column("patient_id", _text(), nullable=False),
    Column("issuer", _text(), nullable=False, default=""),
    # An ID that is another patient's now: its row has neither names nor procedures.
    _ref("merged_into", "patients", nullable=True),
    Column("document", Text, nullable=False),
    Column("revision", Integer, nullable=False, default=1),
    Column("touched_at", _text(), nullable=False, default="", server_default=""),  # made or changed last
    UniqueConstraint("patient_id", "issuer"),
    sqlite_autoincrement=True,
)  # fmt: skip

patient_names = Table(
    "patient_names", metadata, _key(),
    _ref("patient_key", "patients"),
    Column("representation", Integer, nullable=False),  # 0 alphabetic, 1 ideographic, 2 phonetic
    Column("folded", _text(), nullable=False),  # mwl.query.name_groups
    Index(None, "folded", "patient_key"),
)  # fmt: skip

name_keys = Table(
    "name_keys", metadata, _key(),
    _ref("patient_key", "patients"),
    Column("folded", _text(), nullable=False),  # mwl.names.keys: what fuzzy matching finds a name by
    Index(None, "folded", "patient_key"),
)  # fmt: skip

procedures = Table(
    "procedures", metadata, _key(),
    _ref("patient_key", "patients"),
    Column("system", _text(), nullable=False),
    Column("placer", _text(), nullable=False, default=""),
    Column("placer_issuer", _text(), nullable=False, default=""),
    Column("filler", _text(), nullable=False, default=""),
    Column("filler_issuer", _text(), nullable=False, default=""),
    Column("accession", _text(), nullable=False, default=""),
    Column("accession_issuer", _text(), nullable=False, default=""),
    Column("requested_procedure_id", _text(), nullable=False, default=""),
    Column("study_instance_uid", _text(), nullable=False),
    # Made by an appointment, and no order has spoken of it yet: tags of what stands in for its numbers.
    Column("booked", Text, nullable=False, default=""),
    Column("document", Text, nullable=False),
    Column("revision", Integer, nullable=False, default=1),
    # Of the newest message that was applied to it; an older one that comes later is late.
    Column("sent_at", _text(), nullable=False, default=""),  # MSH-7
    Column("effective_at", _text(), nullable=False, default=""),  # ORC-9
    Column("sent_by", _text(), nullable=False, default=""),  # the system whose clock these are of
    Index(None, "placer"), Index(None, "filler"), Index(None, "accession"),
    Index(None, "requested_procedure_id"), Index(None, "study_instance_uid"),
    sqlite_autoincrement=True,
)  # fmt: skip

steps = Table(
    "steps", metadata, _key(),
    _ref("procedure_key", "procedures"),
    Column("step_id", _text(), nullable=False),
    Column("modality", _text(), nullable=False, default=""),
    Column("state", _text(), nullable=False),
    Column("held", Boolean, nullable=False, default=False),  # on hold: on no worklist, whatever the state
    Column("start", _text(), nullable=False, default=""),  # "" without a date; midnight without a time
    Column("start_time", _text(), nullable=False, default=""),  # HHMMSS.FFFFFF, "" without a time
    Column("document", Text, nullable=False),
    Column("revision", Integer, nullable=False, default=1),
    Column("created_at", _text(), nullable=False),
    Column("updated_at", _text(), nullable=False),
    _one_of("state", StepState),
    UniqueConstraint("procedure_key", "step_id"),
    Index(None, "step_id"), Index(None, "start", "key"), Index(None, "modality", "start"),
    _index("ix_steps_open", "start", "key", only=unfinished(column("state"))),
    _index("ix_steps_open_modality", "modality", "start", "key", only=unfinished(column("state"))),
    sqlite_autoincrement=True,
)  # fmt: skip

step_stations = Table(
    "step_stations", metadata, _key(),
    _ref("step_key", "steps"),
    Column("ae_title", _text(), nullable=False),
    Column("start", _text(), nullable=False, default=""),  # the step's: one index answers "station and day"
    # Whether the step is closed; `transitions` keeps it.
    Column("closed", Boolean, nullable=False, default=False, server_default=false()),
    Index(None, "ae_title", "start", "step_key"),
    _index("ix_step_stations_open", "ae_title", "start", "step_key", only=column("closed").is_(false())),
)  # fmt: skip

step_history = Table(
    "step_history", metadata, _key(),
    _ref("step_key", "steps"),
    Column("at", _text(), nullable=False),
    Column("event", _text(), nullable=False),
    Column("before", _text(), nullable=False, default=""),
    Column("after", _text(), nullable=False),
    Column("source", Text, nullable=False),  # "hl7 RIS 12345", "mpps 1.2.3 CT1", "console anna"
    Column("reason", Text, nullable=False, default=""),
)  # fmt: skip

messages = Table(
    "messages", metadata, _key(),
    Column("received_at", _text(), nullable=False),  # for the first time
    Column("last_at", _text(), nullable=False),  # for the last time
    Column("receipts", Integer, nullable=False, default=1),  # how often the same bytes came
    Column("peer", _text(), nullable=False),
    Column("system", _text(), nullable=False, default=""),
    Column("application", _text(), nullable=False, default=""),
    Column("facility", _text(), nullable=False, default=""),
    Column("control_id", _text(), nullable=False, default=""),
    Column("kind", _text(), nullable=False, default=""),  # "ORM^O01"
    Column("digest", _text(), nullable=False),  # SHA-256 of raw, hexadecimal
    Column("raw", LargeBinary, nullable=False),
    # Of the newest attempt to apply it; those before are in message_attempts.
    Column("outcome", _text(), nullable=False),  # MSA-1 of the answer, or "ignored"
    Column("acknowledgement", LargeBinary, nullable=True),
    Column("error", Text, nullable=False, default=""),
    Column("attempted_at", _text(), nullable=False, default=""),
    Column("replayed", Integer, nullable=False, default=0),  # 1: the attempt was a replay
    Index(None, "last_at"), Index(None, "outcome", "last_at"), Index(None, "system", "last_at"),
    Index(None, "control_id", "digest"),
)  # fmt: skip

message_attempts = Table(
    "message_attempts", metadata, _key(),
    _ref("message_key", "messages"),
    Column("attempted_at", _text(), nullable=False),
    Column("replayed", Integer, nullable=False),
    Column("outcome", _text(), nullable=False),
    Column("acknowledgement", LargeBinary, nullable=True),
    Column("error", Text, nullable=False),
)  # fmt: skip

message_keys = Table(
    "message_keys", metadata,
    Column("kind", _text(), primary_key=True),  # mwl.store.messages.KeyKind
    Column("value", _text(), primary_key=True),
    Column(
        "message_key", BigInteger().with_variant(Integer(), "sqlite"),
        ForeignKey("messages.key", ondelete="CASCADE"), primary_key=True, index=True,
    ),
    sqlite_with_rowid=False,  # the key is all there is to a row
)  # fmt: skip

message_links = Table(
    "message_links", metadata, _key(),
    _ref("message_key", "messages"),
    _ref("patient_key", "patients", nullable=True),
    _ref("procedure_key", "procedures", nullable=True),
    _ref("step_key", "steps", nullable=True),
)  # fmt: skip

refused_days = Table(
    "refused_days", metadata,
    Column("day", _text(), primary_key=True),  # YYYY-MM-DD, UTC
    Column("allowance", _text(), primary_key=True),  # mwl.store.allowances.Allowance
    Column("kept", Integer, nullable=False, default=0),
    Column("octets", BigInteger, nullable=False, default=0),
    Column("left_out", Integer, nullable=False, default=0),  # answered, and not kept
)  # fmt: skip

performed = Table(
    "performed", metadata, _key(),
    Column("sop_instance_uid", _text(), nullable=False, unique=True),
    Column("state", _text(), nullable=False),
    Column("calling_ae", _text(), nullable=False),
    # Of its first Scheduled Step Attributes item: an order that comes later finds it by this (F-M19).
    Column("study_instance_uid", _text(), nullable=False, default="", index=True),
    Column("document", Text, nullable=False),
    Column("revision", Integer, nullable=False, default=1),
    Column("created_at", _text(), nullable=False),
    Column("updated_at", _text(), nullable=False),
    # What a person should look at, as mwl.store.linking.Remark words it; a line each.
    Column("remarks", Text, nullable=False, default="", server_default=""),
    # A person has looked, or has linked it by hand: "console anna", with the instant.
    Column("settled_by", Text, nullable=False, default="", server_default=""),
    Column("settled_at", _text(), nullable=False, default="", server_default=""),
    _one_of("state", PerformedState),
    Index(None, "state", "updated_at"),
)  # fmt: skip

performed_requests = Table(
    "performed_requests", metadata, _key(),
    _ref("performed_key", "performed"),
    Column("at", _text(), nullable=False),
    Column("operation", _text(), nullable=False),  # N-CREATE, N-SET
    Column("calling_ae", _text(), nullable=False),
    Column("address", _text(), nullable=False, default=""),
    Column("transfer_syntax", _text(), nullable=False),
    Column("data", LargeBinary, nullable=True),  # as the device sent it: it is forwarded so (M13)
)  # fmt: skip

performed_links = Table(
    "performed_links", metadata, _key(),
    _ref("performed_key", "performed"),
    _ref("step_key", "steps"),
    Column("rule", _text(), nullable=False),  # the rung of the ladder that linked them
    UniqueConstraint("performed_key", "step_key"),
)  # fmt: skip

outbox = Table(
    "outbox", metadata, _key(),
    Column("kind", _text(), nullable=False),  # "status": HL7 to a system
    Column("destination", _text(), nullable=False),  # name of the system
    Column("thread", _text(), nullable=False),  # rows of one thread leave in the order of their keys
    Column("state", _text(), nullable=False),
    Column("control_id", _text(), nullable=False, unique=True),  # MSH-10: the same at every attempt
    Column("facts", Text, nullable=False),  # JSON: what happened, to what
    Column("payload", LargeBinary, nullable=True),  # the bytes, once composed; never composed twice
    Column("created_at", _text(), nullable=False),
    Column("due_at", _text(), nullable=False),
    Column("attempts", Integer, nullable=False, default=0),
    Column("lease_owner", _text(), nullable=True),
    Column("lease_until", _text(), nullable=True),
    Column("finished_at", _text(), nullable=True),
    Column("last_error", Text, nullable=False, default=""),
    _one_of("state", OutboxState),
    CheckConstraint(
        "(state IN ('delivered', 'discarded')) = (finished_at IS NOT NULL)", name="finished"
    ),
    Index(None, "state", "destination", "thread", "key"), Index(None, "state", "key"),
    _index("ix_outbox_finished_at", "finished_at", only=column("finished_at").is_not(None)),
)  # fmt: skip

audit_spool = Table(
    "audit_spool", metadata, _key(),  # what the collector has is deleted: see mwl.store.spool
    Column("created_at", _text(), nullable=False),
    Column("message", LargeBinary, nullable=False),  # the bytes that are sent
    Column("lease_owner", _text(), nullable=True),
    Column("lease_until", _text(), nullable=True),
    Index(None, "created_at"),
    sqlite_autoincrement=True,
)  # fmt: skip

callers = Table(
    "callers", metadata, _key(),
    Column("calling_ae", _text(), nullable=False),
    Column("called_ae", _text(), nullable=False),
    Column("address", _text(), nullable=False),
    Column("implementation_uid", _text(), nullable=False, default=""),
    Column("implementation_version", _text(), nullable=False, default=""),
    Column("reason", _text(), nullable=False),  # why it was refused
    Column("first_seen", _text(), nullable=False),
    Column("last_seen", _text(), nullable=False),
    Column("count", Integer, nullable=False, default=1),
    # JSON: presentation contexts and what else it proposed, at the latest refusal.
    Column("association", Text, nullable=False, default="", server_default=""),
    UniqueConstraint("calling_ae", "called_ae", "address"),
)  # fmt: skip

queries = Table(
    "queries", metadata, _key(),
    Column("calling_ae", _text(), nullable=False),
    Column("called_ae", _text(), nullable=False),
    Column("address", _text(), nullable=False),
    Column("implementation_uid", _text(), nullable=False, default=""),
    Column("implementation_version", _text(), nullable=False, default=""),
    Column("association", Text, nullable=False, default=""),  # JSON: what it proposed, and got
    Column("transfer_syntax", _text(), nullable=False),
    Column("identifier", LargeBinary, nullable=False),  # as it came
    Column("digest", _text(), nullable=False),  # SHA-256 of syntax and identifier: a poll is one row, counted
    Column("first_at", _text(), nullable=False),
    Column("last_at", _text(), nullable=False),
    Column("count", Integer, nullable=False, default=1),
    # Of the latest answer.
    Column("profile", _text(), nullable=False, default=""),
    Column("profile_digest", _text(), nullable=False, default=""),
    Column("status", _text(), nullable=False),  # four hexadecimal digits
    Column("matched", Integer, nullable=False, default=0),
    Column("sent", Integer, nullable=False, default=0),
    Column("left_out", Text, nullable=False, default=""),  # JSON: step, reason, attribute, line
    Column("microseconds", Integer, nullable=False, default=0),
    UniqueConstraint("calling_ae", "digest"),
    Index(None, "calling_ae", "last_at"), Index(None, "last_at"),
)  # fmt: skip

shadows = Table(
    "shadows", metadata, _key(),
    Column("calling_ae", _text(), nullable=False),
    Column("query_digest", _text(), nullable=False),
    Column("profile", _text(), nullable=False),  # the draft that runs beside the device's own
    Column("profile_digest", _text(), nullable=False),
    Column("last_at", _text(), nullable=False),
    Column("count", Integer, nullable=False, default=1),
    Column("differences", Text, nullable=False, default=""),  # JSON; "" where nothing differs
    UniqueConstraint("calling_ae", "query_digest", "profile_digest"),
    Index(None, "last_at"),
)  # fmt: skip

handles = Table(
    "handles", metadata, _key(),
    Column("tag", _text(), nullable=False),
    Column("handle", _text(), nullable=False),  # what a device is given for a value that its VR cannot hold
    Column("value", _text(), nullable=False),
    UniqueConstraint("tag", "handle"), UniqueConstraint("tag", "value"),
)  # fmt: skip

profile_sets = Table(
    "profile_sets", metadata, _key(),
    Column("at", _text(), nullable=False),
    Column("digest", _text(), nullable=False),
    Column("who", Text, nullable=False),
    Column("reason", Text, nullable=False, default=""),
    Column("files", Text, nullable=False),  # JSON: path in the site's folder to its text
)  # fmt: skip

doubts = Table(
    "doubts", metadata, _key(),
    _ref("step_key", "steps"),
    _ref("message_key", "messages", nullable=True),
    Column("calling_ae", _text(), nullable=False),  # the device that would not be sent it, or may refuse it
    Column("path", _text(), nullable=False),
    Column("withheld", Boolean, nullable=False),
    Column("message", Text, nullable=False),  # no patient data
    Column("origin", Text, nullable=False, default=""),  # file:line of the profile
    Column("at", _text(), nullable=False),
    UniqueConstraint("step_key", "calling_ae", "path", "message"),
)  # fmt: skip
