"""What becomes of orders where systems differ: each policy of a profile, at its default and otherwise."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import pytest
from store.ris import Ris, bind, order, segment, value

from mwl.errors import Severity
from mwl.store import Store

Make: TypeAlias = Callable[..., Ris]

NINE, TEN, ELEVEN = "20260701090000", "20260701100000", "20260701110000"
MOVED = "^^^20260706110000"


@pytest.fixture
def make(store: Store, tmp_path: Path) -> Make:
    """Make a system whose profile states these policies; the others keep their defaults."""

    def _make(**policies: str) -> Ris:
        stated = ", ".join(f"{name}: {choice}" for name, choice in policies.items())
        return Ris(store, bind(site=tmp_path, text=f"order: {{policies: {{{stated}}}}}"))

    return _make


def start(ris: Ris) -> str:
    return str(value(ris.step, "SPS.ScheduledProcedureStepStartDate"))


# ── a new order again ──


def test_f_h06_a_new_order_again_changes_the_known_one(make: Make) -> None:
    """By default what differs is an update; one step, no doubt about its number."""
    ris = make()
    ris.send(order())

    ris.send(order(ORC_7=MOVED, MSH_7=ELEVEN))

    assert start(ris) == "20260706"


def test_f_h06_a_new_order_again_may_be_refused_where_it_differs(make: Make) -> None:
    """Strict: 205 for what says something else, AA for the same again."""
    ris = make(new_again="refuse")
    ris.send(order())
    before = ris.rows()

    ris.send(order())

    assert ris.refused(order(ORC_7=MOVED)) == [(205, "ORC-2")]
    assert ris.refused(order(OBR_20="SPS2")) == [(205, "ORC-2")]
    assert ris.rows() == before


# ── orders nobody knows ──


def test_a_change_of_an_unknown_order_is_taken_for_the_order(make: Make) -> None:
    """By default XO before NW puts the exam on the worklist, and NW finds it there."""
    ris = make()

    ris.send(order(ORC_1="XO"))
    ris.send(order())

    assert ris.worklist == ["SPS1"]


@pytest.mark.parametrize("control", ["XO", "XX", "SC", "NA", "HD", "RL"])
def test_a_change_of_an_unknown_order_may_be_refused(make: Make, control: str) -> None:
    """Strict: 204 at ORC-2, and nothing comes into being; a new order is taken all the same."""
    ris = make(change_of_unknown="refuse")
    empty = ris.rows()

    assert ris.refused(order(ORC_1=control)) == [(204, "ORC-2")]
    assert ris.rows() == empty
    ris.send(order())
    assert ris.worklist == ["SPS1"]


@pytest.mark.parametrize("control", ["CA", "OC", "DC", "RP"])
def test_f_h10_a_cancellation_of_an_unknown_order_is_refused(make: Make, control: str) -> None:
    """By default 204 at ORC-2."""
    assert make().refused(order(ORC_1=control)) == [(204, "ORC-2")]


def test_f_h10_a_cancellation_of_an_unknown_order_may_be_accepted(make: Make) -> None:
    """Lenient: AA with a warning; not even the patient is made."""
    ris = make(cancel_of_unknown="accept")
    empty = ris.rows()

    outcome = ris.send(order(ORC_1="CA"))

    assert [(each.severity, each.code) for each in outcome.findings] == [(Severity.WARNING, 204)]
    assert ris.rows() == empty


def test_a_cancellation_by_another_patient_is_never_accepted(make: Make) -> None:
    """The number is known, for somebody else: that is a mistake, whatever the policy."""
    ris = make(cancel_of_unknown="accept")
    ris.send(order())

    assert ris.refused(order(ORC_1="CA", PID_3="PID002^^^HOSP_A")) == [(204, "ORC-2")]


# ── replacements ──


def replacement(**fields: str) -> str:
    """RP of the order, and RO of another one, in one message."""
    new = (segment("ORC", f1="RO", f2="P2^PLC", f3="F2^FIL"),
           segment("OBR", f2="P2^PLC", f3="F2^FIL", f18="ACC2", f19="RPID2", f20="SPS2"))  # fmt: skip
    return order(*new, ORC_1="RP", ZDS="", **fields)


def test_a_replacement_is_one_change(make: Make) -> None:
    """RP and RO: the old exam leaves the worklist in the moment the new one comes."""
    ris = make()
    ris.send(order())

    ris.send(replacement())

    assert ris.states == ["CANCELED", "SCHEDULED"]
    assert ris.worklist == ["SPS2"]


def test_a_replacement_that_fails_leaves_the_old_order(make: Make) -> None:
    """Whole or not at all: an exam is not taken away for one that cannot be made."""
    ris = make()
    ris.send(order())
    broken = replacement().replace("RPID2", "R" * 17)

    assert ris.refused(broken) == [(102, "OBR[2]-19")]
    assert ris.worklist == ["SPS1"]


def test_a_replacement_of_an_unknown_order_is_the_new_order(make: Make) -> None:
    """What is to be replaced may be older than the broker: the new exam must not get lost for it."""
    ris = make()

    outcome = ris.send(replacement())

    assert ris.worklist == ["SPS2"]
    assert [(each.severity, each.code) for each in outcome.findings] == [(Severity.WARNING, 204)]


def test_a_replacement_under_the_same_ids_is_one_exam(make: Make) -> None:
    """A RIS that keeps accession, procedure and step ID for the new order has one step, wanted again."""
    ris = make()
    ris.send(order())

    new = (segment("ORC", f1="RO", f2="P2^PLC", f3="F2^FIL"), segment("OBR", f2="P2^PLC", f3="F2^FIL"))
    ris.send(order(*new, ORC_1="RP", ZDS="", MSH_7=ELEVEN))

    assert ris.worklist == ["SPS1"]
    assert value(ris.step, "FillerOrderNumberImagingServiceRequest") == "F2"


# ── messages that come late ──


def test_an_older_message_fills_gaps_and_replaces_nothing(make: Make) -> None:
    """By MSH-7: the newer schedule stays, what it did not say is filled in, and a warning tells."""
    ris = make()
    ris.send(order(ORC_1="XO", ORC_7=MOVED, OBR_24="", MSH_7=ELEVEN))

    outcome = ris.send(order(MSH_7=TEN))

    assert start(ris) == "20260706"
    assert value(ris.step, "SPS.Modality") == "CT"
    assert [(each.severity, str(each.location)) for each in outcome.findings] == [(Severity.WARNING, "ORC-9")]


def test_a_message_sent_again_under_a_new_time_is_told_by_orc_9(make: Make) -> None:
    """An interface engine stamps MSH-7 anew, ORC-9 keeps when the order was changed."""
    ris = make()
    ris.send(order(ORC_1="XO", ORC_7=MOVED, ORC_9="20260701103000", MSH_7=""))

    ris.send(order(ORC_9="20260701100000", MSH_7=""))

    assert start(ris) == "20260706"


def test_a_message_that_one_stamp_calls_newer_is_not_late(make: Make) -> None:
    """Systems that put the time of the first entry into ORC-9 still get their changes through."""
    ris = make()
    ris.send(order(ORC_9="20260701095900", MSH_7=TEN))

    outcome = ris.send(order(ORC_1="XO", ORC_7=MOVED, ORC_9="20260701090000", MSH_7=ELEVEN))

    assert start(ris) == "20260706"
    assert outcome.findings == ()


def test_a_late_message_does_not_bring_an_old_name_back(make: Make) -> None:
    """Who is late for the order knows its patient no better."""
    ris = make()
    ris.send(order(PID_5="SMITH^JOHN", MSH_7=ELEVEN))

    ris.send(order(PID_5="DOE^JOHN", PID_8="M", MSH_7=TEN))

    assert value(ris.step, "PatientName") == {"Alphabetic": "SMITH^JOHN"}


def test_a_late_new_order_reopens_nothing(make: Make) -> None:
    """An order cancelled at eleven is not back because its first message comes again."""
    ris = make()
    ris.send(order(MSH_7=NINE))
    ris.send(order(ORC_1="CA", MSH_7=ELEVEN))

    ris.send(order(MSH_7=TEN))

    assert ris.states == ["CANCELED"]


def test_a_late_hold_holds_nothing(make: Make) -> None:
    """What was released later stays released."""
    ris = make()
    ris.send(order(MSH_7=NINE))
    ris.send(order(ORC_1="RL", MSH_7=ELEVEN))

    ris.send(order(ORC_1="HD", MSH_7=TEN))

    assert ris.worklist == ["SPS1"]


def test_a_cancellation_counts_however_late_it_comes(make: Make) -> None:
    """A change that overtook it does not keep a cancelled exam on the list."""
    ris = make()
    ris.send(order(MSH_7=NINE))
    ris.send(order(ORC_1="XO", MSH_7=ELEVEN))

    ris.send(order(ORC_1="CA", MSH_7=TEN))

    assert ris.states == ["CANCELED"]


def test_late_messages_may_count_like_any_other(make: Make) -> None:
    """For a system whose clocks cannot be trusted: the last one to arrive counts."""
    ris = make(late="apply")
    ris.send(order(ORC_7=MOVED, MSH_7=ELEVEN))

    outcome = ris.send(order(ORC_1="XO", MSH_7=TEN))

    assert start(ris) == "20260705"
    assert outcome.findings == ()


# ── exams that have begun ──


def test_a_change_of_an_exam_that_runs_changes_what_it_says(make: Make) -> None:
    """By default the attributes follow the order, the state stays the device's."""
    ris = make()
    ris.send(order())
    ris.begin()

    ris.send(order(ORC_1="XO", ORC_7=MOVED, MSH_7=ELEVEN))

    assert (ris.states, start(ris)) == (["STARTED"], "20260706")


