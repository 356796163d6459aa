"""A hospital in which field incidents happen: each device as it was, and with the lines that mend it.

Theory of operation.  An `Incident` says what is ordered, which device asks what, and two profiles: the one
it happened with, and the fix, a profile of five lines at most that rests on it.  `Ward.play` puts the
orders on record and lets the device ask three times: the function that composes answers, on steps at hand;
the real broker, over DIMSE, by the played device; and `explain`.  All three must send the same octets and
come to the same status, and what is stored must be as it was.  One broker serves all incidents of a module;
every device has an AE title and a profile of its own, and the worklist is emptied between two of them.
"""

from __future__ import annotations

import datetime as dt
import re
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from acceptance.conftest import CONFIGURATION, Broker
from mwl import config
from mwl.cli.explain_text import by, conclusion
from mwl.dicom.answering import Question
from mwl.dicom.emulators import Device, Emulator, Seen, device, look
from mwl.dicom.emulators.description import WORKLIST
from mwl.dicom.emulators.keys import data_set, encoded
from mwl.lifecycle import StepEvent
from mwl.mapping import paths
from mwl.mapping.elements import make, texts
from mwl.mapping.trace import Note
from mwl.model import STEP_SEQUENCE, Document, OrderAction, OrderMessage, ProcedureChange, WorklistItem, text
from mwl.query import WorklistQuery
from mwl.store import Store, open_store, orders, steps, transitions
from mwl.workbench.bench import Bench
from mwl.workbench.explain import Explanation, explain
from mwl.workbench.hints import hints
from mwl.workbench.in_memory import AtHand
from mwl.workbench.outcome import Outcome, outcome
from mwl.workbench.whereabouts import Sought

SHIPPED = Path(__file__).parents[2] / "mappings"
DAY = dt.date(2026, 7, 5)
NOON = dt.datetime(2026, 7, 5, 10, tzinfo=dt.UTC)
"""What `explain` takes for the present, so that it always says the same."""
MOST_LINES = 5  # of a fix
KEPT = {"alembic_version", "profile_sets"}  # tables that a clean worklist leaves alone
STATES: Mapping[str, tuple[StepEvent, ...]] = {
    "SCHEDULED": (),
    "STARTED": (StepEvent.BEGIN,),
    "COMPLETED": (StepEvent.BEGIN, StepEvent.COMPLETE),
}
"""What happened to a step that is in a state."""

Order = Mapping[str, Any]


@dataclass(frozen=True)
class Incident:
    """One row of the catalogue, as it happens and as it is mended."""

    id: str
    happens: str
    """What the device does, or what is ordered, in a few words."""
    on: str = "generic"
    """The shipped profile of the device."""
    before: str = ""
    """Lines of the profile it happened with, over the shipped one."""
    fix: str = ""
    """The lines that mend it, over those."""
    orders: Sequence[Order] = ({},)
    device: Device | str = "sim-ge-ct"
    query: str = ""
    keys: Sequence[str] = ()
    """Lines as the emulators write them, in the place of the query's own."""
    shape: Callable[[Document], Document] = lambda identifier: identifier
    """What is done to the identifier before it is sent."""
    typed: str = ""
    codec: str = ""
    more: Mapping[str, str] = field(default_factory=dict)
    """Other profiles over the first, by name."""
    missed: int = 0
    """The order that somebody misses, and asks `explain` about."""
    vars: Mapping[str, Any] = field(default_factory=dict)
    mends: str = ""
    """What is told in the place of profile lines, where none are needed."""

    @property
    def played(self) -> Device:
        """The description of the device."""
        return device(self.device)

    def profiles(self) -> Iterator[tuple[str, str]]:
        """Yield name and text of every profile."""
        variants = {"OLD": (self.on, self.before), "": (self.name("OLD"), self.fix)}
        variants |= {name: (self.name("OLD"), lines) for name, lines in self.more.items()}
        for variant, (parent, lines) in variants.items():
            head = f"profile: {self.name(variant)}\nstatus: hypothesis\nextends: [{parent}]\n"
            yield self.name(variant), head + lines.strip("\n") + "\n"

    def system_profiles(self) -> Iterator[tuple[str, str]]:
        """Yield name and text of the profiles of its system; none but the shipped one's."""
        return iter(())

    def name(self, variant: str) -> str:
        """Return the name of a profile."""
        return "-".join(filter(None, (self.id.lower(), variant.lower())))

    def ae(self, variant: str) -> str:
        """Return the AE title that has this profile."""
        return "_".join(filter(None, (self.id, variant.upper())))


