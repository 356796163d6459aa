"""Where the profiles and examples that ship with the broker are.

A wheel carries ``mappings`` and ``fixtures`` inside the package; an editable install and a checkout
have them beside it.
"""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path


def shipped(name: str, package: Path | None = None) -> Path:
    """Return the folder that ships as *name* ("mappings", "fixtures") with *package*, the broker's own."""
    package = package or Path(str(files("mwl")))
    installed = package / f"_{name}"
    return installed if installed.is_dir() else package.parent / name


def profile_folders(configured: Path, package: Path | None = None) -> list[Path]:
    """Return the folders to search for profiles, in order: the configured one, where it exists, first."""
    folders = [configured, shipped("mappings", package)]
    distinct = {folder.resolve(): folder for folder in folders if folder.is_dir()}
    return list(distinct.values())
