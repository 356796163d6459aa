"""`mwl outbox` on what leaves by DICOM: who gets it, of which performed step, and the request as it came."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from mwl.store import Store, Transaction, onward, outbox, performed, requests
from mwl.store.onward import CREATE, SET, Copy, Notice, Onward, Route

EXPLICIT = "1.2.840.10008.1.2.1"
STEP = {"00400252": {"vr": "CS", "Value": ["IN PROGRESS"]}}
RAW = b"\x40\x00\x52\x02CS\x0c\x00IN PROGRESS "


@pytest.fixture
def rows(database: Store) -> dict[str, int]:
    """A request as it came, one in the broker's words, one that cannot be read, and a notification."""
    with Path("mwl.yaml").open("a") as configuration:
        configuration.write(
            "forward: {PACS: {ae_title: ARCHIVE, to: 'pacs:104'}, OLD: {ae_title: X, to: 'x:1'}}\n"
        )
        configuration.write("dicom: {subscribers: {VIEW: {ae_title: VIEWER, to: 'view:105'}}}\n")

    def keep(tx: Transaction, key: int, data: bytes) -> int:
        return requests.keep(
            tx, key, operation=CREATE, calling_ae="CT1", address="", transfer_syntax=EXPLICIT, data=data
        )

    def work(tx: Transaction) -> dict[str, int]:
        step = performed.create(tx, "1.2.3", STEP, calling_ae="CT1", told=()).step
        copies = [
            Copy(CREATE, keep(tx, step.key, RAW)), Copy(SET, document=STEP), Copy(SET, keep(tx, step.key, b"\xff")),
        ]  # fmt: skip
        to = Onward((Route("PACS"),), ("VIEW",))
        onward.send_first(tx, step, copies, to)
        onward.notify(tx, step, [Notice.IN_PROGRESS], to)
        found = sorted(row.key for row in outbox.browse(tx))
        return dict(zip(("sent", "canonical", "rubbish", "notice"), found, strict=True))

    return database.write_now(work)


def test_rows_are_listed_with_the_performed_step(mwl, rows):
    """The operation, or the state, and its UID; by the name of a peer that is configured."""
    listed = [line.split()[1:5] for line in mwl("outbox", "list").out.splitlines()[1:]]

    assert listed == [
        ["VIEW", "IN", "PROGRESS", "1.2.3"], ["PACS", "N-SET", "1.2.3", "pending"],
        ["PACS", "N-SET", "1.2.3", "pending"], ["PACS", "N-CREATE", "1.2.3", "pending"],
    ]  # fmt: skip
    assert mwl("outbox", "list", "--to", "OLD", "--json").json == []
    assert mwl("outbox", "list", "--to", "OLF").code == 2


def test_a_row_shows_the_request_it_repeats(mwl, rows):
    """As the device sent it, or as it is stored; where it goes; a program gets the document."""
    shown = mwl("outbox", "show", rows["sent"]).out

    assert "PACS, ARCHIVE at pacs:104" in shown
    assert "PerformedProcedureStepStatus: IN PROGRESS" in shown
    assert mwl("outbox", "show", rows["canonical"], "--json").json["document"] == STEP
    assert "VIEW, VIEWER at view:105" in mwl("outbox", "show", rows["notice"]).out


def test_a_request_that_cannot_be_read_is_still_there(mwl, rows):
    """Its bytes are; nothing is said of what they mean."""
    assert mwl("outbox", "show", rows["rubbish"], "--json").json["document"] == {}
    assert mwl("outbox", "show", rows["rubbish"]).code == 0


def test_the_bytes_of_a_request_are_written_as_they_came(rows):
    """And nothing else."""
    command = [sys.executable, "-m", "mwl", "outbox", "show", str(rows["sent"]), "--raw"]

    assert subprocess.run(command, capture_output=True, timeout=60, check=True).stdout == RAW
