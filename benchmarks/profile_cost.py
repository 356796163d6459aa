"""What a profile costs a response: none, the shipped base, and one with thirty operations, in one run.

    python benchmarks/profile_cost.py [--steps 200] [--runs 20]

*cold* is a step that is loaded already, shaped by the profile, put into the device's character set and
encoded; *warm* is the same response taken from the cache, as a device that polls gets it.  A profile
that arranges its lists has its steps loaded and arranged at every query; that is the last column.
Medians, in microseconds of one response; the broker's own code, without network and database.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from mwl.dicom import answering
from mwl.dicom.answering import Asked, Question
from mwl.dicom.encoding import encode_dataset
from mwl.dicom.response_cache import ResponseCache
from mwl.dicom.responses import Line, Responses
from mwl.mapping import paths
from mwl.mapping.devices.device import DeviceProfile, Facts, SiteFacts, load_devices
from mwl.mapping.elements import make
from mwl.mapping.text.charset import UTF8
from mwl.mapping.text.romanise import preload
from mwl.model import STEP_SEQUENCE, Document, StepRef, WorklistItem

SHIPPED = Path(__file__).parents[1] / "mappings"
SITE = SiteFacts("HOSP", ZoneInfo("Europe/Berlin"))
EXPLICIT = "1.2.840.10008.1.2.1"

PROFILES = {
    "nothing": "extends: []\n",
    "generic": "",
    "thirty operations": """
set: {InstitutionName: OUR HOSPITAL, SPS.ScheduledProcedureStepLocation: $calling_ae}
default: {PatientState: none, SPS.PreMedication: none}
clear: [OrderCallbackPhoneNumber]
remove: [ReferencedPatientSequence]
copy:
  - {from: AdmissionID, to: CurrentPatientLocation}
  - {from: RequestingPhysician, to: SPS.ScheduledPerformingPhysicianName}
move: {from: RequestedProcedureComments, to: SPS.CommentsOnTheScheduledProcedureStep}
template:
  RequestedProcedureDescription: "{SPS.Modality} {RequestedProcedureDescription}[ *{PatientState}*]"
  SPS.ScheduledProcedureStepDescription: "{SPS.ScheduledProcedureStepDescription}[ {AdmissionID}]"
map: {table: {C1: {c: FCR0101-0001, t: CHEST PA}}, key: "RequestedProcedureCodeSequence[*].CodeValue",
  out: {code: c, scheme: 99SITE, meaning: t}}
replace:
  - {tag: "*Description", from: "^XR ", to: ""}
  - {tag: AdmissionID, from: "^0+", to: ""}
text:
  - {tags: ["*Description"], ops: [one_line, collapse, trim, upper]}
  - {tags: [PatientName], ops: [strip_control, "replace:=|,| "]}
pn:
  - {tag: PatientName, emit: [alphabetic, ideographic], derive: {alphabetic: pinyin}}
  - {tag: ReferringPhysicianName, drop: [prefix, suffix]}
truncate: {PatientName: 32, RequestedProcedureDescription: {max: 40, mark: "~"}}
format: {PatientWeight: kg, PatientAge: age}
code:
  - {tag: RequestedProcedureCodeSequence, max: 5, copy_to: SPS.RequestedProcedureCodeSequence}
  - {tag: SPS.ScheduledProtocolCodeSequence, complete: [value, scheme, meaning]}
respond:
  - set: {PatientComments: see the order}
    when: {SPS.Modality: CT, PatientName: {glob: "D*"}}
  - truncate: {SPS.ScheduledProcedureStepDescription: 30}
    when: {any: [{var.short: true}, {PatientID: {len_gt: 12}}]}
vars: {short: true}
require:
  - {max_len: {PatientID: 16}, forbid_chars: {PatientID: "^"}, unique: [SOPInstanceUID], on_fail: report}
""",
}
ARRANGING = """
merge:
  by: [StudyInstanceUID]
  join: {SPS.ScheduledProcedureStepDescription: " + "}
  union_codes: RequestedProcedureCodeSequence
