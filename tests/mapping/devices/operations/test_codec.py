"""P25: identities in another form, in what a device asks, gets and reports."""

from __future__ import annotations

import pytest

from mwl.errors import BadDocument
from mwl.handles import Known, Lookups, shortened
from mwl.mapping.devices.device import Withheld
from mwl.mapping.trace import Recorder
from mwl.model import STEP_SEQUENCE
from mwl.query import Fold, Op

LONG = "HOSP-2025-0003344556"
PATIENT, ACCESSION = ("00100020",), ("00080050",)
STATION = (STEP_SEQUENCE, "00400001")
PAD = "codec: {tag: PatientID, op: pad, width: 8}"
SHORTEN = "codec: {tag: AccessionNumber, op: shorten}"


@pytest.fixture
def asked(bind, doc, facts):
    """Rewrite keys with a profile of a few lines and return them, as paths and criteria."""
    from mwl.dicom.matching import understand

    def ask(lines: str, keys: dict) -> list[tuple]:
        profile = bind(lines)
        rewritten = profile.rewrite(doc(keys), facts)
        criteria = (*understand(rewritten).criteria, *profile.filters(rewritten, facts))
        return [(each.path, each.op, set(each.values)) for each in criteria]

    return ask


@pytest.fixture
def canonical(bind, doc, flat, facts):
    """Lead a performed step back with a profile of a few lines."""

    def lead(lines: str, performed: dict, known: Known | None = None) -> dict:
        return flat(bind(lines).canonical(doc(performed), facts, known or Known()))

    return lead


def test_f47_a_filled_id_is_filled_in_all_directions(asked, answer, canonical):
    """The device's 00012345 is the stored 12345, in a query, in an answer and as performed."""
    assert asked(PAD, {"PatientID": "00012345"}) == [(PATIENT, Op.IN, {"12345"})]
    assert asked(PAD, {"PatientID": "12345"}) == [(PATIENT, Op.IN, {"12345"})]
    assert answer(PAD, {"PatientID": "12345"}) == {"PatientID": "00012345"}
    assert canonical(PAD, {"PatientID": "00012345"}) == {"PatientID": "12345"}


def test_f49_a_scanned_number_loses_its_stars_and_its_prefix(asked, answer):
    """`strip_edges` takes the barcode's stars, the codec the prefix: the number is found."""
    lines = """
        wildcard: {AccessionNumber: strip_edges}
        codec: {tag: AccessionNumber, op: prefix, text: RAD-}
        """

    assert asked(lines, {"AccessionNumber": "*RAD-123*"}) == [(ACCESSION, Op.IN, {"123"})]
    assert answer(lines, {"AccessionNumber": "123"}) == {"AccessionNumber": "RAD-123"}


def test_f48_a_number_too_long_is_shown_by_its_handle(asked, answer, canonical, bind, doc):
    """The same handle every time; it is asked for as one, and the store leads it back."""
    handle = shortened(LONG)
    performed = {"ScheduledStepAttributesSequence": [{"AccessionNumber": handle}]}

    assert answer(SHORTEN, {"AccessionNumber": LONG}) == {"AccessionNumber": handle}
    assert answer(SHORTEN, {"AccessionNumber": "A1"}) == {"AccessionNumber": "A1"}
    assert asked(SHORTEN, {"AccessionNumber": handle}) == [(ACCESSION, Op.HANDLE, {handle})]
    wanted = bind(SHORTEN).lookups(doc(performed))
    assert wanted == Lookups(frozenset({("00080050", handle)}))
    known = Known({("00080050", handle): LONG})
    assert canonical(SHORTEN, performed, known)["ScheduledStepAttributesSequence"] == [
        {"AccessionNumber": LONG}
    ]
    assert canonical(SHORTEN, performed) == performed


def test_f50_capitals_are_asked_for_as_such(asked, answer, canonical):
    """AB12 may be ab12: the store knows; an unknown one stays as the device says it."""
    upper = "codec: {tag: PatientID, op: upper}"

    assert answer(upper, {"PatientID": "ab12"}) == {"PatientID": "AB12"}
    assert asked(upper, {"PatientID": "Ab12"}) == [(PATIENT, Op.HANDLE, {"AB12"})]
    assert canonical(upper, {"PatientID": "AB12"}, Known({("00100020", "AB12"): "ab12"})) == {
        "PatientID": "ab12"
    }
    assert canonical(upper, {"PatientID": "AB12"}) == {"PatientID": "AB12"}


