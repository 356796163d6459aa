"""Dumps as DCMTK prints them are written and read."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mwl.model import Document
from mwl.workbench import dcmdump

STEP = "00400100"
IDENTIFIER: Document = {
    "00080005": {"vr": "CS", "Value": ["ISO_IR 100"]},
    "00090010": {"vr": "LO", "Value": ["VENDOR"]},
    "00100010": {"vr": "PN", "Value": [{"Alphabetic": "DOE*"}]},
    "00100020": {"vr": "LO"},
    "001021C0": {"vr": "US", "Value": [4]},
    "0020000D": {"vr": "UI", "Value": ["1.2.3", "1.2.4"]},
    STEP: {
        "vr": "SQ",
        "Value": [
            {
                "00400002": {"vr": "DA", "Value": ["20260705-"]},
                "00400008": {"vr": "SQ", "Value": [{"00080100": {"vr": "SH"}}]},
            }
        ],
    },
}

DCMDUMP = r"""
# Dicom-File-Format

# Dicom-Meta-Information-Header
# Used TransferSyntax: Little Endian Explicit
(0002,0010) UI =LittleEndianExplicit                    #  20, 1 TransferSyntaxUID

# Dicom-Data-Set
# Used TransferSyntax: Little Endian Explicit
(0008,0005) CS [ISO_IR 100]                             #  10, 1 SpecificCharacterSet
(0009,0010) LO [VENDOR]                                 #   6, 1 PrivateCreator
(0010,0010) PN [DOE*]                                   #   4, 1 PatientName
(0010,0020) LO (no value available)                     #   0, 0 PatientID
(0010,21c0) US 4                                        #   2, 1 PregnancyStatus
(0020,000d) UI [1.2.3\1.2.4]                            #  12, 2 StudyInstanceUID
(0040,0100) SQ (Sequence with explicit length #=1)      #  66, 1 ScheduledProcedureStepSequence
  (fffe,e000) na (Item with explicit length #=2)          #  58, 1 Item
    (0040,0002) DA [20260705-]                              #  10, 1 ScheduledProcedureStepStartDate
    (0040,0008) SQ (Sequence with explicit length #=1)      #  16, 1 ScheduledProtocolCodeSequence
      (fffe,e000) na (Item with explicit length #=1)          #   8, 1 Item
        (0008,0100) SH (no value available)                     #   0, 0 CodeValue
      (fffe,e00d) na (ItemDelimitationItem for re-encoding)   #   0, 0 ItemDelimitationItem
    (fffe,e0dd) na (SequenceDelimitationItem for re-encod.) #   0, 0 SequenceDelimitationItem
  (fffe,e00d) na (ItemDelimitationItem for re-encoding)   #   0, 0 ItemDelimitationItem
(fffe,e0dd) na (SequenceDelimitationItem for re-encod.) #   0, 0 SequenceDelimitationItem
"""


def test_what_dcmdump_prints_is_read() -> None:
    """File meta information is no part of the data set."""
    assert dcmdump.parse(DCMDUMP) == IDENTIFIER


def test_what_findscu_prints_is_read() -> None:
    """Each line has a letter before it, and other lines stand between."""
    text = "\n".join(f"I: {line}" for line in ["Requesting Association", *DCMDUMP.splitlines(), "Releasing"])

    assert dcmdump.parse(text) == IDENTIFIER


def test_what_dump2dcm_takes_is_read() -> None:
    """Engineers write identifiers in its short form; a sequence without items need not end."""
    text = """
    (0008,0060) CS [CT]
    (0032,1064) SQ
    (0040,0100) SQ
    (fffe,e000) -
    (0040,0001) AE
    (0040,0008) SQ
    (fffe,e00d) -
    (fffe,e0dd) -
    (0040,1001) SH
    """

    assert dcmdump.parse(text) == {
        "00080060": {"vr": "CS", "Value": ["CT"]},
        "00321064": {"vr": "SQ"},
        STEP: {"vr": "SQ", "Value": [{"00400001": {"vr": "AE"}, "00400008": {"vr": "SQ"}}]},
        "00401001": {"vr": "SH"},
    }


def test_what_is_written_is_read() -> None:
    """With a keyword behind each attribute."""
    lines = list(dcmdump.lines(IDENTIFIER))

    assert dcmdump.parse("\n".join(lines)) == IDENTIFIER
    assert lines[0] == "(0008,0005) CS [ISO_IR 100]                             # SpecificCharacterSet"


@pytest.mark.parametrize(
    "text", ["", "no dump at all", "(0002,0010) UI =LittleEndianExplicit", "(0010,0010)"]
)
def test_a_text_without_a_data_set_is_none(text: str) -> None:
    """File meta information alone is no query."""
    with pytest.raises(dcmdump.NoDump):
        dcmdump.parse(text)


def test_nesting_has_an_end() -> None:
    """A mail is not trusted either."""
    with pytest.raises(dcmdump.NoDump):
        dcmdump.parse("(0040,0100) SQ\n(fffe,e000) -\n" * 1000)


@given(st.text(max_size=300))
def test_any_text_is_read_or_refused(text: str) -> None:
    """Nothing else is raised."""
    for each in (text, DCMDUMP + text, f"(0040,0100) {text}"):
        try:
            assert dcmdump.parse(each)
        except dcmdump.NoDump:
            pass


def test_dcmtk_itself_prints_what_is_read(tmp_path: Path) -> None:
    """Not only what we remember of it."""
    tools: list[Any] = [shutil.which("dump2dcm"), shutil.which("dcmdump")]
    if not all(tools):
        missing = "dump2dcm and dcmdump (DCMTK) are not installed"
        pytest.fail(missing) if os.environ.get("MWL_REQUIRE_PEERS") == "1" else pytest.skip(missing)
    written, binary = tmp_path / "q.dump", tmp_path / "q.dcm"
    written.write_text("\n".join(dcmdump.lines(IDENTIFIER)), "utf-8")
    subprocess.run([tools[0], written, binary], check=True, capture_output=True)

    printed = subprocess.run([tools[1], binary], check=True, capture_output=True, text=True).stdout

    assert dcmdump.parse(printed) == IDENTIFIER
