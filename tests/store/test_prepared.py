"""Statements that go to the driver as they are say and mean what SQLAlchemy's own way does."""

from __future__ import annotations

import pytest
from sqlalchemy import bindparam, exc, insert, select

from mwl.store import Store, Transaction
from mwl.store.prepared import Prepared, change, new
from mwl.store.tables import messages, patients, procedures, steps

RAW = b"MSH|\x00\xff"


def message(**more: object) -> dict[str, object]:
    return {
        "received_at": "2026-07-05", "last_at": "2026-07-05", "peer": "", "digest": "d", "raw": RAW,
        "outcome": "AA", **more,
    }  # fmt: skip


def test_an_insert_gives_its_key_and_the_defaults_of_its_columns(store: Store) -> None:
    """What is not bound has its column's default, or is NULL; octets come back as octets."""

    def work(tx: Transaction) -> tuple[int, object]:
        key = new(messages, key=True).scalar(tx.connection, message(peer="PEER"))
        return key, tx.connection.execute(select(messages)).one()

    key, row = store.write_now(work)

    assert (row.key, row.peer, row.receipts, row.error, row.acknowledgement) == (key, "PEER", 1, "", None)
    assert bytes(row.raw) == RAW


def test_rows_have_the_values_that_sqlalchemy_gives(store: Store) -> None:
    """Flags come back as flags and octets as octets, whatever the database keeps them as."""

    def work(tx: Transaction) -> tuple[object, object]:
        patient = new(patients, key=True).scalar(tx.connection, {"patient_id": "P1", "document": "{}"})
        procedure = new(procedures, key=True).scalar(
            tx.connection,
            {"patient_key": patient, "system": "RIS", "study_instance_uid": "1.2", "document": "{}"},
        )
        new(steps).run(
            tx.connection,
            {"procedure_key": procedure, "step_id": "S1", "state": "SCHEDULED", "held": True,
             "document": "{}", "created_at": "", "updated_at": ""},
        )  # fmt: skip
        new(messages).run(tx.connection, message())
        both = (
            select(steps.c.held, steps.c.step_id, messages.c.raw)
            .join(messages, steps.c.step_id != messages.c.digest)
            .where(steps.c.held == bindparam("held"))
        )
        found = Prepared(both).first(tx.connection, {"held": True})
        return found, tx.connection.execute(both, {"held": True}).one()

    found, expected = store.write_now(work)

    assert tuple(found) == tuple(expected) == (True, "S1", RAW)
    assert found.held is True
    assert type(found.raw) is bytes


def test_what_a_statement_says_itself_need_not_be_bound(store: Store) -> None:
    """A LIMIT, or a text compared with, is part of the statement."""

    def work(tx: Transaction) -> list[tuple[str]]:
        rows = [{"patient_id": f"P{n}", "document": "{}"} for n in range(3)]
        new(patients).run_all(tx.connection, rows)
        two = select(patients.c.patient_id).where(patients.c.issuer == "").order_by(patients.c.key).limit(2)
        return [tuple(row) for row in Prepared(two).all(tx.connection, {})]

    assert store.write_now(work) == [("P0",), ("P1",)]


def test_nothing_is_run_for_no_rows(store: Store) -> None:
    """A list without rows is no insert of nothing."""

    def work(tx: Transaction) -> object:
        new(patients).run_all(tx.connection, [])
        return Prepared(select(patients.c.key)).scalar(tx.connection, {})

    assert store.write_now(work) is None


@pytest.mark.parametrize("several", [False, True])
def test_an_error_is_sqlalchemys_and_quotes_no_row(store: Store, several: bool) -> None:
    """What broke a constraint is seen as such; the row, which holds a patient, is not in the error."""
    row = {"patient_id": "SECRET", "document": "{}"}
    store.write_now(lambda tx: tx.connection.execute(insert(patients), row))

    def work(tx: Transaction) -> None:
        if several:
            new(patients).run_all(tx.connection, [row])
        else:
            new(patients).run(tx.connection, row)

    with pytest.raises(exc.IntegrityError) as refused:
        store.write_now(work)

    assert "SECRET" not in str(refused.value)


def test_a_list_may_have_any_number_of_values(store: Store) -> None:
    """None of them, a few, and more than a statement is compiled for."""
    rows = [{"patient_id": f"P{n:02}", "document": "{}"} for n in range(20)]
    store.write_now(lambda tx: new(patients).run_all(tx.connection, rows))
    ids = [row["patient_id"] for row in rows]
    named = (
        select(patients.c.patient_id)
        .where(patients.c.patient_id.in_(bindparam("ids", expanding=True)), patients.c.issuer == "")
        .order_by(patients.c.key)
    )
    listed = Prepared(named)

    def found(wanted: list[str]) -> list[str]:
        return store.read_now(lambda tx: listed.scalars(tx.connection, {"ids": wanted}))

    assert [found(ids[:count]) for count in (0, 1, 2, 1, 8, 9, 20)] == [
        ids[:count] for count in (0, 1, 2, 1, 8, 9, 20)
    ]


def test_a_list_that_a_statement_states_is_part_of_it(store: Store) -> None:
    """It need not be bound."""
    rows = [{"patient_id": f"P{n}", "document": "{}"} for n in range(3)]
    store.write_now(lambda tx: new(patients).run_all(tx.connection, rows))
    some = select(patients.c.patient_id).where(patients.c.patient_id.in_(["P0", "P2"]))

    found = store.read_now(lambda tx: Prepared(some).scalars(tx.connection, {}))

    assert sorted(found) == ["P0", "P2"]


def test_columns_of_one_row_are_changed(store: Store) -> None:
    """The others keep what they have."""

    def work(tx: Transaction) -> list[tuple[str, str]]:
        keys = [
            new(patients, key=True).scalar(tx.connection, {"patient_id": each, "document": "{}"})
            for each in ("P1", "P2")
        ]
        change(patients, ("issuer",)).run(tx.connection, {"row": keys[1], "issuer": "HOSP"})
        rows = tx.connection.execute(select(patients).order_by(patients.c.key))
        return [(row.patient_id, row.issuer) for row in rows]

    assert store.write_now(work) == [("P1", ""), ("P2", "HOSP")]
