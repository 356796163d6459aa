"""Messages on patients read with the shipped profile: who they are, the visit, merges, arrivals."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from mwl.errors import BadDocument, Severity, Unacceptable
from mwl.mapping import paths
from mwl.mapping.facts import SiteFacts
from mwl.mapping.systems.system import SystemProfile
from mwl.mapping.systems.system_form import Kind
from mwl.model import Arrival, Document, PatientMessage

MSH = r"MSH|^~\&|HIS|HOSP|MWL|HOSP|20260705100000+0200||ADT^A08|1|P|2.5.1"
PID = "PID|1||PID001^^^HOSP_A||DOE^JOHN||19700102|M"
PV1 = "PV1||I|WARD1^101^2||||||||||||||||V1^^^HIS"


@pytest.fixture
def take(generic: SystemProfile, source: Callable[[str], Any]) -> Callable[..., PatientMessage]:
    """Read a message of segments with the shipped profile, or another."""

    def _take(kind: Kind, *segments: str, profile: SystemProfile = generic) -> PatientMessage:
        site = SiteFacts(name="HOSP")
        incoming = profile.read(kind, source("\r".join(segments)), "HIS", site, None)
        assert isinstance(incoming, PatientMessage)
        return incoming

    return _take


def refusal(take: Callable[..., PatientMessage], kind: Kind, *segments: str) -> list[tuple[int, str]]:
    with pytest.raises(Unacceptable) as refused:
        take(kind, *segments)
    return [(each.code, str(each.location)) for each in refused.value.findings]


def plain(document: Document) -> dict[str, Any]:
    """Return a document by keyword, values alone."""
    return {paths.keyword(tag): each.get("Value", []) for tag, each in document.items()}


def test_a_patient_is_read_as_an_order_reads_it(take) -> None:
    """Demographics by the lines of section patient, the visit by some of section procedure."""
    message = take("patient", MSH, PID, PV1, "OBX|1|NM|29463-7^Weight^LN||80|kg")

    (change,) = message.changes
    patient = plain(change.patient)
    assert [patient[each] for each in ("PatientID", "IssuerOfPatientID", "PatientBirthDate", "PatientWeight")] == [
        ["PID001"], ["HOSP_A"], ["19700102"], ["80"],
    ]  # fmt: skip
    assert patient["CurrentPatientLocation"] == ["WARD1 101 2"]
    assert set(plain(change.visit)) == {"AdmissionID", "IssuerOfAdmissionIDSequence", "RouteOfAdmissions"}
    assert (plain(change.visit)["AdmissionID"], change.prior, message.arrival) == (["V1"], (), None)
    assert (message.keeps_unknown, str(change.at)) == (False, "PID")


def test_messages_on_a_person_speak_of_no_visit(take) -> None:
    """PV1-2 = N is how A28 and A31 fill a segment they must send."""
    (change,) = take("patient", MSH, PID, "PV1||N").changes

    assert change.visit == {}


@pytest.mark.parametrize("kind", ["patient", "arrival", "merge"])
def test_f_h17_a_patient_id_is_needed(take, kind: Kind) -> None:
    """Missing PID-3: 101 there (C-43)."""
    assert refusal(take, kind, MSH, "PID|1||||DOE^JOHN", "MRG|PID003^^^HOSP_A") == [(101, "PID-3")]


@pytest.mark.parametrize("kind", ["patient", "arrival", "merge"])
def test_a_message_without_a_patient_is_refused(take, kind: Kind) -> None:
    """A sequence error: the segment is missing."""
    assert refusal(take, kind, MSH, "PV1||I") == [(100, "PID")]


def test_two_patients_are_refused_where_one_is_expected(take) -> None:
    """D-33: whose the visit is cannot be told."""
    assert refusal(take, "patient", MSH, PID, PID, PV1) == [(100, "PID[2]")]


# ── merges ──


def test_a_merge_names_who_was_merged(take) -> None:
    """MRG-1, each repetition with its issuer."""
    (change,) = take("merge", MSH, PID, "MRG|PID003^^^HOSP_A~PID004^^^&1.2.3&ISO").changes

    assert [plain(each) for each in change.prior] == [
        {"PatientID": ["PID003"], "IssuerOfPatientID": ["HOSP_A"]},
        {
            "PatientID": ["PID004"],
            "IssuerOfPatientIDQualifiersSequence": [
                {"00400032": {"vr": "UT", "Value": ["1.2.3"]}, "00400033": {"vr": "CS", "Value": ["ISO"]}}
            ],
        },
    ]
    assert str(change.prior_at) == "MRG-1"


def test_each_group_is_a_merge(take) -> None:
    """ADT_A39 repeats PID, PD1, MRG."""
    second = PID.replace("PID001", "PID002")
    message = take("merge", MSH, PID, "PD1|", "MRG|A^^^HOSP_A", second, "MRG|B^^^HOSP_A")

    pairs = [(plain(e.patient)["PatientID"], plain(e.prior[0])["PatientID"]) for e in message.changes]
    assert pairs == [(["PID001"], ["A"]), (["PID002"], ["B"])]
    assert [str(each.prior_at) for each in message.changes] == ["MRG-1", "MRG[2]-1"]


@pytest.mark.parametrize("merged", ["MRG|", "MRG||x", "MRG|^^^HOSP_A", 'MRG|""', "ZZZ|"])
def test_c_43_who_was_merged_is_needed(take, merged: str) -> None:
    """Missing MRG-1: 101 there."""
    assert refusal(take, "merge", MSH, PID, merged) == [(101, "MRG-1")]


def test_a_group_without_mrg_does_not_take_the_next_ones(take) -> None:
    """The second group's MRG is not the first one's."""
    assert refusal(take, "merge", MSH, PID, PID, "MRG|A^^^HOSP_A") == [(101, "MRG-1")]


def test_a_prior_id_too_long_is_a_mistake(take) -> None:
    """Identifiers are never cut."""
    assert (102, "MRG-1") in refusal(take, "merge", MSH, PID, f"MRG|{'9' * 65}")


def test_a_message_of_a_thousand_patients_is_refused(take) -> None:
    """It would keep the database busy for everybody."""
    prior = "~".join(str(number) for number in range(1000))

    assert refusal(take, "merge", MSH, PID, f"MRG|{prior}") == [(100, "PID")]


def test_a_site_gives_prior_ids_an_authority(take, site_profile) -> None:
    """One line, for a sender that leaves it out in MRG-1."""
    profile = site_profile("adt: {prior: {items: {IssuerOfPatientID: {from: .4.1, default: HOSP_A}}}}")

    (change,) = take("merge", MSH, PID, "MRG|PID003~PID004^^^HOSP_B", profile=profile).changes

    assert [plain(each)["IssuerOfPatientID"] for each in change.prior] == [["HOSP_A"], ["HOSP_B"]]


# ── arrivals ──


@pytest.mark.parametrize(
    ("event", "day"),
    [
        pytest.param("EVN||20260706||||20260705083000", "20260705", id="when it happened"),
        pytest.param("EVN||20260706", "20260706", id="when it was recorded"),
        pytest.param("EVN||||||20260706003000", "20260705", id="in the zone of MSH-7"),
        pytest.param("EVN||||||2026~x", "20260705", id="no whole day there"),
        pytest.param("ZZZ|", "20260705", id="when it was sent"),
    ],
)
def test_an_arrival_has_a_day(take, event: str, day: str) -> None:
    """The first of EVN-6, EVN-2 and MSH-7 that tells one, on the site's wall clock (UTC here)."""
    assert take("arrival", MSH, event, PID, PV1).arrival == Arrival(day)


