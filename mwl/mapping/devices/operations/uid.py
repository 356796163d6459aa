"""P26 `uid`: the Study Instance UID, which no other operation touches.

It is made where there is none, left out for devices that make their own, or another one for each step: some
devices keep one entry a study, and the others vanish (F28).  The UID of a step is computed of the step
(`mwl.handles`), so it is the same at every query and needs no table; what comes back with it, in a query or
as performed, means that step and its study.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from typing import Annotated, Literal, TypeAlias

from pydantic import AfterValidator, BaseModel, ConfigDict, model_validator

from mwl import handles
from mwl.mapping import paths
from mwl.mapping.devices.operations import reported
from mwl.mapping.devices.operations.lint import Lint
from mwl.mapping.devices.operations.notation import Flag, PathText
from mwl.mapping.devices.operations.operation import Apply, Binding, Lines, Run, Stage, Step
from mwl.mapping.devices.operations.request import asked_texts, matched_by
from mwl.mapping.elements import ABSENT, has_value
from mwl.model import Document, Element, items, text, values
from mwl.query import Op

STUDY = paths.parse_path("StudyInstanceUID")
_STEP_ID = paths.tag("ScheduledProcedureStepID")
_REFERENCED = (paths.tag("ReferencedStudySequence"), paths.tag("ReferencedSOPInstanceUID"))
_PROCEDURE_IDENTITY = tuple(
    paths.parse_path(name)
    for name in (
        "IssuerOfPatientID",
        "PatientID",
        "PlacerOrderNumberImagingServiceRequest",
        "FillerOrderNumberImagingServiceRequest",
        "AccessionNumber",
        "RequestedProcedureID",
    )
)
_ROOT = re.compile(r"(0|[1-9][0-9]*)(\.(0|[1-9][0-9]*))+")
_LONGEST_ROOT = 24  # characters: a UUID as a decimal has 39 digits (PS3.5 B.2), a UID 64 characters


def _checked_root(root: str) -> str:
    if not _ROOT.fullmatch(root) or len(root) > _LONGEST_ROOT:
        raise ValueError(f"{root!r} is no root of UIDs, or longer than {_LONGEST_ROOT} characters")
    return root


Root: TypeAlias = Annotated[str, AfterValidator(_checked_root)]


class Form(BaseModel):
    """What becomes of the Study Instance UID."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    if_missing: Literal["derive"] | None = None
    """Where an item has none: one is derived of the order's numbers."""
    per_sps: Literal["derive"] | None = None
    """Each step has a UID of its own, derived of study and step."""
    suppress: Flag = False
    """It is not sent: the device makes its own, and nothing links its images to the order but its numbers."""
    root: Root | None = None
    """Under which derived UIDs stand; the site's, or 2.25."""

    @model_validator(mode="after")
    def _one_way(self) -> Form:
        if self.suppress and (self.per_sps or self.if_missing):
            raise ValueError("a UID that is not sent cannot be derived as well")
        return self


class Uid(Lines):
    """The Study Instance UID: derived where there is none, or for each step alone, or not sent (P26)."""

    key = "uid"
    stage = Stage.RESPOND
    number = 26
    __pydantic_extra__: dict[PathText, Form]

    def lint(self) -> Iterator[Lint]:
        """Refuse any other attribute."""
        for name in self.lines:
            if paths.parse_path(name) != STUDY:
                yield Lint("uid", "only StudyInstanceUID can be derived, or left out", (name,))

    @property
    def per_step(self) -> bool:
        """Whether each step has a Study Instance UID of its own."""
        return any(form.per_sps for form in self.lines.values())

    def compile(self, binding: Binding) -> Iterator[Step]:
        """Yield the steps of the one line there can be."""
        if binding.place[0] != self.key:
            binding.problem("a UID works in all directions: it stands at the top of a profile, in no list")
        for name, form in self.lines.items():
            root = form.root or binding.site.uid_root
            if form.if_missing:
                yield binding.step(_derived_where_missing(root), name, "if_missing")
            if form.per_sps:
                yield binding.step(_asked, name, "per_sps", stage=Stage.QUERY, last=True)
                yield binding.step(_of_step(root), name, "per_sps", last=True)
                yield binding.step(_reported, name, "per_sps", stage=Stage.MPPS)
            if form.suppress:
                yield binding.step(_suppressed, name, "suppress", last=True)


def derived_study(item: Document, root: str | None) -> Element | None:
    """Return a Study Instance UID made of the procedure's identity: the same for each of its steps.

    Intake derives and stores one for every order; this is for an item that came another way.
    """
    parts = [str(value) for path in _PROCEDURE_IDENTITY for value in values(item, path[-1])]
    if not any(parts):
        return None
    number = int.from_bytes(hashlib.sha256("\\".join(parts).encode()).digest()[:16], "big")
    # PS3.5 B.2: under 2.25 stands a UUID as a decimal.
    above = root if root and len(root) <= _LONGEST_ROOT else "2.25"
    return {"vr": "UI", "Value": [f"{above}.{number}"]}


def _derived_where_missing(root: str | None) -> Apply:
    def apply(item: Document, _run: Run) -> Document:
        if has_value(paths.get(item, STUDY)):
            return item
        made = derived_study(item, root)
        return item if made is None else paths.put(item, STUDY, made)

    return apply


def _of_step(root: str | None) -> Apply:
    def apply(item: Document, run: Run) -> Document:
        study = text(item, STUDY[-1])
        if not study or run.stored is None:
            return item
        step_id, key = text(run.stored.step, _STEP_ID).strip(), run.stored.ref.key
        uid = handles.step_study(study, step_id, key, root)
        return paths.put(item, STUDY, {"vr": "UI", "Value": [uid]})

    return apply


def _suppressed(item: Document, _run: Run) -> Document:
    return paths.put(item, STUDY, ABSENT)


def _asked(keys: Document, _run: Run) -> Document:
    key = paths.get(keys, STUDY)
    asked = asked_texts(key)
    if key is None or not asked or any(handles.step_key(uid) is None for uid in asked):
        return keys
    return paths.put(keys, STUDY, matched_by(key, Op.STEP_STUDY))


def _reported(performed: Document, run: Run) -> Document:
    def back(scope: Document) -> Document:
        for uid, (study, step_id) in run.known.steps.items():
            scope = _led_back(scope, uid, study, step_id)
        return scope

    return reported.in_each_scope(performed, back)


def _led_back(scope: Document, uid: str, study: str, step_id: str) -> Document:
    """Return *scope* with the study in the place of *uid*; a step ID it does not say is that of the step."""
    stated: Element = {"vr": "UI", "Value": [study]}
    if text(scope, STUDY[-1]) == uid:
        scope = {**scope, STUDY[-1]: stated}
        if not text(scope, _STEP_ID):
            scope = {**scope, _STEP_ID: {"vr": "SH", "Value": [step_id]}}
    sequence, instance = _REFERENCED
    before = list(items(scope, sequence))
    after = [{**item, instance: stated} if text(item, instance) == uid else item for item in before]
    return scope if after == before else {**scope, sequence: {"vr": "SQ", "Value": after}}


def lookups(performed: Document) -> Iterator[str]:
    """Yield each UID in a performed step that may be a step's."""
    sequence, instance = _REFERENCED
    for scope in (performed, *items(performed, reported.SCHEDULED)):
        found = (text(scope, STUDY[-1]), *(text(item, instance) for item in items(scope, sequence)))
        yield from (uid for uid in found if handles.step_key(uid) is not None)
