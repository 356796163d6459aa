"""A database of any earlier schema is brought to this one with everything in it, on SQLite and PostgreSQL."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from alembic import command
from sqlalchemy import Connection, Engine, text
from store.exams import began, ended, order, unscheduled

from mwl.errors import SchemaTooNew
from mwl.store import Store, effects, migrations, open_store, outbox, performed, retention
from mwl.store import engine as engines
from mwl.store.engine import Link

EARLIER = sorted(migrations._known() - {migrations.HEAD})
AT = "2026-07-05T09:00:00.000000+00:00"
PATIENT = {
    "00100010": {"vr": "PN", "Value": [{"Alphabetic": "DOE^JOHN", "Ideographic": "山田^太郎"}]},
    "00100020": {"vr": "LO", "Value": ["PID001"]},
}
PROCEDURE = {
    "00080050": {"vr": "SH", "Value": ["ACC1001"]},
    "00401001": {"vr": "SH", "Value": ["RP1001"]},
    "0020000D": {"vr": "UI", "Value": ["1.2.276.0.99.1001"]},
}
ROWS: dict[str, list[Mapping[str, Any]]] = {
    "patients": [
        {"key": 1, "patient_id": "PID001", "issuer": "", "document": PATIENT, "revision": 3, "merged_into": None},
        {"key": 2, "patient_id": "PID555", "issuer": "", "document": {}, "revision": 1, "merged_into": 1},
    ],
    "patient_names": [{"key": 1, "patient_key": 1, "representation": 0, "folded": "doe^john"}],
    "procedures": [{
        "key": 1, "patient_key": 1, "system": "RIS", "placer": "P1001", "placer_issuer": "", "filler": "F1001",
        "filler_issuer": "", "accession": "ACC1001", "accession_issuer": "", "requested_procedure_id": "RP1001",
        "study_instance_uid": "1.2.276.0.99.1001", "booked": "", "document": PROCEDURE, "revision": 2,
        "sent_at": "", "effective_at": "", "sent_by": "",
    }],
    "steps": [
        {
            "key": n, "procedure_key": 1, "step_id": f"S{n}", "modality": "CT", "state": state, "held": False,
            "start": "20260705090000.000000", "start_time": "090000.000000", "revision": 1,
            "document": {"00400009": {"vr": "SH", "Value": [f"S{n}"]}}, "created_at": AT, "updated_at": AT,
        }
        for n, state in ((1, "SCHEDULED"), (2, "COMPLETED"))
    ],
    "step_stations": [
        {"key": n, "step_key": n, "ae_title": "CT1", "start": "20260705090000.000000"} for n in (1, 2)
    ],
    "messages": [{
        "key": 1, "received_at": AT, "last_at": AT, "receipts": 1, "peer": "x", "system": "RIS",
        "application": "RIS", "facility": "", "control_id": "C1", "kind": "ORM^O01", "digest": "0" * 64,
        "raw": b"MSH|", "outcome": "AA", "acknowledgement": b"MSA|AA", "error": "", "attempted_at": AT,
        "replayed": 0,
    }],
    "performed": [{
        "key": 1, "sop_instance_uid": "1.2.3", "state": "COMPLETED", "calling_ae": "CT1",
        "study_instance_uid": "1.2.276.0.99.1001", "document": {}, "revision": 2, "created_at": AT,
        "updated_at": AT,
    }],
    "performed_links": [{"key": 1, "performed_key": 1, "step_key": 2, "rule": "by_step"}],
    "outbox": [
        {
            "key": n, "kind": "status", "destination": "RIS", "thread": "procedure:1", "state": state,
            "control_id": f"ID{n}", "facts": {"event": "CM", "about": [2]}, "payload": None, "created_at": AT,
            "due_at": AT, "attempts": 1, "finished_at": finished, "last_error": "",
        }
        for n, state, finished in ((1, "delivered", AT), (2, "pending", None))
    ],
}  # fmt: skip


def brought_to(engine: Engine, revision: str) -> None:
    """Make the schema as the program of that time did, and fill it."""
    engines.make_file(engine)
    with Link(engine, writing=True) as link, link.transaction() as connection:
        configuration = migrations._configuration()
        configuration.attributes["connection"] = connection
        command.upgrade(configuration, revision)
        for table, rows in ROWS.items():
            for row in rows:
                _insert(connection, table, row)


def _insert(connection: Connection, table: str, row: Mapping[str, Any]) -> None:
    values = {name: json.dumps(value) if isinstance(value, dict) else value for name, value in row.items()}
    names = ", ".join(values)
    places = ", ".join(f":{name}" for name in values)
    connection.execute(text(f"INSERT INTO {table} ({names}) VALUES ({places})"), values)
    if connection.dialect.name == "postgresql":
        connection.execute(text(f"SELECT setval(pg_get_serial_sequence('{table}', 'key'), {row['key']})"))


def rows(store: Store, table: str) -> list[dict[str, Any]]:
    """Return what a table holds of what it held before."""
    names = ", ".join(ROWS[table][0])
    found = store.read_now(
        lambda tx: tx.connection.execute(text(f"SELECT {names} FROM {table} ORDER BY key")).mappings().all()
    )
    return [dict(row) for row in found]


def before(table: str) -> list[dict[str, Any]]:
    return [
        {name: json.dumps(value) if isinstance(value, dict) else value for name, value in row.items()}
        for row in ROWS[table]
    ]


@pytest.fixture(params=EARLIER)
def upgraded(request: pytest.FixtureRequest, empty_url: str) -> Iterator[Store]:
    """A store on a database of an earlier schema, opened by the program of now."""
    engine = engines.create(empty_url)
    brought_to(engine, request.param)
    store = open_store(empty_url)
    yield store
    store.close_now()


def test_everything_is_as_it_was(upgraded: Store) -> None:
    """Every row, every column, to the character."""
    assert migrations.current(upgraded.engine) == migrations.HEAD
    for table in ROWS:
        assert rows(upgraded, table) == [
            {name: bool(value) if name == "held" else value for name, value in row.items()}
            for row in before(table)
        ], table


def test_work_goes_on_where_it_was(upgraded: Store) -> None:
    """An order is found by its numbers, an exam is linked and told, what waited is sent, what is old goes."""
    told = frozenset({("RIS", event) for event in outbox_events()})

    def work(tx: Any) -> tuple[Any, ...]:
        placed = effects.apply(tx, order("1001", "S1"), source="hl7 RIS 2", uid_root=None, told=told)
        made = performed.create(tx, "1.2.4", began(), calling_ae="CT1", told=told)
        performed.update(tx, "1.2.4", ended(), calling_ae="CT1", told=told)
        performed.create(tx, "1.2.5", began(unscheduled()), calling_ae="CT1", told=told)
        return placed.steps, made.step.key

    step_keys, exam = upgraded.write_now(work)
    claimed = upgraded.write_now(lambda tx: outbox.claim(tx, "me", dt.timedelta(minutes=1), 10))
    gone = upgraded.write_now(lambda tx: retention.purge_outbox(tx, tx.now + dt.timedelta(days=1)))

    assert step_keys == (1,)
    assert exam == 2
    assert [row.key for row in claimed] == [2]
    assert gone == 1


def outbox_events() -> list[Any]:
    from mwl.model import StatusEvent

    return list(StatusEvent)


def test_an_old_worklist_query_finds_what_is_open(upgraded: Store) -> None:
    """The indexes and columns of today know of the steps of yesterday."""
    from mwl.model import STEP_SEQUENCE
    from mwl.query import Criterion, Op, WorklistQuery
    from mwl.store import steps

    station = Criterion((STEP_SEQUENCE, "00400001"), Op.IN, ("CT1",))
    waiting = Criterion((STEP_SEQUENCE, "00400020"), Op.IN, ("SCHEDULED",))

    found = upgraded.read_now(lambda tx: steps.match(tx, WorklistQuery((station, waiting))))
    every = upgraded.read_now(lambda tx: steps.match(tx, WorklistQuery((station,))))

    assert [ref.key for ref in found] == [1]
    assert [ref.key for ref in every] == [1, 2]


def test_a_schema_of_tomorrow_is_refused_and_nothing_is_changed(empty_url: str) -> None:
    """By every way into the database; the command ends with 78 (see ``tests/cli``)."""
    engine = engines.create(empty_url)
    brought_to(engine, migrations.HEAD)
    with Link(engine, writing=True) as link, link.transaction() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))

    for migrate in (True, False):
        with pytest.raises(SchemaTooNew, match="9999"):
            open_store(empty_url, migrate=migrate)

    with Link(engine, writing=False) as link, link.transaction() as connection:
        assert connection.execute(text("SELECT count(*) FROM steps")).scalar() == 2
