"""From devices and their profiles to how performed steps are taken."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest

from mwl import config
from mwl.broker import bind
from mwl.broker.conducts import conducts
from mwl.conduct import LADDER, Conduct, Conducts
from mwl.lifecycle import StepState
from mwl.model import StepRef, WorklistItem


def made(folder: Path, devices: str, **profiles: str) -> Conducts:
    """Return the conducts of a configuration."""
    written = folder / "mappings" / "devices"
    written.mkdir(parents=True)
    for name, lines in profiles.items():
        (written / f"{name}.yaml").write_text(f"profile: {name}\nstatus: hypothesis\n{lines}\n", "utf-8")
    (folder / "mwl.yaml").write_text(f"mappings: {folder / 'mappings'}\ndevices: {devices}\n", "utf-8")
    configuration = config.load(folder / "mwl.yaml", {})
    return conducts(configuration, bind(configuration))


def test_each_device_goes_by_its_profile_and_others_by_the_one_for_anyone(tmp_path: Path) -> None:
    """Under the key it has in `devices`, with all of its titles."""
    found = made(
        tmp_path,
        '{NX_WL: {profile: agfa, also: [NX_MPPS]}, "*": {profile: anybody}}',
        agfa="mpps: {state: {discontinued: SCHEDULED}, idle: 12h}",
        anybody="mpps: {none: reject}",
    )

    assert found.of("NX_WL").titles == {"NX_WL", "NX_MPPS"}
    assert found.of("NX_WL").discontinued is StepState.SCHEDULED
    assert found.of("NX_WL").idle == dt.timedelta(hours=12)
    assert (found.of("ELSE").titles, found.of("ELSE").unscheduled) == (frozenset(), "refuse")


def test_without_a_word_all_is_as_the_standard_has_it(tmp_path: Path) -> None:
    """The generic profile changes nothing, and has no lines of several steps."""
    found = made(tmp_path, "{CT1: {profile: plain}}", plain="notes: [nothing]")

    assert found.of("CT1") == Conduct(titles=frozenset({"CT1"}))
    assert found.of("ELSE") == Conduct()


def test_a_profile_that_joins_steps_says_which_belong_together(tmp_path: Path) -> None:
    """F29: what is shown as one line is performed as one."""
    found = made(tmp_path, "{US1: {profile: logiq}}", logiq="merge: {by: [StudyInstanceUID]}")
    items = [
        WorklistItem(
            StepRef(key, 1, 1, 1),
            {"00100020": {"vr": "LO", "Value": ["PID001"]}},
            {"0020000D": {"vr": "UI", "Value": [study]}},
            {"00400009": {"vr": "SH", "Value": [f"S{key}"]}},
            "RIS",
        )
        for key, study in ((1, "1.2"), (2, "1.2"), (3, "1.3"))
    ]
    together = found.of("US1").together
    assert together is not None

    one_line = together(items[1], items, dt.datetime(2026, 7, 5, 10, 0, tzinfo=dt.UTC))

    assert [item.ref.key for item in one_line] == [2, 1]


@pytest.mark.parametrize(
    ("lines", "names"),
    [
        ("", [rung.name for rung in LADDER]),
        ("link: [[SPS_ID, RP_ID], [StudyInstanceUID]]", ["step ID + requested procedure ID", "Study Instance UID"]),
        ("link: [[AccessionNumber, Station], [PatientID, Station, {within: 90m}]]",
         ["accession number + station", "patient ID + station + within 90m"]),
        ("link: [[PlacerNumber], [FillerNumber]]", ["placer number", "filler number"]),
    ],
)  # fmt: skip
def test_p35_the_ladder_is_the_profiles(tmp_path: Path, lines: str, names: list[str]) -> None:
    """In its words, rung by rung; what a profile states links, and does not only propose."""
    found = made(tmp_path, "{CT1: {profile: ours}}", ours=f"mpps: {{{lines}}}" if lines else "notes: [x]")

    ladder = found.of("CT1").ladder
    assert [rung.name for rung in ladder] == names
    assert not lines or not any(rung.proposes for rung in ladder)


def test_p36_the_states_are_the_profiles(tmp_path: Path) -> None:
    """Every word of `mpps.state`, `none`, `conflict` and what of `accept` the store decides."""
    lines = """
mpps:
  accept: {closed_order: reject}
  conflict: {AccessionNumber: prefer_worklist, SPS.Modality: prefer_device, report: false}
  state:
    {ncreate: READY, completed: STARTED, discontinued: COMPLETED, several: first, multi: any,
     processing: attach, closed_by: same_device, reasons: {110501: SCHEDULED, "110507": DISCONTINUED}}
"""
    conduct = made(tmp_path, "{CT1: {profile: ours}}", ours=lines).of("CT1")

    assert (conduct.begun, conduct.completed, conduct.discontinued) == (None, "STARTED", "COMPLETED")
    assert (conduct.steps, conduct.exams, conduct.processing, conduct.closed_by) == (
        "first", "any", "attach", "same_device",
    )  # fmt: skip
    assert conduct.reasons == {"110501": "SCHEDULED", "110507": "DISCONTINUED"}
    assert (conduct.cancelled, conduct.reports_differences) == ("refuse", False)
    assert conduct.preferred == {("00080050",): "worklist", ("00400100", "00080060"): "device"}