@dataclass(frozen=True)
class Played:
    """What came of one variant: directly, over DIMSE and explained."""

    incident: Incident
    variant: str
    seen: Seen
    direct: Outcome
    explanation: Explanation
    of_missed: Explanation | None
    zone: Any

    @property
    def sent(self) -> list[int]:
        """The numbers of the orders that are sent, in the order of the list."""
        return [number(item) for item in self.seen.received]

    @property
    def shown(self) -> list[int]:
        """Those that the console shows."""
        return [number(item) for item in self.seen.shown]

    @property
    def reasons(self) -> list[str]:
        """Why it does not show the others."""
        return [reason for _, reason in self.seen.not_shown]

    @property
    def remarks(self) -> list[str]:
        """What it does to those it shows."""
        return [remark for _, remark in self.seen.remarks]

    def values(self, name: str) -> list[Any]:
        """Return an attribute of each item that is sent: its texts, or its items."""
        return [value(item, name) for item in self.seen.received]

    @property
    def said(self) -> list[str]:
        """What `mwl mapping explain` says first, and its hints; the device is named as such."""
        told = self.of_missed or self.explanation
        lines = [*conclusion(told, self.zone), *(hint.text for hint in hints(told))]
        return [steady(line.replace(self.incident.ae(self.variant), "the device")) for line in lines]

    @property
    def doubts(self) -> list[tuple[str, str, str]]:
        """What `explain` says of what is sent: operation, path, message."""
        told = self.explanation.told
        found = [each.report for each in told.doubts] if told else []
        return [(each.operation, each.path, each.message) for each in found]

    @property
    def withheld(self) -> list[tuple[int, str, str]]:
        """What `explain` says of what is left out: number, path, reason."""
        told = self.explanation.told
        found = told.withheld if told else []
        return [(number(each.item.merged()), each.path, each.reason) for each in found]

    @property
    def fixed_by(self) -> set[str]:
        """The operations, written in the variant's own profile, that had an effect."""
        file = f"{self.incident.name(self.variant)}.yaml:"
        return {operation for operation, origin in self._effects() if Path(origin).name.startswith(file)}

    def _effects(self) -> Iterator[tuple[str, str]]:
        told = self.explanation.told
        if told is None:
            return
        notes: list[Note] = [*told.tolerated, *told.rewritten, *told.arranged]
        notes += [note for response in told.responses for note in response.notes]
        yield from ((note.operation, note.origin) for note in notes)
        yield from ((by(key).partition(",")[0], key.origin) for key in told.keys)
        yield from ((each.report.operation, each.report.origin) for each in told.doubts)
        yield from (("require", each.origin) for each in told.withheld)

    @property
    def outline(self) -> str:
        """What the operator sees, in a few words."""
        if self.seen.error:
            return self.seen.error
        reasons = f": {self.reasons[0]}" if self.reasons else ""
        hidden = f", {len(self.seen.not_shown)} not{reasons}" if self.seen.not_shown else ""
        remark = f"; {self.remarks[0]}" if self.remarks else ""
        return f"{len(self.shown)} shown{hidden}{remark}"


@dataclass(frozen=True)
class Reproduced:
    """An incident as it happened, and mended."""

    was: Played
    now: Played

    def __iter__(self) -> Iterator[Played]:
        return iter((self.was, self.now))


