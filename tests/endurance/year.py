"""A year of a department in a few minutes: does it keep its size and its speed, on every day of the calendar?

    PYTHONPATH=tests python tests/endurance/year.py --orders 200

Orders come in by the intake the day before, with changes, cancellations and merges; devices ask and report;
what is to be told is taken and delivered; each night what is too old goes, by the cleaner, and what nobody
reported leaves the worklists, by the watchdog.  The clock is simulated, from one July to the next but one's:
it goes through both changes to and from daylight saving time, 29 February, and is put back once.  Each day a
device's list is held against what it must hold.  Prints a line a month; ends with 1 where size or speed of
the last quarter are not those of the second.
"""

from __future__ import annotations

import argparse
import asyncio
import datetime as dt
import sys
import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from zoneinfo import ZoneInfo

from sqlalchemy import func, select

from mwl import config
from mwl.broker import bind, cleaner, systems
from mwl.broker.cleaner import Cleaner
from mwl.broker.conducts import conducts
from mwl.broker.running import _watched
from mwl.broker.watchdog import Watchdog
from mwl.dicom import answering
from mwl.dicom.answering import Question
from mwl.dicom.encoding import encode_dataset
from mwl.hl7.intake import Intake
from mwl.mapping.facts import Facts
from mwl.mapping.text.charset import parse_terms
from mwl.model import values
from mwl.store import Store, Transaction, open_store, outbox, performed, queries, steps, tables
from mwl.store.queries import CapturedQuery
from mwl.store.transaction import stamp

ZONE = ZoneInfo("Europe/Berlin")
FIRST, DAYS = dt.date(2027, 7, 1), 366  # with 29 February 2028
EXPLICIT_LE = "1.2.840.10008.1.2.1"
SETTINGS = """\
site: {{timezone: Europe/Berlin}}
database: {url}
mappings: {folder}/none
devices: {{CT1: {{profile: generic}}}}
systems: {{RIS: {{application: RIS, status: {{to: "127.0.0.1:9"}}}}}}
retention: {{messages: 30d, finished: 30d, sent: 30d}}
capture: {{age: 30d}}
watch: {{steps: {{idle: 3d}}}}
"""
ORDER = (
    "MSH|^~\\&|RIS|HOSP|MWL|HOSP|{sent}||ORM^O01|{message}|P|2.3.1||||||UNICODE UTF-8\r"
    "PID|1||P{patient}^^^HOSP||DOE^{patient}||19700101|F\r"
    "ORC|{control}|O{n}^RIS|F{n}^RIS||||1^^^{start}^^R|||||||||||CT1\r"
    "OBR|1|O{n}^RIS|F{n}^RIS|CT01^CT head^L||||||||||||||A{n}|R{n}|S{n}||||CT|||1^^^{start}^^R\r"
)
MERGE = (
    "MSH|^~\\&|RIS|HOSP|MWL|HOSP|{sent}||ADT^A40|{message}|P|2.3.1||||||UNICODE UTF-8\r"
    "PID|1||P{patient}^^^HOSP||DOE^{patient}||19700101|F\rMRG|Q{patient}^^^HOSP\r"
)
_CANCELLED, _IDLE, _MERGED = 3, 7, 5  # of ten orders
COUNTED = (
    tables.patients, tables.procedures, tables.steps, tables.step_history, tables.messages, tables.performed,
    tables.outbox, tables.queries,
)  # fmt: skip


@dataclass
class Month:
    """What a month came to."""

    name: str
    octets: int = 0
    rows: dict[str, int] = field(default_factory=dict)
    orders: list[float] = field(default_factory=list)  # seconds of the processor's time for each
    lists: list[float] = field(default_factory=list)

    def __str__(self) -> str:
        rows = ", ".join(f"{name} {count}" for name, count in self.rows.items())
        return (
            f"{self.name}  {self.octets / 2**20:7.1f} MiB  order {median(self.orders) * 1000:5.1f} ms  "
            f"list {median(self.lists) * 1000:5.1f} ms  {rows}"
        )


class Clock:
    """The time of the house: UTC, put on by hand."""

    def __init__(self) -> None:
        self.at(FIRST, 0)

    def at(self, day: dt.date, hour: int, minute: int = 0) -> None:
        """Put it to a time of the site's wall clock; one that the night leaves out is an hour later."""
        self.now = dt.datetime.combine(day, dt.time(hour, minute), ZONE).astimezone(dt.UTC)


