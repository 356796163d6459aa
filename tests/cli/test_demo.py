"""`mwl demo --once` as a process of its own: what a person sees is the whole chain."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from mwl.cli import demo as command
from mwl.errors import MwlError


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command without any configuration around it."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MWL_")}
    environment |= {"COLUMNS": "120", "PYTHONWARNINGS": "default", "TZ": "Europe/Berlin"}
    return subprocess.run(
        [sys.executable, "-m", "mwl", "demo", "--once", *arguments],
        capture_output=True, text=True, encoding="utf-8", timeout=110, env=environment, cwd=folder, check=False,
    )  # fmt: skip


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """What each step of the demo showed, by its number; 0 is what stands before the first."""
    folder = tmp_path_factory.mktemp("demo")

    done = run(folder)

    assert (done.returncode, done.stderr) == (0, ""), done
    assert list(folder.iterdir()) == []
    return re.split(r"(?m)^\d+\. ", done.stdout)


def cells(step: str, patient: str) -> list[str]:
    """Return the cells of a patient's line in the tables of a step."""
    (line,) = [line for line in step.splitlines() if line.startswith("│") and patient in line]
    return [cell.strip() for cell in line.strip("│").split("│")]


def test_it_says_where_the_broker_listens(shown: list[str]) -> None:
    """Ports of its own: nobody has to find a demo that ends by itself."""
    lines = shown[0].split("\n")

    assert [line.split()[0] for line in lines if line] == ["dicom", "hl7", "web"]
    assert all(re.search(r" 127\.0\.0\.1:[1-9]\d+$", line) for line in lines if line)


def test_the_worklists_are_empty_before_anything_is_ordered(shown: list[str]) -> None:
    """Both devices ask, both get none."""
    assert "CT1: empty" in shown[1]
    assert "US1: empty" in shown[1]


@pytest.mark.parametrize(
    ("step", "control_id"),
    [(2, "DEMO0001"), (3, "DEMO0002"), (4, "DEMO0003"), (10, "DEMO0004"), (12, "DEMO0005")],
)
def test_every_message_is_accepted(shown: list[str], step: int, control_id: str) -> None:
    """The order as sent, with a date filled in, and its acknowledgement."""
    assert f"|{control_id}|P|" in shown[step]
    assert "$" not in shown[step]
    assert f"MSA|AA|{control_id}" in shown[step]


def test_each_device_gets_its_own_script(shown: list[str]) -> None:
    """Latin-1 and pinyin for the CT, UTF-8 for the ultrasound; long descriptions are cut for the CT."""
    ct, us = shown[5].split("US1 (")

    assert "CT1 (ISO_IR 100)" in ct
    assert us.startswith("ISO_IR 192)")
    assert cells(ct, "Müller")[:3] == ["083000", "Müller^Jürgen^^Dr.", "PID4711"]
    assert cells(ct, "WANG")[1:3] == ["WANG^XIAOMING", "PID4712"]
    assert cells(us, "Łukaszewicz")[:2] == ["100000", "Łukaszewicz^Ewa"]
    assert "?" not in shown[5]


@pytest.mark.parametrize(("step", "event", "result"), [(6, "IP", "I"), (8, "CM", "R")])
def test_the_ris_is_told_what_becomes_of_its_order(
    shown: list[str], step: int, event: str, result: str
) -> None:
    """With its own numbers, in the site's time."""
    lines = {line.strip().split("|")[0]: line.strip().split("|") for line in shown[step].splitlines()}

    assert lines["ORC"][1:4] == ["SC", "PL1001^RIS", "FI1001^RIS"]
    assert (lines["ORC"][5], lines["OBR"][25]) == (event, result)
    assert (lines["OBR"][18], lines["OBR"][19]) == ("ACC1001", "RP1001")
    assert re.fullmatch(r"\d{14}\+0[12]00", lines["MSH"][6])


def test_the_worklist_follows(shown: list[str]) -> None:
    """An exam that runs stays, one that is done has left; a change shows, what is cancelled goes."""
    assert "PID4711" in shown[7]
    assert "PID4711" not in shown[9]
    assert "PID4712" in shown[9]
    assert cells(shown[11], "PID4713")[0] == "143000"
    assert "US1: empty" in shown[13]
    assert len(shown) == 14


def test_a_database_that_was_given_is_used_and_used_up(tmp_path: Path) -> None:
    """The orders stay in it; a second demo on it finds its first order performed, and says so."""
    url = f"sqlite:///{tmp_path / 'kept.db'}"

    first, second = run(tmp_path, "--database", url), run(tmp_path, "--database", url)

    assert first.returncode == 0
    assert (second.returncode, second.stderr.count("\n")) == (1, 1)
    assert "give it an empty database" in second.stderr


def test_an_entry_of_another_order_is_not_taken_for_the_demo_s() -> None:
    """Whatever stands first on the list."""
    others = {"00080050": {"vr": "SH", "Value": ["OTHER"]}}
    own = {"00080050": {"vr": "SH", "Value": ["ACC1001"]}}

    assert command._first_order([others, own]) is own
    with pytest.raises(MwlError):
        command._first_order([others])
