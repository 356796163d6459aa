"""Realistic hospitals of any size, straight into a database: what the benchmarks ask of.

    python benchmarks/hospital.py sqlite:////tmp/hospital.db --steps 1000000

The same size gives the same hospital.  Opening hours, modalities, stations and names in several scripts
are drawn from a fixed seed.  What the benchmarks ask for is the same however large the hospital is, so
that only the size differs between two runs: one scanner, ``BENCH``, has exactly 20 steps on the day that is
asked for, of patients whose names begin alike; 20 steps of modality PT lie in the week from that day on; and
on that day ``WARD`` has 5,000 steps, or half of them all.
"""

from __future__ import annotations

import argparse
import datetime as dt
import itertools
import random
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import insert

from mwl.lifecycle import StepState
from mwl.model import Document
from mwl.store import Transaction, open_store, promoted, tables

DAY = dt.date(2026, 7, 5)
"""The day the benchmarks ask for; the steps lie in the two years before it and the sixty days after."""
STATION, MATCHES = "BENCH", 20
NAMES = "BENCHMARK"
"""How the family names of the patients of `STATION` begin; nobody else's does."""
RARE, WEEK = "PT", 7
"""A modality that has as many steps in the days from `DAY` on; all others are older."""
WARD = "WARD"
_CHUNK = 5_000  # steps a transaction

_MODALITIES = {"CR": 30, "US": 22, "CT": 20, "MR": 12, "DX": 6, "MG": 5, "XA": 3, "NM": 1, RARE: 1}  # percent
_FAMILY = (
    "MÜLLER", "SCHMIDT", "NGUYEN", "GARCIA", "KOWALSKI", "ØSTERGAARD", "SMITH", "JOHNSON", "DUBOIS", "ROSSI",
    "WANG=王", "LI=李", "ZHANG=张", "YAMADA=山田", "SATO=佐藤", "HONG=洪", "IVANOV=Иванов",
    "PAPADOPOULOS=Παπαδόπουλος",
)  # fmt: skip
_GIVEN = (
    "ANNA", "MARIA", "JOHN", "PIERRE", "JÜRGEN", "LUCIA", "XIAOMING=小明", "TARO=太郎", "GILDONG=吉洞",
    "OLGA=Ольга", "ELENI=Ελένη", "PETER", "SOFIE", "MOHAMMED", "FATIMA", "EMMA", "LIAM", "NOAH",
)  # fmt: skip
_PROCEDURES = ("head", "chest", "abdomen", "pelvis", "spine", "knee", "shoulder", "neck")


