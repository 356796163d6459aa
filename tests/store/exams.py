"""Orders, exams and what comes of them, for tests of the life of a step: short words for long data sets."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import select

from mwl.conduct import STANDARD, Conduct, Conducts
from mwl.lifecycle import PerformedState
from mwl.model import OrderAction, OrderMessage, PatientChange, PatientMessage, ProcedureChange, StatusEvent
from mwl.model import name_value as name
from mwl.store import Store, effects, outbox, performed, settling, tables
from mwl.store.attaching import Outcome, Situation
from mwl.store.settling import Decision

UID, ACCESSION, REQUESTED, STEP_ID = "0020000D", "00080050", "00401001", "00400009"
PLACER, FILLER, PATIENT_ID = "00402016", "00402017", "00100020"
STATUS, ITEMS, REASON, SERIES = "00400252", "00400270", "00400281", "00400340"
U1, U2, U3 = "1.2.840.1", "1.2.840.2", "1.2.840.3"
IN_PROGRESS, COMPLETED, DISCONTINUED = PerformedState
ALL = frozenset(("RIS", event) for event in StatusEvent)
ANNA = Decision("console anna", "asked on the telephone")
WRONG_ENTRY = "110514"


def element(vr: str, *values: object) -> dict[str, Any]:
    return {"vr": vr, "Value": list(values)} if values else {"vr": vr}


def study(n: str) -> str:
    return f"1.2.276.0.99.{n}"


def order(
    n: str = "1001",
    *steps: str,
    patient: str = "PID001",
    action: OrderAction = OrderAction.CREATE,
    start: str = "20260705 090000",
    station: str = "CT1",
    modality: str = "CT",
    **more: dict[str, Any],
) -> OrderMessage:
    """Return order 1001 for these steps; *more* replaces attributes of the procedure (``t00080050=…``)."""
    date, _, time = start.partition(" ")
    procedure = {
        ACCESSION: element("SH", f"ACC{n}"), REQUESTED: element("SH", f"RP{n}"),
        UID: element("UI", study(n)), PLACER: element("LO", f"P{n}"), FILLER: element("LO", f"F{n}"),
    }  # fmt: skip
    made = [
        {
            STEP_ID: element("SH", step), "00080060": element("CS", modality),
            "00400001": element("AE", station), "00400007": element("LO", f"exam {step}"),
            **({"00400002": element("DA", date)} if date else {}),
            **({"00400003": element("TM", time)} if time else {}),
        }
        for step in steps
    ]  # fmt: skip
    person = {"00100010": element("PN", name("DOE^JOHN")), PATIENT_ID: element("LO", patient)}
    replaced = procedure | {tag.removeprefix("t"): value for tag, value in more.items()}
    return OrderMessage("RIS", person, (ProcedureChange(action, replaced, tuple(made)),))


def merge(survivor: str, prior: str) -> PatientMessage:
    """Return the message that makes two patient IDs one."""
    change = PatientChange({PATIENT_ID: element("LO", survivor)}, prior=({PATIENT_ID: element("LO", prior)},))
    return PatientMessage("RIS", (change,))


def item(n: str = "1001", step: str = "S1", **replaced: dict[str, Any]) -> dict[str, Any]:
    """Return a Scheduled Step Attributes item as a device copies it from the worklist."""
    numbers = {
        UID: element("UI", study(n)), ACCESSION: element("SH", f"ACC{n}"),
        REQUESTED: element("SH", f"RP{n}"), STEP_ID: element("SH", step),
    }  # fmt: skip
    return numbers | {tag.removeprefix("t"): value for tag, value in replaced.items()}


def unscheduled(uid: str = "1.2.3.4.5", **more: dict[str, Any]) -> dict[str, Any]:
    """Return an item with a study of the device's own and, but for *more*, no number (B-34)."""
    empty = {tag: element("SH") for tag in (ACCESSION, REQUESTED, STEP_ID)}
    return {UID: element("UI", uid), **empty, **{tag.removeprefix("t"): value for tag, value in more.items()}}


