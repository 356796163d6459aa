"""P34 to P36 `mpps`: what is tolerated in a device's performed steps, what they are linked by, what they do.

The written forms are here.  P34 is read from the profile by whoever takes performed steps; P35 and P36
are handed on as a `mwl.conduct.Conduct`, which the store understands.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Annotated, Any, Literal, TypeAlias, get_args

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    PlainValidator,
    WithJsonSchema,
    field_validator,
    model_validator,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from mwl.conduct import LADDER, Conduct, Key, Rung, Together
from mwl.discontinuation import REASONS
from mwl.lifecycle import StepState
from mwl.mapping import paths
from mwl.mapping.devices.operations.notation import (
    TEXTS,
    Duration,
    Flag,
    PathText,
    as_list,
    checked_path,
    either,
)
from mwl.mapping.devices.operations.operation import Binding, Options, Predicate, Run, Stage
from mwl.mapping.devices.operations.when import When
from mwl.model import Document

Taken: TypeAlias = Literal["ok", "reject"]


def _missing(value: Any) -> str | tuple[str, ...]:
    """Take a word, or attributes; by hand, since a union reports a mistake once for each of its branches."""
    if value in ("tolerate", "reject"):
        return str(value)
    if not isinstance(value, str | list) or not all(isinstance(each, str) for each in as_list(value)):
        raise ValueError("tolerate, reject, or a list of attributes")
    return tuple(checked_path(each) for each in as_list(value))


Missing: TypeAlias = Annotated[
    str | tuple[str, ...],
    PlainValidator(_missing),
    WithJsonSchema({"anyOf": [{"enum": ["tolerate", "reject"]}, *TEXTS["anyOf"]]}),
]


class PerformedTolerance(BaseModel):
    """What is tolerated in a performed step."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    strict: Flag = False
    """Refuse what PS3.4 F.7.2 forbids, and values that are none of their VR, instead of taking and reporting
    them; code strings in lower case or with other characters are put right otherwise (M13)."""
    repeat: Literal["idempotent", "reject"] = "reject"
    """The same N-CREATE again: 0000 where nothing in it differs from the first (M03), or 0111."""
    nset_after_final: Literal["ack", "reject"] = "reject"
    """N-SET on a final step: 0000 and nothing changes (M04), or 0110 with Error ID A710."""
    ncreate_final: Literal["synthesise", "reject"] = "reject"
    """N-CREATE of a step that is over already: take it as begun and ended (M02), or 0106."""
    nset_unknown: Literal["create", "reject"] = "reject"
    """N-SET of a step nobody has created: make it of what the N-SET says (M05), or 0112."""
    no_uid: Literal["assign", "reject"] = "assign"
    """N-CREATE without SOP Instance UID: give it one and return it (M01), or 0117."""
    missing: Missing = "tolerate"
    """Attributes of type 1 or 2 that are missing, or empty against their type: take it all the same (M13),
    unless it is one of these; those are refused with 0120 or 0121."""
    closed_order: Literal["report", "reject"] = "report"
    """A step of an order that was cancelled: take and report it (M15), or 0110."""
    calling_ae_differs: Taken = "ok"
    """It comes from one of the device's other AE titles (`also`), or from another device than the one that
    created it (M11); or 0124."""
    separate_associations: Taken = "ok"
    """N-SET comes in another association than N-CREATE; or 0110."""
    empty_code_sequences: Taken = "ok"
    """It ends without a code of procedure or protocol (M09); or 0121."""
    empty_image_list: Taken = "ok"
    """It ends with a series that names no image and no other object (M07); or 0121."""
    late: Taken = "ok"
    """It comes more than a day after the exam (M15); or 0110."""


Named: TypeAlias = Literal[
    "SPS_ID",
    "RP_ID",
    "StudyInstanceUID",
    "AccessionNumber",
    "PatientID",
    "Station",
    "PlacerNumber",
    "FillerNumber",
]
_KEYS = get_args(Named)


