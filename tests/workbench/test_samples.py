"""Queries to learn from: captured ones, and those in files of any form."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from mwl.dicom.encoding import MAX_BYTES, Undecodable, encode_dataset
from mwl.errors import BadDocument
from mwl.mapping.text.charset import DEFAULT
from mwl.model import Document
from mwl.store.queries import CapturedQuery
from mwl.workbench import dcmdump, samples

ILE, ELE, EBE = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2"
KEYS: Document = {
    "00080050": {"vr": "SH"},
    "00400100": {"vr": "SQ", "Value": [{"00080060": {"vr": "CS", "Value": ["CT"]}}]},
}


def test_a_captured_query_comes_with_what_is_known_of_it() -> None:
    """Its times are the site's: a window is told by the day there."""
    query = CapturedQuery(
        "CT9",
        encode_dataset(KEYS, ILE, DEFAULT),
        ILE,
        "2026-07-05T22:30:00.000000+00:00",
        "0000",
        first_at="2026-07-05T08:00:00.000000+00:00",
        implementation_uid="1.2.3",
        count=7,
        profile="generic",
    )

    sample = samples.of(query, ZoneInfo("Europe/Berlin"))

    assert (sample.keys, sample.calling_ae, sample.implementation_uid) == (KEYS, "CT9", "1.2.3")
    assert (sample.count, sample.status, sample.profile) == (7, "0000", "generic")
    assert sample.first is not None
    assert sample.last is not None
    assert (sample.first.day, sample.last.day) == (5, 6)


def test_a_captured_query_that_is_no_data_set_is_none() -> None:
    """The broker answered it C002."""
    query = CapturedQuery("CT9", b"\x08\x00\x05", ILE, "2026-07-05T22:30:00.000000+00:00", "C002")

    with pytest.raises(Undecodable):
        samples.of(query, dt.UTC)


def part_10(octets: bytes, syntax: str) -> bytes:
    """Return a data set as a DICOM file holds it."""
    meta = encode_dataset({"00020010": {"vr": "UI", "Value": [syntax]}}, ELE, DEFAULT)
    length = encode_dataset({"00020000": {"vr": "UL", "Value": [len(meta)]}}, ELE, DEFAULT)
    return bytes(128) + b"DICM" + length + meta + octets


@pytest.mark.parametrize("syntax", [ILE, ELE, EBE])
@pytest.mark.parametrize("bare", [True, False])
def test_a_dicom_file_is_read(tmp_path: Path, syntax: str, bare: bool) -> None:
    """With its file meta information, or without: then the first element shows how it is written."""
    octets = encode_dataset(KEYS, syntax, DEFAULT)
    path = tmp_path / "query.dcm"
    path.write_bytes(octets if bare else part_10(octets, syntax))

    sample = samples.read(path, "CT9")

    assert (sample.keys, sample.calling_ae, sample.first) == (KEYS, "CT9", None)


def test_texts_are_read(tmp_path: Path) -> None:
    """A dump, in whatever letters, and the DICOM JSON model."""
    path = tmp_path / "query.txt"
    dumped = "\n".join(dcmdump.lines(KEYS))
    for octets in (
        dumped.encode(),
        f"\ufeffM\u00fcller sent this:\n{dumped}".encode(),
        f"M\u00fcller sent this:\n{dumped}".encode("latin-1"),
        json.dumps(KEYS).encode(),
    ):
        path.write_bytes(octets)
        assert samples.read(path, "CT9").keys == KEYS


@pytest.mark.parametrize(
    ("octets", "reason"),
    [
        (b"nothing of the kind", "no line of a dump"),
        (b"\x08\x00\x05\x00CS\xff\x00", ""),
        (b"{", "not JSON"),
        (bytes(MAX_BYTES + 1), "larger than any identifier"),
    ],
)
def test_a_file_that_holds_no_identifier_is_refused(tmp_path: Path, octets: bytes, reason: str) -> None:
    """By its name."""
    path = tmp_path / "query.dcm"
    path.write_bytes(octets)

    with pytest.raises(BadDocument) as refused:
        samples.read(path, "CT9")

    assert "query.dcm" in str(refused.value)
    assert reason in str(refused.value)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    """As every file that an engineer names."""
    with pytest.raises(BadDocument, match="cannot be read"):
        samples.read(tmp_path / "absent", "CT9")


def test_samples_together_know_when_they_were_asked() -> None:
    """How often, from when to when; those in files know nothing."""
    day = dt.datetime(2026, 7, 5, tzinfo=dt.UTC)
    later = day + dt.timedelta(hours=3)
    known = [samples.Sample({}, first=day, last=day, count=2), samples.Sample({}, first=day, last=later)]

    assert samples.asked(known) == (3, day, later)
    assert samples.asked([samples.Sample({})]) == (1, None, None)
