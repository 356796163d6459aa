"""What the HL7 tests share."""

from __future__ import annotations

import datetime as dt
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import settings

from mwl.hl7.intake import Intake, System
from mwl.mapping.facts import SiteFacts
from mwl.mapping.systems.system import SystemProfile, load_systems
from mwl.store import Store, open_store

NOW = dt.datetime(2026, 7, 4, 13, 0, tzinfo=dt.UTC)
SITE = SiteFacts("HOSP", ZoneInfo("Europe/Berlin"), "ISO_IR 192", "1.2.276.0.7230010.3.1.99")

settings.register_profile("untimed", deadline=None)  # a busy machine is no defect
settings.load_profile("untimed")


@pytest.fixture(scope="session")
def order(fixtures: Path) -> Callable[[str], bytes]:
    """Read a message of fixtures/hl7 by name, segments ended by CR as on the wire."""

    def read(name: str) -> bytes:
        raw = (fixtures / "hl7" / f"{name}.hl7").read_bytes()
        return raw if b"\r" in raw else raw.replace(b"\n", b"\r")

    return read


@pytest.fixture(scope="session")
def generic() -> SystemProfile:
    """The shipped generic system profile."""
    return load_systems([Path(__file__).parents[2] / "mappings"]).bind("generic")


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty SQLite database with its schema."""
    path = tmp_path_factory.mktemp("store") / "mwl.db"
    open_store(f"sqlite:///{path}").close_now()
    return path


@pytest.fixture
def store(migrated: Path, tmp_path: Path) -> Iterator[Store]:
    """An empty SQLite store; its clock stands still."""
    path = shutil.copy(migrated, tmp_path / "mwl.db")
    opened = open_store(f"sqlite:///{path}", migrate=False, clock=lambda: NOW)
    yield opened
    opened.close_now()


@pytest.fixture
def intake(store: Store, generic: SystemProfile) -> Intake:
    """An intake for one system, RIS, that anyone may be."""
    return Intake(store, [System("RIS", generic)], SITE, frozenset({"RIS"}), lambda: NOW)
