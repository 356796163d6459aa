"""Audit messages are what the schema of PS3.15 A.5.1 says, whatever peers put into them."""

from __future__ import annotations

import base64
import datetime as dt
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foreign.audit import judged
from mwl.audit import codes, events
from mwl.audit.events import Asker, Exam, Here
from mwl.audit.message import Action, Event, Outcome, Source, encoded

AT = dt.datetime(2026, 7, 5, 9, 0, 0, 123456, tzinfo=dt.timezone(dt.timedelta(hours=2)))
HERE = Here("4711", "MWL", "broker1")
CT1 = Asker.device("CT1", "192.0.2.7")
RIS = Asker.system("RIS", "HOSP", "192.0.2.8")
PATIENT = {
    "00100020": {"vr": "LO", "Value": ["PID001"]},
    "00100021": {"vr": "LO", "Value": ["HOSP_A"]},
    "00100010": {"vr": "PN", "Value": [{"Alphabetic": "DOE^JOHN"}]},
}
PROCEDURE = {
    "0020000D": {"vr": "UI", "Value": ["1.2.3.4"]},
    "00080050": {"vr": "SH", "Value": ["ACC1"]},
    "00321060": {"vr": "LO", "Value": ["CT head"]},
}
EXAM = Exam(PROCEDURE, "1.2.3.5")


def asked(identifier: bytes = b"\x08\x00") -> Event:
    return events.query(
        HERE, AT, CT1, sop_class="1.2.840.10008.5.1.4.31", transfer_syntax="1.2.840.10008.1.2",
        identifier=identifier, succeeded=True,
    )  # fmt: skip


EVERY = {
    "start": events.started(HERE, AT),
    "stop": events.stopped(HERE, AT),
    "query": asked(),
    "query for a user": events.query(
        HERE, AT, Asker.device("CT1", "192.0.2.7", "nora"), sop_class="1.2", transfer_syntax="1.2",
        identifier=b"", succeeded=False,
    ),
    "order": events.order(HERE, AT, RIS, Action.CREATE, PATIENT, [EXAM, Exam({})]),
    "procedure": events.procedure(
        HERE, AT, CT1, Action.UPDATE, PATIENT, [EXAM], types=(codes.STEP_ENDED,)
    ),
    "patient": events.patient(HERE, AT, RIS, Action.DELETE, {}),
    "alert": events.alert(
        HERE, AT, codes.NODE_AUTHENTICATION, "192.0.2.66", "association refused", outcome=Outcome.MINOR_FAILURE
    ),
    "alert from nobody": events.alert(
        HERE, AT, codes.USE_OF_RESTRICTED_FUNCTION, "", "limit struck", outcome=Outcome.SERIOUS_FAILURE
    ),
    "login": events.login(HERE, AT, "nora", "192.0.2.7", succeeded=False),
}  # fmt: skip


def tree(event: Event) -> ET.Element:
    return ET.fromstring(encoded(event, Source("MWL", "HOSP")))


def test_every_kind_is_valid_against_the_schema(tmp_path: Path):
    """A judge that is not ours holds all of them against PS3.15 A.5.1."""
    documents = [
        encoded(each, Source("MWL", site)).decode() for each in EVERY.values() for site in ("", "HOSP")
    ]

    assert judged(documents, tmp_path) == ""


def test_the_judge_objects_to_what_the_schema_forbids(tmp_path: Path):
    """Another outcome, and an object that has neither name nor query: both are told."""
    document = encoded(asked(), Source("MWL")).decode()
    wrong = [
        document.replace('EventOutcomeIndicator="0"', 'EventOutcomeIndicator="1"'),
        document.replace("ParticipantObjectQuery", "ParticipantObjectSomething"),
    ]

    said = judged(wrong, tmp_path)

    assert "audit0.xml fails to validate" in said
    assert "audit1.xml fails to validate" in said


