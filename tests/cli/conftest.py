"""What the tests of the command line share: a way to run it, and a database to run it on."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from mwl.cli import run
from mwl.model import OrderAction, OrderMessage, ProcedureChange, WorklistItem
from mwl.store import Store, open_store, orders


@dataclass(frozen=True)
class Result:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@pytest.fixture
def mwl(capsys: pytest.CaptureFixture[str]) -> Callable[..., Result]:
    """Run a command line in this process."""

    def call(*arguments: object) -> Result:
        capsys.readouterr()
        code = run([str(argument) for argument in arguments])
        return Result(code, *capsys.readouterr())

    return call


@pytest.fixture(autouse=True)
def _own_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Run each test in an empty folder without `MWL_` variables, and leave logging as it was."""
    monkeypatch.chdir(tmp_path)
    for name in ("MWL_CONFIG", "MWL_LOG_LEVEL"):
        monkeypatch.delenv(name, raising=False)
    root, package = logging.getLogger(), logging.getLogger("mwl")
    before = root.handlers[:], root.level, package.level
    yield
    root.handlers[:], root.level, package.level = before


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Store]:
    """A store with an empty schema, and a configuration in the working directory that names it."""
    url = f"sqlite:///{tmp_path / 'mwl.db'}"
    (tmp_path / "mwl.yaml").write_text(f"database: {url}\n")
    store = open_store(url)
    yield store
    store.close_now()


def order(item: WorklistItem) -> OrderMessage:
    """Return the order message that would have made *item*."""
    change = ProcedureChange(OrderAction.CREATE, item.procedure, (item.step,))
    return OrderMessage(item.system, item.patient, (change,))


@pytest.fixture
def ordered(database: Store, f0_items: dict[str, WorklistItem]) -> Store:
    """The store with two orders of the standard's data set: S2 on CT_ROOM1, S6 with an ideographic name."""
    for name in ("S2", "S6"):
        message = order(f0_items[name])
        database.write_now(
            lambda tx, m=message: orders.apply(tx, m, source="hl7 RIS 1", uid_root=None, told=())
        )
    return database


class Ris:
    """A configured system whose profile knows some codes, and the messages it sends."""

    ORDER = (
        "MSH|^~\\&|RIS|HOSP|MWL|HOSP|{sent}||ORM^O01|{control_id}|P|2.3.1||||||UNICODE UTF-8\r"
        "PID|1||{patient}^^^HOSP||DOE^JANE||19700101|F\r"
        "ORC|{control}|PL{n}^RIS|FI{n}^RIS||||1^^^{start}^^R\r"
        "OBR|1|PL{n}^RIS|FI{n}^RIS|{code}^Knee^L||||||||||||||ACC{n}|RP{n}|SPS{n}\r"
    )

    def __init__(self, folder: Path, store: Store) -> None:
        self.folder, self.store = folder, store
        self.profile = folder / "mappings" / "systems" / "ours.yaml"
        self.profile.parent.mkdir(parents=True)
        with (folder / "mwl.yaml").open("a") as configuration:
            configuration.write("site: {timezone: Europe/Berlin}\n")
            configuration.write("systems: {RIS: {application: RIS, profile: ours}}\n")
        self.knows("CTHEAD: CT")

    def knows(self, codes: str) -> None:
        """Write the profile so that it knows these codes and refuses all others."""
        line = f"Modality: {{from: OBR-4.1, table: {{{codes}}}, miss: error}}"
        self.profile.write_text(f"profile: ours\nstep:\n  {line}\n")

    def order(self, n: int = 1, **fields: str) -> bytes:
        """Return an order for a knee, whose code is not known at first."""
        said = {
            "sent": "20260704120000", "control": "NW", "start": "20260705093000", "code": "MRKNEE",
            "control_id": f"C{n}", "patient": f"PID{n:03}",
        }  # fmt: skip
        return self.ORDER.format(n=n, **{**said, **fields}).encode()

    def sends(self, *messages: bytes, peer: str = "10.0.0.5:40000") -> list[bytes | None]:
        """Have the messages taken in as the configured broker does; return the answers."""
        from mwl import config
        from mwl.broker import bind, systems
        from mwl.hl7.intake import Intake

        configuration = config.load(self.folder / "mwl.yaml", {})
        profiles = bind(configuration)
        intake = Intake(
            self.store,
            systems.configured(configuration, profiles.systems),
            profiles.site,
            configuration.told,
            lambda: dt.datetime.now(dt.UTC),
            allowances=systems.allowances(configuration),
        )

        async def take() -> list[bytes | None]:
            return [await intake.receive(message, peer) for message in messages]

        return asyncio.run(take())


@pytest.fixture
def ris(database: Store, tmp_path: Path) -> Ris:
    """A system that sends orders to the database of the working directory's configuration."""
    return Ris(tmp_path, database)
