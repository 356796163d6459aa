"""Paths: what engineers write, and reading and writing there."""

from __future__ import annotations

import copy
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mwl.mapping import paths

STEP = "00400100"


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("PatientName", ("00100010",)),
        ("(0040,1001)", ("00401001",)),
        ("00401001", ("00401001",)),
        ("0040a390", ("0040A390",)),
        ("SPS.Modality", (STEP, "00080060")),
        ("ScheduledProcedureStepSequence.Modality", (STEP, "00080060")),
        ("SPS.ScheduledProtocolCodeSequence.CodeValue", (STEP, "00400008", "00080100")),
        ("SPS", (STEP,)),
        ("(0009,1001)", ("00091001",)),
    ],
)
def test_a_path_is_read_in_every_form(text, path):
    """Keywords, tags in both forms and the short name of the step's sequence mean the same."""
    assert paths.parse_path(text) == path
    assert paths.parse_path(paths.show(path)) == path


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("PatientNam", "unknown attribute 'PatientNam': did you mean 'PatientName'?"),
        ("SPS.Modalty", "unknown attribute 'Modalty' in 'SPS.Modalty': did you mean 'Modality'?"),
        ("", "the name of an attribute is missing"),
        ("PatientID.PatientName", "PatientID in 'PatientID.PatientName' is no sequence"),
        (".".join(["SPS"] * 9), "nested too deeply"),
    ],
)
def test_a_wrong_path_says_what_is_wrong(text, message):
    """The message names the part and the nearest keyword."""
    with pytest.raises(ValueError, match=re.escape(message)):
        paths.parse_path(text)


def test_an_unknown_tag_has_no_keyword_and_no_vr():
    """What the dictionary does not hold is shown as a tag."""
    assert paths.keyword("00091001") == "(0009,1001)"
    assert paths.vr("00091001") == "UN"
    assert not paths.known("00091001")
    assert paths.is_private("00091001")
    assert not paths.is_private("00100010")
    with pytest.raises(KeyError):
        paths.tag("NoSuchKeyword")


def test_a_choice_of_vr_is_decided():
    """Where the dictionary says "US or SS", the first is taken."""
    assert paths.vr(paths.tag("SmallestImagePixelValue")) == "US"


def test_get_reads_the_first_item(doc):
    """A path leads into the first item of each sequence."""
    document = doc({"RequestedProcedureCodeSequence": [{"CodeValue": "A"}, {"CodeValue": "B"}]})

    found = paths.get(document, paths.parse_path("RequestedProcedureCodeSequence.CodeValue"))

    assert found == {"vr": "SH", "Value": ["A"]}
    assert paths.get(document, paths.parse_path("ReferencedStudySequence.ReferencedSOPClassUID")) is None
    assert paths.get(document, paths.parse_path("PatientName")) is None


def test_put_and_drop_leave_the_document_alone(doc, flat):
    """The result is new on the way to the change; the original keeps every value."""
    document = doc({"SPS.Modality": "CT", "PatientID": "P1"})
    before = copy.deepcopy(document)
    path = paths.parse_path("SPS.ScheduledProtocolCodeSequence.CodeValue")

    changed = paths.put(document, path, {"vr": "SH", "Value": ["X"]})
    dropped = paths.drop(changed, paths.parse_path("SPS.Modality"))

    assert document == before
    assert flat(changed)["SPS.ScheduledProtocolCodeSequence"] == [{"CodeValue": "X"}]
    assert flat(dropped) == {"SPS.ScheduledProtocolCodeSequence": [{"CodeValue": "X"}], "PatientID": "P1"}
    assert paths.drop(document, path) is document


@given(
    st.lists(st.sampled_from(["PatientName", "SPS.Modality", "SPS.ScheduledProtocolCodeSequence.CodeValue"]))
)
def test_what_was_put_is_there(names):
    """Get returns what put wrote, whatever was written before."""
    document: dict = {}
    for index, name in enumerate(names):
        element = {"vr": paths.vr(paths.parse_path(name)[-1]), "Value": [str(index)]}
        document = paths.put(document, paths.parse_path(name), element)
        assert paths.get(document, paths.parse_path(name)) == element
