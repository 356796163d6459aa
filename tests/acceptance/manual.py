"""A reader of the manuals, who does what a section says and notes what the commands print."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
CHANGING = {  # what no two runs have in common, and what stands for it
    r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d": "2026-07-05 10:00:00",
    r"\b\d{14}[+-]\d{4}\b": "20260705100000+0200",
    r"\b[0-9a-f]{20}\b": "control ID of the answer",
    r"\b127\.0\.0\.1:\d+": "127.0.0.1:11112",
}
CONFIGURATION = {
    "site": {"timezone": "Europe/Berlin"},
    "dicom": {"listen": "127.0.0.1:0"},
    "hl7": {"listen": "127.0.0.1:0"},
    "web": {"listen": "127.0.0.1:0"},
}


def steady(text: str) -> list[str]:
    """Return lines without what changes from run to run, and without blanks at their ends."""
    for pattern, instead in CHANGING.items():
        text = re.sub(pattern, instead, text)
    return [line.rstrip() for line in text.splitlines()]


class Reader:
    """Does what a section says, block by block; *unnamed* is the file that a block without a language is."""

    def __init__(self, start_broker: Callable[..., Any], unnamed: str = "") -> None:
        self.start_broker, self.broker = start_broker, None
        self.unnamed = unnamed
        self.said: list[str] = []
        self.seen: list[str] = []
        self.files: dict[str, str] = {}

    def read_section(self, page: str, heading: str) -> None:
        """Read the blocks under a heading of the second level."""
        section = (ROOT / "docs" / page).read_text("utf-8").partition(f"\n## {heading}\n")[2]
        for language, body in FENCED.findall(section.partition("\n## ")[0]):
            self.read(language, body)

    def read(self, language: str, body: str) -> None:
        """Write a file, or type commands."""
        if language == "yaml":
            name, _, written = body.partition("\n")
            self.write(name.removeprefix("# "), written if name == "# mwl.yaml" else body)
        elif language == "console":
            self.serving()
            self.said += steady(body)
            for line in body.splitlines():
                if line.startswith("$ "):
                    self.seen += steady(f"{line}\n{self.run(line.removeprefix('$ '))}")
        elif not language:
            self.write(self.unnamed, body)

    def write(self, name: str, text: str) -> None:
        """Save a file beside the configuration."""
        self.files[name] = text
        if self.broker is not None:
            (self.broker.folder / name).parent.mkdir(parents=True, exist_ok=True)
            (self.broker.folder / name).write_text(text, "utf-8")

    def serving(self) -> None:
        """Start the broker with the files written so far; it reads its profiles a second time after them."""
        if self.broker is None:
            self.broker = self.start_broker()
            (self.broker.folder / "fixtures").symlink_to(ROOT / "fixtures")
            for name, text in self.files.items():
                (self.broker.folder / name).parent.mkdir(parents=True, exist_ok=True)
                (self.broker.folder / name).write_text(text, "utf-8")
            written = yaml.safe_load(self.files["mwl.yaml"])
            self.broker.configure({**CONFIGURATION, **written})
            self.broker.reload()

    def run(self, command: str) -> str:
        """Run a line as the person would, in the folder of the configuration; return what it prints."""
        if command.startswith("kill -HUP"):
            self.broker.reload()
            return ""
        listeners = {f"MWL_{n.upper()}__LISTEN": f"{h}:{p}" for n, (h, p) in self.broker.addresses.items()}
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        others = {k: v for k, v in os.environ.items() if not k.startswith("MWL_")}
        done = subprocess.run(
            command, shell=True, capture_output=True, text=True, timeout=60, cwd=self.broker.folder,
            env={**others, **listeners, "PATH": path}, check=False,
        )  # fmt: skip
        return done.stdout + done.stderr
