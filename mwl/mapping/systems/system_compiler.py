"""From a written system profile to one that reads orders and words status; all mistakes at once."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from pydantic import ValidationError

from mwl import yamldoc
from mwl.errors import BadDocument, Problem
from mwl.mapping.systems.catalogue_compiler import check_columns, compile_catalogue
from mwl.mapping.systems.compiling import Compiler
from mwl.mapping.systems.hl7paths import BadPath, Hl7Path, Which, parse_choice
from mwl.mapping.systems.lookup import TableFiles
from mwl.mapping.systems.order_control import OrderControl, Pair, parse_key
from mwl.mapping.systems.order_reader import OrderReader, Same
from mwl.mapping.systems.order_structure import Structure
from mwl.mapping.systems.patient_compiler import compile_patients
from mwl.mapping.systems.patient_reader import PatientReader
from mwl.mapping.systems.rule_compiler import LevelCompiler
from mwl.mapping.systems.schedule_compiler import compile_schedule
from mwl.mapping.systems.schedule_reader import ScheduleReader
from mwl.mapping.systems.source import FieldKey
from mwl.mapping.systems.status_compiler import compile_status
from mwl.mapping.systems.status_template import StatusTemplate
from mwl.mapping.systems.system_form import ControlForm, OrderForm, SameForm, SystemForm
from mwl.mapping.written import Effective, digest, in_order
from mwl.model import OrderPolicies
from mwl.yamldoc import Key

_MESSAGE: Final = re.compile(r"[A-Z0-9]{1,8}(\^(\*|[A-Z0-9]{1,8}))?|\*")


@dataclass(frozen=True, slots=True)
class Compiled:
    """A system profile, ready to work."""

    form: SystemForm
    digest: str
    reader: OrderReader
    patients: PatientReader | None  # None: the profile takes no such messages
    schedules: ScheduleReader | None
    templates: Mapping[str, StatusTemplate]


def compile_system(profile: Effective, files: TableFiles) -> Compiled:
    """Compile an effective profile whose variables are filled; raise `BadDocument` with all its mistakes."""
    form, problems = _form(profile)
    compiler = Compiler(profile, files, partial=bool(problems))
    compiled = _compiled(form, compiler)
    if problems := [*problems, *compiler.problems]:
        raise BadDocument(problems)
    return compiled


def mistakes(profile: Effective, files: TableFiles) -> list[Problem]:
    """Return what is wrong with a profile of which not all is known: what it extends, or its variables."""
    form, problems = _form(profile)
    compiler = Compiler(profile, files, partial=True)
    _compiled(form, compiler)
    return [*problems, *compiler.problems]


def _form(profile: Effective) -> tuple[SystemForm, list[Problem]]:
    """Return the form of a profile, or what of it has one, and where it has none."""
    try:
        return SystemForm.model_validate(profile.data), []
    except ValidationError as error:
        form = yamldoc.sound(profile.data, SystemForm, error, needed={"profile": ""})
        return form, yamldoc.problems(profile, SystemForm, error)


def _compiled(form: SystemForm, compiler: Compiler) -> Compiled:
    """Compile what there is; mistakes are with *compiler*, and what has any must not be used."""
    compiler.picks = _picks(form.order.pick, compiler)
    _check_messages(form, compiler)
    compiler.catalogue, compiler.stations = compile_catalogue(form.catalogue, compiler), form.stations
    reader = _reader(form, compiler)
    patients, schedules = _others(form, reader, compiler)
    templates = {kind: compile_status(kind, each, compiler) for kind, each in form.status.items()}
    if not compiler.partial:
        check_columns(compiler)
    if form.stations and not compiler.stations_used:
        compiler.lack(("stations",), "stations has no effect: no line names it in from", at_key=True)
    fingerprint = digest({"profile": in_order(compiler.profile.data), "tables": compiler.tables_used})
    return Compiled(form, fingerprint, reader, patients, schedules, templates)


def _others(
    form: SystemForm, order: OrderReader, compiler: Compiler
) -> tuple[PatientReader | None, ScheduleReader | None]:
    kinds = set(form.accept.messages.values())
    patients = compile_patients(form.adt, kinds, order, compiler)
    control = _control(form.schedule.control, ("schedule",), compiler)
    return patients, compile_schedule(form.schedule, kinds, control, order, compiler)


def _picks(written: Mapping[str, Sequence[str]], compiler: Compiler) -> dict[FieldKey, tuple[Which, ...]]:
    picks: dict[FieldKey, tuple[Which, ...]] = {}
    for name, choices in written.items():
        place = ("order", "pick", name)
        path = compiler.absolute(name, place)
        if path is None:
            continue
        if path.text != f"{path.segment}-{path.field}":
            compiler.problem(place, f"{name!r}: a field alone stands here, such as PID-3", at_key=True)
        found: list[Which] = []
        for index, choice in enumerate(choices):
            try:
                found.append(parse_choice(choice))
            except BadPath as error:
                compiler.problem((*place, index), str(error))
        picks[path.segment, path.field] = tuple(found)
    return picks


def _check_messages(form: SystemForm, compiler: Compiler) -> None:
    for kind in form.accept.messages:
        if not _MESSAGE.fullmatch(kind):
            message = f"{kind!r} is no message type such as ORM^O01 or SIU^*"
            compiler.problem(("accept", "messages", kind), message, at_key=True)


# ── orders ──


def _reader(form: SystemForm, compiler: Compiler) -> OrderReader:
    levels = LevelCompiler(compiler)
    patient = levels.level("patient", form.patient)
    procedure = levels.level("procedure", form.procedure)
    step = levels.level("step", form.step)
    order = form.order
    control = _control(order.control, ("order",), compiler)
    for key, names in (("groups", order.groups), ("steps", order.steps)):
        compiler.segments(names, ("order", key))
    for key, names in (("message", order.exactly_one.message), ("group", order.exactly_one.group)):
        compiler.segments(names, ("order", "exactly_one", key))
    if not order.groups:
        compiler.lack(("order",), "order: the key 'groups' names no segment")
    if order.control is None:
        compiler.lack(("order",), "order: the key 'control' is missing")
    return OrderReader(
        patient,
        procedure,
        step,
        control or _NO_CONTROL,
        Structure(order.groups, order.exactly_one.message, order.exactly_one.group),
        steps=order.steps,
        offset=compiler.absolute(order.offset, ("order", "offset")) if order.offset else None,
        effective=compiler.absolute(order.effective, ("order", "effective")) if order.effective else None,
        catalogue=compiler.catalogue,
        policies=OrderPolicies(**order.policies.model_dump()),
        compare=_compare(order, compiler),
        same_procedure=_same(order.same_procedure, ("order", "same_procedure"), compiler),
        same_step=_same(order.same_step, ("order", "same_step"), compiler),
    )


_NO_CONTROL: Final = OrderControl(Hl7Path("ORC-1", "ORC", 1, 1, None), None, {})
"""Stands in where the profile has none, which is a mistake: what else there is must be looked at."""


def _control(form: ControlForm | None, section: tuple[Key, ...], compiler: Compiler) -> OrderControl | None:
    place = (*section, "control")
    if form is None:
        return None
    code = compiler.absolute(form.code, (*place, "code"))
    status = compiler.absolute(form.status, (*place, "status")) if form.status else None
    rows: dict[Pair, str] = {}
    for key, action in form.actions.items():
        here = (*place, "actions", key)
        try:
            pair = parse_key(key)
        except ValueError as error:
            compiler.problem(here, str(error), at_key=True)
            continue
        if pair in rows:
            compiler.problem(here, f"{key!r} says the same as a row above", at_key=True)
        rows[pair] = action
    return OrderControl(code, status, rows) if code else None


def _compare(order: OrderForm, compiler: Compiler) -> tuple[tuple[Hl7Path, Hl7Path], ...]:
    found = []
    for index, pair in enumerate(order.compare):
        place = ("order", "compare", index)
        if len(pair) != 2:
            compiler.problem(place, "two HL7 paths stand here")
            continue
        one, other = (compiler.absolute(text, (*place, each)) for each, text in enumerate(pair))
        if one and other:
            found.append((one, other))
    return tuple(found)


def _same(form: SameForm | None, place: Sequence[Key], compiler: Compiler) -> Same:
    if form is None:
        return Same()

    def tags(texts: Sequence[str], key: str) -> tuple[str, ...]:
        found = [compiler.tags(text, (*place, key, index)) for index, text in enumerate(texts)]
        return tuple(path[0] for path in found if path)

    return Same(tags(form.by, "by"), tags(form.agree, "agree"), tags(form.union, "union"))