def test_a_change_of_an_exam_that_runs_may_be_left_or_refused(make: Make) -> None:
    """The step stays as it is, with a warning, or 206; what changes nothing is taken without a word."""
    ris, late = make(), order(ORC_1="XO", ORC_7=MOVED, MSH_7=ELEVEN)
    ris.send(order())
    ris.begin()

    again = [make(change_of_begun=policy).send(order(MSH_7=ELEVEN)) for policy in ("keep", "refuse")]
    assert [each.findings for each in again] == [(), ()]

    outcome = make(change_of_begun="keep").send(late)
    assert (ris.states, start(ris)) == (["STARTED"], "20260705")
    assert [(each.severity, each.code) for each in outcome.findings] == [(Severity.WARNING, 206)]

    assert make(change_of_begun="refuse").refused(late) == [(206, "ORC-1")]
    assert (ris.states, start(ris)) == (["STARTED"], "20260705")


@pytest.mark.parametrize(
    ("policy", "state"), [("keep", "STARTED"), ("discontinue", "DISCONTINUED"), ("refuse", "STARTED")]
)
def test_f_h09_a_cancellation_of_an_exam_that_runs(make: Make, policy: str, state: str) -> None:
    """It runs on and a warning tells; or it is discontinued; or the message is refused."""
    ris = make(cancel_of_begun=policy)
    ris.send(order())
    ris.begin()
    cancel = order(ORC_1="CA", MSH_7=ELEVEN)

    if policy == "refuse":
        assert ris.refused(cancel) == [(206, "ORC-1")]
    else:
        codes = [each.code for each in ris.send(cancel).findings]
        assert codes == ([206] if policy == "keep" else [])

    assert ris.states == [state]


