"""The fuzz targets take their own seeds: what is run by hand must not rot between two hunts."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

FUZZ = Path(__file__).parent / "fuzz"
TARGETS = sorted(FUZZ.glob("fuzz_*.py"))


def module(path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Import a target as it is when it is run as a script, its folder first on the path."""
    monkeypatch.syspath_prepend(str(FUZZ))
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, path.stem, made)
    spec.loader.exec_module(made)
    return made


@pytest.mark.parametrize("path", TARGETS, ids=lambda path: path.stem)
def test_a_target_takes_its_seeds(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each seed, and each seed cut in the middle, raises nothing."""
    target = module(path, monkeypatch)
    folders = sys.modules["harness"].seeds(path.stem.removeprefix("fuzz_"))
    found = [each for folder in folders for each in sorted(folder.iterdir()) if each.is_file()]
    for seed in found:
        octets = seed.read_bytes()
        target.one_input(octets)
        target.one_input(octets[: len(octets) // 2])

    assert len(found) >= 3


def test_the_seeds_are_small() -> None:
    """Three to ten a target, each a few hundred octets: they are where a hunt begins, not what it found."""
    sizes = [path.stat().st_size for path in (FUZZ / "corpus").rglob("*") if path.is_file()]

    assert len(sizes) < 60
    assert max(sizes) < 1024
