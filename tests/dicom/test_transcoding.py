"""A data set in another transfer syntax keeps its values, byte for byte."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from dicom.performing import BIG_ENDIAN, DEFLATED, EXPLICIT, IMPLICIT, element, encoded
from hypothesis import given
from hypothesis import strategies as st

from mwl.dicom.encoding import Undecodable, Unencodable, decode_dataset, encode_dataset
from mwl.dicom.transcoding import transcoded
from mwl.mapping.text.charset import UTF8
from mwl.model import Document, name_value

SYNTAXES = (IMPLICIT, EXPLICIT, BIG_ENDIAN, DEFLATED)
DOCUMENT: Document = {
    "00080060": element("CS", "CT"), "00100010": element("PN", name_value("DOE^JANE")),
    "00281052": element("DS", "1.5"), "00280010": element("US", 258, 1), "00186060": element("FL", 0.5),
    "00209165": element("AT", "00280010"), "00400340": element("SQ", {"0020000E": element("UI", "1.2.3")}, {}),
    "00420011": {"vr": "OB", "InlineBinary": "AAEC/w=="},
}  # fmt: skip


@pytest.mark.parametrize(("source", "target"), list(itertools.product(SYNTAXES, SYNTAXES)))
def test_every_syntax_leads_to_every_other(source: str, target: str) -> None:
    """What is read afterwards is what was read before."""
    raw = encoded(DOCUMENT, source)

    assert decode_dataset(transcoded(raw, source, target), target) == decode_dataset(raw, source)


def test_text_is_not_read() -> None:
    """Bytes that are none under the label that is stated arrive all the same."""
    raw = encoded({"00100010": element("PN", name_value("MÜLLER"))}, IMPLICIT, "ISO_IR 100")
    lying = raw.replace(b"ISO_IR 100", b"ISO_IR 192")

    assert b"M\xdcLLER" in transcoded(lying, IMPLICIT, BIG_ENDIAN)


def test_the_same_syntax_changes_nothing() -> None:
    """Not even what could not be read."""
    assert transcoded(b"no data set", EXPLICIT, EXPLICIT) == b"no data set"


@pytest.mark.parametrize(
    ("raw", "source", "target"), [(b"\x08", EXPLICIT, IMPLICIT), (b"", "1.2.3", IMPLICIT)]
)
def test_what_cannot_be_read_is_said_to_be_so(raw: bytes, source: str, target: str) -> None:
    """Whatever the reason, it is one error."""
    with pytest.raises(Undecodable):
        transcoded(raw, source, target)


def test_a_value_too_long_for_its_vr_cannot_be_written() -> None:
    """Explicit lengths of short VRs have 16 bits."""
    raw = encode_dataset({"00104000": element("LT", "x" * 70_000)}, IMPLICIT, UTF8)

    with pytest.raises(Unencodable):
        transcoded(raw, IMPLICIT, EXPLICIT)


@given(st.binary(max_size=300), st.sampled_from(SYNTAXES), st.sampled_from(SYNTAXES))
def test_rubbish_breaks_nothing(raw: bytes, source: str, target: str) -> None:
    """It is written, or it is one of two errors."""
    try:
        written: Any = transcoded(raw, source, target)
    except (Undecodable, Unencodable):
        return
    assert isinstance(written, bytes)
