"""One more device in mwl.yaml: its line goes in, and nothing else changes."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mwl import yamldoc
from mwl.config import entry
from mwl.errors import Refused

WRITTEN = """\
# The broker of the house.
dicom: {ae_title: MWL,   listen: "127.0.0.1:11112"} # as the devices know it
devices:
  # scanners
  CT1: {profile: ge-ct-connectpro} # the old one
  US1:
    profile: generic

    vars: {room: 2} # next to the lift
  # X9: waits for its licence

systems:
  RIS: {application: RIS}
"""


def added(before: str, after: str) -> list[str]:
    """Return the lines that stand in *after* and not in *before*; all others are the same."""
    old, new = before.splitlines(keepends=True), after.splitlines(keepends=True)
    at = next(index for index, line in enumerate(new) if index >= len(old) or line != old[index])
    assert new[:at] + new[at + 1 :] == old
    return new[at : at + 1]


def test_the_line_goes_behind_the_last_entry() -> None:
    """Comments, blanks and forms of a file that a person keeps stay as they are."""
    after = entry.with_device(WRITTEN, "CT9", "generic")

    assert added(WRITTEN, after) == ["  CT9: {profile: generic}\n"]
    assert after.index("next to the lift") < after.index("CT9") < after.index("waits for its licence")


@pytest.mark.parametrize(
    ("before", "line"),
    [
        ("devices:\n  CT1: {}", "  CT9: {profile: p}\n"),
        ("devices:\r\n    CT1: {}\r\nsystems: {}\r\n", "    CT9: {profile: p}\r\n"),
        ("\ufeffdevices:\n CT1: {}\n", " CT9: {profile: p}\n"),
        ("devices:\n  CT1: {\n    profile: generic}\n", "  CT9: {profile: p}\n"),
        (
            "devices:\n  CT1:\n    vars:\n      text: |\n        CT2: {}\n\n        last\n",
            "  CT9: {profile: p}\n",
        ),
    ],
)
def test_other_ways_to_write_a_line_for_each_device(before: str, line: str) -> None:
    """Line ends, indentation and forms that YAML allows."""
    after = entry.with_device(before, "CT9", "p")

    if before.endswith("\n"):
        assert added(before, after) == [line]
    assert line in after
    (document,) = yamldoc.parse(after.removeprefix("\ufeff"), "mwl.yaml")
    assert document.data["devices"]["CT9"] == {"profile": "p"}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "systems: {}\n",
        "devices:\n",
        "devices: {}\n",
        "devices: {CT1: {}}\n",
        "devices: {CT1: {},\n  CT2: {}}\n",
        "devices: &all\n  CT1: &one {}\n  CT2: *one\nothers: *all\n",
        "--- \ndevices:\n  CT1: {}\n---\ndevices:\n  CT1: {}\n",
    ],
)
def test_a_file_of_another_form_is_left_alone(text: str) -> None:
    """The engineer is told, and adds the line by hand."""
    with pytest.raises(Refused, match="the file is left alone"):
        entry.with_device(text, "CT9", "generic")


@given(
    st.text(
        st.characters(min_codepoint=32, max_codepoint=126, exclude_characters="\\"), min_size=1, max_size=16
    )
)
def test_any_ae_title_is_written_so_that_it_is_read_again(title: str) -> None:
    """AE titles may hold what means something else in YAML."""
    after = entry.with_device("devices:\n  '': {}\n", title, "generic")

    (document,) = yamldoc.parse(after, "mwl.yaml")
    assert document.data["devices"][title] == {"profile": "generic"}


def test_the_file_keeps_its_mode_and_a_link_stays_one(tmp_path: Path) -> None:
    """It may hold a password, and may stand elsewhere."""
    real, link = tmp_path / "real.yaml", tmp_path / "mwl.yaml"
    real.write_text("a: 1\n")
    real.chmod(0o640)
    link.symlink_to(real)

    entry.replace(link, "a: 2\n")

    assert link.is_symlink()
    assert real.read_text() == "a: 2\n"
    assert stat.S_IMODE(real.stat().st_mode) == 0o640
    assert sorted(os.listdir(tmp_path)) == ["mwl.yaml", "real.yaml"]


def test_a_file_that_cannot_be_written_stays_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is left beside it."""
    path = tmp_path / "mwl.yaml"
    path.write_text("a: 1\n")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match="No space left"):
        entry.replace(path, "a: 2\n")

    assert path.read_text() == "a: 1\n"
    assert os.listdir(tmp_path) == ["mwl.yaml"]
