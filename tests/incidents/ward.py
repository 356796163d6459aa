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
import json
import re
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from acceptance.conftest import CONFIGURATION, Broker
from incidents.incident import Incident, Order, message, number
from incidents.played import Played, Reproduced, row
from mwl import config
from mwl.dicom.answering import Question
from mwl.dicom.emulators import Emulator, Seen, look
from mwl.dicom.emulators.description import WORKLIST
from mwl.dicom.emulators.keys import data_set, encoded
from mwl.lifecycle import StepEvent
from mwl.mapping import paths
from mwl.model import Document, WorklistItem, text
from mwl.query import WorklistQuery
from mwl.store import Store, open_store, orders, queries, steps, transitions
from mwl.store.queries import CapturedQuery
from mwl.workbench.bench import Bench
from mwl.workbench.explain import Explanation, explain
from mwl.workbench.hints import hints
from mwl.workbench.in_memory import AtHand
from mwl.workbench.outcome import outcome
from mwl.workbench.whereabouts import Sought

SHIPPED = Path(__file__).parents[2] / "mappings"
DAY = dt.date(2026, 7, 5)
NOON = dt.datetime(2026, 7, 5, 10, tzinfo=dt.UTC)
"""What `explain` takes for the present, so that it always says the same."""
KEPT = {"alembic_version", "profile_sets"}  # tables that a clean worklist leaves alone
STATES: Mapping[str, tuple[StepEvent, ...]] = {
    "SCHEDULED": (),
    "STARTED": (StepEvent.BEGIN,),
    "COMPLETED": (StepEvent.BEGIN, StepEvent.COMPLETE),
}
"""What happened to a step that is in a state."""


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
                sent = message(n, stated, ae, day)
                done = orders.apply(tx, sent, source=f"hl7 {sent.system} {n}", uid_root=None, told=())
                for event in STATES[stated.get("state", "SCHEDULED")]:
                    transitions.advance(tx, done.steps[0], event, source=f"mpps 1.2.3.{n} OTHER")

        self.store.write_now(work)

    def items(self) -> list[WorklistItem]:
        """Return every step on record."""
        everything = WorklistQuery(held=True)
        return self.store.read_now(lambda tx: steps.load(tx, steps.match(tx, everything)))

    def as_of(self, told: str) -> str:
        """Return a text with the days around the ward's as if that were `DAY`."""
        for days in range(-9, 10):
            apart = dt.timedelta(days)
            told = told.replace(f"{self.today + apart:%Y%m%d}", f"{DAY + apart:%Y%m%d}")
        return told

    # ── what is asked ──

    def reproduce(self, incident: Incident) -> Reproduced:
        """Play an incident as it happened and mended; its orders stay on record."""
        found = Reproduced(self.play(incident, "OLD"), self.play(incident))
        self.rows[incident.id] = [self.as_of(text) for text in row(incident, found)]
        return found

    def play(self, incident: Incident, variant: str = "", **how: Any) -> Played:
        """Play an incident by one of its profiles; its orders stay on record."""
        self.clear()
        self.order(incident.orders, incident.ae(variant), self.today)
        return self.ask(incident, variant, **how)

    @property
    def today(self) -> dt.date:
        """The ward's day: that of its clock, in the site's zone."""
        return self.clock().astimezone(self.bench.zone).date()

    def ask(self, incident: Incident, variant: str = "", **how: Any) -> Played:
        """Let the device ask, three times, for what is on record."""
        day = self.today + dt.timedelta(incident.device_day)
        stored, ae, played = self.items(), incident.ae(variant), incident.played
        asking = incident.query or next(iter(played.queries))
        identifier = self.identifier(incident, asking, ae, day)
        codec = incident.codec or played.asking(asking).codec

        seen = self.wire(incident, variant, **how)
        question = self.question(incident, variant, identifier, codec)
        label, profile = self.bench.profile(ae)
        facts = self.bench.facts(ae)
        direct = outcome(AtHand(stored), question, profile, facts, self.bench.zone)
        captured = self.until(lambda: self.captured(ae)) if incident.captured else None
        explained = self.store.read_now(lambda tx: explain(tx, self.bench, ae, question, captured=captured))
        missed = Sought(accession=f"ACC{incident.missed}") if incident.missed else None
        of_missed = missed and self.store.read_now(
            lambda tx: explain(tx, self.bench, ae, question, sought=missed)
        )

        told = explained.told.sent if explained.told else []
        octets = [each.composed.data for each in direct.sent if each.composed]
        assert label == ae
        assert octets == [each.composed.data for each in told if each.composed]
        assert seen.raw == octets[: len(seen.raw)]
        if not how and seen.error != played.judge.aborted:  # whoever cancels, or gives up, gets less
            assert len(seen.raw) == len(octets)
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

    def captured(self, ae: str) -> CapturedQuery | None:
        """Return the device's query on record."""
        return self.store.read_now(lambda tx: queries.last(tx, ae))

    def wire(self, incident: Incident, variant: str = "", **how: Any) -> Seen:
        """Let the device ask the broker, and nobody else."""
        ae, played = incident.ae(variant), incident.played
        asking, day = (
            incident.query or next(iter(played.queries)),
            self.today + dt.timedelta(incident.device_day),
        )
        emulator = Emulator(played, self.at, ae=ae, called="MWL", today=day, timeout=how.pop("timeout", None))
        identifier = self.identifier(incident, asking, ae, day)
        return emulator.ask(identifier, asking, codec=incident.codec or played.asking(asking).codec, **how)

    def about(self, incident: Incident, captured: CapturedQuery) -> list[str]:
        """Return the hints of `explain` on a query on record."""
        ae = incident.ae("")
        question = self.bench.question(captured.identifier, transfer_syntax=captured.transfer_syntax)
        told = self.store.read_now(lambda tx: explain(tx, self.bench, ae, question, captured=captured))
        return [hint.text for hint in hints(told)]

    def explained(self, ae: str, *keys: str) -> Explanation:
        """Explain a query of the device *ae* for some attributes."""
        question = self.bench.question(data_set(keys, {}))
        return self.store.read_now(lambda tx: explain(tx, self.bench, ae, question))

    def until(self, happened: Callable[[], Any]) -> Any:
        """Look until the broker has written something, and return it."""
        over = time.monotonic() + 30
        while not (found := happened()):
            assert time.monotonic() < over, "it did not happen"
        return found

    def perform(
        self, played: Played, *items: Document, by_device: str = "sim-ge-ct", **changed: Any
    ) -> list[Any]:
        """Let the device report an exam of *items*, which it was sent; return the answers."""
        emulator = Emulator(
            by_device, self.at, ae=played.incident.ae(played.variant), called="MWL", today=self.today
        )
        return emulator.perform(*items, **changed)

    def performed(self) -> list[Document]:
        """Return the performed steps on record."""
        with sqlite3.connect(self.folder / "mwl.db", timeout=30) as database:
            found = database.execute("SELECT document FROM performed ORDER BY key").fetchall()
        database.close()
        return [json.loads(document) for (document,) in found]

    def states(self) -> dict[int, str]:
        """Return the state of each step on record, by the number of its order."""
        return {number(item.merged()): text(item.step, "00400020") for item in self.items()}


def _write(folder: Path, kind: str, profiles: Iterator[tuple[str, str]]) -> None:
    (folder / "mappings" / kind).mkdir(parents=True, exist_ok=True)
    for name, lines in profiles:
        (folder / "mappings" / kind / f"{name}.yaml").write_text(lines, "utf-8")
