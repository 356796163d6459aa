"""What the tests of the command line share: a way to run it, and a database to run it on."""

from __future__ import annotations

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
