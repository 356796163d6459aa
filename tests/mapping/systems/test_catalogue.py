"""The procedure catalogue: what a code means, how it is written, what is wrong with a file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from mwl.errors import BadDocument, Severity
from mwl.mapping import paths
from mwl.mapping.systems.catalogue_file import read_catalogue
from mwl.mapping.systems.system import SystemProfile
from mwl.mapping.trace import Recorder
from mwl.model import Document, OrderMessage

Read: TypeAlias = Callable[..., OrderMessage]
Order: TypeAlias = Callable[..., str]
Bind: TypeAlias = Callable[..., SystemProfile]

HEADER = "code,step,modality,station,procedure,description,protocol,duration\n"


@pytest.fixture
def bind(site_profile: Callable[[str], SystemProfile], tmp_path: Path) -> Bind:
    """Bind a site's profile with a catalogue of these rows, as CSV, or of a YAML text."""

    def _bind(rows: str = "", text: str = "", *, yaml: str = "", options: str = "") -> SystemProfile:
        (tmp_path / "tables").mkdir(exist_ok=True)
        file = tmp_path / "tables" / ("ours.yaml" if yaml else "ours.csv")
        file.write_text(yaml or HEADER + rows, encoding="utf-8")
        return site_profile(f"catalogue: {{file: ours{options}}}\n{text}")

    return _bind


def value(document: Document, keyword: str) -> Any:
    element = paths.get(document, paths.parse_path(keyword))
    values = [] if element is None else element.get("Value", [])
    return values[0] if len(values) == 1 else values or None


def steps(order: OrderMessage) -> tuple[Document, ...]:
    (change,) = order.procedures
    return change.steps


def test_the_catalogue_says_what_the_order_does_not(bind: Bind, read: Read, make_order: Order) -> None:
    """Modality, stations, texts, protocols and the end, all from the code in OBR-4."""
    profile = bind("cthead,,CT,CT_1~CT_2,CT of the head,Head plain,CTH1^Head plain^OURS~CTH2^Scout^OURS,15\n")

    order = read(make_order(OBR_4="CTHEAD", OBR_24=""), profile=profile)
    (step,) = steps(order)

    assert value(step, "Modality") == "CT"
    assert value(step, "ScheduledStationAETitle") == ["CT_1", "CT_2"]
    assert value(step, "ScheduledProcedureStepDescription") == "Head plain"
    assert value(order.procedures[0].procedure, "RequestedProcedureDescription") == "CT of the head"
    assert [each["00080100"]["Value"][0] for each in step["00400008"]["Value"]] == ["CTH1", "CTH2"]
    assert value(step, "ScheduledProcedureStepEndDate") == "20260705"
    assert value(step, "ScheduledProcedureStepEndTime") == "091500"
    assert order.findings == ()


def test_what_the_order_says_counts_more_unless_the_profile_says_otherwise(
    bind: Bind, read: Read, make_order: Order
) -> None:
    """The place of the column in a line's list decides: last it fills in, first it overrides."""
    rows = "RP1,,MR,MR_1,,,,\n"
    text = make_order(OBR_24="CT", ORC_18="CT_9")

    (filled,) = steps(read(text, profile=bind(rows)))
    overriding = (
        "step: {Modality: {from: [catalogue.modality, OBR-24]}, ScheduledStationAETitle: [catalogue.station]}"
    )
    (overridden,) = steps(read(text, profile=bind(rows, overriding)))

    assert (value(filled, "Modality"), value(filled, "ScheduledStationAETitle")) == ("CT", "CT_9")
    assert (value(overridden, "Modality"), value(overridden, "ScheduledStationAETitle")) == ("MR", "MR_1")


PET_CT = "PETCT,,PT,PET_1,PET-CT,PET,,45\nPETCT,-CT,CT,PET_1,PET-CT,CT for it,,15\n"