def test_an_arrival_without_a_day_is_an_update(take) -> None:
    """That is reported; the demographics count."""
    message = take("arrival", MSH.replace("20260705100000+0200", ""), PID, PV1)

    assert message.arrival is None
    assert [(each.code, str(each.location), each.severity) for each in message.findings] == [
        (101, "EVN-6", Severity.WARNING)
    ]


def test_a_site_says_who_has_come_for_what(take, site_profile) -> None:
    """Any day, the very visit; A04 an arrival; unknown patients stored."""
    profile = site_profile(
        "accept: {messages: {ADT^A04: arrival}}\n"
        "adt: {unknown: store, visit: [AdmissionID], arrival: {day: [], same_visit: true}}"
    )

    message = take(profile.kind("ADT^A04"), MSH, PID, PV1, profile=profile)

    assert (message.arrival, message.keeps_unknown) == (Arrival("", same_visit=True), True)
    assert set(plain(message.changes[0].visit)) == {"AdmissionID"}


@pytest.mark.parametrize(
    ("line", "column", "message"),
    [
        ("adt: {visit: [AccessionNumbr]}", 15, "unknown attribute 'AccessionNumbr'"),
        ("adt: {visit: [Modality]}", 15, "section procedure has no line for Modality"),
        ("adt: {unknown: keep}", 16, "unknown: input should be 'ignore' or 'store'"),
        ("adt: {arrival: {day: EVN2}}", 22, "'EVN2' is not an HL7 path"),
        ("adt: {groups: [pid]}", 16, "'pid' is no segment"),
        ("adt: {groups: []}", 6, "the key 'groups' names no segment"),
        ("adt: {prior: null}", 6, "the key 'prior' is missing"),
        ("adt: {prior: {items: {PatientID: null}}}", 14, "PatientID among them"),
        ("adt: {prior: {each: MRG1}}", 21, "'MRG1' is not an HL7 path"),
        ("accept: {messages: {ADT^A40: merged}}", 30, "input should be 'order', 'patient'"),
    ],
)
def test_a_wrong_line_is_reported_at_its_place(line: str, column: int, message: str, site_profile) -> None:
    """As in every section."""
    with pytest.raises(BadDocument) as bad:
        site_profile(line)

    found = [each for each in bad.value.problems if message in each.message]
    assert [(each.line, each.column) for each in found] == [(2, column)]
    assert len(bad.value.problems) == 1