def ward(steps: int) -> range:
    """Return the numbers of the steps of `WARD` in a hospital with so many steps."""
    return range(2 * MATCHES + 1, 2 * MATCHES + 1 + min(5_000, steps // 2))


def ward_name(number: int) -> str:
    """Return the name of the patient of a step of `WARD`."""
    return f"WARD{number:05}^JANE"


def element(vr: str, *values: Any) -> dict[str, Any]:
    """Return an element of the DICOM JSON model."""
    return {"vr": vr, "Value": list(values)}


@dataclass(slots=True)
class _Rows:
    """What one transaction writes."""

    tables: dict[str, list[dict[str, Any]]] = field(default_factory=dict)

    def add(self, table: str, *rows: dict[str, Any]) -> None:
        self.tables.setdefault(table, []).extend(rows)

    def write(self, tx: Transaction) -> None:
        for table in tables.metadata.sorted_tables:
            if rows := self.tables.get(table.name):
                tx.connection.execute(insert(table), rows)


class Hospital:
    """Steps, one after the other; each is a patient with one requested procedure and one step."""

    def __init__(self, steps: int, seed: int = 1) -> None:
        self._steps, self._random, self._ward = steps, random.Random(seed), ward(steps)
        self._stamp = "2026-07-01T00:00:00.000000+00:00"

    def chunks(self) -> Iterator[_Rows]:
        """Yield what to write, a transaction at a time."""
        numbers = iter(range(1, self._steps + 1))
        while chunk := list(itertools.islice(numbers, _CHUNK)):
            rows = _Rows()
            for number in chunk:
                self._add(rows, number)
            yield rows

    def _add(self, rows: _Rows, number: int) -> None:
        patient, procedure = self._patient(number), self._procedure(number)
        step = self._step(number)
        documents = {"patients": patient, "procedures": procedure, "steps": step}
        kept = {name: {"key": number, "document": promoted.dump(each)} for name, each in documents.items()}
        past = promoted.step_columns(step)["start"] < f"{DAY:%Y%m%d}"
        state = StepState.COMPLETED if past else StepState.SCHEDULED
        rows.add("patients", {**kept["patients"], **promoted.patient_columns(patient)})
        rows.add("patient_names", *({**row, "patient_key": number} for row in promoted.name_rows(patient)))
        rows.add("name_keys", *({**row, "patient_key": number} for row in promoted.key_rows(patient)))
        rows.add("procedures", {**kept["procedures"], **promoted.procedure_columns(procedure),
                                "patient_key": number, "system": "RIS"})  # fmt: skip
        rows.add("steps", {**kept["steps"], **promoted.step_columns(step), "procedure_key": number,
                           "state": state.value, "created_at": self._stamp,
                           "updated_at": self._stamp})  # fmt: skip
        rows.add(
            "step_stations", *({**row, "step_key": number} for row in promoted.station_rows(step, state))
        )

    def _patient(self, number: int) -> Document:
        family, _, family_own = self._random.choice(_FAMILY).partition("=")
        given, _, given_own = self._random.choice(_GIVEN).partition("=")
        # A number in the family name keeps prefixes as selective as in a directory of real names.
        name = {"Alphabetic": f"{family}{number % 9973:04}^{given}"}
        if number <= MATCHES:
            name["Alphabetic"] = f"{NAMES}{number:02}^{given}"
        elif number in self._ward:
            return self._person(number, {"Alphabetic": ward_name(number)})
        if family_own and given_own:
            name["Ideographic"] = f"{family_own}^{given_own}"
        return self._person(number, name)

    def _person(self, number: int, name: dict[str, str]) -> Document:
        born = dt.date(1926, 1, 1) + dt.timedelta(days=self._random.randrange(36_500))
        return {
            "00100010": element("PN", name),
            "00100020": element("LO", f"PID{number:08}"),
            "00100021": element("LO", "HOSP"),
            "00100030": element("DA", f"{born:%Y%m%d}"),
            "00100040": element("CS", self._random.choice("MF")),
        }

    def _procedure(self, number: int) -> Document:
        code = {
            "00080100": element("SH", f"P{number % 300:03}"),
            "00080102": element("SH", "L"),
            "00080104": element("LO", f"Procedure {number % 300}"),
        }
        return {
            "00080050": element("SH", f"ACC{number:08}"),
            "0020000D": element("UI", f"1.2.276.0.99.{number}"),
            "00401001": element("SH", f"RP{number:08}"),
            "00402016": element("LO", f"PL{number:08}"),
            "00402017": element("LO", f"FI{number:08}"),
            "00321060": element("LO", f"Examination of the {_PROCEDURES[number % 8]}"),
            "00321064": element("SQ", code),
            "00080090": element("PN", {"Alphabetic": "SOMMER^EVA"}),
        }

    def _step(self, number: int) -> Document:
        morning = dt.datetime.combine(DAY, dt.time(8))
        if number <= MATCHES:
            return self._scheduled(number, STATION, "CT", morning + dt.timedelta(minutes=15 * number))
        if number <= 2 * MATCHES:
            return self._scheduled(number, "PET1", RARE, morning + dt.timedelta(days=number % WEEK))
        if number in self._ward:
            return self._scheduled(number, WARD, "CR", morning + dt.timedelta(seconds=6 * number))
        return self._any_step(number)

    def _any_step(self, number: int) -> Document:
        modality = self._random.choices(list(_MODALITIES), list(_MODALITIES.values()))[0]
        start = dt.datetime.combine(DAY, dt.time())
        start += dt.timedelta(days=self._random.randrange(-730, -WEEK if modality == RARE else 60))
        start += dt.timedelta(hours=min(max(self._random.gauss(12, 3), 0), 23), minutes=number % 60)
        # About forty steps a scanner and day, whatever the size: a larger house has more scanners.
        scanners = max(1, self._steps * _MODALITIES[modality] // 100 // 790 // 40)
        return self._scheduled(number, f"{modality}{self._random.randrange(scanners)}", modality, start)

    def _scheduled(self, number: int, station: str, modality: str, start: dt.datetime) -> Document:
        return {
            "00080060": element("CS", modality),
            "00400001": element("AE", station),
            "00400002": element("DA", f"{start:%Y%m%d}"),
            "00400003": element("TM", f"{start:%H%M}00"),
            "00400007": element("LO", f"{modality} of the {_PROCEDURES[number % 8]}"),
            "00400009": element("SH", f"SPS{number:08}"),
            "00400020": element("CS", "SCHEDULED"),
        }


def fill(url: str, steps: int, *, progress: bool = False) -> float:
    """Make a database with *steps* steps; return how long that took (seconds)."""
    began, store = time.perf_counter(), open_store(url)
    try:
        for number, rows in enumerate(Hospital(steps).chunks(), start=1):
            store.write_now(rows.write)
            if progress:
                print(f"\r{min(number * _CHUNK, steps):,} of {steps:,}", end="", file=sys.stderr, flush=True)
        store.write_now(_count_on)
    finally:
        store.close_now()
    if progress:
        print(file=sys.stderr)
    return time.perf_counter() - began


def _count_on(tx: Transaction) -> None:
    """Let PostgreSQL number what comes next after the keys that were given; SQLite does so by itself."""
    if tx.connection.dialect.name == "postgresql":
        for name in ("patients", "procedures", "steps"):
            tx.connection.exec_driver_sql(
                f"SELECT setval(pg_get_serial_sequence('{name}', 'key'), max(key)) FROM {name}"
            )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("database", help="database URL")
    parser.add_argument("--steps", type=int, default=1_000_000)
    options = parser.parse_args()
    print(f"{options.steps:,} steps in {fill(options.database, options.steps, progress=True):.0f} s")


if __name__ == "__main__":
    main()
