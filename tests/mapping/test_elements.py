"""What counts as a value, and text as values of a VR."""

from __future__ import annotations

import pytest

from mwl.mapping.elements import edit_matching, edit_texts, gather, has_value, make, texts
from mwl.mapping.paths import parse_path


@pytest.mark.parametrize(
    ("element", "holds"),
    [
        (None, False),
        ({"vr": "LO"}, False),
        ({"vr": "LO", "Value": []}, False),
        ({"vr": "LO", "Value": [""]}, False),
        ({"vr": "LO", "Value": [None, "x"]}, True),
        ({"vr": "US", "Value": [0]}, True),
        ({"vr": "PN", "Value": [{}]}, False),
        ({"vr": "PN", "Value": [{"Alphabetic": ""}]}, False),
        ({"vr": "PN", "Value": [{"Phonetic": "x"}]}, True),
        ({"vr": "SQ", "Value": [{}]}, False),
        ({"vr": "SQ", "Value": [{"00080100": {"vr": "SH"}}]}, False),
        ({"vr": "SQ", "Value": [{}, {"00080100": {"vr": "SH", "Value": ["x"]}}]}, True),
    ],
)
def test_a_value_says_something(element, holds):
    """Zero is a value; an empty text, name or item is none."""
    assert has_value(element) is holds


@pytest.mark.parametrize(
    ("vr", "values", "element"),
    [
        ("LO", ["a", "", "b"], {"vr": "LO", "Value": ["a", "b"]}),
        ("LO", [""], {"vr": "LO"}),
        ("PN", ["A^B=C"], {"vr": "PN", "Value": [{"Alphabetic": "A^B", "Ideographic": "C"}]}),
        ("US", ["4"], {"vr": "US", "Value": [4]}),
        ("US", ["x"], None),
        ("FD", ["1.5"], {"vr": "FD", "Value": [1.5]}),
        ("DS", ["082.50"], {"vr": "DS", "Value": ["082.50"]}),
        ("IS", ["x"], None),
        ("UN", ["x"], {"vr": "LO", "Value": ["x"]}),
        ("SQ", ["x"], None),
        ("OB", ["x"], None),
    ],
)
def test_text_becomes_values_of_a_vr(vr, values, element):
    """None where it is no value of that VR; a written number keeps its form."""
    assert make(vr, values) == element


def test_texts_are_trimmed_and_without_empty_ones():
    """Names are in their one-line form."""
    assert texts({"vr": "PN", "Value": [{"Alphabetic": "A", "Phonetic": "B"}, {}]}) == ["A==B"]
    assert texts({"vr": "AE", "Value": [" CT1 ", "", None]}) == ["CT1"]
    assert texts(None) == []


def test_gather_looks_into_every_item(doc):
    """A path means all items of the sequences on its way."""
    document = doc({"RequestedProcedureCodeSequence": [{"CodeValue": "A"}, {}, {"CodeValue": "B"}]})

    assert gather(document, parse_path("RequestedProcedureCodeSequence.CodeValue")) == ["A", "B"]
    assert gather(document, parse_path("SPS.Modality")) == []


def test_editing_without_effect_returns_the_same_element(doc):
    """Nothing is copied that does not change, at any depth."""
    element = {"vr": "LO", "Value": ["A", "B"]}
    document = doc({"PatientID": "A", "RequestedProcedureCodeSequence": [{"CodeMeaning": "A"}]})

    assert edit_texts(element, str.upper) is element
    assert edit_texts(element, lambda text: "" if text == "A" else text) == {"vr": "LO", "Value": ["", "B"]}
    assert edit_texts(element, lambda _: "") == {"vr": "LO"}
    assert edit_matching(document, {"00080104"}, lambda found: edit_texts(found, str.upper)) is document