def began(
    *items: dict[str, Any],
    patient: str = "PID001",
    start: str = "20260705 091000",
    state: str = "IN PROGRESS",
    **more: dict[str, Any],
) -> dict[str, Any]:
    """Return what an N-CREATE holds."""
    date, _, time = start.partition(" ")
    return {
        STATUS: element("CS", state), ITEMS: element("SQ", *(items or (item(),))),
        PATIENT_ID: element("LO", *([patient] if patient else [])), "00080060": element("CS", "CT"),
        "00400241": element("AE", "CT1"), "00400244": element("DA", date), "00400245": element("TM", time),
        REASON: element("SQ"), **{tag.removeprefix("t"): value for tag, value in more.items()},
    }  # fmt: skip


def ended(state: PerformedState = COMPLETED, reason: str = "") -> dict[str, Any]:
    """Return what the last N-SET holds."""
    codes = {"00080100": element("SH", reason), "00080102": element("SH", "DCM")}
    return {STATUS: element("CS", state.value), **({REASON: element("SQ", codes)} if reason else {})}


@dataclass
class House:
    """A store, the conduct of its devices, and a RIS that wants to hear of everything."""

    conducts: Conducts = STANDARD
    now: dt.datetime = dt.datetime(2026, 7, 5, 10, 0, tzinfo=dt.UTC)
    store: Store = field(init=False)

    @property
    def under(self) -> Situation:
        return Situation(self.conducts, ALL)

    def device(self, title: str = "CT1", **said: Any) -> None:
        """Let a device's profile say this of its performed steps."""
        devices = {**self.conducts.devices, title: Conduct(**{"titles": frozenset({title}), **said})}
        self.conducts = Conducts(devices, self.conducts.anyone)

    def send(self, message: Any) -> tuple[int, ...]:
        """Apply a message; return the keys of its steps."""
        return self.store.write_now(
            lambda tx: effects.apply(
                tx, message, source="hl7 RIS 1", uid_root=None, told=ALL, conducts=self.conducts
            )
        ).steps

    def create(self, uid: str = U1, document: dict[str, Any] | None = None, ae: str = "CT1") -> Outcome:
        sent = began() if document is None else document
        return self.store.write_now(
            lambda tx: performed.create(tx, uid, sent, calling_ae=ae, told=ALL, conducts=self.conducts)
        )

    def update(self, uid: str = U1, document: dict[str, Any] | None = None, ae: str = "CT1") -> Outcome:
        sent = ended() if document is None else document
        return self.store.write_now(
            lambda tx: performed.update(tx, uid, sent, calling_ae=ae, told=ALL, conducts=self.conducts)
        )

    def link(self, key: int, step: int, decision: Decision = ANNA) -> Any:
        return self.store.write_now(lambda tx: settling.link(tx, key, step, decision, self.under))

    def unlink(self, key: int, step: int | None = None) -> Any:
        return self.store.write_now(lambda tx: settling.unlink(tx, key, ANNA, self.under, step_key=step))

    def close(self, key: int, state: PerformedState = COMPLETED, decision: Decision = ANNA) -> Any:
        return self.store.write_now(lambda tx: settling.close(tx, key, state, decision, self.under))

    def rows(self, table: Any) -> list[Any]:
        return self.store.read_now(
            lambda tx: tx.connection.execute(select(table).order_by(table.c.key)).all()
        )

    @property
    def states(self) -> list[str]:
        return [row.state for row in self.rows(tables.steps)]

    @property
    def rules(self) -> dict[int, str]:
        """What linked each step."""
        return {row.step_key: row.rule for row in self.rows(tables.performed_links)}

    @property
    def heard(self) -> list[str]:
        """What the RIS will hear, in the order of writing."""
        return [
            row.facts["event"]
            for row in reversed(self.store.read_now(lambda tx: outbox.browse(tx, limit=500)))
        ]

    def exam(self, uid: str = U1) -> performed.PerformedStep:
        found = self.store.read_now(lambda tx: performed.get(tx, uid))
        assert found is not None
        return found

    def history(self, step: int) -> list[Any]:
        return [row for row in self.rows(tables.step_history) if row.step_key == step]