def test_f50_a_wildcard_does_not_look_at_capitals(bind, doc, facts):
    """AB* finds ab12."""
    from mwl.dicom.matching import understand

    profile = bind("codec: {tag: PatientID, op: upper}")
    (criterion,) = understand(profile.rewrite(doc({"PatientID": "AB*"}), facts)).criteria

    assert (criterion.op, criterion.values, criterion.folds) == (Op.WILDCARD, ("AB*",), (Fold.CASE,))


def test_m16_a_station_is_called_otherwise(asked, answer, canonical):
    """The device's CT1 is CT_ROOM_1 of the orders: in keys, answers and performed steps, one of several too."""
    lines = "codec: {tag: SPS.ScheduledStationAETitle, op: station_map, table: {CT_ROOM_1: CT1}}"

    assert asked(lines, {"SPS.ScheduledStationAETitle": "CT1"}) == [(STATION, Op.IN, {"CT_ROOM_1"})]
    assert answer(lines, {"SPS.ScheduledStationAETitle": ["CT_ROOM_1", "MR1"]}) == {
        "SPS.ScheduledStationAETitle": ["CT1", "MR1"]
    }
    assert canonical(lines, {"PerformedStationAETitle": "CT1"}) == {"PerformedStationAETitle": "CT_ROOM_1"}


def test_m16_numbers_are_led_back_in_each_item(canonical):
    """The group case: every item has its numbers, and the patient stands at the root."""
    lines = """
        codec:
          - {tag: PatientID, op: pad, width: 8}
          - {tag: AccessionNumber, op: prefix, text: X}
          - {tag: SPS.ScheduledProcedureStepID, op: suffix, text: /1}
        """
    performed = {
        "PatientID": "00000007",
        "ScheduledStepAttributesSequence": [
            {"AccessionNumber": "XA1", "ScheduledProcedureStepID": "S1/1", "StudyInstanceUID": "1.2.3"},
            {"AccessionNumber": "XA2", "ScheduledProcedureStepID": ""},
        ],
    }

    assert canonical(lines, performed) == {
        "PatientID": "7",
        "ScheduledStepAttributesSequence": [
            {"AccessionNumber": "A1", "ScheduledProcedureStepID": "S1", "StudyInstanceUID": "1.2.3"},
            {"AccessionNumber": "A2", "ScheduledProcedureStepID": ""},
        ],
    }


def test_codecs_of_one_attribute_follow_one_another(asked, answer, write):
    """Those of stacked profiles add up; what the store leads back comes first, wherever it is written."""
    lines = """
        codec:
          - {tag: AccessionNumber, op: suffix, text: .1}
          - {tag: AccessionNumber, op: prefix, text: K}
        """

    assert answer(lines, {"AccessionNumber": "12"}) == {"AccessionNumber": "K12.1"}
    assert asked(lines, {"AccessionNumber": ["K12.1", "K13.1"]}) == [(ACCESSION, Op.IN, {"12", "13"})]


def test_a_value_that_cannot_be_shown_leaves_its_item_out(answer):
    """With a reason, the attribute and the line; never cut, never another's."""
    with pytest.raises(Withheld, match="would not come back") as caught:
        answer(PAD, {"PatientID": "0123"})

    assert caught.value.path == "PatientID"
    assert caught.value.origin.endswith("site.yaml:4")
    with pytest.raises(Withheld, match="more than the 16 characters"):
        answer("codec: {tag: AccessionNumber, op: prefix, text: RAD-}", {"AccessionNumber": LONG})


def test_what_nobody_asked_for_hides_no_item(answer):
    """The accession number cannot be shown, and is not."""
    lines = "codec: {tag: AccessionNumber, op: pad, width: 8}"
    stored = {"AccessionNumber": "0123", "PatientID": "1"}

    assert answer(lines, stored, {"PatientID": ""}) == {"PatientID": "1"}


def test_a_codec_is_the_last_that_touches_a_value(answer, asked):
    """Texts are composed of what is stored; keys that the profile sets are those of the device."""
    lines = """
        codec: {tag: AccessionNumber, op: prefix, text: RAD-}
        respond:
          - template: {RequestedProcedureDescription: "{AccessionNumber}"}
        query:
          - default_key: {AccessionNumber: RAD-9}
        """
    stored = {"AccessionNumber": "1", "RequestedProcedureDescription": ""}

    assert answer(lines, stored) == {"AccessionNumber": "RAD-1", "RequestedProcedureDescription": "1"}
    assert asked(lines, {"AccessionNumber": ""}) == [(ACCESSION, Op.IN, {"9"})]


