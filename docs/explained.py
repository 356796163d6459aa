"""What `mwl mapping explain` prints, for the field engineer's guide: of a small hospital, at a fixed time.

`docs/tables.py` puts them into the page.
"""

# ruff: noqa: INP001  a script, not a package

from __future__ import annotations

import contextlib
import csv
import datetime as dt
import functools
import io
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from mwl import config
from mwl.cli.explain_view import print_explanation
from mwl.cli.find import identify
from mwl.config import shipped
from mwl.lifecycle import StepEvent
from mwl.mapping import paths
from mwl.mapping.elements import make
from mwl.model import STEP_SEQUENCE, Document, OrderAction, OrderMessage, ProcedureChange
from mwl.store import Store, Transaction, open_store, orders, queries, transitions
from mwl.store.queries import CapturedQuery
from mwl.workbench.bench import EXPLICIT_LE, Bench
from mwl.workbench.explain import explain
from mwl.workbench.whereabouts import Sought

_NOW = dt.datetime(2026, 7, 5, 7, 12, tzinfo=dt.UTC)
_CONFIGURATION = """\
site: {name: HOSP, timezone: Europe/Berlin}
database: sqlite:///mwl.db
devices:
  CT1: {profile: ge-ct-connectpro}
  CT2: {profile: generic}
"""
_COLUMNS = {
    "name": "PatientName", "patient_id": "PatientID", "issuer": "IssuerOfPatientID",
    "accession": "AccessionNumber", "procedure": "RequestedProcedureID", "study": "StudyInstanceUID",
    "modality": "SPS.Modality", "stations": "SPS.ScheduledStationAETitle",
    "date": "SPS.ScheduledProcedureStepStartDate", "time": "SPS.ScheduledProcedureStepStartTime",
    "physician": "SPS.ScheduledPerformingPhysicianName", "step": "SPS.ScheduledProcedureStepID",
}  # fmt: skip

EXAMPLES: dict[str, tuple[str, tuple[str, ...], Sought | None]] = {
    "station": (
        "CT2",
        (
            "SPS.Modality=CT",
            "SPS.ScheduledStationAETitle=CT2",
            "SPS.ScheduledProcedureStepStartDate=20260704",
        ),
        None,
    ),
    "hidden": (
        "CT2",
        ("SPS.Modality=CT", "SPS.ScheduledProcedureStepStartDate=20260705"),
        Sought(accession="ACC1010"),
    ),
    "values": (
        "CT1",
        ("SpecificCharacterSet=ISO_IR 100", "SPS.Modality=CT"),
        Sought(accession="ACC1006"),
    ),
}
"""By name: the device, what it asked last, and the step that is missed."""


def example(name: str) -> str:
    """Return a fenced block with the command and what it prints."""
    ae, keys, sought = EXAMPLES[name]
    with _hospital() as store:
        captured = store.write_now(lambda tx: _asked(tx, ae, keys))
        bench = Bench.open(config.load(Path("mwl.yaml"), {}), clock=lambda: _NOW)
        question = bench.question(captured.identifier)
        explanation = store.read_now(
            lambda tx: explain(tx, bench, ae, question, captured=captured, sought=sought)
        )
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            print_explanation(explanation, bench.zone)
    missed = f" --accession {sought.accession}" if sought else ""
    return f"```text\n$ mwl mapping explain {ae} --last{missed}\n{printed.getvalue()}```\n"


@contextlib.contextmanager
def _hospital() -> Iterator[Store]:
    """Make a hospital with the standard's data set in a folder that goes again, the working directory."""
    before = Path.cwd()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        try:
            Path("mwl.yaml").write_text(_CONFIGURATION, "utf-8")
            store = open_store("sqlite:///mwl.db", clock=lambda: _NOW)
            try:
                store.write_now(_fill)
                yield store
            finally:
                store.close_now()
        finally:
            os.chdir(before)


def _fill(tx: Transaction) -> None:
    with (shipped("fixtures") / "worklist" / "f0.csv").open(encoding="utf-8") as table:
        for number, row in enumerate(csv.DictReader(table), 1):
            done = orders.apply(tx, _order(row), source=f"hl7 RIS M{number}", uid_root=None, told=())
            if row["state"] == "COMPLETED":
                for event in (StepEvent.BEGIN, StepEvent.COMPLETE):
                    transitions.advance(tx, done.steps[0], event, source="mpps 1.2.276.0.99.7 CT_ROOM1")


def _order(row: dict[str, str]) -> OrderMessage:
    levels: dict[str, Document] = {"patient": {}, "procedure": {}, "step": {}}
    for column, name in _COLUMNS.items():
        path = paths.parse_path(name)
        element = make(paths.vr(path[-1]), row[column].split("\\"))
        level = "step" if path[0] == STEP_SEQUENCE else "patient" if column in _OF_PATIENT else "procedure"
        if element is not None:
            levels[level][path[-1]] = element
    change = ProcedureChange(OrderAction.CREATE, levels["procedure"], (levels["step"],))
    return OrderMessage("RIS", levels["patient"], (change,))


_OF_PATIENT = frozenset({"name", "patient_id", "issuer"})


def _asked(tx: Transaction, ae: str, keys: tuple[str, ...]) -> CapturedQuery:
    """Put a query of *ae* on record, as if it had been answered a moment ago."""
    bench = Bench.open(config.load(Path("mwl.yaml"), {}))
    captured = CapturedQuery(
        ae,
        bench.question(identify(keys)).identifier,
        EXPLICIT_LE,
        last_at=tx.stamp,
        status="0000",
        called_ae="MWL",
        address="10.1.2.3",
        implementation_version="CT_4_1",
        count=57,
        profile_digest=bench.profile(ae)[1].digest,
        profile=bench.profile(ae)[1].name,
    )
    queries.record(tx, [captured], per_device=10)
    found = queries.last(tx, ae)
    assert found is not None  # noqa: S101  it was put there
    return found


TABLES: dict[str, Callable[[], str]] = {
    f"explain {name}": functools.partial(example, name) for name in EXAMPLES
}
"""What `docs/tables.py` fills in, by the name in a page's mark."""