def test_one_code_can_be_several_steps(bind: Bind, read: Read, make_order: Order) -> None:
    """Of an order that names no step: each row is one, with an ID of its own that stays the same."""
    text = make_order(OBR_4="PETCT", OBR_20="", OBR_24="")

    order = read(text, profile=bind(PET_CT))

    found = [(value(each, "ScheduledProcedureStepID"), value(each, "Modality")) for each in steps(order)]
    assert found == [("RPID1", "PT"), ("RPID1-CT", "CT")]
    assert paths.tag("ScheduledProcedureStepID") in order.procedures[0].assumed
    assert read(text, profile=bind(PET_CT)).procedures == order.procedures


def test_an_order_that_names_its_step_has_that_one(bind: Bind, read: Read, make_order: Order) -> None:
    """The RIS knows its steps: nothing is added, and nothing guessed about which row is meant."""
    (step,) = steps(read(make_order(OBR_4="PETCT", OBR_24=""), profile=bind(PET_CT)))

    assert value(step, "ScheduledProcedureStepID") == "SPS1"
    assert value(step, "Modality") is None


def test_a_step_id_too_long_for_its_ending_is_refused(bind: Bind, refusal: Any, make_order: Order) -> None:
    """An identifier is never cut."""
    text = make_order(OBR_4="PETCT", OBR_19="R" * 15, OBR_20="")

    assert refusal(text, profile=bind(PET_CT)) == [(102, "ORC")]


def test_a_code_may_be_a_pattern(bind: Bind, read: Read, make_order: Order) -> None:
    """``*`` stands for any text; a row without it is asked first."""
    profile = bind("CT*,,CT,,,,,\nCTUS,,US,,,,,\n")

    found = [steps(read(make_order(OBR_4=code, OBR_24=""), profile=profile))[0] for code in ("CTX", "CTUS")]

    assert [value(each, "Modality") for each in found] == ["CT", "US"]


def test_a_catalogue_may_be_yaml(bind: Bind, read: Read, make_order: Order) -> None:
    """A code to its columns, or to a list of steps; several values are a list."""
    yaml = """
1001: {modality: CT, station: [CT_1, CT_2], duration: 30}
PETCT:
  - {modality: PT}
  - {modality: CT, step: B}
"""
    profile = bind(yaml=yaml)

    (one,) = steps(read(make_order(OBR_4="1001", OBR_24=""), profile=profile))
    several = steps(read(make_order(OBR_4="PETCT", OBR_20="", OBR_24=""), profile=profile))

    assert value(one, "ScheduledStationAETitle") == ["CT_1", "CT_2"]
    assert value(one, "ScheduledProcedureStepEndTime") == "093000"
    assert [value(each, "ScheduledProcedureStepID") for each in several] == ["RPID1", "RPID1B"]


def test_a_code_the_catalogue_lacks_is_reported_or_refused(
    bind: Bind, read: Read, refusal: Any, make_order: Order
) -> None:
    """103 at the field of the code; by default the order is read without the catalogue."""
    text = make_order(OBR_4="OTHER^Other^L")

    findings = read(text, profile=bind("RP1,,CT,,,,,\n")).findings

    assert [(each.code, str(each.location), each.severity) for each in findings] == [
        (103, "OBR-4", Severity.WARNING)
    ]
    assert refusal(text, profile=bind("RP1,,CT,,,,,\n", options=", miss: error")) == [(103, "OBR-4")]


def test_a_cancellation_does_not_ask_the_catalogue(bind: Bind, read: Read, make_order: Order) -> None:
    """What is cancelled is what the message names; a code that is not known stops nothing."""
    profile = bind(PET_CT, options=", miss: error")

    order = read(make_order(ORC_1="CA", OBR_4="PETCT", OBR_20="", OBR_24=""), profile=profile)

    assert [value(each, "ScheduledProcedureStepID") for each in steps(order)] == [None]
    assert read(make_order(ORC_1="CA", OBR_4="OTHER"), profile=profile).findings == ()


def test_every_value_names_its_row(bind: Bind, read: Read, make_order: Order, tmp_path: Path) -> None:
    """A trace hears of the profile's line and of file and line of the catalogue."""
    trace = Recorder()
    profile = bind("A,,CT,,,,,\nRP1,,MR,,,,,\n")

    read(make_order(OBR_24=""), profile=profile, trace=trace)

    (note,) = [each for each in trace.notes if each.path == "Modality"]
    assert note.origin.partition(":")[0].endswith("generic.yaml")
    assert note.text == f"catalogue.modality {tmp_path / 'tables' / 'ours.csv'}:3"