@pytest.mark.parametrize("control", ["NW", "XO", "SN", "CH", "RO", "SC", "NA", "HD", "RL", "CA", "OC", "RP"])
def test_no_order_control_throws_a_running_exam_back(make: Make, control: str) -> None:
    """Whatever arrives after the device has begun: STARTED stays STARTED (peers 7)."""
    ris = make()
    ris.send(order())
    ris.begin()

    ris.send(order(ORC_1=control, MSH_7=ELEVEN))

    assert ris.states == ["STARTED"]


# ── another Study Instance UID ──


def test_another_study_uid_may_be_left_or_refused(make: Make) -> None:
    """The stored one stays, with a warning, or the message is refused with 205."""
    ris, other = make(), order(ORC_1="XO", ZDS="ZDS|1.2.276.0.99.2", MSH_7=ELEVEN)
    ris.send(order())

    outcome = make(other_study="keep").send(other)
    assert [(each.severity, each.code) for each in outcome.findings] == [(Severity.WARNING, 205)]
    assert make(other_study="refuse").refused(other) == [(205, "ORC-2")]

    assert value(ris.step, "StudyInstanceUID") == "1.2.276.0.99.1"


# ── holds ──


def test_a_held_order_is_on_no_worklist_and_keeps_its_state(make: Make) -> None:
    """C.4: HD hides and RL shows again; the state is the same all the time, the history tells."""
    ris = make()
    ris.send(order())

    ris.send(order(ORC_1="HD", MSH_7=ELEVEN))
    hidden = (ris.worklist, ris.states, ris.step.held)
    ris.send(order(ORC_1="RL", MSH_7="20260701120000"))

    assert hidden == ([], ["SCHEDULED"], True)
    assert (ris.worklist, ris.states, ris.step.held) == (["SPS1"], ["SCHEDULED"], False)
    assert ris.history(ris.step.ref.key) == ["create", "hold", "release"]


def test_a_change_of_a_held_order_does_not_release_it(make: Make) -> None:
    """XO and NW again change what the order says; only a release, or ORC-5, puts it back on the list."""
    ris = make()
    ris.send(order(ORC_1="NW", ORC_5="HD"))

    ris.send(order(ORC_1="XO", ORC_7=MOVED, MSH_7=ELEVEN))
    ris.send(order(ORC_7=MOVED, MSH_7=ELEVEN))

    assert (ris.worklist, start(ris)) == ([], "20260706")
    ris.send(order(ORC_1="SC", ORC_5="SC", MSH_7="20260701120000"))
    assert ris.worklist == ["SPS1"]


def test_what_runs_cannot_be_held(make: Make) -> None:
    """A hold comes too late for an exam that has begun: it stays where it is, and a warning tells."""
    ris = make()
    ris.send(order())
    ris.begin()

    outcome = ris.send(order(ORC_1="HD", MSH_7=ELEVEN))

    assert (ris.worklist, ris.step.held) == (["SPS1"], False)
    assert [each.code for each in outcome.findings] == [206]


def test_an_order_that_was_held_and_cancelled_is_shown_when_ordered_again(make: Make) -> None:
    """A new order after the cancellation is wanted now."""
    ris = make()
    for control, sent in (("NW", NINE), ("HD", TEN), ("CA", ELEVEN), ("NW", "20260701120000")):
        ris.send(order(ORC_1=control, MSH_7=sent))

    assert ris.worklist == ["SPS1"]