class Year:
    """A department of so many orders a day, and its broker without sockets."""

    def __init__(self, folder: Path, per_day: int, first: dt.date = FIRST, days: int = DAYS) -> None:
        self.clock, self.per_day, self.messages = Clock(), per_day, 0
        self.first, self.days = first, days
        self.file = folder / "year.db"
        (folder / "mwl.yaml").write_text(SETTINGS.format(url=f"sqlite:///{self.file}", folder=folder))
        settings = config.load(folder / "mwl.yaml", {})
        profiles = bind(settings)
        self.store: Store = open_store(settings.database, clock=lambda: self.clock.now)
        self.told = settings.told
        self.profile, self.zone = profiles.devices["CT1"], profiles.zone
        self.intake = Intake(
            self.store, systems.configured(settings, profiles.systems), profiles.site, settings.told,
            lambda: self.clock.now, conducts=conducts(settings, profiles),
        )  # fmt: skip
        self.cleaner = Cleaner(self.store, settings.retention, settings.capture)
        self.watchdog = Watchdog(self.store, _watched(settings, profiles))

    async def run(self) -> list[Month]:
        """Live through the days; return their months.  Raises AssertionError where a day goes wrong."""
        months: list[Month] = []
        try:
            for number in range(self.days):
                day = self.first + dt.timedelta(days=number)
                if not months or day.day == 1:
                    months.append(Month(f"{day:%Y-%m}"))
                await self._day(day, months[-1])
                if (day + dt.timedelta(days=1)).day == 1:
                    self._measure(months[-1])
        finally:
            await self.store.close()
        return months

    async def _day(self, day: dt.date, month: Month) -> None:
        ours = [f"{day:%Y%m%d}{n:04}" for n in range(self.per_day)]
        self.clock.at(day - dt.timedelta(days=1), 15)
        for n, order in enumerate(ours):
            began = time.process_time()
            # Every hour of the day, those that a night leaves out, or has twice, as well.
            await self._send(
                ORDER, n=order, control="NW", start=f"{day:%Y%m%d}{n % 24:02}3000", patient=order
            )
            month.orders.append(time.process_time() - began)
        if day.day == 15:
            self.clock.now -= dt.timedelta(hours=2)  # somebody puts the clock right
        serial = (day - self.first).days * self.per_day
        kinds = {order: (serial + n) % 10 for n, order in enumerate(ours)}
        cancelled, idle, merged = (
            [order for order, kind in kinds.items() if kind == each] for each in (_CANCELLED, _IDLE, _MERGED)
        )
        for order in cancelled:
            await self._send(ORDER, n=order, control="CA", start=f"{day:%Y%m%d}083000", patient=order)
        for order in merged:
            await self._send(MERGE, patient=order)
        waiting = [order for order in ours if order not in cancelled]
        for hour, minute in ((0, 1), (2, 30), (3, 1)):  # around what changes in a night
            self.clock.at(day, hour, minute)
            self._expect(await self._list(day, month), waiting)
        self.clock.at(day, 10)
        for order in waiting:
            if order not in idle:
                await self._perform(order, day)
        self.clock.at(day, 23, 59)
        self._expect(await self._list(day, month), sorted(idle))
        await self._deliver()
        await self._night()

    async def _send(self, template: str, **values_: str) -> None:
        self.messages += 1
        sent = f"{self.clock.now.astimezone(ZONE):%Y%m%d%H%M%S%z}"
        text = template.format(sent=sent, message=f"M{self.messages}", **values_)
        answer = await self.intake.receive(text.encode(), "ris")
        assert answer is not None
        assert b"MSA|AA|" in answer, (text, answer)

    async def _list(self, day: dt.date, month: Month) -> list[str]:
        began = time.process_time()
        keys = {
            "00080050": {"vr": "SH"},
            "00400100": {"vr": "SQ", "Value": [{
                "00400001": {"vr": "AE", "Value": ["CT1"]}, "00400002": {"vr": "DA", "Value": [f"{day:%Y%m%d}"]},
            }]},
        }  # fmt: skip
        raw = encode_dataset(keys, EXPLICIT_LE, parse_terms(["ISO_IR 192"]))
        facts = Facts(calling_ae="CT1", called_ae="MWL", now=self.clock.now.astimezone(ZONE))
        asked = answering.read(Question(raw, EXPLICIT_LE), self.profile, facts, self.zone)
        items = await self.store.read(lambda tx: steps.load(tx, steps.match(tx, asked.query)))
        found = [str(values(answering.compose(asked, item).document, "00080050")[0])[1:] for item in items]
        month.lists.append(time.process_time() - began)
        seen = CapturedQuery("CT1", raw, EXPLICIT_LE, stamp(self.clock.now), "0000", sent=len(found))
        await self.store.write(lambda tx: queries.record(tx, [seen], per_device=100))
        return sorted(found)

    def _expect(self, found: Iterable[str], wanted: Iterable[str]) -> None:
        assert list(found) == list(wanted), self.clock.now

    async def _perform(self, order: str, day: dt.date) -> None:
        uid = f"1.2.276.0.99.{order}"
        item = {
            "00080050": {"vr": "SH", "Value": [f"A{order}"]}, "00401001": {"vr": "SH", "Value": [f"R{order}"]},
            "00400009": {"vr": "SH", "Value": [f"S{order}"]},
        }  # fmt: skip
        begun = {
            "00400252": {"vr": "CS", "Value": ["IN PROGRESS"]}, "00400270": {"vr": "SQ", "Value": [item]},
            "00100020": {"vr": "LO", "Value": [f"P{order}"]}, "00080060": {"vr": "CS", "Value": ["CT"]},
            "00400241": {"vr": "AE", "Value": ["CT1"]}, "00400244": {"vr": "DA", "Value": [f"{day:%Y%m%d}"]},
        }  # fmt: skip
        over = {"00400252": {"vr": "CS", "Value": ["COMPLETED"]}}

        def exam(tx: Transaction) -> None:
            performed.create(tx, uid, begun, calling_ae="CT1", told=self.told)
            performed.update(tx, uid, over, calling_ae="CT1", told=self.told)

        await self.store.write(exam)

    async def _deliver(self) -> None:
        """Take what is to be told, and deliver it, until nothing is left."""

        def deliver(tx: Transaction) -> int:
            rows = outbox.claim(tx, "courier", dt.timedelta(minutes=2), 100)
            for row in rows:
                outbox.composed(tx, row.key, b"MSH|" + b"x" * 400)
                outbox.delivered(tx, row.key)
            return len(rows)

        while await self.store.write(deliver):
            pass

    async def _night(self) -> None:
        await self.watchdog.look()
        for clean in ("messages", "queries", "finished", "patients", "outbox"):
            await getattr(self.cleaner, f"_clean_{clean}")()

    def _measure(self, month: Month) -> None:
        month.octets = sum(each.stat().st_size for each in self.file.parent.glob("year.db*"))
        month.rows = self.store.read_now(
            lambda tx: {
                each.name: tx.connection.scalar(select(func.count()).select_from(each)) or 0
                for each in COUNTED
            }
        )


def growth(months: list[Month], name: str) -> float:
    """Return how much of a table there is at the end, to what there was in the middle."""
    return months[-1].rows[name] / max(1, months[len(months) // 2 - 1].rows[name])


def quarter(months: list[Month], which: slice, kind: str) -> float:
    """Return the median seconds of a quarter."""
    return median(value for month in months[which] for value in getattr(month, kind))


def main() -> int:
    """Live through the year with the options of the command line."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--orders", type=int, default=200, help="orders a day")
    chosen = options.parse_args()
    cleaner.REST = 0
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        months = asyncio.run(Year(Path(folder), chosen.orders).run())
        for month in months:
            print(month)
    sizes = {name: growth(months, name) for name in months[-1].rows}
    speeds = {
        kind: quarter(months, slice(9, 12), kind) / quarter(months, slice(3, 6), kind)
        for kind in ("orders", "lists")
    }
    print(
        f"{chosen.orders * DAYS} orders in {time.perf_counter() - began:.0f} s; the end to the middle:",
        sizes,
        speeds,
    )
    return int(max(sizes.values()) > 1.2 or max(speeds.values()) > 1.5)


if __name__ == "__main__":
    sys.exit(main())
