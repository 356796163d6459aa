"""Whatever is not known to be nobody's is taken for somebody's: in messages, and in data sets."""

from __future__ import annotations

import json

import pytest

from mwl.workbench import deidentified
from mwl.workbench.pseudonyms import Pseudonyms

NAMES = Pseudonyms(bytes(range(32)))
MESSAGE = (
    "MSH|^~\\&|RIS|JOHANNSEN-HOSPITAL|MWL|HOSP|20260701120000||ORM^O01|4711|P|2.5|||||JPN|UNICODE UTF-8\r"
    "PID|1||PAT4711^^^JOHANNSEN||Johannsen^Ute=山田^花子||19700105|F|||Main St 12^^Kiel\r"
    "PV1|1|O|WARD7\r"
    "ORC|NW|PLACER88^RIS|FILLER88^RIS||||1^^^20260705093000^^S\r"
    "OBR|1|PLACER88^RIS|FILLER88^RIS|CT01^Head of Johannsen^L^^\\X4A6F68\\|||20260705||||||for Ute\r"
    "NTE|1||daughter of PAT4711 \\T\\ lives with 山田\r"
    "ZPI|1|Johannsen\r"
    "ZDS|1.2.276.0.99.4711.88^RIS^Application^DICOM\r"
)
MARKS = (
    "johannsen", "Ute", "山田", "花子", "4711", "PLACER88", "FILLER88", "Kiel", "WARD7", "1970", "daughter",
    "20260701", "20260705", "4A6F68", "Head",
)  # fmt: skip


def test_nobody_is_left_in_a_message() -> None:
    """Not in names and numbers, notes, descriptions, escapes, addresses, Z segments, UIDs, dates."""
    left = deidentified.message(MESSAGE, "utf-8", NAMES, {"RIS", "MWL", "HOSP"})

    assert [mark for mark in MARKS if mark.lower() in left.lower()] == []


def test_what_a_message_asks_for_is_left() -> None:
    """Its structure, codes, times of day; and the same person is the same person everywhere in it."""
    left = deidentified.message(MESSAGE, "utf-8", NAMES, {"RIS", "MWL", "HOSP"})
    lines = {line.partition("|")[0]: line.split("|") for line in left.splitlines()}

    assert list(lines) == ["MSH", "PID", "PV1", "ORC", "OBR", "NTE", "ZPI", "ZDS"]
    assert [lines["MSH"][n] for n in (1, 2, 4, 5, 8, 11, 17)] == [
        "^~\\&", "RIS", "MWL", "HOSP", "ORM^O01", "2.5", "UNICODE UTF-8",
    ]  # fmt: skip
    assert lines["MSH"][6].endswith("120000")
    assert lines["ORC"][1] == "NW"
    assert lines["OBR"][4].split("^")[::2][:2] == ["CT01", "L"]
    assert lines["ZPI"][2] == lines["PID"][5].partition("^")[0]
    assert lines["PID"][3].partition("^")[0] in lines["NTE"][3]
    assert "\\T\\" in lines["NTE"][3]
    assert lines["ORC"][2] == lines["OBR"][2]


def test_what_cannot_be_split_is_words() -> None:
    """A message without MSH, or anything else that came."""
    assert "Johannsen" not in deidentified.message("PID|1||Johannsen", "utf-8", NAMES)
    assert "DOE" not in deidentified.message("MSH|^~\\&|RIS\nDOE|1", "utf-8", NAMES)


DATA = {
    "00080005": {"vr": "CS", "Value": ["ISO_IR 192"]},
    "00080060": {"vr": "CS", "Value": ["CT"]},
    "00100010": {"vr": "PN", "Value": [{"Alphabetic": "Johannsen^Ute", "Ideographic": "山田^花子"}]},
    "00100020": {"vr": "LO", "Value": ["PAT4711*"]},
    "00100030": {"vr": "DA", "Value": ["19700105"]},
    "00100040": {"vr": "CS", "Value": ["F"]},
    "00101010": {"vr": "AS", "Value": ["056Y"]},
    "00101030": {"vr": "DS", "Value": [81.5]},
    "0020000D": {"vr": "UI", "Value": ["1.2.276.0.99.4711.88"]},
    "00091001": {"vr": "UN", "InlineBinary": "Sm9oYW5uc2Vu"},
    "00091002": {"vr": "IS", "Value": [4711]},
    "00091003": {"vr": "LO", "Value": ["Johannsen"]},
    "00400100": {"vr": "SQ", "Value": [{
        "00400001": {"vr": "AE", "Value": ["CT1"]},
        "00400002": {"vr": "DA", "Value": ["20260705-20260706"]},
        "00400003": {"vr": "TM", "Value": ["093000"]},
        "00400006": {"vr": "PN", "Value": [{"Alphabetic": "Johannsen"}, None]},
        "00400007": {"vr": "LO", "Value": []},
        "00400008": {"vr": "SQ", "Value": [{
            "00080100": {"vr": "SH", "Value": ["CT01"]},
            "00080104": {"vr": "LO", "Value": ["Head of Johannsen"]},
        }]},
    }]},
    "00400301": {"vr": "US", "Value": [12]},
}  # fmt: skip


def test_nobody_is_left_in_a_data_set() -> None:
    """Not in private tags, nor in what is encoded; and it is one of the same shape."""
    left = deidentified.document(DATA, NAMES)
    written = json.dumps(left, ensure_ascii=False)

    marks = (*MARKS, "Sm9o", "81.5", "056Y")
    assert [mark for mark in marks if mark.lower() in written.lower()] == []
    assert left.keys() == DATA.keys()
    assert left["00100020"]["Value"][0].endswith("*")


@pytest.mark.parametrize("tag", ["00080005", "00080060", "00400301"])
def test_what_says_nothing_of_a_person_is_left(tag: str) -> None:
    """Character set, modality, counts."""
    assert deidentified.document(DATA, NAMES)[tag] == DATA[tag]


def test_a_step_keeps_its_station_time_and_code() -> None:
    """By them the engineer finds out why it is not sent."""
    (step,) = deidentified.document(DATA, NAMES)["00400100"]["Value"]

    assert step["00400001"]["Value"] == ["CT1"]
    assert step["00400003"]["Value"] == ["093000"]
    assert step["00400008"]["Value"][0]["00080100"]["Value"] == ["CT01"]
    assert step["00400006"]["Value"][1] is None


def test_both_sides_tell_of_the_same_person() -> None:
    """What the order names, the data set names."""
    left = deidentified.message(MESSAGE, "utf-8", NAMES)
    name = deidentified.document(DATA, NAMES)["00100010"]["Value"][0]

    assert f"|{name['Alphabetic']}={name['Ideographic']}|" in left


def test_a_patient_in_a_field_of_codes_is_none_of_them() -> None:
    """Where fields are shifted, or a device writes a name into a code string, a time, a station."""
    shifted = MESSAGE.replace("|F|||Main", "|Johannsen|||Main").replace("ORC|NW|", "ORC|PAT4711|")
    data = {
        **DATA,
        "00080060": {"vr": "CS", "Value": ["JOHANNSEN"]},
        "00080030": {"vr": "TM", "Value": ["Johannsen"]},
        "00400002": {"vr": "DA", "Value": ["Johannsen"]},
        "00400241": {"vr": "AE", "Value": ["UTE_CT"]},
        "00080100": {"vr": "SH", "Value": ["PAT4711"]},
    }

    left = deidentified.message(shifted, "utf-8", NAMES) + json.dumps(deidentified.document(data, NAMES))

    assert [mark for mark in ("johannsen", "4711", "ute") if mark in left.lower()] == []
