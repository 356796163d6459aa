"""The written form of a device profile: one model made of the header and of every operation.

An operation may stand flat at the top, under its key, or as a step of a stage's list, where a guard
stands beside it::

    truncate: {PatientName: 32}
    respond:
      - set: {SPS.ScheduledProcedureStepLocation: CT 1}
        when: {SPS.Modality: CT}

Flat ones run in the order of their numbers, then the list in the order it is written.  The model, its
JSON Schema and the messages about mistakes all come from `OPERATIONS`; nothing here names one.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model, model_validator

from mwl import yamldoc
from mwl.errors import BadDocument, Problem, Severity
from mwl.mapping.devices.examples import Example
from mwl.mapping.devices.operations import OPERATIONS
from mwl.mapping.devices.operations.keys import whole_hospital
from mwl.mapping.devices.operations.match import Match
from mwl.mapping.devices.operations.notation import Number
from mwl.mapping.devices.operations.operation import Operation, Stage
from mwl.mapping.devices.operations.when import When
from mwl.mapping.loader import HEADER, Effective
from mwl.yamldoc import Place

LISTS = (Stage.QUERY, Stage.RESPOND)
"""The stages that may also be written as a list of steps."""

OWN = HEADER | {"match", "priority", "tests"}
"""Keys that a profile does not inherit."""

ADDING: dict[str, str | None] = {
    **{key: kind.identity for key, kind in OPERATIONS.items() if kind.repeats},
    **{stage.value: None for stage in LISTS},
}
"""Keys whose entries add up while profiles are stacked."""


class Header(BaseModel):
    """What a profile says about itself."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    profile: str
    """The name by which the configuration, and other profiles, refer to it."""
    status: Literal["evidence", "partial", "hypothesis"]
    """What it rests on: vendor documents and traffic, some of both, or a guess to be confirmed."""
    extends: str | list[str] | None = None
    """The profiles it rests on; `generic` when nothing is said."""
    vars: dict[str, Any] = Field(default_factory=dict)
    """Variables with their defaults; one without a default must be given by the device."""
    match: Match | None = None
    """By what the device is recognised (P1); not inherited."""
    priority: Number = 0
    """Which of two equally specific profiles is offered first; not inherited."""
    local_filter: Literal["possible"] | None = None
    """Whether the device may filter the list itself after the download."""
    notes: tuple[str, ...] = ()
    """What the engineer before the device should know."""
    tests: tuple[Example, ...] = ()
    """Examples that `mwl mapping test` runs; not inherited."""


class _Step(BaseModel):
    """One operation in a stage's list, with its guard."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    when: When | None = None
    """The step runs only where this holds (P3)."""

    @model_validator(mode="after")
    def _one_operation(self) -> _Step:
        stated = [key for key in self.model_fields_set if key != "when"]
        if len(stated) != 1:
            raise ValueError("a step is one operation, and a 'when' beside it if need be")
        return self

    def operation(self) -> Operation:
        """Return the step's operation."""
        found: Operation = next(getattr(self, key) for key in self.model_fields_set if key != "when")
        return found


def _field(kind: type[Any]) -> Any:
    return Field(None, alias=kind.key, description=_sentence(kind))


def _sentence(kind: type[Any]) -> str:
    return str(kind.__doc__ or "").strip()


def _name(key: str) -> str:
    return f"op_{key}"  # `copy` and `return` are no names for a field


def _step_model(stage: Stage) -> type[_Step]:
    kinds = [kind for kind in OPERATIONS.values() if kind.stage is stage]
    fields: dict[str, Any] = {_name(kind.key): (kind | None, _field(kind)) for kind in kinds}
    return create_model(f"{stage.value.title()}Step", __base__=_Step, **fields)


def _profile_model() -> type[Header]:
    fields: dict[str, Any] = {
        _name(key): ((tuple[kind, ...] if kind.repeats else kind) | None, _field(kind))  # type: ignore[valid-type]
        for key, kind in OPERATIONS.items()
    }
    for stage in LISTS:
        description = f"Steps of the stage `{stage}`, in the order in which they run."
        steps: Any = tuple[_step_model(stage), ...]  # type: ignore[misc]
        fields[f"list_{stage}"] = (steps, Field((), alias=stage.value, description=description))
    return create_model("DeviceProfile", __base__=Header, __doc__=_DOCUMENTATION, **fields)


_DOCUMENTATION = "What one kind of imaging device asks, gets and reports."
Profile: type[Header] = _profile_model()


@dataclass(frozen=True, slots=True)
class Placed:
    """An operation of a profile, where it stands, and the guards on it."""

    operation: Operation
    place: Place
    guards: tuple[tuple[When, Place], ...] = ()


