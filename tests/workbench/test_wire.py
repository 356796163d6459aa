"""Elements with the length that they have on the wire."""

from __future__ import annotations

import pytest

from mwl.dicom.encoding import encode_dataset
from mwl.mapping.text.charset import UTF8
from mwl.model import Document
from mwl.workbench import wire

IMPLICIT, EXPLICIT, BIG = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2"
CODE: Document = {"00080100": {"vr": "SH", "Value": ["A"]}, "00080104": {"vr": "LO"}}
DOCUMENT: Document = {
    "00100010": {"vr": "PN", "Value": [{"Alphabetic": "Ö"}]},
    "00321064": {"vr": "SQ", "Value": [CODE, CODE]},
    "00321033": {"vr": "LO"},
    "00400031": {"vr": "UT"},
    "00091001": {"vr": "UN", "InlineBinary": "AAAA"},
}


@pytest.mark.parametrize(
    ("syntax", "sequence"),
    [(IMPLICIT, 2 * (8 + 10 + 8)), (EXPLICIT, 2 * (8 + 10 + 8)), (BIG, 2 * (8 + 10 + 8))],
)
def test_each_element_has_its_length(syntax, sequence):
    """Padding included, in the order in which they are sent, items in their place."""
    found = [(line.depth, line.item, line.name, line.length) for line in wire.lines(DOCUMENT, syntax, UTF8)]

    assert found == [
        (0, 0, "(0009,1001)", 4),
        (0, 0, "PatientName", 2),
        (0, 0, "RequestingService", 0),
        (0, 0, "RequestedProcedureCodeSequence", sequence),
        (1, 0, "RequestedProcedureCodeSequence.CodeValue", 2),
        (1, 0, "RequestedProcedureCodeSequence.CodeMeaning", 0),
        (1, 1, "RequestedProcedureCodeSequence[1].CodeValue", 2),
        (1, 1, "RequestedProcedureCodeSequence[1].CodeMeaning", 0),
        (0, 0, "LocalNamespaceEntityID", 0),
    ]


@pytest.mark.parametrize("syntax", [IMPLICIT, EXPLICIT, BIG])
def test_lengths_add_up_to_the_bytes(syntax):
    """With the headers that the transfer syntax has."""
    root = [line for line in wire.lines(DOCUMENT, syntax, UTF8) if line.depth == 0]
    long_header = {"SQ", "UT", "UN"} if syntax != IMPLICIT else set()
    headers = sum(12 if line.element["vr"] in long_header else 8 for line in root)

    total = sum(line.length for line in root) + headers

    assert total == len(encode_dataset(DOCUMENT, syntax, UTF8))


def test_a_private_element_has_no_keyword():
    """Its tag is its name."""
    (line,) = (each for each in wire.lines(DOCUMENT, EXPLICIT, UTF8) if each.tag == "(0009,1001)")

    assert line.keyword == ""