class Ward:
    """A broker with the devices of some incidents."""

    def __init__(
        self,
        folder: Path,
        incidents: Sequence[Incident],
        clock: Callable[[], dt.datetime] = lambda: NOON,
        **changes: Any,
    ) -> None:
        self.folder, self.clock = folder, clock
        self.shipped = SHIPPED
        self.incidents = {each.id: each for each in incidents}
        devices: dict[str, Any] = {}
        for each in incidents:
            _write(folder, "devices", each.profiles())
            _write(folder, "systems", each.system_profiles())
            for variant in ("OLD", "", *each.more):
                devices[each.ae(variant)] = {"profile": each.name(variant), "vars": dict(each.vars)}
        settings = {**CONFIGURATION, "devices": devices, "mappings": str(folder / "mappings")}
        self.broker = Broker(folder, {**settings, **changes})
        self.store: Store = open_store(f"sqlite:///{folder / 'mwl.db'}")
        self.rows: dict[str, list[str]] = {}
        """What was seen, for the page."""

    def close(self) -> None:
        """End the broker."""
        self.store.close_now()
        self.broker.kill()

    @property
    def at(self) -> tuple[str, int]:
        """Where the broker listens."""
        return self.broker.addresses["dicom"]

    @cached_property
    def bench(self) -> Bench:
        """The profiles as the files say."""
        return Bench.open(config.load(self.folder / "mwl.yaml", {}), self.clock)

    # ── what is on record ──

    def clear(self) -> None:
        """Take everything off the record."""
        with sqlite3.connect(self.folder / "mwl.db", isolation_level=None, timeout=30) as database:
            database.execute("PRAGMA foreign_keys=OFF")
            names = [
                row[0] for row in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
            ]
            database.execute("BEGIN IMMEDIATE")
            for name in names:
                if name not in KEPT and not name.startswith("sqlite_"):
                    database.execute(f'DELETE FROM "{name}"')
            database.execute("COMMIT")
        database.close()

    def order(self, orders_: Sequence[Order], ae: str, day: dt.date = DAY) -> None:
        """Put *orders_* on record, the first as number 1, as systems sent them."""

        def work(tx: Any) -> None:
            for n, stated in enumerate(orders_, 1):
                message = _message(n, stated, ae, day)
                done = orders.apply(tx, message, source=f"hl7 {message.system} {n}", uid_root=None, told=())
                for event in STATES[stated.get("state", "SCHEDULED")]:
                    transitions.advance(tx, done.steps[0], event, source=f"mpps 1.2.3.{n} OTHER")

        self.store.write_now(work)

    def items(self) -> list[WorklistItem]:
        """Return every step on record."""
        everything = WorklistQuery(held=True)
        return self.store.read_now(lambda tx: steps.load(tx, steps.match(tx, everything)))

    # ── what is asked ──

    def reproduce(self, incident: Incident) -> Reproduced:
        """Play an incident as it happened and mended; its orders stay on record."""
        found = Reproduced(self.play(incident, "OLD"), self.play(incident))
        self.rows[incident.id] = row(incident, found)
        return found

    def play(self, incident: Incident, variant: str = "", day: dt.date = DAY, **how: Any) -> Played:
        """Play an incident by one of its profiles; its orders stay on record."""
        self.clear()
        self.order(incident.orders, incident.ae(variant), day)
        return self.ask(incident, variant, day, **how)

    def ask(self, incident: Incident, variant: str = "", day: dt.date = DAY, **how: Any) -> Played:
        """Let the device ask, three times, for what is on record."""
        stored, ae, played = self.items(), incident.ae(variant), incident.played
        asking = incident.query or next(iter(played.queries))
        identifier = self.identifier(incident, asking, ae, day)
        codec = incident.codec or played.asking(asking).codec
        emulator = Emulator(played, self.at, ae=ae, called="MWL", today=day, timeout=how.pop("timeout", None))

        seen = emulator.ask(identifier, asking, codec=codec, **how)
        question = self.question(incident, variant, identifier, codec)
        label, profile = self.bench.profile(ae)
        facts = self.bench.facts(ae)
        direct = outcome(AtHand(stored), question, profile, facts, self.bench.zone)
        explained = self.store.read_now(lambda tx: explain(tx, self.bench, ae, question))
        missed = Sought(accession=f"ACC{incident.missed}") if incident.missed else None
        of_missed = missed and self.store.read_now(
            lambda tx: explain(tx, self.bench, ae, question, sought=missed)
        )

        told = explained.told.sent if explained.told else []
        octets = [each.composed.data for each in direct.sent if each.composed]
        assert label == ae
        assert octets == [each.composed.data for each in told if each.composed]
        if not how:  # whoever cancels, or gives up, gets less
            assert seen.raw == octets
            assert seen.status == direct.status
        assert look(played, seen.received).shown == seen.shown or seen.error
        assert self.items() == stored
        return Played(incident, variant, seen, direct, explained, of_missed, self.bench.zone)

    def identifier(self, incident: Incident, asking: str, ae: str, day: dt.date) -> Document:
        """Return what the device asks."""
        document = incident.played.query(asking, day, ae=ae, typed=incident.typed)
        facts = {"ae": ae, "today": f"{day:%Y%m%d}"}
        for line in incident.keys:
            path = paths.parse_path(re.split("[=<]", line)[0])
            element = paths.get(data_set((line,), facts), path)
            assert element is not None
            document = paths.put(document, path, element)
        return incident.shape(document)

    def question(self, incident: Incident, variant: str, identifier: Document, codec: str) -> Question:
        """Return the query in the transfer syntax that is agreed on."""
        proposed = next(found for sop_class, found in incident.played.proposes if sop_class == WORKLIST)
        wanted = self.bench.profile(incident.ae(variant))[1].transfer_syntaxes
        syntax = next((each for each in wanted if each in proposed), proposed[0])
        return Question(encoded(identifier, syntax, codec), syntax)

    def perform(
        self, played: Played, *items: Document, by_device: str = "sim-ge-ct", **changed: Any
    ) -> list[Any]:
        """Let the device report an exam of *items*, which it was sent; return the answers."""
        emulator = Emulator(
            by_device, self.at, ae=played.incident.ae(played.variant), called="MWL", today=DAY
        )
        return emulator.perform(*items, **changed)

    def states(self) -> dict[int, str]:
        """Return the state of each step on record, by the number of its order."""
        return {number(item.merged()): text(item.step, "00400020") for item in self.items()}


