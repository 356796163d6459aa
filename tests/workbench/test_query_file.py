"""Identifiers from files, in the forms in which engineers have them."""

from __future__ import annotations

import json
import struct

import pytest

from mwl.dicom.encoding import encode_dataset
from mwl.errors import BadDocument
from mwl.mapping.text.charset import DEFAULT
from mwl.model import Document
from mwl.workbench.query_file import read_identifier

IMPLICIT, EXPLICIT = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1"
KEYS: Document = {"00100010": {"vr": "PN", "Value": [{"Alphabetic": "DOE*"}]}, "00100020": {"vr": "LO"}}


def dicom_file(content: bytes, transfer_syntax: str) -> bytes:
    """Return a file of PS3.10 that holds *content*."""
    meta = encode_dataset({"00020010": {"vr": "UI", "Value": [transfer_syntax]}}, EXPLICIT, DEFAULT)
    length = struct.pack("<HH2sHI", 2, 0, b"UL", 4, len(meta))
    return b"\0" * 128 + b"DICM" + length + meta + content


@pytest.mark.parametrize("syntax", [IMPLICIT, EXPLICIT])
def test_a_dicom_file_says_how_it_is_encoded(syntax):
    """Its data set is asked as it is."""
    content = encode_dataset(KEYS, syntax, DEFAULT)

    found = read_identifier(dicom_file(content, syntax), "q.wl")

    assert (found.keys, found.transfer_syntax) == (content, syntax)


@pytest.mark.parametrize("syntax", [IMPLICIT, EXPLICIT])
def test_a_bare_data_set_shows_how_it_is_encoded(syntax):
    """By its first element."""
    content = encode_dataset(KEYS, syntax, DEFAULT)

    found = read_identifier(content, "q.bin")

    assert (found.keys, found.transfer_syntax) == (content, syntax)


def test_json_is_a_document():
    """In the DICOM JSON model; tags may be written in small letters."""
    found = read_identifier(json.dumps({"0040a043": {"vr": "SQ"}, **KEYS}).encode(), "q.json")

    assert found.keys == {"0040A043": {"vr": "SQ"}, **KEYS}


@pytest.mark.parametrize(("raw", "line"), [(b"[]", 1), (b'{\n"00100010": }', 2), (b'{"00100010": "DOE"}', 1)])
def test_what_is_no_data_set_is_a_mistake_at_its_line(raw, line):
    """Named with the file."""
    with pytest.raises(BadDocument) as caught:
        read_identifier(raw, "q.json")

    assert [(each.file, each.line) for each in caught.value.problems] == [("q.json", line)]


def test_a_dicom_file_cut_short_is_a_mistake():
    """Its meta information cannot be read."""
    raw = dicom_file(b"", IMPLICIT)

    with pytest.raises(BadDocument, match="its meta information cannot be read"):
        read_identifier(raw[:150], "q.wl")


def test_json_that_is_nested_without_end_is_a_mistake_of_the_file():
    """Not of the program."""
    raw = b'{"00400100":{"vr":"SQ","Value":[' * 5000 + b"]}}" * 5000

    with pytest.raises(BadDocument, match="nested too deeply"):
        read_identifier(raw, "q.json")