dedupe: {by: [AccessionNumber]}
sort: [{by: RequestedProcedurePriority, order: [STAT]}, PatientName]
"""
PROFILES["thirty, and a list that is arranged"] = PROFILES["thirty operations"] + ARRANGING

STEP = {
    "PatientName": "DOE^JANE", "PatientID": "PID{n}", "PatientBirthDate": "19700101", "PatientSex": "F",
    "PatientWeight": "70.5", "PatientAge": "", "AccessionNumber": "ACC{n}",
    "StudyInstanceUID": "1.2.276.0.99.{n}",
    "RequestedProcedureID": "RP{n}", "RequestedProcedureDescription": "XR  chest two views",
    "ReferringPhysicianName": "SOMMER^EVA^^DR", "RequestingPhysician": "SOMMER^EVA", "AdmissionID": "0042",
    "RequestedProcedureComments": "left", "RequestedProcedurePriority": "ROUTINE", "PatientState": "",
    "SPS.ScheduledStationAETitle": "CT1", "SPS.ScheduledProcedureStepStartDate": "20260705",
    "SPS.ScheduledProcedureStepStartTime": "0930", "SPS.Modality": "CT",
    "SPS.ScheduledProcedureStepID": "SPS{n}", "SPS.ScheduledProcedureStepDescription": "Chest, two views",
    "SPS.ScheduledProcedureStepStatus": "SCHEDULED", "SPS.ScheduledProcedureStepLocation": "",
    "SPS.ScheduledPerformingPhysicianName": "", "SPS.CommentsOnTheScheduledProcedureStep": "",
    "InstitutionName": "", "PatientComments": "", "CurrentPatientLocation": "",
}  # fmt: skip
CODES = ("RequestedProcedureCodeSequence", "SPS.ScheduledProtocolCodeSequence")


def document(number: int | None) -> Document:
    """Return the step *number* as one data set; None for the identifier that asks for all of it."""
    found: Document = {}
    for text, value in STEP.items():
        path = paths.parse_path(text)
        element = make(paths.vr(path[-1]), [] if number is None else [value.format(n=number)])
        assert element is not None
        found = paths.put(found, path, element)
    code = {"00080100": "C1", "00080102": "L", "00080104": "Chest"}
    items: list[Any] = [{tag: {"vr": "SH", "Value": [value]} for tag, value in code.items()}]
    for text in CODES:
        sequence = {"vr": "SQ"} if number is None else {"vr": "SQ", "Value": items}
        found = paths.put(found, paths.parse_path(text), sequence)
    return found


def stored(number: int) -> WorklistItem:
    """Return a step as the store loads it."""
    merged = document(number)
    step = merged.pop(STEP_SEQUENCE)["Value"][0]
    patient = {tag: merged.pop(tag) for tag in list(merged) if tag.startswith("0010")}
    return WorklistItem(StepRef(number, 1, 1, 1), patient, merged, step, "RIS")


def bound(lines: str, folder: Path) -> DeviceProfile:
    """Return a profile of a few lines, over the shipped ones."""
    (folder / "devices").mkdir()
    header = "profile: measured\nstatus: hypothesis\n"
    (folder / "devices" / "measured.yaml").write_text(header + lines, "utf-8")
    return load_devices([folder, SHIPPED]).bind("measured", {}, SITE)


def median(work: Callable[[], object], runs: int, responses: int) -> float:
    """Return microseconds a response."""
    work()
    taken = []
    for _ in range(runs):
        began = time.perf_counter()
        work()
        taken.append((time.perf_counter() - began) / responses * 1e6)
    return statistics.median(taken)


def measure(
    profile: DeviceProfile, items: Sequence[WorklistItem], runs: int
) -> tuple[int, float, float, float]:
    """Return how many steps the profile has, and what a response costs cold, warm, and to arrange."""
    identifier = encode_dataset(document(None), EXPLICIT, UTF8)
    asked = answering.read(Question(identifier, EXPLICIT), profile, Facts("CT1"), SITE.timezone)
    entries = answering.listed(asked, items).entries
    cold = median(lambda: [answering.compose(asked, each.item) for each in entries], runs, len(entries))
    lines = [Line(each.refs, each.part, each.item) for each in entries]
    responses = Responses(None, ResponseCache())  # type: ignore[arg-type]  # nothing is loaded

    def warm() -> None:
        asyncio.run(_made(responses, asked, lines))

    arranging = median(lambda: answering.listed(asked, items), runs, len(items)) if profile.arranges else 0.0
    steps = sum(len(each) for each in profile._steps.values()) + len(profile._list_steps)  # noqa: SLF001
    return steps, cold, median(warm, runs, len(lines)), arranging


async def _made(responses: Responses, asked: Asked, lines: Sequence[Line]) -> None:
    await responses.of(asked, lines)


def main() -> None:
    """Print a line for each profile."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--steps", type=int, default=200, help="responses in a list")
    parser.add_argument("--runs", type=int, default=20, help="lists; the median counts")
    given = parser.parse_args()
    preload()
    items = [stored(number) for number in range(1, given.steps + 1)]
    print(f"{'profile':38} {'steps':>5} {'cold':>8} {'warm':>8} {'arrange':>8}   µs a response, median")
    for name, lines in PROFILES.items():
        with tempfile.TemporaryDirectory() as folder:
            steps, cold, warm, arranging = measure(bound(lines, Path(folder)), items, given.runs)
        print(f"{name:38} {steps:5} {cold:8.1f} {warm:8.2f} {arranging:8.1f}")


if __name__ == "__main__":
    main()
