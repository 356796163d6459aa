"""Fuzzy matching of names (A-05, A-26): only for a device that negotiated it, or whose profile says so."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydicom.uid import UID
from pynetdicom.pdu_primitives import SOPClassExtendedNegotiation

from acceptance.find_orders import Step, load, load_f0
from foreign.dicom.clients import associated, find
from foreign.dicom.identifier import WORKLIST, identifier

MAPPINGS = str(Path(__file__).parent / "mappings")
MORE = (
    Step("SMITH", name="SMITH^JOHN"),
    Step("WANG", name="王^小明"),
    Step("SHAN", name="单^于"),
    Step("SATO", name="=佐藤^花子=さとう^はなこ"),
    Step("OBRIEN", name="O'BRIEN-KELLY^MARY"),
)
"""Beside F.0, in August."""


@pytest.fixture(scope="module")
def broker(serving: Any, fixtures: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A broker that holds F.0 and the names above."""
    devices = {"*": {"profile": "generic"}, "SOUND": {"profile": "fuzzy"}}
    with serving(tmp_path_factory.mktemp("fuzzy"), devices=devices, mappings=MAPPINGS) as running:
        load_f0(running, fixtures)
        load(running, *MORE)
        yield running


FUZZY = [
    pytest.param("JOHN^DOE", "S1 S2 S3", id="order"),
    pytest.param("MULLER^JURGEN", "S5", id="diacritics"),
    pytest.param("SMYTH^JON", "SMITH", id="sound"),
    pytest.param("Smith John", "SMITH", id="blanks for carets"),
    pytest.param("ヤマダ", "S7", id="katakana for hiragana"),
    pytest.param("SATOU^HANAKO", "SATO", id="Latin for kana"),
    pytest.param("WANG^XIAOMING", "WANG", id="pinyin"),
    pytest.param("Xiao Ming", "WANG", id="pinyin in syllables"),
    pytest.param("SHAN^YU", "SHAN", id="pinyin of a surname"),
    pytest.param("KELLY", "OBRIEN", id="half of a double name"),
    pytest.param("DOE", "S1 S2 S3 S4", id="not a Chinese syllable"),
    pytest.param("MILLINGTON", "", id="nobody"),
]


@pytest.mark.parametrize(("key", "expected"), FUZZY)
def test_who_negotiated_it_finds_names_by_sound(broker: Any, key: str, expected: str) -> None:
    """In any order, without accents, in Latin letters whatever the script."""
    offer = SOPClassExtendedNegotiation()
    offer.sop_class_uid = UID(WORKLIST)
    offer.service_class_application_information = b"\1\1\1"
    with associated(broker.addresses["dicom"], ext_neg=[offer]) as association:
        granted = association.acceptor.sop_class_extended.get(UID(WORKLIST))
        answer = find(
            association, identifier("step", "SpecificCharacterSet=ISO_IR 192", f"PatientName={key}")
        )

    assert granted == b"\1\1\1"
    assert answer.steps == expected.split()


@pytest.mark.parametrize(("key", "expected"), FUZZY)
def test_a_profile_may_say_so(broker: Any, key: str, expected: str) -> None:
    """For devices that cannot negotiate."""
    with associated(broker.addresses["dicom"], calling="SOUND") as association:
        answer = find(
            association, identifier("step", "SpecificCharacterSet=ISO_IR 192", f"PatientName={key}")
        )

    assert answer.steps == expected.split()


@pytest.mark.parametrize("key", [each.values[0] for each in FUZZY])
def test_nobody_else_does(broker: Any, key: str) -> None:
    """Names are compared as they are written, but for case and width (A-23)."""
    with associated(broker.addresses["dicom"]) as association:
        answer = find(
            association, identifier("step", "SpecificCharacterSet=ISO_IR 192", f"PatientName={key}")
        )

    assert answer.steps == []


def test_the_other_keys_stay_as_they_are(broker: Any) -> None:
    """Fuzzy are names alone: a station or an ID is not."""
    with associated(broker.addresses["dicom"], calling="SOUND") as association:
        both = find(association, identifier("step", "PatientName=JOHN^DOE", "modality=MR"), message_id=1)
        none = find(association, identifier("step", "PatientID=PID0O1"), message_id=2)

    assert both.steps == ["S3"]
    assert none.steps == []
