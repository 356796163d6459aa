"""Changes of records are reported in their own transaction, whatever brought them about."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from prometheus_client import REGISTRY

from mwl.broker import audit_records, bind, systems
from mwl.broker.audit_records import Records
from mwl.hl7.intake import Intake
from mwl.store import Store, open_store, spool

HEADER = "MSH|^~\\&|RIS|HOSP|MWL|HOSP|20260701120000||{kind}|{id}|P|{version}||||||UNICODE UTF-8\r"
PATIENT = "PID|1||P1^^^HOSP_A||DOE^JOHN||19580312|M\rPV1|1|I|WARD1\r"


def order(n: int, control: str) -> str:
    """Return one order group."""
    return (
        f"ORC|{control}|PL{n}^RIS|FI{n}^RIS||||1^once^^20260705090000^^R|||||||||||CT1\r"
        f"OBR|1|PL{n}^RIS|FI{n}^RIS|CTH^CT head^L||||||||||||||ACC{n}|RP{n}|SPS{n}||||CT\r"
        f"ZDS|1.2.276.0.99.{n}^RIS^Application^DICOM\r"
    )


class House:
    """An intake that reports."""

    def __init__(self, store: Store, file) -> None:
        configuration = file.change("hl7:", 'audit: {to: "collector:6514", source: B1, site: WEST}\nhl7:')
        profiles = bind(configuration)
        records = Records.of(configuration)
        assert records is not None
        self.store, self.records = store, records
        self.intake = Intake(
            store, systems.configured(configuration, profiles.systems), profiles.site, frozenset(),
            lambda: dt.datetime.now(dt.UTC),
        )  # fmt: skip
        self.intake.on_effect = records.applied
        self.count = 0

    async def hears(self, kind: str, body: str, version: str = "2.3.1") -> list[tuple[str, str, list[str]]]:
        """Have a message come in; return what is reported: event, action, objects."""
        self.count += 1
        raw = HEADER.format(kind=kind, id=f"M{self.count}", version=version) + body
        answer = await self.intake.receive(raw.encode(), "10.0.0.8:4711")
        self.answer = (answer or b"").partition(b"MSA|")[2][:2].decode()
        return self.reported()

    def reported(self) -> list[tuple[str, str, list[str]]]:
        """Return what is in the spool, and empty it."""

        def work(tx):
            found = spool.claim(tx, "test", dt.timedelta(0), 1000)
            spool.sent(tx, [each.key for each in found])
            return found

        self.trees = [
            ET.fromstring(each.message.partition(b"\xef\xbb\xbf")[2]) for each in self.store.write_now(work)
        ]
        return [_told(tree) for tree in self.trees]


def _told(tree: ET.Element) -> tuple[str, str, list[str]]:
    objects = [each.attrib["ParticipantObjectID"] for each in tree.iter("ParticipantObjectIdentification")]
    return tree[0][0].attrib["csd-code"], tree[0].attrib["EventActionCode"], objects


@pytest.fixture
def house(tmp_path: Path, file) -> Iterator[House]:
    """An intake on an empty database."""
    store = open_store(f"sqlite:///{tmp_path / 'audit.db'}")
    yield House(store, file)
    store.close_now()


@pytest.mark.parametrize(
    ("control", "action"),
    [("NW", "C"), ("XO", "U"), ("HD", "U"), ("CA", "D"), ("DC", "D"), ("SC", "U")],
)
async def test_an_order_is_reported_by_what_it_asks_for(house: House, control: str, action: str):
    """Placed, changed, cancelled: about the exam and its patient, by the system that said so."""
    await house.hears("ORM^O01", PATIENT + order(1, "NW"))

    found = await house.hears("ORM^O01", PATIENT + order(1, control))

    assert found == [("110109", action, ["1.2.276.0.99.1", "P1^^^HOSP_A"])]
    sender, source = (
        house.trees[0].find("ActiveParticipant"),
        house.trees[0].find("AuditSourceIdentification"),
    )
    assert sender is not None
    assert (sender.attrib["UserID"], sender.attrib["NetworkAccessPointID"]) == ("HOSP|RIS", "10.0.0.8")
    assert source is not None
    assert source.attrib == {"AuditSourceID": "B1", "AuditEnterpriseSiteID": "WEST"}


async def test_a_message_that_does_two_things_is_two_events(house: House):
    """Each with the exams that it is about."""
    await house.hears("ORM^O01", PATIENT + order(1, "NW"))

    found = await house.hears("ORM^O01", PATIENT + order(1, "CA") + order(2, "NW"))

    assert found == [
        ("110109", "D", ["1.2.276.0.99.1", "P1^^^HOSP_A"]),
        ("110109", "C", ["1.2.276.0.99.2", "P1^^^HOSP_A"]),
    ]


async def test_what_changed_nothing_is_not_reported(house: House):
    """A message that is repeated, and one that was refused."""
    await house.hears("ORM^O01", PATIENT + order(1, "NW"))
    house.count -= 1
    again = await house.hears("ORM^O01", PATIENT + order(1, "NW"))
    answers = [house.answer]
    refused = await house.hears("ORM^O01", PATIENT + order(9, "CA"))
    answers.append(house.answer)

    assert (again, refused) == ([], [])
    assert answers == ["AA", "AE"]


async def test_a_patient_that_is_made_known_is_created(file, tmp_path: Path):
    """What is told of a known one is an update."""
    folder = tmp_path / "mappings" / "systems"
    folder.mkdir(parents=True)
    (folder / "keeping.yaml").write_text("profile: keeping\nextends: generic\nadt: {unknown: store}\n")
    file.change("application: RIS, profile: generic", "application: RIS, profile: keeping")
    store = open_store(f"sqlite:///{tmp_path / 'audit.db'}")
    house = House(store, file)
    found = [
        await house.hears("ADT^A28^ADT_A05", PATIENT, "2.5.1"),
        await house.hears("ADT^A08^ADT_A01", PATIENT.replace("DOE", "ROE"), "2.5.1"),
    ]
    store.close_now()

    assert found == [[("110110", "C", ["P1^^^HOSP_A"])], [("110110", "U", ["P1^^^HOSP_A"])]]


async def test_a_patient_nobody_keeps_is_no_record(house: House):
    """The message is acknowledged, and changes nothing."""
    found = await house.hears("ADT^A08^ADT_A01", PATIENT, "2.5.1")

    assert (house.answer, found) == ("AA", [])


async def test_a_merge_ends_the_prior_identity(house: House):
    """The patient who is left is changed, the other is no more: an event for each, of one patient each."""
    await house.hears("ORM^O01", PATIENT + order(1, "NW"))
    await house.hears("ORM^O01", PATIENT.replace("P1", "P2") + order(2, "NW"))

    found = await house.hears(
        "ADT^A40^ADT_A39", PATIENT.split("PV1", maxsplit=1)[0] + "MRG|P2^^^HOSP_A\r", "2.5.1"
    )

    assert found == [("110110", "U", ["P1^^^HOSP_A"]), ("110110", "D", ["P2^^^HOSP_A"])]


async def test_what_a_person_decides_is_reported_of_each_patient(house: House):
    """The person asked for it; exams of two patients are two messages."""
    await house.hears("ORM^O01", PATIENT + order(1, "NW"))
    await house.hears("ORM^O01", PATIENT.replace("P1", "P2") + order(2, "NW"))

    house.store.write_now(lambda tx: house.records.decided(tx, "anna", [1, 2], "1.2.3"))

    assert house.reported() == [
        ("110111", "U", ["1.2.276.0.99.1", "P1^^^HOSP_A"]),
        ("110111", "U", ["1.2.276.0.99.2", "P2^^^HOSP_A"]),
    ]
    asked = [each.find("ActiveParticipant") for each in house.trees]
    assert [each.attrib["UserID"] for each in asked if each is not None] == ["anna", "anna"]
    assert [each.attrib["UID"] for each in house.trees[0].iter("MPPS")] == ["1.2.3"]


async def test_a_defect_costs_the_report_and_not_the_order(
    house: House, monkeypatch: pytest.MonkeyPatch, caplog
):
    """It is counted and told, and the sender is acknowledged."""
    before = REGISTRY.get_sample_value("mwl_audit_dropped_total", {"reason": "defect"}) or 0.0
    monkeypatch.setattr(audit_records, "encoded", lambda *_: {}["nothing"])

    found = await house.hears("ORM^O01", PATIENT + order(1, "NW"))

    assert (house.answer, found) == ("AA", [])
    assert REGISTRY.get_sample_value("mwl_audit_dropped_total", {"reason": "defect"}) == before + 1
    assert "audit message not made" in [record.getMessage() for record in caplog.records]


async def test_a_full_spool_costs_the_report_and_not_the_order(house: House, caplog):
    """It is told with the setting that moves it."""
    house.intake.on_effect = dataclasses.replace(house.records, limit=0).applied

    found = await house.hears("ORM^O01", PATIENT + order(1, "NW"))

    (told,) = (record.fields for record in caplog.records if record.getMessage() == "audit messages dropped")
    assert (house.answer, found) == ("AA", [])
    assert (told["reason"], told["setting"]) == ("spool full", "audit.spool")


def test_without_the_section_nothing_is_reported(file):
    """And nothing is made."""
    assert Records.of(file.load()) is None
