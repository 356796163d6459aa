"""The profiles that come with the product, with the messages they are made for; read from the wire's text."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias
from zoneinfo import ZoneInfo

import pytest

from mwl.errors import Unacceptable
from mwl.hl7.message import parse
from mwl.mapping import paths
from mwl.mapping.facts import SiteFacts
from mwl.mapping.systems.system import SystemProfiles
from mwl.model import Document, OrderMessage

SITE = SiteFacts("HOSP", ZoneInfo("Europe/Berlin"))
Read: TypeAlias = Callable[..., OrderMessage]
ORDERS = ["orm-2.2", "orm-2.3-without-zds", "orm-2.3.1-mesa", "omg-2.5.1-two-orders", "omi-2.5.1-two-steps",
          "omi-2.8-two-orders", "orm-two-orders"]  # fmt: skip


@pytest.fixture(scope="session")
def fixture(fixtures: Path) -> Callable[[str], str]:
    """The text of a message of fixtures/hl7."""

    def _fixture(name: str) -> str:
        return (fixtures / "hl7" / f"{name}.hl7").read_text(encoding="utf-8").replace("\n", "\r")

    return _fixture


@pytest.fixture(scope="session")
def read_with(shipped: SystemProfiles) -> Read:
    """Read a message's text with a shipped profile."""

    def _read(profile: str, text: str) -> OrderMessage:
        sent_at = dt.datetime(2026, 7, 4, 13, tzinfo=dt.UTC)
        return shipped.bind(profile).read_order(parse(text), "RIS", SITE, sent_at)

    return _read


@pytest.fixture(scope="session")
def refused_by(read_with: Read) -> Callable[[str, str], list[tuple[int, str]]]:
    """Code and place of each reason for which a profile refuses a message."""

    def _refused(profile: str, text: str) -> list[tuple[int, str]]:
        with pytest.raises(Unacceptable) as caught:
            read_with(profile, text)
        return [(each.code, str(each.location)) for each in caught.value.findings]

    return _refused


def value(document: Document, keyword: str) -> Any:
    element = paths.get(document, paths.parse_path(keyword))
    values = [] if element is None else element.get("Value", [])
    return values[0] if len(values) == 1 else values or None


def edited(text: str, **fields: str) -> str:
    """Replace fields of the first such segments: ``MSH_12="2.8"``."""
    lines = text.split("\r")
    for name, content in fields.items():
        segment, _, number = name.partition("_")
        index = next(n for n, line in enumerate(lines) if line.startswith(segment))
        parts, position = lines[index].split("|"), int(number) - (segment == "MSH")
        parts += [""] * (position + 1 - len(parts))
        parts[position] = content
        lines[index] = "|".join(parts)
    return "\r".join(lines)


# ── generic: messages and versions ──


def test_two_orders_of_an_omg_have_a_timing_each(read_with: Read, fixture: Callable[[str], str]) -> None:
    """TQ1 belongs to the order it follows: start and priority of each, and a note of the first alone."""
    order = read_with("generic", fixture("omg-2.5.1-two-orders"))

    found = [
        (
            value(change.procedure, "AccessionNumber"),
            value(change.procedure, "RequestedProcedurePriority"),
            value(change.procedure, "RequestedProcedureComments"),
            value(change.steps[0], "ScheduledProcedureStepStartDate"),
            value(change.steps[0], "ScheduledProcedureStepStartTime"),
        )
        for change in order.procedures
    ]
    assert found == [
        ("ACX1122", "STAT", "Creatinine is known", "20260706", "093000"),
        ("ACX1123", "ROUTINE", None, "20260707", "140000"),
    ]


def test_ipc_segments_of_several_orders_are_steps_of_their_procedures(
    read_with: Read, fixture: Callable[[str], str]
) -> None:
    """Two orders with two IPC each: one procedure of two steps, and two procedures with a study each."""
    order = read_with("generic", fixture("omi-2.8-two-orders"))

    found = [
        (
            value(change.procedure, "RequestedProcedureID"),
            value(change.procedure, "AccessionNumber"),
            str(value(change.procedure, "StudyInstanceUID")).rpartition(".")[2],
            [value(step, "ScheduledProcedureStepID") for step in change.steps],
            [value(step, "ScheduledProcedureStepStartTime") for step in change.steps],
        )
        for change in order.procedures
    ]
    assert found == [
        ("RPX1124", "ACX1124", "1124", ["SPX1124A", "SPX1124B"], ["110000", "110000"]),
        ("RPX1125", "ACX1125", "1125", ["SPX1125A"], ["120000"]),
        ("RPX1126", "ACX1126", "1126", ["SPX1126A"], ["120000"]),
    ]
    assert [change.group for change in order.procedures] == [1, 2, 2]
    assert value(order.procedures[2].steps[0], "ScheduledStationAETitle") == ["US_1", "US_2"]


def test_ipc_segments_of_one_procedure_share_its_study(
    refused_by: Callable[[str, str], list[tuple[int, str]]], fixture: Callable[[str], str]
) -> None:
    """C-03: two Study UIDs for one requested procedure would part one exam into two."""
    text = fixture("omi-2.5.1-two-steps").replace("99.1103^RIS|SPX1103B", "99.7^RIS|SPX1103B")

    assert refused_by("generic", text) == [(205, "ORC")]


