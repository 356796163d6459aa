"""Data sets as lines of text."""

from __future__ import annotations

import pytest

from mwl.dicom.emulators.keys import data_set, encoded
from mwl.dicom.encoding import Unencodable, decode_dataset
from mwl.mapping.text.charset import Unfit

IMPLICIT, EXPLICIT = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1"
NAME = "00100010"


def test_lines_become_elements_where_their_paths_lead():
    """With a value, with facts filled in, without a value, and in a sequence."""
    written = data_set(
        ("PatientName=DOE*", "SPS.ScheduledStationAETitle={ae}", "SPS.Modality", "ReferencedStudySequence"),
        {"ae": "CT1"},
    )

    assert written == {
        NAME: {"vr": "PN", "Value": [{"Alphabetic": "DOE*"}]},
        "00400100": {
            "vr": "SQ",
            "Value": [{"00400001": {"vr": "AE", "Value": ["CT1"]}, "00080060": {"vr": "CS"}}],
        },
        "00081110": {"vr": "SQ"},
    }


def test_a_later_line_takes_the_place_of_an_earlier_one():
    """So that a query is a list of keys and what differs."""
    assert data_set(("PatientID", "PatientID=1", "PatientID={id}"), {"id": "2"}) == {
        "00100020": {"vr": "LO", "Value": ["2"]}
    }


def test_an_item_s_attributes_are_copied():
    """What the worklist gave; zero length where it gave nothing."""
    item = data_set(("RequestedProcedureID=RP1", "SPS.Modality=CT"), {})

    written = data_set(
        ("StudyID<RequestedProcedureID", "Modality<SPS.Modality", "PatientID<PatientID"), {}, item
    )

    assert written == {
        "00200010": {"vr": "SH", "Value": ["RP1"]},
        "00080060": {"vr": "CS", "Value": ["CT"]},
        "00100020": {"vr": "LO"},
    }


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("PregnancyStatus=x", "PregnancyStatus cannot have the value 'x'"),
        ("ReferencedStudySequence=x", "ReferencedStudySequence cannot have the value 'x'"),
        ("PatientNam=1", "did you mean 'PatientName'"),
        ("=x", "no attribute in '=x'"),
    ],
)
def test_a_line_that_writes_nothing_is_refused(line, message):
    """A description is wrong, or what the operator typed."""
    with pytest.raises(ValueError, match=message):
        data_set((line,), {})


def test_what_the_operator_types_is_never_a_format():
    """Braces and percent signs are text."""
    assert data_set(("PatientID={typed}",), {"typed": "{ae}%s"})["00100020"]["Value"] == ["{ae}%s"]


def test_text_is_written_as_its_label_says():
    """Under GB18030 the bytes are those of GB18030."""
    keys = data_set(("SpecificCharacterSet=GB18030", "PatientName={typed}"), {"typed": "王^小明"})

    raw = encoded(keys, IMPLICIT)

    assert "王^小明".encode("gb18030") in raw
    assert decode_dataset(raw, IMPLICIT)[NAME] == keys[NAME]


def test_a_device_may_lie_about_its_text():
    """F43: Shift-JIS bytes under ISO_IR 100, in any transfer syntax; a trail byte may be a backslash."""
    keys = data_set(("SpecificCharacterSet=ISO_IR 100", "PatientName={typed}"), {"typed": "表^太郎"})

    for syntax in (IMPLICIT, EXPLICIT):
        raw = encoded(keys, syntax, "shift_jis")
        assert "表^太郎".encode("shift_jis") in raw
        assert b"ISO_IR 100" in raw


def test_text_that_does_not_fit_is_refused():
    """Nothing becomes a question mark, under a label or in a codec."""
    keys = data_set(("PatientName={typed}",), {"typed": "王"})

    with pytest.raises(Unfit):
        encoded(keys, IMPLICIT)
    with pytest.raises(Unencodable):
        encoded(keys, IMPLICIT, "latin-1")
