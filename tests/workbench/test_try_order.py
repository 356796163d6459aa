"""From a pasted order to what a device would get: the element, what gave it, and what was refused."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from workbench.house import House

from mwl.config import shipped
from mwl.dicom.encoding import decode_dataset
from mwl.hl7.envelope import System
from mwl.mapping.systems.system import load_systems
from mwl.workbench.try_order import Traced, Tried, try_order
from mwl.workbench.verdict import Verdict

ORDER = Path("hl7") / "orm-2.3-without-zds.hl7"


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    """A hospital with one device and nothing on record."""
    made = House(tmp_path)
    yield made
    made.store.close_now()


@pytest.fixture
def order(fixtures: Path) -> bytes:
    """A new order, as on the wire."""
    return (fixtures / ORDER).read_bytes().replace(b"\n", b"\r")


def tried(house: House, *messages: bytes, keys: tuple[str, ...] = ("SPS.Modality=CT",)) -> Tried:
    """Try messages with a query of CT1."""
    systems = [System("RIS", load_systems([shipped("mappings")]).bind("generic"))]
    return try_order(house.bench, systems, messages, "CT1", house.question(*keys))


def lines(found: Tried) -> dict[str, Traced]:
    """Return the elements of the one response, by name."""
    assert found.explanation is not None
    told = found.explanation.told
    assert told is not None
    (response,) = told.sent
    return {each.line.name: each for each in found.lines(told, response)}


def test_each_value_names_its_field_and_the_lines_behind_it(house, order):
    """Of the message, of the system's profile, and of the device's."""
    house.profile("truncate: {PatientName: 5}\ndefault: {SPS.ScheduledProcedureStepLocation: ROOM}\n")

    found = lines(tried(house, order, keys=("SPS.Modality=CT", "SPS.ScheduledProcedureStepLocation")))
    name, location = found["PatientName"], found["SPS.ScheduledProcedureStepLocation"]

    assert name.given is not None
    assert name.value is not None
    assert name.given.source == "PID-5"
    assert Path(name.given.origin).name.startswith("generic.yaml:")
    assert [(note.operation, Path(note.origin).name) for note in name.value.changes] == [
        ("truncate", "site.yaml:4")
    ]
    assert location.given is None
    assert location.value is not None
    assert [note.operation for note in location.value.changes][-1] == "default"


def test_lengths_are_those_of_the_bytes(house, order):
    """Each is what the element takes on the wire, padding included."""
    result = tried(house, order)
    assert result.explanation is not None
    assert result.explanation.told is not None
    (response,) = result.explanation.told.sent
    assert response.composed is not None

    found = lines(result)

    assert found["PatientName"].line.length == 10  # DOE^JOHN^Q
    assert found["SPS.Modality"].line.length == 2
    step = found["ScheduledProcedureStepSequence"].line
    root = [each.line for each in found.values() if each.line.depth == 0]
    headers = sum(12 if line.element["vr"] == "SQ" else 8 for line in root)
    assert sum(line.length for line in root) + headers == len(response.composed.data)
    assert step.length > 0
    assert decode_dataset(response.composed.data, "1.2.840.10008.1.2.1") == response.composed.document


def test_what_the_broker_made_is_of_no_field(house, order):
    """A Study Instance UID that the order does not state is stored, and derived."""
    uid = lines(tried(house, order))["StudyInstanceUID"]

    assert uid.given is None
    assert uid.value is not None
    assert uid.value.stored is not None


def test_a_step_that_the_device_does_not_ask_for_is_judged(house, order):
    """With the key that keeps it away."""
    found = tried(house, order, keys=("SPS.Modality=MR",))

    assert not found.sent
    assert found.explanation is not None
    (fate,) = found.explanation.fates
    assert fate.verdict is Verdict.NOT_MATCHED
    assert [miss.found for miss in fate.misses] == ["CT"]


def test_a_message_that_cannot_be_read_is_refused_with_its_place(house, order):
    """Nothing is asked then."""
    found = tried(house, order.replace(b"PIX1101^^^HOSP_A^MR", b""))

    assert found.explanation is None
    (taken,) = found.taken
    assert (taken.outcome, taken.refused) == ("AE", True)
    assert [(str(each.location), each.code) for each in taken.findings] == [("PID-3", 101)]


def test_a_message_that_cannot_be_applied_is_refused_and_ends_it(house, order):
    """What came before it was applied, what comes after it is not looked at."""
    cancel = order.replace(b"ORC|NW|PL1101", b"ORC|CA|PL9").replace(b"PL1101", b"PL9").replace(b"1101", b"77")

    found = tried(house, order, cancel, order)

    assert [taken.outcome for taken in found.taken] == ["AA", "AE"]
    assert found.explanation is None


def test_messages_are_applied_in_their_order(house, order):
    """An order that is cancelled by the next one is on no list."""
    cancel = order.replace(b"ORC|NW", b"ORC|CA").replace(b"FIX1101", b"FIX1102")

    found = tried(house, order, cancel)

    assert found.explanation is not None
    assert [fate.verdict for fate in found.explanation.fates] == [Verdict.CANCELLED]


def test_what_is_on_record_plays_no_part_and_stays_as_it_is(house, order):
    """The configured database is neither read nor written."""
    house.order(1)

    found = tried(house, order)

    assert found.explanation is not None
    assert found.explanation.told is not None
    assert found.explanation.told.funnel.on_record.number == 1
    assert house.explain("AccessionNumber=ACX1101", accession="ACX1101").fates == ()
