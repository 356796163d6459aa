"""What tests of device profiles share: profiles from a few lines of YAML, documents from paths and texts.

A document is written ``{"PatientName": "DOE^JANE", "SPS.Modality": "CT"}``; "" is zero-length, a list has
several values, and a sequence's value is a list of such mappings.
"""

from __future__ import annotations

import datetime as dt
import textwrap
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from mwl.mapping import paths
from mwl.mapping.devices.device import DeviceProfile, DeviceProfiles, Facts, SiteFacts, load_devices
from mwl.mapping.elements import make
from mwl.model import STEP_SEQUENCE, Document, StepRef, WorklistItem, person_name

SHIPPED = Path(__file__).parents[2] / "mappings"
FACTS = Facts("CT1", "MWL", "127.0.0.1", "1.2.3", "CTOS_1", dt.datetime(2026, 7, 5, 9, 30, tzinfo=dt.UTC))
_HEADER = "profile: site\nstatus: evidence\n"


def build_document(lines: Mapping[str, Any]) -> Document:
    """Return the document that *lines* describe."""
    document: Document = {}
    for text, value in lines.items():
        path = paths.parse_path(text)
        vr = paths.vr(path[-1])
        if vr == "SQ":
            items = [build_document(item) for item in value]
            element = {"vr": "SQ", "Value": items} if items else {"vr": "SQ"}
        else:
            element = make(vr, value if isinstance(value, list) else [value])
        document = paths.put(document, path, element)
    return document


def flatten(document: Document) -> dict[str, Any]:
    """Return *document* in the form that `build_document` takes."""
    lines: dict[str, Any] = {}
    for tag, element in document.items():
        values = element.get("Value", [])
        if tag == STEP_SEQUENCE and len(values) == 1:
            lines |= {f"SPS.{name}": value for name, value in flatten(values[0]).items()}
        elif element["vr"] == "SQ":
            lines[paths.keyword(tag)] = [flatten(item) for item in values]
        else:
            found = [person_name(value) if isinstance(value, dict) else value for value in values]
            lines[paths.keyword(tag)] = found[0] if len(found) == 1 else found or ""
    return lines


@pytest.fixture(scope="session")
def doc() -> Callable[[Mapping[str, Any]], Document]:
    """Make a document of paths and texts."""
    return build_document


@pytest.fixture(scope="session")
def flat() -> Callable[[Document], dict[str, Any]]:
    """Write a document as paths and texts."""
    return flatten


@pytest.fixture(scope="session")
def item() -> Callable[[Mapping[str, Any]], WorklistItem]:
    """Make a worklist item of paths and texts."""

    def build(lines: Mapping[str, Any]) -> WorklistItem:
        document = build_document(lines)
        step = document.pop(STEP_SEQUENCE, {"Value": [{}]})["Value"][0]
        patient = {tag: document.pop(tag) for tag in list(document) if tag.startswith("0010")}
        return WorklistItem(StepRef(1, 1, 1, 1), patient, document, step, "RIS")

    return build


@pytest.fixture(scope="session")
def facts() -> Facts:
    """CT1 asks on 5 July 2026 at half past nine."""
    return FACTS


@pytest.fixture
def write(tmp_path) -> Callable[..., Path]:
    """Write profile files (name → text) and return their folder."""

    def put(**files: str) -> Path:
        (tmp_path / "devices").mkdir(exist_ok=True)
        for name, text in files.items():
            (tmp_path / "devices" / f"{name}.yaml").write_text(textwrap.dedent(text), "utf-8")
        return tmp_path

    return put


@pytest.fixture(scope="session")
def shipped() -> DeviceProfiles:
    """The profiles in the tree."""
    return load_devices([SHIPPED])


@pytest.fixture
def bind(write) -> Callable[..., DeviceProfile]:
    """Bind a profile of a few lines; it rests on nothing, or on *base*."""

    def bound(
        lines: str = "", base: str = "[]", site: SiteFacts | None = None, **variables: object
    ) -> DeviceProfile:
        folder = write(site=f"{_HEADER}extends: {base}\n{textwrap.dedent(lines)}")
        return load_devices([folder, SHIPPED]).bind("site", variables, site or SiteFacts())

    return bound


@pytest.fixture
def answer(bind, item) -> Callable[..., dict[str, Any]]:
    """Answer with a profile of a few lines: item and request in, answer out, all as paths and texts."""

    def answered(
        lines: str, stored: Mapping[str, Any], requested: Mapping[str, Any] | None = None, **options: Any
    ) -> dict[str, Any]:
        keys = build_document(dict.fromkeys(stored, "") if requested is None else requested)
        for path, value in stored.items():
            if requested is None and isinstance(value, list) and value and isinstance(value[0], dict):
                keys = paths.put(keys, paths.parse_path(path), {"vr": "SQ"})
        return flatten(bind(lines, **options).respond(item(stored), keys, FACTS))

    return answered


@pytest.fixture
def problems(write) -> Callable[..., list[str]]:
    """Load profile files and return what is wrong with them, each as its line, without the folder."""
    from mwl.errors import BadDocument

    def found(*, shipped: bool = True, **files: str) -> list[str]:
        folder = write(**files)
        try:
            load_devices([folder, SHIPPED] if shipped else [folder])
        except BadDocument as error:
            return [str(problem).removeprefix(f"{folder}/devices/") for problem in error.problems]
        return []

    return found
