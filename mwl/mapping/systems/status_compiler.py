"""From the written status section of a system profile to templates that fill."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from mwl.mapping.systems.compiling import Compiler
from mwl.mapping.systems.status_facts import BadReference, Reference, parse_each, parse_reference
from mwl.mapping.systems.status_functions import FUNCTIONS
from mwl.mapping.systems.status_template import (
    Computed,
    Field,
    FieldTemplate,
    SegmentTemplate,
    StatusTemplate,
    parse_field,
)
from mwl.mapping.systems.system_form import FieldForm, SegmentForm, StatusForm
from mwl.yamldoc import Key, suggestion

_MESSAGE: Final = re.compile(r"[A-Z0-9]{1,8}\^[A-Z0-9]{1,8}")
_SEGMENT: Final = re.compile(r"(?P<name>[A-Z][A-Z0-9]{2})( \S.*)?")
_FIELD: Final = re.compile(r"[1-9][0-9]{0,2}")


def compile_status(kind: str, form: StatusForm, compiler: Compiler) -> StatusTemplate:
    place = ("status", kind)
    if not _MESSAGE.fullmatch(kind):
        compiler.problem(place, f"{kind!r} is no message type such as ORM^O01", at_key=True)
    segments = [_segment(name, each, place, compiler) for name, each in form.segments.items()]
    return StatusTemplate(kind, form.version, tuple(segments))


def _segment(written: str, form: SegmentForm, under: Sequence[Key], compiler: Compiler) -> SegmentTemplate:
    here = (*under, "segments", written)
    match = _SEGMENT.fullmatch(written)
    if match is None:
        message = f"{written!r} is no segment such as OBR, or OBX with a word behind it"
        compiler.problem(here, message, at_key=True)
    each = _each(form.each, (*here, "each"), compiler)
    fields = []
    for number, field in form.fields.items():
        if not _FIELD.fullmatch(number):
            known = suggestion(number, ["each", "on"])
            compiler.problem((*here, number), f"{number!r} is no field number{known}", at_key=True)
        elif template := _field(field, (*here, number), compiler, in_item=form.each is not None):
            fields.append(Field(int(number), template, field.default or "", frozenset(field.on)))
    return SegmentTemplate(match["name"] if match else "", tuple(fields), each, frozenset(form.on))


def _each(written: str | None, place: Sequence[Key], compiler: Compiler) -> Reference | None:
    try:
        return None if written is None else parse_each(written)
    except BadReference as error:
        compiler.problem(place, str(error))
        return None


def _field(
    form: FieldForm, place: Sequence[Key], compiler: Compiler, *, in_item: bool
) -> FieldTemplate | None:
    if (form.text is None) is not bool(form.from_) or (form.as_ is None) is bool(form.from_):
        compiler.problem(place, "a field has a text, or from with as")
        return None
    try:
        if form.text is not None:
            table = compiler.table(form.table, (*place, "table")) if form.table else None
            return parse_field(form.text, table, in_item=in_item)
        references = tuple(parse_reference(each, in_item=in_item) for each in form.from_)
    except BadReference as error:
        compiler.problem(place, str(error))
        return None
    name = form.as_ or ""
    if name not in FUNCTIONS:
        compiler.problem((*place, "as"), f"unknown function {name!r}{suggestion(name, FUNCTIONS)}")
        return None
    return Computed(FUNCTIONS[name], references)
