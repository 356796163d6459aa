"""The examples a profile carries under ``tests:`` (R6): a query, what is scheduled, and what must be sent.

Documents are written short: ``{PatientName: DOE^JANE, SPS.Modality: CT}``.  "" is zero-length, ``null`` is
absent, a list holds several values, and the items of a sequence are such mappings themselves.  Whoever runs
an example (`mwl.workbench.examples`) needs no database and no network: a profile answers the same everywhere.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from typing import Annotated, Any

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    NaiveDatetime,
    ValidationError,
    WithJsonSchema,
    model_validator,
)
from pydantic_core import InitErrorDetails, PydanticCustomError

from mwl.mapping import paths
from mwl.mapping.devices.operations.notation import SCALAR, Paths, PathText, Scalar, as_text, checked_path
from mwl.mapping.elements import make
from mwl.model import STEP_SEQUENCE, Document, Element, StepRef, WorklistItem
from mwl.query import Path
from mwl.yamldoc import Place

_PATIENT_GROUP = "0010"
_WRITTEN = {"anyOf": [SCALAR, {"type": "null"}, {"type": "array"}]}
_MOMENT = dt.datetime.fromisoformat("2026-07-05T10:00")  # a wall clock; its zone is the site's


class Attributes(BaseModel):
    """A document in its short form."""

    model_config = ConfigDict(extra="allow", frozen=True, use_attribute_docstrings=True)
    __pydantic_extra__: dict[PathText, Annotated[Any, WithJsonSchema(_WRITTEN)]]

    @model_validator(mode="after")
    def _values_fit(self) -> Attributes:
        if mistakes := list(_mistakes(self.lines, ())):
            raise ValidationError.from_exception_data(type(self).__name__, mistakes)
        return self

    @property
    def lines(self) -> dict[str, Any]:
        """What is written for each path."""
        return self.__pydantic_extra__

    def wanted(self) -> Iterator[tuple[str, Element | None]]:
        """Yield each path with what is written for it; None is absent."""
        for text, written in self.lines.items():
            yield text, None if written is None else _element(paths.parse_path(text), written)

    def laid_over(self, document: Document) -> Document:
        """Return *document* with these attributes in the place of its own."""
        for text, element in self.wanted():
            path = paths.parse_path(text)
            document = paths.drop(document, path) if element is None else paths.put(document, path, element)
        return document


def _mistakes(lines: Mapping[str, Any], place: Place) -> Iterator[InitErrorDetails]:
    """Yield what no attribute can hold, each at its own place."""
    for text, written in lines.items():
        here = (*place, text)
        if isinstance(written, dict):
            yield _mistake("several attributes are written as a list of mappings", written, here)
        elif not isinstance(written, list) or not any(isinstance(each, dict) for each in written):
            if written is not None and _element(paths.parse_path(text), written) is None:
                vr = paths.vr(paths.parse_path(text)[-1])
                yield _mistake(f"{written!r} is no value of VR {vr}", written, here)
        else:
            for index, item in enumerate(written):
                yield from _items_mistakes(item, (*here, index))


def _items_mistakes(item: Any, place: Place) -> Iterator[InitErrorDetails]:
    if not isinstance(item, dict):
        yield _mistake("an item is a mapping of attributes to values", item, place)
        return
    for name in item:
        try:
            checked_path(name)
        except PydanticCustomError as error:
            yield {"type": error, "loc": (*place, name, "[key]"), "input": name}
            return
    yield from _mistakes(item, place)


def _mistake(message: str, written: Any, place: Place) -> InitErrorDetails:
    error = PydanticCustomError("attribute", "{message}", {"message": message})
    return {"type": error, "loc": place, "input": written}


def _element(path: Path, written: Any) -> Element | None:
    """Return what is written as an element; None where it is no value of the attribute's VR."""
    values = written if isinstance(written, list) else [written]
    vr = paths.vr(path[-1])
    if vr != "SQ":
        return make(vr, [str(as_text(value)) for value in values if value is not None])
    items = [_document(value) for value in values if isinstance(value, dict)]
    if not items:
        return {"vr": "SQ"} if not any(values) else None
    return {"vr": "SQ", "Value": items}


def _document(lines: Mapping[str, Any]) -> Document:
    document: Document = {}
    for text, written in lines.items():
        if written is not None and (element := _element(paths.parse_path(text), written)) is not None:
            document = paths.put(document, paths.parse_path(text), element)
    return document


