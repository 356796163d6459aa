"""Peers that may be missing: then their tests are skipped, or fail where all peers are required."""

from __future__ import annotations

import os
import shutil
from typing import NoReturn

import pytest


def missing(peer: str, package: str) -> NoReturn:
    """Skip the test for want of *peer*; with ``MWL_REQUIRE_PEERS=1`` fail it."""
    reason = f"{peer} is not installed ({package})"
    if os.environ.get("MWL_REQUIRE_PEERS") == "1":
        pytest.fail(reason)
    pytest.skip(reason)


def program(name: str, package: str) -> str:
    """Return the path of a peer's program."""
    return shutil.which(name) or missing(name, package)
