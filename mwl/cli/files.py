"""Where the examples are that commands play or show."""

from __future__ import annotations

from pathlib import Path


def fixtures_folder() -> Path:
    """Return the folder of synthetic messages, queries and performed steps."""
    from mwl.config import shipped

    return shipped("fixtures")
