"""What a console makes of an answer, without a network."""

from __future__ import annotations

from mwl.dicom.emulators import DEVICES, Judge, OnBad, look
from mwl.dicom.emulators.console import settle, take
from mwl.dicom.emulators.keys import data_set
from mwl.dicom.emulators.outcome import Seen
from mwl.dicom.emulators.rules import cut, with_value

NAMED = Judge(refuses=(with_value("PatientName", "PatientID"),), remarks=(cut("PatientName", 3),))
GOOD = data_set(("PatientName=DOE^JANE", "PatientID=1"), {})
BAD = data_set(("PatientName",), {})


def test_an_item_is_shown_or_not_with_all_reasons():
    """In the order they came; remarks are on what is shown."""
    seen = Seen("any", "", {})

    refused = [take(NAMED, item, seen) for item in (GOOD, BAD)]

    assert refused == [False, True]
    assert seen.received == [GOOD, BAD]
    assert seen.shown == [GOOD]
    assert seen.not_shown == [(BAD, "PatientName is empty; PatientID is absent")]
    assert seen.remarks == [(GOOD, "PatientName is cut to 3 of 8 characters")]
    assert not seen.content


def test_an_item_that_cannot_be_read_is_not_judged():
    """Its one reason is that."""
    seen = Seen("any", "", {})

    assert take(NAMED, {}, seen, unreadable="it cannot be read")
    assert seen.not_shown == [({}, "it cannot be read")]


def test_of_items_with_one_value_the_last_is_shown():
    """F28; an item without the value is nobody's double."""
    items = [
        data_set((f"StudyInstanceUID={uid}", f"PatientID={n}"), {})
        for n, uid in enumerate(("1.2", "1.3", "1.2"))
    ]
    without = data_set(("PatientID=9",), {})

    seen = look("sim-ge-logiq7", [*items, without])

    assert seen.shown == [items[1], items[2], without]
    assert seen.not_shown == [(items[0], "a later entry has the same StudyInstanceUID")]


def test_an_empty_list_may_be_said():
    """Some consoles say so; it is no error."""
    seen = look("sim-medison", [])

    assert seen.log == ["the console says: no items found"]
    assert seen.content
    assert look("sim-terason", []).log == []


def test_an_error_is_not_called_an_empty_list():
    """Nothing is shown for another reason."""
    seen = Seen("any", "", {}, error="query failed")

    settle(Judge(empty="no items found"), seen)

    assert seen.log == []


def test_a_console_may_stop_at_the_first_bad_item():
    """F27: what came before is kept."""
    seen = look(DEVICES["sim-ge-ct"], [BAD, GOOD], on_bad=OnBad.ABORT)

    assert len(seen.received) == 1
    assert seen.error == "an entry of the worklist is wrong: the update was aborted"
    assert len(look("sim-ge-ct", [BAD, GOOD], on_bad="skip").received) == 2