class LinkKey(BaseModel):
    """One thing that a performed step and a scheduled one must have in common."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    by: Named | None = None
    """A number, or the station: the device, by whichever of its AE titles."""
    within: Duration | None = None
    """The exam begins this close to the scheduled start."""

    @model_validator(mode="before")
    @classmethod
    def _shorthand(cls, data: Any) -> Any:
        """Take ``SPS_ID`` for ``{by: SPS_ID}``."""
        return {"by": data} if isinstance(data, str) else data

    @model_validator(mode="after")
    def _one(self) -> LinkKey:
        if (self.by is None) == (self.within is None):
            raise ValueError("a name, or 'within' and a time")
        return self

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return either({"enum": list(_KEYS)}, core, handler)


class Conflict(BaseModel):
    """Whose value counts where a performed step and its order differ."""

    model_config = ConfigDict(extra="allow", frozen=True, use_attribute_docstrings=True)
    __pydantic_extra__: dict[PathText, Literal["prefer_worklist", "prefer_device"]]

    report: Flag = True
    """Whether a difference is reported (M07, F51)."""

    @property
    def lines(self) -> dict[str, Any]:
        """Whose value counts, for each path."""
        return self.__pydantic_extra__


class StepStates(BaseModel):
    """What becomes of the scheduled step by what is performed; the rest is as the standard has it."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    ncreate: Literal["STARTED", "SCHEDULED", "ARRIVED", "READY"] = "STARTED"
    """The exam has begun; any other than STARTED leaves the step as it is."""
    completed: Literal["COMPLETED", "DISCONTINUED", "SCHEDULED", "STARTED"] = "COMPLETED"
    """It ended COMPLETED."""
    discontinued: Literal["DISCONTINUED", "SCHEDULED", "COMPLETED", "STARTED"] = "DISCONTINUED"
    """It ended DISCONTINUED; SCHEDULED puts it back on the list (M10)."""
    reasons: dict[str, Literal["DISCONTINUED", "SCHEDULED", "COMPLETED", "STARTED"]] = Field(
        default_factory=dict
    )
    """It ended DISCONTINUED for one of these reasons, by their codes, 110500 to 110516; where nothing is said
    110514, the wrong worklist entry, puts the step back on the list, and any other is as `discontinued`."""
    several: Literal["all", "first"] = "all"
    """Of several scheduled steps that one performed step names, all move, or the first (M08)."""
    multi: Literal["all", "any"] = "all"
    """Of several performed steps of one scheduled step: it is over when all have ended, or COMPLETED as soon
    as one is."""
    processing: Literal["begin", "attach"] = "begin"
    """A further performed step that names no code, and the start of an exam that is COMPLETED, is processing:
    it begins the step again like any other, or is attached and leaves it as it is (M09)."""
    closed_by: Literal["any", "same_device"] = "any"
    """Who may end a step that another device began."""

    @field_validator("reasons", mode="before")
    @classmethod
    def _as_text(cls, reasons: Any) -> Any:
        """Take a code for text: YAML reads a number."""
        return {str(code): each for code, each in reasons.items()} if isinstance(reasons, dict) else reasons

    @field_validator("reasons")
    @classmethod
    def _known(cls, reasons: dict[str, str]) -> dict[str, str]:
        if unknown := sorted(reasons.keys() - REASONS.keys()):
            raise ValueError(f"{unknown[0]!r} is no reason for a discontinuation: 110500 to 110516 are")
        return reasons


class Forward(BaseModel):
    """Which performed steps are sent on."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    include: tuple[When, ...] = ()
    """A performed step must pass one of these."""
    exclude: tuple[When, ...] = ()
    """One that passes one of these is not sent on."""
    values: Literal["sent", "canonical"] = "sent"
    """What is sent on: the data set as the device sent it, to the byte where the peer takes its transfer
    syntax; or what is stored of it, with the device's own words led back and code strings put right."""


class Mpps(Options):
    """How a device's performed steps are taken (P34), linked (P35), and what they do (P36)."""

    key = "mpps"
    stage = Stage.MPPS
    number = 34

    accept: PerformedTolerance = PerformedTolerance()
    """What is tolerated."""
    link: tuple[tuple[LinkKey, ...], ...] = ()
    """By what a performed step finds its scheduled one: rungs that are tried in turn until one leads to
    exactly one step, each with all that must be equal; none: the broker's own ladder."""
    none: Literal["unscheduled", "reject"] = "unscheduled"
    """One that finds none: kept as unscheduled (M06), or refused with 0110."""
    conflict: Conflict = Field(default_factory=lambda: Conflict.model_validate({}))
    """Whose value counts where the two differ."""
    state: StepStates = StepStates()
    """What becomes of the scheduled step."""
    idle: Duration | None = None
    """A step that was never reported leaves the list this long after its start (M12)."""
    forward: Forward | None = None
    """Which performed steps are sent on; none: as the configuration says."""

    @field_validator("link")
    @classmethod
    def _rungs_hold(cls, rungs: tuple[tuple[LinkKey, ...], ...]) -> tuple[tuple[LinkKey, ...], ...]:
        if not all(any(each.by for each in rung) for rung in rungs):
            raise ValueError("each rung needs a number or the station")
        return rungs

    @property
    def strict(self) -> bool:
        """Whether what PS3.4 F.7.2 forbids is refused."""
        return self.accept.strict

    def sends_on(self, binding: Binding) -> Predicate:
        """Return which performed steps are sent on, by what is stored of them."""
        forward = self.forward or Forward()
        include = [each.compile(binding, "forward", "include", i) for i, each in enumerate(forward.include)]
        exclude = [each.compile(binding, "forward", "exclude", i) for i, each in enumerate(forward.exclude)]

        def passes(document: Document, run: Run) -> bool:
            wanted = not include or any(each(document, run) for each in include)
            return wanted and not any(each(document, run) for each in exclude)

        return passes

    def conduct(self, titles: Collection[str], together: Together | None = None) -> Conduct:
        """Return what the store does with performed steps of a device that has these AE titles."""
        state = self.state
        return Conduct(
            titles=frozenset(titles),
            ladder=tuple(_rung(written) for written in self.link) or LADDER,
            unscheduled="refuse" if self.none == "reject" else "keep",
            cancelled="refuse" if self.accept.closed_order == "reject" else "report",
            reports_differences=self.conflict.report,
            preferred={
                paths.parse_path(name): "worklist" if side == "prefer_worklist" else "device"
                for name, side in self.conflict.lines.items()
            },
            begun=StepState.STARTED if state.ncreate == "STARTED" else None,
            completed=StepState(state.completed),
            discontinued=StepState(state.discontinued),
            reasons={code: StepState(each) for code, each in state.reasons.items()},
            steps=state.several,
            exams=state.multi,
            processing=state.processing,
            closed_by=state.closed_by,
            idle=self.idle,
            together=together,
        )


def _rung(written: tuple[LinkKey, ...]) -> Rung:
    times = [each.within for each in written if each.within is not None]
    return Rung(tuple(Key(each.by) for each in written if each.by), min(times, default=None))