def test_a_guard_is_about_variables(bind, doc, facts, flat):
    """A device has its form always or never, or what it says could not be led back."""
    lines = "vars: {kodak: true}\ncodec: {tag: PatientID, op: pad, width: 8, when: {var.kodak: true}}"

    on, off = bind(lines), bind(lines, kodak=False)

    assert flat(on.canonical(doc({"PatientID": "00000001"}), facts)) == {"PatientID": "1"}
    assert flat(off.canonical(doc({"PatientID": "00000001"}), facts)) == {"PatientID": "00000001"}


@pytest.mark.parametrize("value", ["", "*"])
def test_a_key_that_asks_for_everything_stays(asked, value):
    """Universal matching is nobody's form."""
    assert asked(PAD, {"PatientID": value}) == []


def test_a_pattern_that_fits_nothing_shown_finds_nothing(asked):
    """It does not become a key that asks for everything."""
    lines = "codec: {tag: AccessionNumber, op: prefix, text: RAD-}"

    assert asked(lines, {"AccessionNumber": "X*"}) == [(ACCESSION, Op.IN, set())]
    assert asked(lines, {"AccessionNumber": "R*7"}) == [(ACCESSION, Op.WILDCARD, {"*7"})]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("{tag: PatientName, op: pad, width: 8}", "PatientName is no identity"),
        ("{tag: OtherPatientIDsSequence.PatientID, op: pad, width: 8}", "is no identity"),
        ("{tag: StudyInstanceUID, op: suffix, text: .1}", "see 'uid'"),
        ("{tag: PatientID, op: pad}", "pad needs 'width'"),
        ("{tag: PatientID, op: pad, width: 8, text: X}", "'text' has no effect on pad"),
        ("{tag: PatientID, op: pad, width: 8, char: '*'}", "wildcards and delimiters"),
        ("{tag: PatientID, op: prefix, text: ' A'}", "blanks at the ends"),
        ("{tag: RequestedProcedureID, op: upper}", "upper is for PatientID and AccessionNumber"),
        ("{tag: SPS.ScheduledStationAETitle, op: shorten}", "shorten is not for AE titles"),
        ("{tag: PatientID, op: station_map, table: {A: B}}", "station_map is for"),
        ("{tag: PatientID, op: slice, table: {A: X, B: X}}", "'X' and 'X' cannot be told apart"),
        ("{tag: PatientID, op: slice, table: {A: X, AB: Y}}", "'A' and 'AB' cannot be told apart"),
        ("{tag: PatientID, op: pad, width: 8, when: {PatientSex: F}}", "PatientSex is no variable"),
        (
            "{tag: PatientID, op: pad, width: 8, when: {any: [{$calling_ae: X}]}}",
            "$calling_ae is no variable",
        ),
    ],
)
def test_a_codec_that_cannot_be_led_back_is_refused(problems, line, expected):
    """At its line, before any device sees it."""
    found = problems(site=f"profile: site\nstatus: evidence\ncodec: {line}\n")

    assert len(found) == 1
    assert found[0].startswith("site.yaml:3:")
    assert expected in found[0]


def test_a_codec_stands_in_no_list(bind):
    """There it would work in one direction."""
    with pytest.raises(BadDocument, match="it stands at the top of a profile, in no list"):
        bind("respond:\n  - codec: {tag: PatientID, op: pad, width: 8}\n")


def test_r6_each_direction_names_its_line(bind, doc, item, facts):
    """`explain` shows what was led back, what was shown, and what could not be."""
    profile, trace = bind(PAD), Recorder()

    profile.rewrite(doc({"PatientID": "00000001"}), facts, trace)
    profile.respond(item({"PatientID": "1"}), doc({"PatientID": ""}), facts, trace)
    with pytest.raises(Withheld):
        profile.respond(item({"PatientID": "01"}), doc({"PatientID": ""}), facts, trace)

    notes = [(note.stage, note.operation, note.path, bool(note.text)) for note in trace.notes]
    assert notes[:2] == [("query", "codec", "PatientID", False), ("respond", "codec", "PatientID", False)]
    assert notes[-1] == ("conform", "codec", "PatientID", True)
