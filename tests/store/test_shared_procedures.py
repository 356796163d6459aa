"""Orders that state one requested procedure (C-05): each is a step, changed and cancelled by itself."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from store.ris import Ris, bind, codes, order, segment, value

from mwl.store import Store

Put: TypeAlias = Callable[[Ris], None]

TEN, ELEVEN = "20260701100000", "20260701110000"
MOVED = "^^^20260706110000"
ZDS = segment("ZDS")
UNNAMED = {"OBR_20": ""}  # as a RIS sends it that plans no steps


def second(**fields: str) -> dict[str, str]:
    """The fields of an order with the first one's accession number and procedure, and its own numbers."""
    own = {"ORC_2": "P2^PLC", "ORC_3": "F2^FIL", "OBR_2": "P2^PLC", "OBR_3": "F2^FIL",
           "OBR_4": "RP1^Chest CT^L^SP2^CT chest contrast^L"}  # fmt: skip
    return own | UNNAMED | fields


def group(**fields: str) -> str:
    """Return the ORC and OBR of another order, to stand behind the first."""
    return "\r".join(
        segment(kind, **{f"f{name[4:]}": text for name, text in fields.items() if name.startswith(kind)})
        for kind in ("ORC", "OBR")
    )


def both(**fields: str) -> str:
    """One message that orders both."""
    return order(group(**second(**fields)), ZDS, **(UNNAMED | fields), ZDS="")


def in_one_message(ris: Ris) -> None:
    ris.send(both())


def in_two_messages(ris: Ris) -> None:
    ris.send(order(**UNNAMED))
    ris.send(order(**second()))


def the_other_way_round(ris: Ris) -> None:
    ris.send(order(**second()))
    ris.send(order(**UNNAMED))


@pytest.fixture(params=[in_one_message, in_two_messages, the_other_way_round], ids=lambda put: put.__name__)
def put(request: pytest.FixtureRequest) -> Put:
    """How the two orders come."""
    return request.param  # type: ignore[no-any-return]


@pytest.fixture
def ris(store: Store) -> Ris:
    return Ris(store, bind())


def by_filler(ris: Ris, keyword: str) -> dict[Any, Any]:
    """Return a value of each step, by the filler order number it is shown under."""
    return {value(item, "FillerOrderNumberImagingServiceRequest"): value(item, keyword) for item in ris.steps}


def states(ris: Ris) -> dict[Any, Any]:
    return by_filler(ris, "SPS.ScheduledProcedureStepStatus")


def starts(ris: Ris) -> dict[Any, Any]:
    return by_filler(ris, "SPS.ScheduledProcedureStepStartDate")


def ids(ris: Ris) -> list[Any]:
    return [value(item, "SPS.ScheduledProcedureStepID") for item in ris.steps]


# ── as ordered ──


def test_each_order_is_a_step_of_the_one_procedure(ris: Ris, put: Put) -> None:
    """C-05: study, accession number and procedure are shared; numbers, step ID and protocol are its own."""
    put(ris)

    shared = ("StudyInstanceUID", "AccessionNumber", "RequestedProcedureID")
    assert {tuple(value(item, each) for each in shared) for item in ris.steps} == {
        ("1.2.276.0.99.1", "ACC1", "RPID1")
    }
    assert by_filler(ris, "PlacerOrderNumberImagingServiceRequest") == {"F1": "P1", "F2": "P2"}
    assert len(set(ids(ris))) == 2
    protocols = {
        value(item, "FillerOrderNumberImagingServiceRequest"): codes(
            item, "SPS.ScheduledProtocolCodeSequence"
        )
        for item in ris.steps
    }
    assert protocols == {"F1": ["SP1"], "F2": ["SP2"]}


def test_the_first_order_keeps_what_stands_in_for_its_step_id(ris: Ris) -> None:
    """The next one's ID is its own order number: a RIS that is told of it knows the order by that."""
    in_one_message(ris)

    assert ids(ris) == ["RPID1", "F2"]


