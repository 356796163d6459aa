"""From the written status section of a system profile to templates that fill."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from mwl.mapping.systems.compiling import Compiler
from mwl.mapping.systems.status_facts import BadReference, parse_reference
from mwl.mapping.systems.status_template import (
    FUNCTIONS,
    Computed,
    FieldTemplate,
    StatusTemplate,
    parse_field,
)
from mwl.mapping.systems.system_form import FieldForm, StatusForm
from mwl.yamldoc import Key, suggestion

_MESSAGE: Final = re.compile(r"[A-Z0-9]{1,8}\^[A-Z0-9]{1,8}")
_SEGMENT: Final = re.compile(r"[A-Z][A-Z0-9]{2}")
_FIELD: Final = re.compile(r"[1-9][0-9]{0,2}")


def compile_status(kind: str, form: StatusForm, compiler: Compiler) -> StatusTemplate:
    place = ("status", kind)
    if not _MESSAGE.fullmatch(kind):
        compiler.problem(place, f"{kind!r} is no message type such as ORM^O01", at_key=True)
    segments = []
    for name, fields in form.segments.items():
        here = (*place, "segments", name)
        if not _SEGMENT.fullmatch(name):
            compiler.problem(here, f"{name!r} is no segment such as OBR", at_key=True)
        found = []
        for number, field in fields.items():
            if not _FIELD.fullmatch(number):
                compiler.problem((*here, number), f"{number!r} is no field number", at_key=True)
            elif template := _field(field, (*here, number), compiler):
                found.append((int(number), template))
        segments.append((name, tuple(found)))
    return StatusTemplate(kind, form.version, tuple(segments))


def _field(form: FieldForm, place: Sequence[Key], compiler: Compiler) -> FieldTemplate | None:
    if (form.text is None) is not bool(form.from_) or (form.as_ is None) is bool(form.from_):
        compiler.problem(place, "a field has a text, or from with as")
        return None
    try:
        if form.text is not None:
            return parse_field(
                form.text, compiler.table(form.table, (*place, "table")) if form.table else None
            )
        references = tuple(parse_reference(each) for each in form.from_)
    except BadReference as error:
        compiler.problem(place, str(error))
        return None
    name = form.as_ or ""
    if name not in FUNCTIONS:
        compiler.problem((*place, "as"), f"unknown function {name!r}{suggestion(name, FUNCTIONS)}")
        return None
    return Computed(FUNCTIONS[name], references)