def steady(line: str) -> str:
    """Return what is said without the numbers that differ from run to run."""
    return re.sub(r"\b([Ss]tep) \d+\b", r"\1", line)


def row(incident: Incident, found: Reproduced) -> list[str]:
    """Return an incident's line of the page."""
    was, now = found
    said = [line for line in was.said if not was.sent or not line.startswith("modalities of today")]
    return [incident.id, incident.happens, was.outline, " ".join(said), mended(incident), now.outline]


def mended(incident: Incident) -> str:
    """Return the lines that mend an incident; there are no more of them than there may be."""
    lines = [line for line in incident.fix.splitlines() if line.strip()]
    assert len(lines) <= MOST_LINES, lines
    return "<br>".join(f"`{line}`" for line in lines) or incident.mends


def _write(folder: Path, kind: str, profiles: Iterator[tuple[str, str]]) -> None:
    (folder / "mappings" / kind).mkdir(parents=True, exist_ok=True)
    for name, lines in profiles:
        (folder / "mappings" / kind / f"{name}.yaml").write_text(lines, "utf-8")


def number(item: Document) -> int:
    """Return the number of the order that an item is of."""
    for name in ("StudyInstanceUID", "AccessionNumber", "PatientID", "RequestedProcedureID"):
        found = re.search(r"(\d+)$", text(item, paths.tag(name)))
        if found:
            return int(found[1])
    return 0


def value(item: Document, name: str) -> Any:
    """Return an attribute: one text as it is, several as a list, items as their documents; None where absent."""
    element = paths.get(item, paths.parse_path(name))
    if element is None:
        return None
    if element["vr"] == "SQ":
        return list(element.get("Value", ()))
    found = texts(element)
    return found[0] if len(found) == 1 else found or ""


def _message(n: int, stated: Order, ae: str, day: dt.date) -> OrderMessage:
    lines: dict[str, Any] = {
        "PatientName": f"DOE^JANE^{n}",
        "PatientID": f"PID{n}",
        "IssuerOfPatientID": "HOSP",
        "PatientBirthDate": "19700101",
        "PatientSex": "F",
        "AccessionNumber": f"ACC{n}",
        "RequestedProcedureID": f"RP{n}",
        "StudyInstanceUID": f"1.2.276.0.99.{n}",
        "FillerOrderNumberImagingServiceRequest": f"F{n}",
        "RequestedProcedureDescription": f"Procedure {n}",
        "SPS.ScheduledProcedureStepID": f"SPS{n}",
        "SPS.ScheduledProcedureStepDescription": f"Step {n}",
        "SPS.Modality": "CT",
        "SPS.ScheduledStationAETitle": ae,
        "SPS.ScheduledProcedureStepStartDate": f"{day:%Y%m%d}",
        "SPS.ScheduledProcedureStepStartTime": f"{n // 60 % 24:02}{n % 60:02}00",
    }
    system = stated.get("system", "RIS")
    lines |= {name: each for name, each in stated.items() if name not in ("system", "state")}
    levels: dict[str, Document] = {"patient": {}, "procedure": {}, "step": {}}
    for name, each in lines.items():
        path = paths.parse_path(name)
        level = (
            "step" if path[0] == STEP_SEQUENCE else "patient" if path[0].startswith("0010") else "procedure"
        )
        if each is not None:
            levels[level][path[-1]] = _element(path[-1], _filled(each, ae, day))
    change = ProcedureChange(OrderAction.CREATE, levels["procedure"], (levels["step"],))
    return OrderMessage(system, levels["patient"], (change,))


def _filled(stated: Any, ae: str, day: dt.date) -> Any:
    return [_filled(each, ae, day) for each in stated] if isinstance(stated, list) else (
        stated.format(ae=ae, today=f"{day:%Y%m%d}") if isinstance(stated, str) else stated
    )  # fmt: skip


def _element(tag: str, stated: Any) -> Any:
    vr = paths.vr(tag)
    if vr == "SQ":
        return {
            "vr": "SQ",
            "Value": [{paths.tag(k): _element(paths.tag(k), v) for k, v in each.items()} for each in stated],
        }
    if isinstance(stated, dict):  # as it is, were it ever so wrong
        return stated
    made = make(vr, stated if isinstance(stated, list) else [stated])
    assert made is not None, (tag, stated)
    return made
