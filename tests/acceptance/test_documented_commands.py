"""Every ``mwl`` command that the manuals show does what they say, on the real broker."""

from __future__ import annotations

import contextlib
import logging
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
import pytest

from mwl.cli import cli
from mwl.cli import run as cli_run
from mwl.store import Transaction, open_store, outbox, performed

ROOT = Path(__file__).parent.parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
SHELL = re.compile(r"^```sh\n(.*?)^```$", re.DOTALL | re.MULTILINE)
COMMAND = re.compile(r"(?:\.venv/bin/)?mwl (?P<arguments>[^#]*)(?:# ends with (?P<code>\d+).*)?")
STANDARD = {"127.0.0.1:11112": "dicom", "127.0.0.1:2575": "hl7"}
"""Addresses as the manuals write them, and the listener they mean."""


def shown(path: Path) -> list[tuple[list[str], int]]:
    """Return the commands of a page with the exit codes they are said to end with (0, unless it says so)."""
    lines = [line for block in SHELL.findall(path.read_text("utf-8")) for line in block.splitlines()]
    found = [match for line in lines if (match := COMMAND.fullmatch(line.strip()))]
    return [(shlex.split(match["arguments"]), int(match["code"] or 0)) for match in found]


@pytest.fixture
def broker(serving: Callable[..., contextlib.AbstractContextManager[Any]], tmp_path: Path) -> Iterator[Any]:
    """A broker that takes anyone, with an order, an exam, two parked messages, and the examples beside it."""
    (tmp_path / "fixtures").symlink_to(ROOT / "fixtures")
    anyone = {"*": {"profile": "generic"}}
    with serving(tmp_path, devices=anyone, systems={"RIS": {"application": "*"}}) as running:
        assert running.run("hl7", "send", "fixtures/hl7/orm-2.3-without-zds.hl7").returncode == 0
        store = open_store(f"sqlite:///{tmp_path / 'mwl.db'}")
        store.write_now(park)
        store.write_now(perform)
        store.close_now()
        yield running


def park(tx: Transaction) -> None:
    """Put two messages into the outbox that a system refused which is not configured any more."""
    for n in (1, 2):
        facts = {"event": "IP", "at": tx.now.isoformat()}
        outbox.enqueue(tx, destination="OLD", thread=f"procedure:{n}", facts=facts)
        outbox.parked(tx, n, "AE not known")


def perform(tx: Transaction) -> None:
    """Store an exam without an order, which nobody has ended."""
    document = {"00400252": {"vr": "CS", "Value": ["IN PROGRESS"]}}
    performed.create(tx, "1.2.276.0.99.7.1", document, calling_ae="CT1", told=())


APART = {"check", "demo", "users"}
"""Commands that have a process to themselves: they read its input or its surroundings, or serve."""


@pytest.fixture
def typed(
    broker: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Callable[[list[str]], tuple[int, str]]]:
    """Run a command as its page means it, in this process: a hundred interpreters take a minute to start."""
    addresses = {text: ":".join(map(str, broker.addresses[name])) for text, name in STANDARD.items()}
    monkeypatch.chdir(broker.folder)
    monkeypatch.setenv("MWL_CONFIG", str(broker.folder / "mwl.yaml"))
    for name, (host, port) in broker.addresses.items():
        monkeypatch.setenv(f"MWL_{name.upper()}__LISTEN", f"{host}:{port}")
    root, package = logging.getLogger(), logging.getLogger("mwl")
    before = root.handlers[:], root.level, package.level

    def call(arguments: list[str]) -> tuple[int, str]:
        meant = [addresses.get(argument, argument) for argument in arguments]
        if arguments[0] in APART:
            done = apart(broker, meant)
            return done.returncode, done.stderr
        capsys.readouterr()
        code = cli_run(meant)
        return code, capsys.readouterr().err

    yield call
    root.handlers[:], root.level, package.level = before


def apart(broker: Any, arguments: list[str]) -> subprocess.CompletedProcess[str]:
    """Run a command in a process of its own."""
    if arguments[0] == "check":  # of a broker that does not run: the ports of this one are taken
        without = {name: value for name, value in os.environ.items() if not name.startswith("MWL_")}
        return subprocess.run(
            [sys.executable, "-m", "mwl", *arguments],
            capture_output=True, text=True, timeout=60, cwd=broker.folder, env=without, check=False,
        )  # fmt: skip
    return broker.run(*arguments)  # type: ignore[no-any-return]


@pytest.mark.parametrize("path", [path for path in PAGES if shown(path)], ids=lambda path: path.name)
def test_every_command_of_a_page_ends_as_it_says(typed, path):
    """In the order of the page, on a broker of its own; `mwl serve` is that broker."""
    ended = []
    for arguments, expected in shown(path):
        if arguments[0] == "serve":
            serve = cli.get_command(click.Context(cli), "serve")
            assert serve is not None
            serve.make_context("serve", arguments[1:])
            continue
        code, told = typed(arguments)
        ended.append((shlex.join(arguments), code, told if code != expected else ""))

    expected_codes = [(shlex.join(a), code, "") for a, code in shown(path) if a[0] != "serve"]
    assert ended == expected_codes