class ExampleQuery(Attributes):
    """What the device asks: keys, and those that it only wants returned as ""."""

    emulator: str | None = None
    """A device of `mwl simulate` whose query it is; keys written beside it take the place of its own."""
    asking: str = ""
    """Which of the emulator's queries; the first one by default."""
    typed: str = ""
    """What its operator types, where that query wants it."""
    file: str | None = None
    """A file in the folder `queries` beside the profiles whose query it is: DICOM JSON, or a DICOM file."""

    @model_validator(mode="after")
    def _one_source(self) -> ExampleQuery:
        if self.emulator and self.file:
            raise ValueError("a query is an emulator's, or a file's")
        return self


class ExampleStep(Attributes):
    """A scheduled step; what is not said of it is made up, and plain."""

    system: str = "RIS"
    """The system that ordered it."""

    def item(self, number: int, asked_by: ExampleFacts) -> WorklistItem:
        """Return the step as one that is stored, the *number*-th of the example."""
        merged = self.laid_over(_plain_step(number, asked_by))
        steps = merged.pop(STEP_SEQUENCE, {}).get("Value") or [{}]
        patient = {tag: element for tag, element in merged.items() if tag.startswith(_PATIENT_GROUP)}
        procedure = {tag: element for tag, element in merged.items() if tag not in patient}
        return WorklistItem(StepRef(number, 1, 1, 1), patient, procedure, steps[0], self.system)


def _plain_step(number: int, asked_by: ExampleFacts) -> Document:
    """Return a step that any device would take, and that differs from the others of its example."""
    return _document(
        {
            "PatientName": "DOE^JANE",
            "PatientID": f"PID{number:03}",
            "PatientBirthDate": "19800101",
            "PatientSex": "F",
            "AccessionNumber": f"ACC{number:03}",
            "StudyInstanceUID": f"2.25.{number}",
            "RequestedProcedureID": f"RP{number:03}",
            "RequestedProcedureDescription": f"Procedure {number}",
            "SPS.ScheduledStationAETitle": asked_by.calling_ae,
            "SPS.ScheduledProcedureStepStartDate": f"{asked_by.now:%Y%m%d}",
            "SPS.ScheduledProcedureStepStartTime": "090000",
            "SPS.Modality": "CT",
            "SPS.ScheduledProcedureStepID": f"SPS{number:03}",
            "SPS.ScheduledProcedureStepDescription": f"Step {number}",
            "SPS.ScheduledProcedureStepStatus": "SCHEDULED",
        }
    )


class ExampleFacts(BaseModel):
    """Who asks, from where, and when."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    calling_ae: str = "DEVICE"
    """Its AE title."""
    called_ae: str = "MWL"
    """The AE title it calls."""
    ip: str = "127.0.0.1"
    """Its address."""
    impl_uid: str = ""
    """Its implementation class UID."""
    impl_version: str = ""
    """Its implementation version name."""
    now: NaiveDatetime = _MOMENT
    """The site's date and time: ``2026-07-05T10:00``."""


class Expected(BaseModel):
    """What the device must get."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    status: str = Field("0000", pattern="^[0-9A-F]{4}$")
    """The final status, four hexadecimal digits."""
    count: Annotated[int, Field(ge=0)] | None = None
    """How many items are sent; without it as many as stand under `items`, if any do."""
    items: tuple[Attributes, ...] = ()
    """Values of the items, in the order of the list."""
    every: Attributes = Field(default_factory=lambda: Attributes.model_validate({}))
    """Values that every item has."""
    absent: Paths = ()
    """Attributes that no item has."""
    left_out: dict[int, Scalar] = Field(default_factory=dict)
    """A step's number, and words of the reason why it is not sent: the attribute, for example."""


class Example(BaseModel):
    """One test of a profile."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    name: str
    """What it shows, as a sentence."""
    query: ExampleQuery
    """What the device asks."""
    steps: tuple[ExampleStep, ...] = ()
    """What is scheduled."""
    facts: ExampleFacts = ExampleFacts()
    """Who asks, and when."""
    vars: dict[str, Any] = Field(default_factory=dict)
    """Values of the profile's variables."""
    expect: Expected
    """What the device must get."""