@pytest.mark.parametrize(
    ("rows", "line", "message"),
    [
        ("A,,CT,TOO_LONG_FOR_AN_AE_TITLE,,,,\n", 2, "'station': ScheduledStationAETitle is longer than 16"),
        ("A,,CT,,,,,\nB,,c/t,,,,,\n", 3, "'modality': Modality"),
        ("A,,CT,,,,,soon\n", 2, "'duration': ScheduledProcedureStepEndDate is no duration in minutes"),
        ("A,,CT,,,,^only a text,\n", 2, "'protocol': this is no value"),
        ("A,,CT,,,,,\nA,,MR,,,,,\na,-2,US,,,,,\n", 4, "the code 'a' has two steps '-2'"),
        (",,CT,,,,,\n", 2, "this row has no code"),
        ("A,,CT,,,,,,,\n", 2, "more cells than the first line"),
        ('A,,"CT\n', 2, "is not CSV"),
    ],
)
def test_a_wrong_cell_is_reported_at_its_line(bind: Bind, rows: str, line: int, message: str) -> None:
    """What is no value of the attribute is found when the profile is bound, not when an order comes."""
    with pytest.raises(BadDocument) as caught:
        bind(rows)

    assert any(each.line == line and message in each.message for each in caught.value.problems), caught.value


@pytest.mark.parametrize(
    ("yaml", "line", "message"),
    [
        ("A: CT\n", 1, "the columns of a step stand here"),
        ("A: {modality: CT}\nB:\n  modality: {x: 1}\n", 3, "a text stands here, or a list of texts"),
        ("- A\n", 1, "a catalogue maps codes to their columns"),
        ("A: {modality: CT}\nA: {modality: MR}\n", 2, "A"),
    ],
)
def test_a_wrong_yaml_catalogue_is_reported_at_its_line(
    tmp_path: Path, yaml: str, line: int, message: str
) -> None:
    """Every mistake has its place in the file."""
    file = tmp_path / "c.yaml"
    file.write_text(yaml, encoding="utf-8")

    with pytest.raises(BadDocument) as caught:
        read_catalogue(file)

    assert [each.line for each in caught.value.problems] == [line]
    assert message in caught.value.problems[0].message


def test_a_misspelt_column_is_reported(site_profile: Callable[[str], SystemProfile], tmp_path: Path) -> None:
    """A column that looks like one a line reads; any other is for people."""
    (tmp_path / "tables").mkdir()
    (tmp_path / "tables" / "ours.csv").write_text("code,modallity,remark\nA,CT,ask Anna\n")

    with pytest.raises(BadDocument) as caught:
        site_profile("catalogue: {file: ours}")

    (problem,) = caught.value.problems
    assert problem.message == (
        "no line of the profile reads the column 'modallity': did you mean 'modality'?"
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("catalogue: {file: nowhere}", "there is no table 'nowhere', neither CSV nor YAML"),
        ("catalogue: {file: ../secret}", "file"),
        ("catalogue: {code: [OBR4]}", "'OBR4' is not an HL7 path"),
    ],
)
def test_a_wrong_catalogue_section_is_reported(
    site_profile: Callable[[str], SystemProfile], text: str, message: str
) -> None:
    """A file that is not there, a path that is none."""
    with pytest.raises(BadDocument) as caught:
        site_profile(text)

    assert message in str(caught.value)


def test_the_digest_covers_the_catalogue(bind: Bind) -> None:
    """A changed row is another profile."""
    assert bind("A,,CT,,,,,\n").digest != bind("A,,MR,,,,,\n").digest


def test_the_shipped_example_is_a_catalogue() -> None:
    """It shows the form: several stations, several steps, several protocol codes."""
    rows = read_catalogue(Path(__file__).parents[3] / "mappings" / "tables" / "procedures.csv")

    assert [(row.code, row.step) for row in rows] == [
        ("EXAMPLE-CT-HEAD", ""), ("EXAMPLE-PET-CT", ""), ("EXAMPLE-PET-CT", "-CT"),
    ]  # fmt: skip