def placed(profile: Header) -> Iterator[Placed]:
    """Yield the operations of *profile* in the order in which they run."""
    for key, kind in sorted(OPERATIONS.items(), key=lambda entry: entry[1].number):
        found = getattr(profile, _name(key))
        if found is None:
            continue
        for index, each in enumerate(found if kind.repeats else [found]):
            yield _placed(each, (key, index) if kind.repeats else (key,))
    for stage in LISTS:
        for index, step in enumerate(getattr(profile, f"list_{stage}")):
            operation, place = step.operation(), (stage.value, index)
            beside = ((step.when, (*place, "when")),) if step.when else ()
            inner = _placed(operation, (*place, operation.key))
            yield Placed(operation, inner.place, (*beside, *inner.guards))


def _placed(operation: Operation, place: Place) -> Placed:
    when = getattr(operation, "when", None)
    return Placed(operation, place, ((when, (*place, "when")),) if when else ())


def judge(written: Effective) -> tuple[Header | None, list[Problem]]:
    """Return *written* as a profile, and every mistake at its line and column.

    A value that still waits for a variable is not judged; it may be the reason why there is no profile.
    """
    try:
        profile = Profile.model_validate(written.data)
    except ValidationError as error:
        found = list(_mistakes(written, error))
        return None, [*found, *_doubts(written, _sound(written, error), together=False)]
    return profile, list(_doubts(written, profile))


def sound(written: Effective) -> Header | None:
    """Return *written* without the operations that have a mistake, to look for further ones.

    None where nothing can be said of the rest: the variables are not what they should be.
    """
    try:
        return Profile.model_validate(written.data)
    except ValidationError as error:
        if any(detail["loc"][:1] == ("vars",) for detail in error.errors(include_url=False)):
            return None
        return _sound(written, error)


def _sound(written: Effective, error: ValidationError) -> Header:
    needed = {"profile": "", "status": "hypothesis"}
    return yamldoc.sound(written.data, Profile, error, lambda place: place[:1], needed)


def read(written: Effective) -> Header:
    """Return *written*, whose variables are all given, as a profile; raise `BadDocument`."""
    profile, problems = judge(written)
    if profile is None:
        raise BadDocument(problems)
    return profile


def _mistakes(written: Effective, error: ValidationError) -> Iterator[Problem]:
    explained = yamldoc.problems(written, Profile, error)
    for detail, problem in zip(error.errors(include_url=False), explained, strict=True):
        place: Place = detail["loc"]
        if any(place[: len(waiting)] == waiting for waiting in written.unfilled):
            continue
        if detail["type"].startswith("L"):  # our own, by the number of the lint
            at_key = place[-1] in (detail["input"], "[key]")
            place = place[:-1] if place[-1] == "[key]" else _without_shorthand(written, place)
            yield written.problem(place, str(detail["msg"]), at_key=at_key, code=detail["type"])
        else:
            yield problem


def _without_shorthand(written: Effective, place: Place) -> Place:
    """Return *place* without the key that shorthand left out: ``[PatientID]`` is ``{keys: [PatientID]}``."""
    shorter = (place[:at] + place[at + 1 :] for at in range(1, len(place)))
    return place if place in written.values else next((p for p in shorter if p in written.values), place)


def _doubts(written: Effective, profile: Header, *, together: bool = True) -> Iterator[Problem]:
    every = list(placed(profile))
    joint = list(whole_hospital(each.operation for each in every)) if together else []
    for each in every:
        beside = (lint for operation, lint in joint if operation is each.operation)
        for lint in (*each.operation.lint(), *beside):
            yield written.problem(
                (*each.place, *lint.keys),
                f"{each.operation.key}: {lint.message}",
                at_key=isinstance((*each.place, *lint.keys)[-1], str),
                code=lint.code,
                severity=Severity.WARNING if lint.warning else Severity.ERROR,
            )


def schema() -> dict[str, Any]:
    """Return the JSON Schema of a profile's file, for editors.

    An operation that may repeat is written as one mapping or as a list of them; null withdraws whatever
    is inherited, a stage's list as well.
    """
    result = Profile.model_json_schema(by_alias=True)
    for stage in LISTS:
        steps = result["properties"][stage.value]
        result["properties"][stage.value] = {
            "anyOf": [{"type": "array", "items": steps.pop("items")}, {"type": "null"}],
            **{key: value for key, value in steps.items() if key != "type"},
        }
    for key, kind in OPERATIONS.items():
        if kind.repeats:
            choices: list[dict[str, Any]] = result["properties"][key]["anyOf"]
            choices += [choice["items"] for choice in choices if "items" in choice]
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **result, "title": "Device profile"}


def schema_text() -> str:
    """Return the schema as the file `mappings/device.schema.json` holds it."""
    return json.dumps(schema(), indent=2, ensure_ascii=False) + "\n"
