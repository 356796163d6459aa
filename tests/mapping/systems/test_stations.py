"""Station rules: where an order goes that names no station."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import pytest

from mwl.errors import BadDocument
from mwl.mapping import paths
from mwl.mapping.systems.system import SystemProfile
from mwl.mapping.trace import Recorder
from mwl.model import OrderMessage

Read: TypeAlias = Callable[..., OrderMessage]
Order: TypeAlias = Callable[..., str]
Bind: TypeAlias = Callable[[str], SystemProfile]

RULES = """
stations:
  ct: {when: {Modality: CT}, to: [CT_1, CT_2]}
  heart: {when: {OBR-4.1: {regex: "^CT(COR|HEART)"}}, to: CT_HEART, priority: 5}
  emergency: {when: {PV1-2: E, Modality: {in: [CT, MR]}}, to: ER_1, priority: 10}
  ward: {when: {PV1-3.1: {regex: "^W[0-9]+$"}, ORC-21: {present: false}}, to: MOBILE}
"""


def stations(order: OrderMessage) -> Any:
    (change,) = order.procedures
    (step,) = change.steps
    return step.get(paths.tag("ScheduledStationAETitle"), {}).get("Value")


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"OBR_24": "CT"}, ["CT_1", "CT_2"]),
        ({"OBR_24": "TC"}, ["CT_1", "CT_2"]),  # the table's CT: conditions see what was read
        ({"OBR_4": "CTHEART^Heart^L"}, ["CT_HEART"]),
        ({"OBR_4": "CTHEART^Heart^L", "PV1_2": "E"}, ["ER_1"]),
        ({"OBR_4": "XCTHEART^Heart^L", "OBR_24": "US"}, None),
        ({"OBR_24": "US", "PV1_2": "E"}, None),
        ({"OBR_24": "US", "PV1_3": "W12"}, ["MOBILE"]),
        ({"OBR_24": "US", "PV1_3": "W12", "ORC_21": "x"}, None),
        ({"OBR_24": "CT", "ORC_18": "CT_9"}, ["CT_9"]),
    ],
)
def test_the_first_rule_that_holds_decides(
    site_profile: Bind, read: Read, make_order: Order, fields: dict[str, str], expected: list[str] | None
) -> None:
    """By priority, then as written; any field, any text; a station that is named needs no rule."""
    assert stations(read(make_order(**fields), profile=site_profile(RULES))) == expected


def test_the_place_in_the_line_decides_what_counts_more(
    site_profile: Bind, read: Read, make_order: Order
) -> None:
    """Before the message's own station the rules override it."""
    profile = site_profile(RULES + "step: {ScheduledStationAETitle: [stations, 'ORC-18']}")

    assert stations(read(make_order(OBR_24="CT", ORC_18="CT_9"), profile=profile)) == ["CT_1", "CT_2"]
    assert stations(read(make_order(OBR_24="US", ORC_18="US_9"), profile=profile)) == ["US_9"]


def test_a_rule_is_inherited_changed_and_withdrawn_by_its_name(
    site_profile: Bind, read: Read, make_order: Order, tmp_path: Any
) -> None:
    """Rules of profiles add up; null takes one away."""
    (tmp_path / "systems").mkdir()
    (tmp_path / "systems" / "base.yaml").write_text(f"profile: base{RULES}")
    profile = site_profile("extends: base\nstations: {emergency: null, ct: {to: CT_3}}")

    assert stations(read(make_order(OBR_24="CT", PV1_2="E"), profile=profile)) == ["CT_3"]


def test_a_cancellation_goes_to_no_station(site_profile: Bind, read: Read, make_order: Order) -> None:
    """What is cancelled is what the message names."""
    assert stations(read(make_order(ORC_1="CA"), profile=site_profile(RULES))) is None


def test_a_trace_names_the_rule(site_profile: Bind, read: Read, make_order: Order) -> None:
    """Which rule decided, and the line it stands in."""
    trace = Recorder()

    read(make_order(OBR_24="CT"), profile=site_profile(RULES), trace=trace)

    (note,) = [each for each in trace.notes if each.path == "ScheduledStationAETitle"]
    word, origin = note.text.split(" ", 1)
    assert word == "stations.ct"
    assert origin.endswith("site.yaml:4")


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("stations: {a: {to: CT_1, when: {OBR4: x}}}", 2, "OBR4"),
        ('stations: {a: {to: CT_1, when: {OBR-4: {regex: "("}}}}', 2, "'(' is no regular expression"),
        ("stations: {a: {to: AN_AE_TITLE_TOO_LONG}}", 2, "'AN_AE_TITLE_TOO_LONG' is no AE title"),
        ("stations: {a: {when: {OBR-4: x}}}", 2, "the key 'to' is missing"),
        (
            "stations: {a: {to: CT_1, when: {ScheduledPerformingPhysicianName: x}}}", 2,
            "ScheduledPerformingPhysicianName is not read before this line",
        ),
        ("stations: {a: {to: CT_1}}\nstep: {ScheduledStationAETitle: OBR-21}", 2, "stations has no effect"),
    ],
)  # fmt: skip
def test_a_wrong_rule_is_reported_at_its_line(site_profile: Bind, text: str, line: int, message: str) -> None:
    """File and line, in words; rules nobody asks are a mistake too."""
    with pytest.raises(BadDocument) as caught:
        site_profile(text)

    (problem,) = caught.value.problems
    assert problem.line == line
    assert message in problem.message
