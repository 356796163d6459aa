"""An information system in tests: its messages go through the real reader and a shipped profile into a store."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import select

from mwl import lifecycle
from mwl.errors import Finding, Unacceptable
from mwl.hl7.message import parse
from mwl.mapping import paths
from mwl.mapping.facts import SiteFacts
from mwl.mapping.systems.system import SystemProfile, load_systems
from mwl.model import Document, WorklistItem
from mwl.query import Criterion, Op, WorklistQuery
from mwl.store import Store, Transaction, effects, performed, steps, tables
from mwl.store.outcome import Outcome

MAPPINGS = Path(__file__).parents[2] / "mappings"
SITE = SiteFacts("HOSP", ZoneInfo("Europe/Berlin"), None, "1.2.276.0.99")

SEGMENTS = {
    "MSH": r"MSH|^~\&|RIS|HOSP|MWL|HOSP|20260701100000||ORM^O01|1|P|2.3.1",
    "PID": "PID|||PID001^^^HOSP_A||DOE^JOHN||19700102|M",
    "PV1": "PV1||I|WARD1^101^2",
    "ORC": "ORC|NW|P1^PLC|F1^FIL||||^^^20260705090000^^S",
    "OBR": "OBR|1|P1^PLC|F1^FIL|RP1^Chest CT^L^SP1^CT chest plain^L||||||||||||||ACC1|RPID1|SPS1||||CT",
    "ZDS": "ZDS|1.2.276.0.99.1^100^Application^DICOM",
}


def segment(name: str, base: str = "", **fields: str) -> str:
    """Return a segment with fields put in place: ``f18="ACC2"``."""
    parts = (base or SEGMENTS[name]).split("|")
    for number, text in fields.items():
        index = int(number[1:]) - (name == "MSH")
        parts += [""] * (index + 1 - len(parts))
        parts[index] = text
    return "|".join(parts)


def order(*more: str, **fields: str) -> str:
    """Return an ORM^O01; ``OBR_18="ACC2"`` replaces a field, ``ZDS=""`` a segment, *more* stands at the end."""
    written = dict(SEGMENTS)
    for name, text in fields.items():
        kind, _, number = name.partition("_")
        written[kind] = segment(kind, written.get(kind, kind), **{f"f{number}": text}) if number else text
    return "\r".join(filter(None, (*written.values(), *more)))


_OPEN = Criterion(
    paths.parse_path("SPS.ScheduledProcedureStepStatus"),
    Op.IN,
    tuple(state.value for state in lifecycle.CLOSED),
    negate=True,
)


class Ris:
    """Sends to a store; what it is answered is what the store says."""

    def __init__(self, store: Store, profile: SystemProfile) -> None:
        self.store, self.profile = store, profile

    def send(self, text: str) -> Outcome:
        """Have a message of any kind done, as the intake does."""
        message = parse(text)
        kind = self.profile.kind(message.header.kind)
        assert kind is not None
        asked = self.profile.read(kind, message, "RIS", SITE, message.header.sent_at(SITE.timezone))
        if asked is None:
            return Outcome()
        return self.store.write_now(
            lambda tx: effects.apply(tx, asked, source="hl7 RIS 1", uid_root=SITE.uid_root, told=())
        )

    def refused(self, text: str) -> list[tuple[int, str]]:
        """Send what is to be refused, and return code and place of each reason."""
        return [(each.code, str(each.location)) for each in self.reasons(text)]

    def reasons(self, text: str) -> list[Finding]:
        with pytest.raises(Unacceptable) as caught:
            self.send(text)
        return list(caught.value.findings)

    def begin(
        self,
        *,
        step: str = "SPS1",
        study: str = "1.2.276.0.99.1",
        uid: str = "9.1",
        state: str = "IN PROGRESS",
    ) -> None:
        """Let a device say that it performs a step."""
        item = {"0020000D": {"vr": "UI", "Value": [study]}, "00400009": {"vr": "SH", "Value": [step]}}
        document: Document = {
            "00400252": {"vr": "CS", "Value": [state]},
            "00400270": {"vr": "SQ", "Value": [item]},
        }
        self.store.write_now(lambda tx: performed.create(tx, uid, document, calling_ae="CT1", told=()))

    @property
    def steps(self) -> list[WorklistItem]:
        """Every step there is, in the order they came into being."""
        return self.store.read_now(
            lambda tx: sorted(
                steps.load(tx, steps.match(tx, WorklistQuery(held=True))), key=lambda item: item.ref.key
            )
        )

    @property
    def step(self) -> WorklistItem:
        (found,) = self.steps
        return found

    @property
    def worklist(self) -> list[str]:
        """The step IDs a device gets that asks for everything open."""
        found = self.store.read_now(lambda tx: steps.load(tx, steps.match(tx, WorklistQuery((_OPEN,)))))
        return [str(value(item, "SPS.ScheduledProcedureStepID")) for item in found]

    @property
    def states(self) -> list[str]:
        return [str(value(item, "SPS.ScheduledProcedureStepStatus")) for item in self.steps]

    def history(self, key: int) -> list[str]:
        return [line.event for line in self.store.read_now(lambda tx: steps.history(tx, key))]

    def rows(self) -> list[Any]:
        """Return every row of every level, revisions included; what the clock wrote stays out."""
        levels = [tables.patients, tables.patient_names, tables.procedures, tables.steps,
                  tables.step_stations, tables.step_history]  # fmt: skip

        def work(tx: Transaction) -> list[Any]:
            chosen = [[c for c in t.c if c.name not in {"created_at", "updated_at", "at"}] for t in levels]
            return [sorted(map(repr, tx.connection.execute(select(*columns)))) for columns in chosen]

        return self.store.read_now(work)


def bind(name: str = "generic", site: Path | None = None, text: str = "") -> SystemProfile:
    """Return a shipped profile, or the one a *site* makes of it with the lines in *text*."""
    if site is None:
        return load_systems([MAPPINGS]).bind(name)
    (site / "systems").mkdir(exist_ok=True)
    written = f"profile: site\nextends: {name}\n{text}"
    (site / "systems" / "site.yaml").write_text(written, encoding="utf-8")
    return load_systems([site, MAPPINGS]).bind("site")


def value(item: WorklistItem, keyword: str) -> Any:
    """The value at a path of the merged item; None where absent, "" where empty, a list where several."""
    element = paths.get(item.merged(), paths.parse_path(keyword))
    if element is None:
        return None
    values = element.get("Value", [])
    return values[0] if len(values) == 1 else values or ""


def codes(item: WorklistItem, keyword: str) -> list[Any]:
    """The code values of a sequence of the merged item."""
    element = paths.get(item.merged(), paths.parse_path(keyword)) or {}
    return [each["00080100"]["Value"][0] for each in element.get("Value", [])]
