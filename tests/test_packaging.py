"""What is installed: exact pins that name no host, and a wheel with profiles and examples in it."""

from __future__ import annotations

import re
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
CONSTRAINTS = (ROOT / "constraints.txt").read_text("utf-8")
PIN = re.compile(r"([a-z0-9-]+)==[0-9][^\s]* \\\n((?:    --hash=sha256:[0-9a-f]{64}(?: \\)?\n)+)")


def canonical(requirement: str) -> str:
    """Return a requirement's project name as an index spells it (PEP 503)."""
    name = re.split(r"[^A-Za-z0-9._-]", requirement)[0]
    return re.sub(r"[-_.]+", "-", name).lower()


def test_every_requirement_is_pinned_with_hashes():
    """Runtime, PostgreSQL and development packages alike; what fuzzes is installed by hand."""
    named = PROJECT["optional-dependencies"].items()
    extras = [each for name, extra in named if name != "fuzz" for each in extra]
    wanted = {canonical(each) for each in [*PROJECT["dependencies"], *extras, "hatchling", "editables"]}

    assert wanted <= {name for name, _ in PIN.findall(CONSTRAINTS)}


def test_the_pins_are_nothing_but_names_versions_and_hashes():
    """Where packages come from is the installing site's matter."""
    rest = PIN.sub("", CONSTRAINTS)

    assert [line for line in rest.splitlines() if not line.startswith("#")] == []
    assert not re.search(r"https?:|--(index|find|trusted)|/", CONSTRAINTS)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Build a wheel from the checkout and return the names of its files."""
    from hatchling.builders.wheel import WheelBuilder

    folder = tmp_path_factory.mktemp("wheel")
    (built,) = WheelBuilder(str(ROOT)).build(directory=str(folder), versions=["standard"])
    return zipfile.ZipFile(built).namelist()


@pytest.mark.parametrize("folder", ["mappings", "fixtures"])
def test_a_wheel_carries_what_ships_with_the_broker(wheel, folder):
    """Each profile and example of the checkout is in the wheel, where `mwl.config.shipped` looks."""
    here = {
        f"mwl/_{folder}/{path.relative_to(ROOT / folder).as_posix()}"
        for path in (ROOT / folder).rglob("*")
        if path.is_file()
    }

    assert here
    assert here <= set(wheel)


def test_a_wheel_says_that_it_is_typed(wheel):
    """PEP 561: the marker is part of the package."""
    assert "mwl/py.typed" in wheel


def test_a_wheel_carries_no_tests_and_no_databases(wheel):
    """Only the package, its profiles and its examples leave the house."""
    assert {name.split("/")[0] for name in wheel if ".dist-info" not in name} == {"mwl"}
    assert not [name for name in wheel if name.endswith((".db", ".pyc"))]
