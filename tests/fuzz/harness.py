"""What the fuzz targets share: coverage of the broker's code, seeds, and where findings go.

A target is a script: it names the functions of `mwl` it looks at, turns any octets into calls of them,
and lets through what must never be raised.  `tests/test_fuzz_targets.py` runs each on its seeds, so that
none of them rots between two hunts.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

try:
    import atheris
except ImportError:  # installed by hand: pip install -e '.[fuzz]'
    atheris = None

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
FIXTURES = {
    "mllp": [ROOT / "fixtures" / "hl7"],
    "er7": [ROOT / "fixtures" / "hl7"],
    "yaml": [ROOT / "mappings" / "devices", ROOT / "mappings" / "systems"],
}
"""Folders of the repository that serve as seeds beside the target's own."""


def seeds(name: str) -> list[Path]:
    """Return the folders with the seeds of a target."""
    return [HERE / "corpus" / name, *FIXTURES.get(name, [])]


@contextlib.contextmanager
def watched() -> Iterator[None]:
    """Have atheris see which lines of what is imported here a run reaches, where it is the one who runs."""
    if atheris is None:
        yield
    else:
        with atheris.instrument_imports(include=["mwl"]):
            yield


def hunt(script: str, one_input: Callable[[bytes], None]) -> None:
    """Run a target until it is told to stop, or finds something; arguments are libFuzzer's.

    What it learns is kept in ``.fuzz/<target>`` under the working directory, and so is an input that failed.
    """
    if atheris is None:
        sys.exit("atheris is not installed: pip install -e '.[fuzz]'")
    name = Path(script).stem.removeprefix("fuzz_")
    learned = Path(".fuzz") / name
    learned.mkdir(parents=True, exist_ok=True)
    arguments = [sys.argv[0], f"-artifact_prefix={learned}/", *sys.argv[1:]]
    if all(each.startswith("-") for each in sys.argv[1:]):  # no files to run again
        arguments += [str(learned), *map(str, seeds(name))]
    atheris.Setup(arguments, one_input)
    atheris.Fuzz()