def test_an_order_of_hl7_2_2_is_read(read_with: Read, fixture: Callable[[str], str]) -> None:
    """OBR-4, a start and little else: the numbers stand in, a section is no modality."""
    (change,) = read_with("generic", fixture("orm-2.2")).procedures

    assert value(change.procedure, "AccessionNumber") == "FI1121"
    assert value(change.procedure, "RequestedProcedureDescription") == "Chest, two views"
    assert value(change.steps[0], "ScheduledProcedureStepStartTime") == "101500"
    assert value(change.steps[0], "Modality") is None


@pytest.mark.parametrize("name", ORDERS)
@pytest.mark.parametrize(
    "version", ["", "2.1", "2.2", "2.3.1", "2.5", "2.5.1", "2.6", "2.7.1", "2.8", "2.8.2", "3"]
)
def test_no_version_changes_what_an_order_says(
    read_with: Read, fixture: Callable[[str], str], name: str, version: str
) -> None:
    """C-04: MSH-12 is no reason to refuse, and none to read otherwise."""
    text = fixture(name)

    assert read_with("generic", edited(text, MSH_12=version)) == read_with("generic", text)


# ── the others ──


def test_every_shipped_profile_says_where_it_comes_from(shipped: SystemProfiles) -> None:
    """All rest on generic; each says how sure it is and what it was made from."""
    for name in set(shipped.names) - {"generic"}:
        effective = shipped.effective(name)

        assert effective.chain[0] == "generic"
        notes = effective.data["notes"]
        assert [note.partition(":")[0] for note in notes] == ["Status", "Sources"]


@pytest.mark.parametrize(
    ("profile", "name"),
    [
        ("ihe-swf-231", "orm-two-orders"),
        ("ihe-swf-251", "omi-2.5.1-two-steps"),
        ("ihe-swf-251", "omi-2.8-two-orders"),
    ],
)
def test_an_ihe_profile_reads_what_generic_reads(
    read_with: Read, fixture: Callable[[str], str], profile: str, name: str
) -> None:
    """A filler that sends all IHE requires is read alike."""
    text = fixture(name)
    strict, lenient = read_with(profile, text), read_with("generic", text)

    for tag in ("AccessionNumber", "RequestedProcedureID", "StudyInstanceUID"):
        assert [value(c.procedure, tag) for c in strict.procedures] == [
            value(c.procedure, tag) for c in lenient.procedures
        ]
    for tag in ("ScheduledProcedureStepID", "Modality", "ScheduledProcedureStepStartTime"):
        assert [value(s, tag) for c in strict.procedures for s in c.steps] == [
            value(s, tag) for c in lenient.procedures for s in c.steps
        ]
    assert all(not change.assumed for change in strict.procedures)


@pytest.mark.parametrize(
    ("field", "where"),
    [
        ("OBR_18", "OBR-18"),
        ("OBR_19", "OBR-19"),
        ("OBR_20", "OBR-20"),
        ("OBR_24", "OBR-24"),
        ("ZDS_1", "ZDS-1"),
    ],
)
def test_ihe_swf_231_refuses_what_lacks_an_identifier(
    refused_by: Callable[[str, str], list[tuple[int, str]]],
    read_with: Read,
    fixture: Callable[[str], str],
    field: str,
    where: str,
) -> None:
    """101 at the field: nothing is pieced together for a system that promised it; a cancellation needs less."""
    text = edited(fixture("orm-2.3.1-mesa"), **{field: ""})

    assert refused_by("ihe-swf-231", text) == [(101, where)]
    assert read_with("ihe-swf-231", edited(text, ORC_1="CA")).procedures


@pytest.mark.parametrize(
    ("old", "new", "where"),
    [
        ("IPC|ACX1103^RIS|RPX1103^RIS", "IPC||RPX1103^RIS", "IPC-1"),
        ("|SPX1103A^RIS|", "||", "IPC-4"),
        ("|CT^^DCM|", "||", "IPC-5"),
        ("|20260706080000+0200|", "||", "TQ1-7"),
    ],
)
def test_ihe_swf_251_refuses_what_lacks_an_identifier(
    refused_by: Callable[[str, str], list[tuple[int, str]]],
    fixture: Callable[[str], str],
    old: str,
    new: str,
    where: str,
) -> None:
    """101 at the field of the IPC or the TQ1 that lacks it."""
    text = fixture("omi-2.5.1-two-steps").replace(old, new, 1)

    assert (101, where) in refused_by("ihe-swf-251", text)


@pytest.mark.parametrize("name", ["orm-2.2", "orm-2.3-without-zds"])
def test_ris_minimal_says_what_is_missing(
    refused_by: Callable[[str, str], list[tuple[int, str]]], fixture: Callable[[str], str], name: str
) -> None:
    """Neither a modality nor a code the catalogue knows: 101 at OBR-24."""
    assert refused_by("ris-minimal", edited(fixture(name), OBR_24="RAD")) == [(101, "OBR-24")]


def test_ris_minimal_reads_what_a_code_means(read_with: Read, fixture: Callable[[str], str]) -> None:
    """The shipped catalogue shows it: two steps, a modality each, no identifier but the order's number."""
    text = edited(fixture("orm-2.2"), OBR_4="EXAMPLE-PET-CT")

    (change,) = read_with("ris-minimal", text).procedures

    found = [(value(each, "ScheduledProcedureStepID"), value(each, "Modality")) for each in change.steps]
    assert found == [("FI1121", "PT"), ("FI1121-CT", "CT")]
    assert value(change.procedure, "RequestedProcedureDescription") == "PET-CT whole body"