@pytest.mark.parametrize(
    ("numbers", "step_id"),
    [
        ({"ORC_3": "F" * 17}, "P2"),
        ({"ORC_3": "", "OBR_3": ""}, "P2"),
        ({"ORC_3": "", "OBR_3": "", "ORC_2": "P" * 16}, "P" * 16),
        ({"ORC_3": "F" * 17, "ORC_2": "P" * 17}, "RPID1-25XI42"),
        ({"ORC_3": "RPID1", "ORC_2": "RPID1"}, "RPID1-UGO5E5"),
    ],
    ids=["filler too long", "no filler", "just short enough", "both too long", "both taken"],
)
def test_a_step_id_is_no_longer_than_it_may_be(ris: Ris, numbers: dict[str, str], step_id: str) -> None:
    """SH has 16 characters; what is made of a longer number is the same on every broker, at every attempt."""
    ris.send(order(**UNNAMED))
    message = order(**second(**numbers))

    ris.send(message)
    known = ris.rows()
    ris.send(message)

    assert ids(ris) == ["RPID1", step_id]
    assert ris.rows() == known


def test_an_order_again_changes_nothing(ris: Ris, put: Put) -> None:
    """D-30: together, each by itself, and in any order."""
    put(ris)
    known = ris.rows()

    for message in (both(), order(**second()), order(**UNNAMED)):
        ris.send(message)

    assert ris.rows() == known


def test_an_order_alone_keeps_the_step_id_it_had(ris: Ris) -> None:
    """Another accession number is another procedure: its ID is nobody's before it."""
    ris.send(order(**UNNAMED))
    ris.send(order(**second(OBR_18="ACC2", ZDS="ZDS|1.2.276.0.99.2")))

    assert ids(ris) == ["RPID1", "RPID1"]


def test_orders_of_one_study_have_step_ids_of_their_own(ris: Ris) -> None:
    """Two accession numbers with one procedure ID in one study: MPPS names its step by study and step ID."""
    ris.send(order(**UNNAMED))
    ris.send(order(**second(OBR_18="ACC2")))

    assert ids(ris) == ["RPID1", "F2"]


def test_orders_of_one_accession_number_have_step_ids_of_their_own(ris: Ris) -> None:
    """Without procedure ID and study they are two exams, which a device lists under one number."""
    ris.send(order(**UNNAMED, OBR_19="", ZDS=""))
    ris.send(order(**second(OBR_19=""), ZDS=""))

    assert ids(ris) == ["ACC1", "F2"]


def test_orders_that_nothing_tells_apart_are_one_step(ris: Ris) -> None:
    """Without a number of its own a second group is a further protocol of the same step."""
    numberless = dict.fromkeys(("ORC_2", "ORC_3", "OBR_2", "OBR_3"), "")

    ris.send(order(group(**second(**numberless)), ZDS, **UNNAMED, **numberless, ZDS=""))

    assert ids(ris) == ["RPID1"]
    assert codes(ris.step, "SPS.ScheduledProtocolCodeSequence") == ["SP1", "SP2"]


# ── one of them ──


@pytest.mark.parametrize(
    "numbers",
    [
        {},
        {"OBR_18": "", "OBR_19": ""},
        {"ORC_2": "", "OBR_2": ""},
        {"ORC_3": "", "OBR_3": ""},
        {"ORC_3": "", "OBR_3": "", "OBR_18": "", "OBR_19": ""},
    ],
    ids=["all numbers", "own numbers", "filler", "placer", "placer alone"],
)
@pytest.mark.parametrize("which", ["F1", "F2"])
def test_a_cancellation_takes_one_order_off(ris: Ris, put: Put, which: str, numbers: dict[str, str]) -> None:
    """CA of one leaves the other on the worklist, by whatever number it is named."""
    put(ris)

    ris.send(order(**(second if which == "F2" else dict)(**UNNAMED | numbers), ORC_1="CA", MSH_7=ELEVEN))

    assert states(ris) == {"F1": "SCHEDULED", "F2": "SCHEDULED"} | {which: "CANCELED"}


@pytest.mark.parametrize("control", ["XO", "SC"])
@pytest.mark.parametrize("which", ["F1", "F2"])
def test_a_change_moves_one_order(ris: Ris, put: Put, which: str, control: str) -> None:
    """XO and SC of one leave the other where it is."""
    put(ris)
    fields = {**UNNAMED, "ORC_1": control, "ORC_7": MOVED, "MSH_7": ELEVEN}

    ris.send(order(**(second(**fields) if which == "F2" else fields)))

    assert starts(ris) == {"F1": "20260705", "F2": "20260705"} | {which: "20260706"}


def test_a_cancellation_of_both_takes_both_off(ris: Ris, put: Put) -> None:
    """In one message, or by the accession number they share."""
    put(ris)
    ris.send(both(ORC_1="CA", MSH_7=ELEVEN))
    together = states(ris)
    ris.send(both(MSH_7="20260701120000"))

    shared = dict.fromkeys(("ORC_2", "ORC_3", "OBR_2", "OBR_3", "OBR_20"), "")
    ris.send(order(**shared, ORC_1="CA", MSH_7="20260701130000"))

    assert together == states(ris) == {"F1": "CANCELED", "F2": "CANCELED"}


