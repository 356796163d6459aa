"""What changed between two documents, as an engineer reads it."""

from __future__ import annotations

from mwl.mapping.elements import ABSENT
from mwl.mapping.trace import Note, Recorder, changes


def test_changes_are_found_at_every_depth(doc):
    """Items are compared one by one while their number stays; otherwise the sequence is one change."""
    before = doc(
        {
            "PatientID": "A",
            "AdmissionID": "B",
            "SPS.Modality": "CR",
            "RequestedProcedureCodeSequence": [{"CodeValue": "1"}, {"CodeValue": "2"}],
            "ReferencedStudySequence": [{"ReferencedSOPInstanceUID": "1"}],
        }
    )
    after = doc(
        {
            "PatientID": "A",
            "CurrentPatientLocation": "C",
            "SPS.Modality": "DX",
            "RequestedProcedureCodeSequence": [{"CodeValue": "1"}, {"CodeValue": "3"}],
            "ReferencedStudySequence": [],
        }
    )

    found = {
        path: (old and old.get("Value"), new and new.get("Value"))
        for path, old, new in changes(before, after)
    }

    assert found == {
        "AdmissionID": (["B"], None),
        "CurrentPatientLocation": (None, ["C"]),
        "SPS.Modality": (["CR"], ["DX"]),
        "RequestedProcedureCodeSequence[1].CodeValue": (["2"], ["3"]),
        "ReferencedStudySequence": ([{"00081155": {"vr": "UI", "Value": ["1"]}}], None),
    }


def test_what_was_taken_out_is_shown_as_gone(doc):
    """The mark that keeps it out is nobody's business."""
    (change,) = changes(doc({"AdmissionID": "A"}), {"00380010": ABSENT})

    assert change[2] is None


def test_equal_documents_have_no_changes(doc):
    """Equal is enough; they need not be the same."""
    assert list(changes(doc({"PatientName": "A"}), doc({"PatientName": "A"}))) == []


def test_a_recorder_keeps_notes_in_order():
    """Each note has its stage, operation, origin, path, values and text."""
    recorder = Recorder()

    recorder.note("respond", "a.yaml:3", "PatientID", None, {"vr": "LO"}, "why", "set")

    assert recorder.notes == [Note("respond", "set", "a.yaml:3", "PatientID", None, {"vr": "LO"}, "why")]
