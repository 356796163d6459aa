"""HL7 senders that are not ours: python-hl7, and two from npm that are installed once into the user's cache."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from foreign.dicom.presence import missing, program

HERE = Path(__file__).parent
TIMEOUT = 90  # seconds; for a machine that is busy with other tests

Address = tuple[str, int]
Answers = list[list[str]]
"""The segments of each acknowledgement, as the client gave them to its user."""


def modules() -> Path:
    """Return the folder of the modules that package.json names; install them when they are not there."""
    npm = program("npm", "Debian: npm")
    wanted = (HERE / "package.json").read_bytes()
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "mwl-peers"
    folder = cache / f"hl7-{hashlib.sha256(wanted).hexdigest()[:16]}"
    if not folder.exists():
        cache.mkdir(parents=True, exist_ok=True)
        making = Path(tempfile.mkdtemp(dir=cache))
        shutil.copy(HERE / "package.json", making)
        command = [npm, "install", "--ignore-scripts", "--no-audit", "--no-fund", "--no-package-lock"]
        why = _failure([*command, "--fetch-retries=1", "--fetch-timeout=20000"], making)
        if why:
            shutil.rmtree(making)
            missing("what tests/foreign/hl7/package.json names", why)
        try:
            making.rename(folder)
        except OSError:  # another process was quicker
            shutil.rmtree(making)
    return folder / "node_modules"


def _failure(command: list[str], folder: Path) -> str:
    """Run npm; return why it failed, "" where it did not."""
    try:
        done = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, timeout=TIMEOUT, check=False
        )
    except subprocess.TimeoutExpired:
        return "the registry does not answer"
    errors = [line for line in done.stderr.splitlines() if line.startswith("npm error")]
    return ("; ".join(errors[:2]) or done.stderr or "npm failed") if done.returncode else ""


def by_node(script: str, address: Address, messages: Sequence[object], **more: object) -> Answers:
    """Send messages with one of the scripts beside this file; fail with what it says."""
    node, path = program("node", "Debian: nodejs"), modules()
    order = {"host": address[0], "port": address[1], "messages": messages, **more}
    done = subprocess.run(
        [node, str(HERE / script)], input=json.dumps(order), env={**os.environ, "NODE_PATH": str(path)},
        capture_output=True, text=True, timeout=TIMEOUT, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    answers: Answers = json.loads(done.stdout)
    return answers


def mllp_send(address: Address, file: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Send a file of messages with python-hl7's command."""
    command: list[Any] = [Path(sys.executable).with_name("mllp_send"), *options, "--file", file]
    return subprocess.run(
        [*map(str, command), "--port", str(address[1]), address[0]],
        capture_output=True, text=True, timeout=TIMEOUT, check=False,
    )  # fmt: skip