def test_a_cancellation_of_an_order_nobody_sent_takes_nothing_off(ris: Ris, put: Put) -> None:
    """It shares the procedure, and is not one of its orders."""
    put(ris)

    refused = ris.refused(order(**second(ORC_2="P3^PLC", ORC_3="F3^FIL"), ORC_1="CA", MSH_7=ELEVEN))

    assert refused == [(204, "ORC-2")]
    assert states(ris) == {"F1": "SCHEDULED", "F2": "SCHEDULED"}


def test_a_change_that_does_not_say_which_order_it_means_is_refused(ris: Ris, put: Put) -> None:
    """The numbers fit both."""
    put(ris)
    shared = dict.fromkeys(("ORC_2", "ORC_3", "OBR_2", "OBR_3", "OBR_20"), "")

    assert ris.refused(order(**shared, ORC_1="XO", ORC_7=MOVED, MSH_7=ELEVEN)) == [(205, "ORC-2")]


def test_what_came_late_for_one_order_is_not_late_for_the_other(ris: Ris) -> None:
    """Each order has a time of its own: the first one's change does not make the second one's old."""
    in_one_message(ris)
    ris.send(order(**UNNAMED, ORC_1="XO", ORC_7=MOVED, MSH_7=ELEVEN))

    ris.send(order(**second(), ORC_1="XO", ORC_7="^^^20260707110000", MSH_7="20260701103000"))

    assert starts(ris) == {"F1": "20260706", "F2": "20260707"}


def test_the_exam_of_one_order_is_no_other_orders(ris: Ris, put: Put) -> None:
    """A device returns study and step ID."""
    put(ris)

    ris.begin(step="F2" if "F2" in ids(ris) else "RPID1")

    assert states(ris) == {"F1": "SCHEDULED", "F2": "STARTED"}


# ── orders that name their steps ──


def test_each_order_has_the_step_it_names(ris: Ris) -> None:
    """Cancelled by its own number, without the step: the other one stays."""
    ris.send(order(group(**second(OBR_20="SPS2")), ZDS, ZDS=""))
    ris.send(order(**second(OBR_20="SPS2"), MSH_7=ELEVEN))

    ris.send(order(**second(), ORC_1="CA", MSH_7="20260701120000"))

    assert ids(ris) == ["SPS1", "SPS2"]
    assert states(ris) == {"F1": "SCHEDULED", "F2": "CANCELED"}


def test_a_placer_number_of_several_orders_and_a_step_mean_the_order_of_that_step(ris: Ris) -> None:
    """One order of the placer's, which the filler carries out in two."""
    placer = {"ORC_2": "P1^PLC", "OBR_2": "P1^PLC"}
    ris.send(order(group(**second(OBR_20="SPS2", **placer)), ZDS, ZDS=""))
    change = {"ORC_1": "XO", "ORC_3": "", "OBR_3": "", "OBR_20": "SPS2", "ORC_7": MOVED, "MSH_7": ELEVEN}

    ris.send(order(**change))

    assert ids(ris) == ["SPS1", "SPS2"]
    assert starts(ris) == {"F1": "20260705", "F2": "20260706"}


@pytest.mark.parametrize("together", [True, False], ids=["in one message", "in two messages"])
def test_f_h58_orders_that_name_one_step_are_one_step(ris: Ris, together: bool) -> None:
    """C-06: whatever their own numbers; any of them changes it, and cancels it."""
    same = second(OBR_20="SPS1")
    for message in [order(group(**same), ZDS, ZDS="")] if together else [order(), order(**same)]:
        ris.send(message)
    ris.send(order(ORC_1="XO", ORC_7=MOVED, MSH_7=ELEVEN))
    start = value(ris.step, "SPS.ScheduledProcedureStepStartDate")

    ris.send(order(**same, ORC_1="CA", MSH_7="20260701120000"))

    assert ids(ris) == ["SPS1"]
    assert (start, ris.states) == ("20260706", ["CANCELED"])


def test_an_order_that_names_its_step_and_one_that_does_not_are_two(ris: Ris) -> None:
    """The one without a step ID is not taken for the only step there is."""
    ris.send(order())
    ris.send(order(**second()))

    assert ids(ris) == ["SPS1", "RPID1"]


# ── orders of several steps ──

