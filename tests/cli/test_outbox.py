"""`mwl outbox`: what waits, and a person's decision about what was refused."""

from __future__ import annotations

import datetime as dt

import pytest

from mwl.store import outbox

FACTS = {"event": "IP", "patient": {"00100010": {"vr": "PN", "Value": [{"Alphabetic": "DOE^JANE"}]}}}


@pytest.fixture
def rows(database) -> list[int]:
    """Two rows for the RIS: the first parked, the second pending."""

    def work(tx) -> list[int]:
        for thread in ("procedure:1", "procedure:2"):
            outbox.enqueue_status(tx, destination="RIS", thread=thread, facts=FACTS)
        keys = sorted(row.key for row in outbox.browse(tx))
        outbox.claim(tx, "test", dt.timedelta(minutes=1), 1)
        outbox.parked(tx, keys[0], "AE unknown order")
        return keys

    return database.write_now(work)


def test_rows_are_listed_newest_first(mwl, rows):
    """What is told, to whom, and why it did not get through; not whom it is about."""
    result = mwl("outbox", "list")

    first, second = result.out.splitlines()[1:]
    assert first.split()[:6] == [str(rows[1]), "RIS", "IP", "procedure:2", "pending", "0"]
    assert "parked" in second
    assert second.endswith("AE unknown order")
    assert "DOE" not in result.out


def test_rows_are_chosen_by_state_and_destination(mwl, rows):
    """A program asks for JSON."""
    assert [row["key"] for row in mwl("outbox", "list", "--state", "parked", "--json").json] == [rows[0]]
    assert mwl("outbox", "list", "--to", "HIS", "--json").json == []


def test_a_parked_row_is_sent_again(mwl, rows):
    """It becomes pending under its old control ID."""
    before = mwl("outbox", "list", "--json").json[1]

    assert mwl("outbox", "retry", rows[0]).out == f"{rows[0]} is due again\n"

    after = mwl("outbox", "list", "--json").json[1]
    assert (after["state"], after["control_id"]) == ("pending", before["control_id"])


def test_rows_are_discarded(mwl, rows):
    """A decision against sending is final."""
    assert mwl("outbox", "discard", *rows).code == 0
    assert mwl("outbox", "retry", rows[0]).code == 1


def test_all_rows_are_changed_or_none(mwl, rows):
    """One that may not be changed leaves the others as they were."""
    assert mwl("outbox", "retry", rows[0], 999).code == 1

    assert mwl("outbox", "list", "--json").json[1]["state"] == "parked"
