"""What a message would become, and which line of the profile put which value where."""

from __future__ import annotations

from collections.abc import Callable
from zoneinfo import ZoneInfo

import pytest

from mwl.errors import Unacceptable
from mwl.hl7.envelope import Envelope, System
from mwl.hl7.explain import Explanation, explain, parts
from mwl.mapping.facts import SiteFacts
from mwl.mapping.systems.system import SystemProfile
from mwl.mapping.trace import Recorder
from mwl.model import text

Order = Callable[[str], bytes]
SITE = SiteFacts("HOSP", ZoneInfo("Europe/Berlin"), None, None)


@pytest.fixture
def explained(generic: SystemProfile) -> Callable[[bytes], Explanation]:
    """Explain a message of a sender whose application is RIS."""
    systems = [System("RIS", generic, application="RIS")]
    return lambda raw: explain(Envelope.open(raw, "", systems, SITE))


def test_an_order_is_told_as_its_patient_procedures_and_steps(
    explained: Callable[[bytes], Explanation], order: Order
) -> None:
    """As the intake would take it, each order with its steps (C-05), and nothing is stored."""
    explanation = explained(order("orm-two-orders"))

    assert explanation.outcome == "AA"
    assert explanation.incoming is not None
    patient, *procedures = parts(explanation.incoming)
    assert (patient.title, text(patient.document, "00100020")) == ("patient", "PIX1104")
    assert [each.title for each in procedures] == ["procedure 1: create", "procedure 2: create"]
    below = [[(each.title, text(each.document, "00400009")) for each in one.below] for one in procedures]
    assert below == [[("step 1", "SPX1104")], [("step 1", "SPX1105")]]


@pytest.mark.parametrize("number", ['""', "", "A\\T\\", "x" * 70, "~B^C&D", " Q7 "])
def test_whoever_watches_sees_what_is_applied(generic: SystemProfile, order: Order, number: str) -> None:
    """A value is the same whether a trace hears of it or not, also where the short way cannot be taken."""
    raw = edited(order("orm-2.3.1-mesa"), 18, number)
    systems = [System("RIS", generic)]

    def understood(trace: Recorder | None) -> object:
        try:
            return Envelope.open(raw, "", systems, SITE).understand(trace)
        except Unacceptable as refusal:
            return refusal.findings

    assert understood(None) == understood(Recorder())


def edited(raw: bytes, field: int, value: str) -> bytes:
    """Return *raw* with a field of its OBR replaced."""
    lines = raw.split(b"\r")
    index = next(n for n, line in enumerate(lines) if line.startswith(b"OBR"))
    fields = lines[index].split(b"|")
    fields += [b""] * (field + 1 - len(fields))
    fields[field] = value.encode()
    lines[index] = b"|".join(fields)
    return b"\r".join(lines)


def test_a_field_tells_what_it_gave(explained: Callable[[bytes], Explanation], order: Order) -> None:
    """Attribute, value, component and the line; of each order its own."""
    explanation = explained(order("orm-two-orders"))

    first, second = explanation.at("OBR", 1, 20), explanation.at("OBR", 2, 20)

    (step,) = second
    assert (step.section, step.target, step.element) == (
        "step", "ScheduledProcedureStepID", {"vr": "SH", "Value": ["SPX1105"]},
    )  # fmt: skip
    assert step.origin.rpartition("/")[2].startswith("generic.yaml:")
    assert [value.element for value in first] == [{"vr": "SH", "Value": ["SPX1104"]}]
    assert explanation.at("OBR", 1, 99) == []


def test_a_field_before_the_orders_gives_its_value_once(
    explained: Callable[[bytes], Explanation], order: Order
) -> None:
    """It is read for every order, and told once."""
    explanation = explained(order("orm-two-orders"))

    assert [value.target for value in explanation.at("PV1", 1, 2)] == ["RouteOfAdmissions"]


def test_every_repetition_that_was_read_is_told(explained: Callable[[bytes], Explanation]) -> None:
    """A name of three groups comes from three repetitions."""
    raw = (
        "MSH|^~\\&|RIS|HOSP|||20260705||ORM^O01|1|P|2.3.1||||||UNICODE UTF-8\r"
        "PID|||P1||Wang^XiaoDong^^^^^L^A~王^小东^^^^^L^I\rPV1|1|I|WARD3^12\rORC|NW|PL1\rOBR|1|PL1||C^T||||||||||||||A1|R1|S1\r"
    ).encode()
    explanation = explained(raw)

    (name,) = explanation.at("PID", 1, 5)
    assert [place.repetition for place in name.places] == [0, 2]
    (place,) = [value for value in explanation.at("PV1", 1, 3) if value.source.startswith("template")]
    assert [each.component for each in place.places] == [1, 2]


