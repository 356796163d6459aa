"""Every ``mwl`` command that the manuals show does what they say, on the real broker."""

from __future__ import annotations

import contextlib
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


def run(broker: Any, arguments: list[str]) -> subprocess.CompletedProcess[str]:
    """Run a command as its page means it."""
    if arguments[0] == "check":  # of a broker that does not run: the ports of this one are taken
        return subprocess.run(
            [sys.executable, "-m", "mwl", *arguments],
            capture_output=True, text=True, timeout=60, cwd=broker.folder, check=False,
        )  # fmt: skip
    addresses = {text: ":".join(map(str, broker.addresses[name])) for text, name in STANDARD.items()}
    return broker.run(*(addresses.get(argument, argument) for argument in arguments))  # type: ignore[no-any-return]


@pytest.mark.timeout(600)  # the field engineer's page starts a hundred processes
@pytest.mark.parametrize("path", [path for path in PAGES if shown(path)], ids=lambda path: path.name)
def test_every_command_of_a_page_ends_as_it_says(broker, path):
    """In the order of the page, on a broker of its own; `mwl serve` is that broker."""
    ended = []
    for arguments, expected in shown(path):
        if arguments[0] == "serve":
            serve = cli.get_command(click.Context(cli), "serve")
            assert serve is not None
            serve.make_context("serve", arguments[1:])
            continue
        done = run(broker, arguments)
        ended.append(
            (shlex.join(arguments), done.returncode, done.stderr if done.returncode != expected else "")
        )

    expected_codes = [(shlex.join(a), code, "") for a, code in shown(path) if a[0] != "serve"]
    assert ended == expected_codes
