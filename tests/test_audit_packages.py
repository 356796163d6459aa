"""What ships is looked up in an advisory database, and may be used as freely as the broker itself."""

from __future__ import annotations

import importlib.metadata
import json
import os
import re
import subprocess
import sys
import threading
import tomllib
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
PINNED = re.findall(r"^([a-z0-9-]+)==", (ROOT / "constraints.txt").read_text("utf-8"), re.MULTILINE)

# ── known vulnerabilities ──


class Advisories(BaseHTTPRequestHandler):
    """A database that knows of one vulnerable package."""

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["queries"]
        results = [
            {"vulns": [{"id": "GHSA-1"}]} if each["package"]["name"] == self.server.vulnerable else {}  # type: ignore[attr-defined]
            for each in asked
        ]
        body = json.dumps({"results": results}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture
def database() -> Iterator[Any]:
    """Such a database on a free port."""
    with HTTPServer(("127.0.0.1", 0), Advisories) as server:
        server.vulnerable = ""  # type: ignore[attr-defined]
        serving = threading.Thread(target=server.serve_forever)
        serving.start()
        yield server
        server.shutdown()
        serving.join()


def audit(url: str) -> tuple[int, str]:
    environment = {**os.environ, "OSV_URL": url, "no_proxy": "*"}
    done = subprocess.run(
        [sys.executable, ROOT / ".ci" / "audit.py"], capture_output=True, text=True, timeout=60, env=environment,
        check=False,
    )  # fmt: skip
    return done.returncode, done.stdout


def test_a_vulnerable_package_is_named_and_fails_the_build(database: Any) -> None:
    """All pinned packages are asked for; one that is known to be vulnerable is enough."""
    url = f"http://127.0.0.1:{database.server_address[1]}"
    clean = audit(url)
    database.vulnerable = "pydicom"
    found = audit(url)

    assert clean == (0, f"audit: {len(PINNED)} packages, 0 with known vulnerabilities\n")
    assert found[0] == 1
    assert re.search(r"^audit: pydicom [0-9.]+: GHSA-1$", found[1], re.MULTILINE)


def test_without_a_network_it_is_skipped_and_says_why() -> None:
    """A build that may not reach out is no finding, and no silent pass either."""
    code, told = audit("http://127.0.0.1:9")

    assert code == 0
    assert told.startswith("audit: SKIPPED, the advisory database cannot be reached: ")


def test_the_whole_check_asks() -> None:
    """``.ci/run`` calls ``make audit``, which needs nothing but Python."""
    assert "make audit" in (ROOT / ".ci" / "run").read_text("utf-8")
    assert re.search(
        r"^audit: .*\n\t@\$\(PYTHON\) \.ci/audit\.py$", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE
    )


# ── licences ──

PERMISSIVE = re.compile(
    r"\b(MIT|BSD|Apache|ISC|PSF|Python Software Foundation|Unlicense|0BSD)\b", re.IGNORECASE
)
COPYLEFT = re.compile(r"\b(A?GPL|General Public License)", re.IGNORECASE)
LIBRARIES = {"psycopg": "an extra; used as it is, through its interface", "psycopg-binary": "the same"}
"""What is under the LGPL, and why it may be."""


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def licence(name: str) -> str:
    """Return what a package says of its licence."""
    about = importlib.metadata.metadata(name)
    said = [about.get("License-Expression") or "", (about.get("License") or "").partition("\n")[0]]
    return "; ".join(
        [*said, *(each for each in about.get_all("Classifier") or [] if each.startswith("License"))]
    )


def needed(requirements: list[str]) -> set[str]:
    """Return what is installed because of these requirements, and what that needs in turn."""
    from packaging.requirements import Requirement

    found: set[str] = set()
    waiting = [(Requirement(each), "") for each in requirements]
    while waiting:
        wanted, extra = waiting.pop()
        name = canonical(wanted.name)
        if (wanted.marker and not wanted.marker.evaluate({"extra": extra})) or name in found:
            continue
        found.add(name)
        for inner in importlib.metadata.requires(name) or []:
            waiting += [(Requirement(inner), each) for each in (wanted.extras or {""})]
    return found


SHIPS = needed([*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["postgres"]])


@pytest.mark.parametrize("name", sorted(SHIPS))
def test_what_a_site_installs_is_permissively_licensed(name: str) -> None:
    """MIT, BSD, Apache, ISC or Python's; of the LGPL the database driver alone, and no GPL."""
    said = licence(name)

    if name in LIBRARIES:
        assert "LGPL" in said
    else:
        assert PERMISSIVE.search(said), said
        assert not COPYLEFT.search(said), said


@pytest.mark.parametrize("name", PINNED)
def test_nothing_that_is_pinned_is_under_the_gpl(name: str) -> None:
    """Tools of contributors neither; the LGPL is named above."""
    said = licence(name)

    assert said.strip("; "), "it does not say"
    assert name in LIBRARIES or not COPYLEFT.search(said.replace("LGPL", "")), said