def test_what_the_profile_puts_there_itself_has_no_place(
    explained: Callable[[bytes], Explanation], order: Order
) -> None:
    """What stands in says what it stands in with."""
    explanation = explained(order("orm-2.3-without-zds"))

    assert {value.source for value in explanation.values if not value.places} <= {"else", "default"}


def test_header_and_control_code_tell_what_they_are_read_for(
    explained: Callable[[bytes], Explanation], order: Order
) -> None:
    """They become no attribute and are no dead weight."""
    explanation = explained(order("orm-2.3-without-zds"))

    assert explanation.use("MSH", 10) == "repeated in the answer"
    assert explanation.use("ORC", 1) == explanation.use("ORC", 5) == "what is asked for"
    assert explanation.use("ORC", 2) == explanation.use("MSH", 21) == ""


def test_a_refusal_names_the_line_that_makes_it(
    explained: Callable[[bytes], Explanation], order: Order
) -> None:
    """Whoever mends the profile knows where to look; what was read until then is told all the same."""
    raw = order("orm-two-orders").replace(b"SPX1105", b"SPX11051234567890")

    explanation = explained(raw)

    assert (explanation.outcome, explanation.incoming) == ("AE", None)
    (finding,) = explanation.findings
    assert str(finding.location) == "OBR[2]-20"
    assert explanation.line(finding).rpartition("/")[2].startswith("generic.yaml:")
    assert any(value.target == "PatientID" for value in explanation.values)
    (mistake,) = explanation.at("OBR", 2, 20)
    assert mistake.element is None


@pytest.mark.parametrize(
    ("raw", "outcome", "split"),
    [
        (b"rubbish", "AR", False),
        (b"MSH|^~\\&|RIS|HOSP|||20260705||XXX^X01|1|P|2.3.1\r", "AR", True),
        (b"MSH|^~\\&|NOBODY|HOSP|||20260705||ORM^O01|1|P|2.3.1\r", "AE", True),
        (b"MSH|^~\\&|RIS|HOSP|||20260705||ACK^O01|1|P|2.3.1\rMSA|AA|7\r", "ignored", True),
        (b"MSH|^~\\&|RIS|HOSP|||20260705||ADT^A37|1|P|2.3.1\rPID|||P1\r", "ignored", True),
    ],
)
def test_what_is_not_applied_is_explained_too(
    explained: Callable[[bytes], Explanation], raw: bytes, outcome: str, split: bool
) -> None:
    """Nothing raises: the reason is a finding."""
    explanation = explained(raw)

    assert (explanation.outcome, explanation.message is not None) == (outcome, split)
    assert bool(explanation.findings) is (outcome in ("AE", "AR"))


def test_a_message_on_a_patient_is_told_by_patients(explained: Callable[[bytes], Explanation]) -> None:
    """A merge names who stays and who was known before."""
    raw = (
        b"MSH|^~\\&|RIS|HOSP|||20260705||ADT^A40|1|P|2.3.1\rEVN||20260705\r"
        b"PID|||P1^^^HOSP||DOE^JANE\rMRG|P0^^^HOSP\r"
    )

    explanation = explained(raw)

    assert explanation.outcome == "AA"
    assert explanation.incoming is not None
    (patient,) = parts(explanation.incoming)
    assert text(patient.document, "00100020") == "P1"
    assert [text(each.document, "00100020") for each in patient.below if "before" in each.title] == ["P0"]


def test_an_appointment_is_told_by_services(explained: Callable[[bytes], Explanation]) -> None:
    """SIU^S12 with one service."""
    raw = (
        b"MSH|^~\\&|RIS|HOSP|||20260705||SIU^S12|1|P|2.3.1\rSCH|A1|F1|||||||||^^^20260706100000\r"
        b"PID|||P1^^^HOSP||DOE^JANE\rRGS|1\rAIS|1||CT01^CT head^L|20260706100000\r"
    )

    explanation = explained(raw)

    assert explanation.incoming is not None, explanation.findings
    titles = [part.title for part in parts(explanation.incoming)]
    assert titles[0] == "patient"
    assert titles[1].startswith("appointment: ")


def test_what_a_new_step_lacks_to_be_shown_is_told(explained: Callable[[bytes], Explanation]) -> None:
    """Of the message itself: what is stored is not looked at.  An order to cancel lacks nothing."""
    raw = (
        b"MSH|^~\\&|RIS|HOSP|||20260705||ORM^O01|1|P|2.3.1\rPID|||P1||DOE^JANE\rPV1|1|I\r"
        b"ORC|NW|PL1\rOBR|1|PL1||C^T||||||||||||||A1|R1|S1\r"
    )

    new, cancelled = explained(raw), explained(raw.replace(b"|NW|", b"|CA|"))

    assert new.outcome == "AA"
    assert [each.text for each in new.findings] == [
        "no device can be shown a new step: Modality is missing in this message",
        "no device can be shown a new step: ScheduledProcedureStepStartDate is missing in this message",
    ]
    assert cancelled.findings == ()
