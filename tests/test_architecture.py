"""The floors hold for every module: none is left out of the contract that `make check` enforces."""

from __future__ import annotations

import ast
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "mwl"
CONTRACTS = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"]["contracts"]

LIBRARIES = {
    "sqlalchemy": {"store"},
    "alembic": {"store"},
    "pynetdicom": {"dicom"},
    "hl7apy": {"hl7"},
    "starlette": {"web"},
    "uvicorn": {"web"},
}
"""Design 2: a library has one home."""


def modules() -> set[str]:
    """Return the names of everything that stands right under the package."""
    return {
        path.stem for path in PACKAGE.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()
    } - {"__init__"}


def contract(kind: str) -> list[dict]:
    """Return the import contracts of one kind."""
    return [each for each in CONTRACTS if each["type"] == kind]


def test_every_module_stands_on_a_floor():
    """A new module must say where it lives."""
    (layers,) = contract("layers")
    floors = [name.strip() for layer in layers["layers"] for name in layer.split("|")]

    assert modules() == set(floors)
    assert len(floors) == len(set(floors))


def test_the_floors_are_those_of_the_design():
    """Adapters stand side by side above the store and the profiles, the command line on top."""
    (layers,) = contract("layers")
    rank = {name.strip(): n for n, layer in enumerate(layers["layers"]) for name in layer.split("|")}

    assert layers["exhaustive"] is True
    assert rank["hl7"] == rank["dicom"] == rank["web"] == rank["audit"]
    assert (
        rank["cli"]
        < rank["broker"]
        < rank["workbench"]
        < rank["dicom"]
        < rank["store"]
        == rank["mapping"]
        < rank["config"]
    )
    assert rank["config"] < rank["lifecycle"] < rank["query"] < rank["model"]


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_library_is_forbidden_outside_its_home(library):
    """Each floor that imports anything is either the library's home or under the contract."""
    forbidden = [each for each in contract("forbidden") if library in each["forbidden_modules"]]
    kept_out = {name.removeprefix("mwl.") for each in forbidden for name in each["source_modules"]}

    floors = {"cli", "broker", "workbench", "hl7", "dicom", "web", "audit", "store", "mapping", "config"}
    assert kept_out == floors - LIBRARIES[library]


@pytest.mark.parametrize(
    "path",
    [path for path in sorted(PACKAGE.rglob("*.py")) if path.name != "__init__.py"],
    ids=lambda path: str(path.relative_to(ROOT)),
)
def test_every_module_says_what_it_answers_for(path):
    """The first statement of a module is its docstring."""
    assert ast.get_docstring(ast.parse(path.read_text("utf-8")))