PET_CT = "code,step,modality\nRP1,,PT\nRP1,-CT,CT\n"


@pytest.fixture
def planning(store: Store, tmp_path: Path) -> Ris:
    """A system whose catalogue makes two steps of each order."""
    (tmp_path / "tables").mkdir()
    (tmp_path / "tables" / "ours.csv").write_text(PET_CT, "utf-8")
    return Ris(store, bind(site=tmp_path, text="catalogue: {file: ours}\n"))


def test_the_steps_a_catalogue_makes_of_each_order_are_its_own(planning: Ris) -> None:
    """Two orders of one code under one procedure ID: four steps, the same at every attempt."""
    planning.send(both(OBR_24=""))
    known = planning.rows()

    planning.send(order(**second(OBR_24="")))
    again = planning.rows()
    planning.send(order(**second(), ORC_1="CA", MSH_7=ELEVEN))

    assert ids(planning) == ["RPID1", "RPID1-CT", "RPID1-4SEQUW", "RPID1-CT-6GANEC"]
    assert known == again
    assert planning.states == ["SCHEDULED", "SCHEDULED", "CANCELED", "CANCELED"]


def test_the_steps_of_an_order_are_known_when_its_filler_number_comes(planning: Ris) -> None:
    """Their IDs are of the number the order had first."""
    planning.send(order(**UNNAMED, OBR_24=""))
    planning.send(order(**second(OBR_24="", ORC_3="", OBR_3="")))
    known = ids(planning)

    planning.send(order(**second(OBR_24="", ORC_1="XO", ORC_7=MOVED, MSH_7=ELEVEN)))

    assert len(known) == 4
    assert ids(planning) == known
    assert starts(planning) == {"F1": "20260705", "F2": "20260706"}


# ── their study ──


def test_orders_without_study_uid_share_one(ris: Ris) -> None:
    """What is derived for the first is the study of them all."""
    for message in (order(**UNNAMED, ZDS=""), order(**second(), ZDS="")):
        ris.send(message)

    studies = [value(item, "StudyInstanceUID") for item in ris.steps]
    assert len(studies) == 2
    assert len(set(studies)) == 1


def test_another_study_uid_is_for_all_orders_of_the_procedure(ris: Ris, put: Put) -> None:
    """One procedure, one study, whichever of its orders says so; the steps of all are seen anew."""
    put(ris)
    revisions = {item.ref.key: item.ref.procedure_revision for item in ris.steps}

    ris.send(order(**second(), ORC_1="XO", ZDS="ZDS|1.2.276.0.99.2", MSH_7=ELEVEN))

    assert {value(item, "StudyInstanceUID") for item in ris.steps} == {"1.2.276.0.99.2"}
    assert all(item.ref.procedure_revision > revisions[item.ref.key] for item in ris.steps)


def test_a_study_stays_once_the_exam_of_any_order_has_begun(ris: Ris) -> None:
    """Images carry it."""
    in_one_message(ris)
    ris.begin(step="RPID1")

    outcome = ris.send(order(**second(), ORC_1="XO", ZDS="ZDS|1.2.276.0.99.2", MSH_7=ELEVEN))

    assert [each.code for each in outcome.findings] == [205]
    assert {value(item, "StudyInstanceUID") for item in ris.steps} == {"1.2.276.0.99.1"}


# ── what is stored already ──


def test_a_step_stored_without_order_numbers_is_found_by_its_order(ris: Ris) -> None:
    """The order's numbers are learnt with its next message; then another order is another one."""
    nameless = dict.fromkeys(("ORC_2", "ORC_3", "OBR_2", "OBR_3"), "")
    ris.send(order(**UNNAMED, **nameless))

    ris.send(order(**UNNAMED, ORC_1="XO", ORC_7=MOVED, MSH_7=ELEVEN))
    ris.send(order(**second()))

    assert starts(ris) == {"F1": "20260706", "F2": "20260705"}


def test_an_order_whose_placer_or_filler_number_came_later_is_still_one(ris: Ris) -> None:
    """NW has the placer's number, XO both, CA the filler's."""
    ris.send(order(**UNNAMED, ORC_3="", OBR_3=""))
    ris.send(order(**UNNAMED, ORC_1="XO", ORC_7=MOVED, MSH_7=ELEVEN))
    moved = starts(ris)

    ris.send(order(**UNNAMED, ORC_1="CA", ORC_2="", OBR_2="", MSH_7="20260701120000"))

    assert moved == {"F1": "20260706"}
    assert states(ris) == {"F1": "CANCELED"}
