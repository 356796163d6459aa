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
            outbox.enqueue(tx, destination="RIS", thread=thread, facts=FACTS)
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
    assert [row["key"] for row in mwl("outbox", "list", "--destination", "RIS", "--json").json] == rows[::-1]
    assert mwl("outbox", "list", "--to", "any", "--json").json == []


@pytest.mark.parametrize("command", [("list",), ("retry", "--all"), ("discard", "--all")])
def test_a_misspelt_system_is_wrong_usage(mwl, rows, command):
    """It is not told that nothing waits for it."""
    result = mwl("outbox", *command, "--to", "RSI")

    assert (result.code, "nothing is sent to 'RSI': did you mean 'RIS'?" in result.err) == (2, True)
    assert mwl("outbox", *command, "--to", "XYZ").err.strip().endswith("'XYZ'; there are RIS, any")


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


def test_all_parked_rows_are_sent_again(mwl, database, rows):
    """Of one system, or of all; what is pending is sent anyway."""
    result = mwl("outbox", "retry", "--all", "--to", "RIS", "--state", "parked")

    assert (result.code, result.out) == (0, f"{rows[0]} is due again\n")
    assert mwl("outbox", "retry", "--all", "--destination", "RIS").out == "nothing is parked for RIS\n"


def overtake(store) -> tuple[int, int]:
    """Park a row about a step and deliver a later one about it; return their keys."""

    def work(tx) -> tuple[int, int]:
        for event in ("IP", "CM"):
            facts = {**FACTS, "event": event, "about": [7]}
            outbox.enqueue(tx, destination="RIS", thread="procedure:7", facts=facts)
        later, first = (row.key for row in outbox.browse(tx, limit=2))
        outbox.parked(tx, first, "AE")
        outbox.delivered(tx, later)
        return first, later

    return store.write_now(work)


def test_a_row_that_was_overtaken_is_left_and_told(mwl, database, rows):
    """IN PROGRESS after COMPLETED would be a lie, whoever asks for it."""
    first, later = overtake(database)

    alone = mwl("outbox", "retry", first)
    every = mwl("outbox", "retry", "--all")
    as_json = mwl("outbox", "retry", "--all", "--json")

    reason = (
        f"row {first} (IP) was overtaken: row {later} (CM) about the same step was delivered since; "
        f"it can only be discarded"
    )
    assert (alone.code, alone.err) == (1, f"mwl: {reason}\n")
    assert (every.code, every.out, every.err) == (1, f"{rows[0]} is due again\n", f"mwl: {reason}\n")
    assert (as_json.code, as_json.json) == (1, {"done": [], "refused": {str(first): reason}})
    assert mwl("outbox", "discard", "--all").out == f"{first} is discarded\n"


def test_what_is_pending_is_discarded_in_one_go(mwl, rows):
    """A system is gone, and what waits for it waits for nobody."""
    result = mwl("outbox", "discard", "--all", "--to", "RIS", "--state", "pending", "--json")

    assert (result.code, result.json) == (0, {"done": [rows[1]], "refused": {}})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("retry",), "name rows, as mwl outbox list shows them, or say --all"),
        (("discard", "1", "--all"), "name rows, or say --all: not both"),
        (("retry", "1", "--to", "RIS"), "--to and --state go with --all"),
        (("retry", "--all", "--state", "pending"), "'pending' is not 'parked'"),
        (("discard", "one"), "'one' is not a valid integer"),
    ],
)
def test_wrong_usage_is_told_in_a_sentence(mwl, rows, arguments, message):
    """What to write instead; nothing is changed."""
    result = mwl("outbox", *arguments)

    assert (result.code, message in result.err) == (2, True)
    assert [row["state"] for row in mwl("outbox", "list", "--json").json] == ["pending", "parked"]


# --- one row -------------------------------------------------------------------------------------


@pytest.fixture
def told(database, tmp_path) -> int:
    """A row about an exam, for a RIS of the configuration; never tried."""
    with (tmp_path / "mwl.yaml").open("a") as file:
        file.write(
            "site: {timezone: Europe/Berlin}\n"
            'systems: {RIS: {application: RIS, status: {to: "127.0.0.1:9", message: ORU^R01}}}\n'
        )
    facts = {
        **FACTS, "event": "CM", "at": "2026-07-05T07:30:00+00:00", "about": [17], "reason": "by hand",
        "procedure": {"00080050": {"vr": "SH", "Value": ["ACC1"]}},
        "steps": [{"00400009": {"vr": "SH", "Value": ["SPS1"]}}],
    }  # fmt: skip

    def work(tx) -> int:
        outbox.enqueue(tx, destination="RIS", thread="procedure:1", facts=facts)
        return outbox.browse(tx)[0].key

    return database.write_now(work)


def test_a_row_is_shown_with_what_it_tells_and_the_message_it_would_be(mwl, told):
    """Before it was ever tried: the profile as it stands now words it, nothing is stored."""
    result = mwl("outbox", "show", told)

    lines = [line.strip() for line in result.out.splitlines()]
    assert result.code == 0
    assert "to          RIS, 127.0.0.1:9" in lines
    assert "tells       CM ACC1" in lines
    assert "of          step 17" in lines
    assert "because     by hand" in lines
    assert "tried       0 times" in lines
    assert "(0040,0009) SH ScheduledProcedureStepID: SPS1" in lines
    assert "message, as it would be worded now" in lines
    assert any(line.startswith("OBR|1|||") and "|ACC1||SPS1|" in line for line in lines)
    assert mwl("outbox", "list", "--json").json[0]["payload"] is None


def test_a_row_that_was_tried_is_shown_as_it_was_sent(mwl, database, told):
    """By its number or its control ID, with what the peer said; the bytes alone for a file."""
    sent = b"MSH|^~\\&|MWL|||||||X\rPID|||SECRET\x1b[2J\r"

    def work(tx) -> str:
        (row,) = outbox.claim(tx, "host:1:x", dt.timedelta(minutes=1), 1)
        outbox.composed(tx, row.key, sent)
        outbox.failed(tx, row.key, "AE no \x1b[31mred", tx.now)
        return row.control_id

    control_id = database.write_now(work)
    result = mwl("outbox", "show", control_id)

    assert (result.code, "tried       once" in result.out, "\x1b" in result.out) == (0, True, False)
    assert "message\n  MSH|^~\\&|MWL|||||||X\n  PID|||SECRET\\x1b[2J\n" in result.out
    shown = mwl("outbox", "show", told, "--json").json
    assert (shown["control_id"], shown["composed"], shown["attempts"]) == (control_id, True, 1)
    assert shown["message"] == sent.decode()
    assert shown["last_error"] == "AE no \x1b[31mred"


def test_a_row_of_a_system_that_is_gone_is_shown_all_the_same(mwl, rows):
    """Whatever the configuration says today, and whatever is wrong with it."""
    result = mwl("outbox", "show", rows[0])

    assert (result.code, "RIS, which is told nothing now" in result.out) == (0, True)
    assert "last error  AE unknown order" in result.out


@pytest.mark.parametrize("row", ["999", "01J0XXXXXXXXXXXXXXXX", "9" * 40, "\x1b[2J"])
def test_a_row_that_is_not_there_is_told_so(mwl, rows, row):
    """With the command that lists those that are."""
    result = mwl("outbox", "show", row)

    assert result.code == 1
    assert result.err.endswith("see mwl outbox list\n")
    assert "\x1b" not in result.err
