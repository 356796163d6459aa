"""A small hospital for tests of explanations: a configuration, its profiles, its store, and a fixed clock."""

from __future__ import annotations

import datetime as dt
import textwrap
from pathlib import Path
from typing import Any

from mwl import config
from mwl.dicom.answering import Question
from mwl.lifecycle import StepEvent
from mwl.mapping import paths
from mwl.mapping.elements import make
from mwl.model import (
    STEP_SEQUENCE,
    Document,
    Element,
    OrderAction,
    OrderMessage,
    PatientChange,
    PatientMessage,
    ProcedureChange,
)
from mwl.store import Store, messages, open_store, orders, transitions, visits
from mwl.store.messages import KeyKind, MessageRecord, SearchKey
from mwl.store.queries import CapturedQuery
from mwl.workbench.bench import EXPLICIT_LE, Bench
from mwl.workbench.explain import Explanation, explain
from mwl.workbench.whereabouts import Sought

NOW = dt.datetime(2026, 7, 5, 7, 30, tzinfo=dt.UTC)  # half past nine in Berlin
RETURNED = (
    "PatientName", "PatientID", "AccessionNumber", "RequestedProcedureDescription", "StudyInstanceUID",
    "SPS.Modality", "SPS.ScheduledStationAETitle", "SPS.ScheduledProcedureStepStartDate",
    "SPS.ScheduledProcedureStepStartTime", "SPS.ScheduledProcedureStepStatus",
    "SPS.ScheduledPerformingPhysicianName",
)  # fmt: skip
_HEADER = "profile: site\nstatus: hypothesis\nextends: generic\n"
_CONFIGURATION = """\
site: {{name: HOSP, timezone: Europe/Berlin}}
database: sqlite:///{folder}/mwl.db
mappings: {folder}/mappings
devices:
  CT1:
    profile: site
systems:
  RIS: {{application: RIS}}
"""


def element(path: str, value: str | list[str]) -> Element:
    """Return *value* as an element of the attribute *path*."""
    made = make(paths.vr(paths.parse_path(path)[-1]), [value] if isinstance(value, str) else value)
    assert made is not None
    return made


class House:
    """One device, CT1, whose profile `site` is generic and a few lines more."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "mappings" / "devices").mkdir(parents=True)
        self.configure(_CONFIGURATION.format(folder=folder))
        self.store: Store = open_store(f"sqlite:///{folder / 'mwl.db'}", clock=lambda: NOW)
        self.profile("")

    def configure(self, text: str) -> None:
        """Write the configuration."""
        (self.folder / "mwl.yaml").write_text(text, "utf-8")

    def profile(self, lines: str) -> None:
        """Give CT1 a profile of these lines over `generic`."""
        text = _HEADER + textwrap.dedent(lines)
        (self.folder / "mappings" / "devices" / "site.yaml").write_text(text, "utf-8")

    @property
    def bench(self) -> Bench:
        """What the files say now."""
        return Bench.open(config.load(self.folder / "mwl.yaml", {}), clock=lambda: NOW)

    # ── what is on record ──

    def order(self, n: int, **changes: str | list[str]) -> int:
        """Order step *n* and return its key; ``SPS__Modality="MR"`` makes it another one."""
        stated: dict[str, str | list[str]] = {
            "PatientName": f"DOE^JANE^{n}",
            "PatientID": f"PID{n:03}",
            "IssuerOfPatientID": "HOSP",
            "AccessionNumber": f"ACC{n}",
            "RequestedProcedureID": f"RP{n}",
            "FillerOrderNumberImagingServiceRequest": f"F{n}",
            "RequestedProcedureDescription": "Chest",
            "SPS.ScheduledProcedureStepID": f"SPS{n}",
            "SPS.Modality": "CT",
            "SPS.ScheduledStationAETitle": "CT1",
            "SPS.ScheduledProcedureStepStartDate": "20260705",
            "SPS.ScheduledProcedureStepStartTime": f"{8 + n % 10:02}0000",
        }
        stated |= {name.replace("__", "."): value for name, value in changes.items()}
        levels: dict[str, Document] = {"patient": {}, "procedure": {}, "step": {}}
        for name, value in stated.items():
            path = paths.parse_path(name)
            level = "step" if path[0] == STEP_SEQUENCE else "patient" if path[0] < "0020" else "procedure"
            level = "procedure" if name == "AccessionNumber" else level
            levels[level][path[-1]] = element(name, value)
        change = ProcedureChange(OrderAction.CREATE, levels["procedure"], (levels["step"],))
        message = OrderMessage("RIS", levels["patient"], (change,))
        done = self.store.write_now(
            lambda tx: orders.apply(tx, message, source=f"hl7 RIS {n}", uid_root=None, told=())
        )
        return done.steps[0]

    def happen(self, step: int, event: StepEvent, source: str, reason: str = "") -> None:
        """Let something happen to a step."""
        self.store.write_now(lambda tx: transitions.advance(tx, step, event, source=source, reason=reason))

    def hold(self, step: int) -> None:
        """Put the order of a step on hold."""
        self.store.write_now(lambda tx: transitions.hold(tx, step, held=True, source="hl7 RIS 99"))

    def merge(self, prior: str, survivor: str) -> None:
        """Let the patient *prior* be *survivor* from now on."""
        documents = [
            {"00100020": element("PatientID", each), "00100021": element("IssuerOfPatientID", "HOSP")}
            for each in (survivor, prior)
        ]
        change = PatientChange(documents[0], prior=(documents[1],))
        message = PatientMessage("RIS", (change,))
        self.store.write_now(lambda tx: visits.apply(tx, message, source="hl7 RIS 98", told=()))

    def message(self, outcome: str, error: str = "", **numbers: str) -> int:
        """Put a message on record that had this *outcome*: ``accession="ACC1"`` is what it is found by."""
        keys = tuple(SearchKey(KeyKind(kind), value) for kind, value in numbers.items())
        record = MessageRecord(
            "10.0.0.5:4000", repr(numbers).encode(), "RIS", control_id="C1", kind="ORM^O01", keys=keys
        )

        def work(tx: Any) -> int:
            arrival = messages.arrived(tx, record)
            messages.answered(tx, arrival, outcome, b"", error)
            return arrival.key

        return self.store.write_now(work)

    # ── what is asked ──

    def question(self, *keys: str) -> Question:
        """Return a query of ``KEY=VALUE`` texts that asks for `RETURNED`, too."""
        document: Document = {}
        for text in (*RETURNED, *keys):
            name, _, value = text.partition("=")
            document = paths.put(document, paths.parse_path(name), element(name, value.split("\\")))
        return self.bench.question(document)

    def captured(self, *keys: str, **facts: Any) -> CapturedQuery:
        """Return a query of these keys as if it had been on record."""
        stated: dict[str, Any] = {
            "calling_ae": "CT1", "called_ae": "MWL", "address": "10.0.0.7", "status": "0000", "key": 1,
            "last_at": NOW.isoformat(), "transfer_syntax": EXPLICIT_LE,
            "identifier": self.question(*keys).identifier,
        }  # fmt: skip
        return CapturedQuery(**{**stated, **facts})

    def explain(
        self, *keys: str, ae: str = "CT1", captured: CapturedQuery | None = None, **sought: Any
    ) -> Explanation:
        """Explain a query of these keys to the device *ae*."""
        question, bench = self.question(*keys), self.bench
        wanted = Sought(**sought) if sought else None
        return self.store.read_now(
            lambda tx: explain(tx, bench, ae, question, captured=captured, sought=wanted)
        )
