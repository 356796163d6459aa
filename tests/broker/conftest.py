"""A broker on free ports with a database of its own, from a file that a test may change."""

from __future__ import annotations

from pathlib import Path

import pytest

from mwl import config

WRITTEN = """\
site: {{name: HOSP, timezone: Europe/Berlin}}
database: sqlite:///{folder}/mwl.db
mappings: {folder}/mappings
dicom: {{ae_title: MWL, listen: "127.0.0.1:0"}}
hl7: {{listen: "127.0.0.1:0"}}
web: {{listen: "127.0.0.1:0"}}
devices:
  CT1: {{profile: generic}}
systems:
  RIS: {{application: RIS, profile: generic}}
"""


class File:
    """The configuration file; `write` replaces text in it and loads it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / "mwl.yaml"
        self.path.write_text(WRITTEN.format(folder=folder))

    def load(self) -> config.Configuration:
        """Return the configuration as it stands."""
        return config.load(self.path, {})

    def change(self, old: str, new: str) -> config.Configuration:
        """Replace *old* and return the configuration."""
        text = self.path.read_text()
        assert old in text
        self.path.write_text(text.replace(old, new))
        return self.load()


@pytest.fixture
def file(tmp_path: Path) -> File:
    """A configuration with one device and one system."""
    return File(tmp_path)