def test_a_query_tells_what_was_asked_by_whom():
    """Source and destination, the SOP class, the identifier in base64, its transfer syntax (A.5.3.10)."""
    found = tree(asked(b"\x08\x00\x52\x00"))

    event, first, second = found[0], found[1], found[2]
    assert event.attrib == {
        "EventActionCode": "E", "EventDateTime": "2026-07-05T07:00:00.123+00:00", "EventOutcomeIndicator": "0",
    }  # fmt: skip
    assert [each.attrib["csd-code"] for each in event] == ["110112", "RAD-5"]
    assert first.attrib == {
        "UserID": "CT1", "AlternativeUserID": "AETITLES=CT1", "UserIsRequestor": "true",
        "NetworkAccessPointID": "192.0.2.7", "NetworkAccessPointTypeCode": "2",
    }  # fmt: skip
    assert first[0].attrib["csd-code"] == "110153"
    assert second.attrib == {
        "UserID": "4711", "AlternativeUserID": "AETITLES=MWL", "UserIsRequestor": "false",
        "NetworkAccessPointID": "broker1", "NetworkAccessPointTypeCode": "1",
    }  # fmt: skip
    assert second[0].attrib["csd-code"] == "110152"
    (query,) = found.iter("ParticipantObjectQuery")
    assert base64.b64decode(query.text or "") == b"\x08\x00\x52\x00"
    (detail,) = found.iter("ParticipantObjectDetail")
    assert detail.attrib["type"] == "TransferSyntax"
    assert base64.b64decode(detail.attrib["value"]) == b"1.2.840.10008.1.2"


def test_an_identifier_longer_than_any_devices_is_told_by_its_length():
    """A peer cannot fill the spool with what it asks."""
    found = tree(asked(bytes(events.QUERY_KEPT + 1)))

    (query,) = found.iter("ParticipantObjectQuery")
    details = {
        each.attrib["type"]: base64.b64decode(each.attrib["value"])
        for each in found.iter("ParticipantObjectDetail")
    }
    assert not query.text
    assert details["Length"] == b"32769"


def test_who_acts_for_a_user_is_not_the_requestor():
    """Of all participants one asked for it: the person, where one is known (A.5.2)."""
    found = tree(EVERY["query for a user"])

    asked_by = [
        each.attrib["UserID"]
        for each in found.iter("ActiveParticipant")
        if each.attrib["UserIsRequestor"] == "true"
    ]
    assert asked_by == ["nora"]


def test_an_order_is_about_one_patient_and_its_exams():
    """The patient by ID and issuer, each study with accession and performed step; the sender as IHE joins it."""
    found = tree(EVERY["order"])

    objects = list(found.iter("ParticipantObjectIdentification"))
    study, patient = objects[0], objects[-1]
    assert next(found.iter("ActiveParticipant")).attrib["UserID"] == "HOSP|RIS"
    assert (study.attrib["ParticipantObjectID"], study.findtext("ParticipantObjectName")) == (
        "1.2.3.4",
        "CT head",
    )
    assert [each.attrib for each in study.iter("MPPS")] == [{"UID": "1.2.3.5"}]
    assert [each.attrib for each in study.iter("Accession")] == [{"Number": "ACC1"}]
    assert patient.attrib["ParticipantObjectID"] == "PID001^^^HOSP_A"
    assert patient.findtext("ParticipantObjectName") == "DOE^JOHN"


@pytest.mark.parametrize("kind", EVERY)
def test_a_message_is_one_line(kind: str):
    """Collectors that keep lines keep whole messages."""
    assert b"\n" not in encoded(EVERY[kind], Source("MWL\n", "HO\rSP"))


@given(st.text(st.characters(codec=None), max_size=40))
def test_nobody_makes_a_message_unreadable(said: str):
    """Control characters, lone surrogates and markup in a peer's words are text of what they stand in."""
    found = tree(alert(said))

    assert [each.tag for each in found] == [
        "EventIdentification", "ActiveParticipant", "AuditSourceIdentification", "ParticipantObjectIdentification",
    ]  # fmt: skip


@given(st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), min_size=1, max_size=40))
def test_what_can_be_printed_is_told_as_it_came(said: str):
    """Markup, quotes and all scripts come out at the other end as they went in."""
    (node,) = tree(alert(said)).iter("ParticipantObjectIdentification")

    assert node.attrib["ParticipantObjectID"] == node.findtext("ParticipantObjectName") == said


def alert(said: str) -> Event:
    return events.alert(HERE, AT, codes.NODE_AUTHENTICATION, said, said, outcome=Outcome.MINOR_FAILURE)
