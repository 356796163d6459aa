"""From the section ``schedule`` of a profile to what reads appointments."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from mwl.mapping.systems.compiling import Compiler
from mwl.mapping.systems.order_control import OrderControl
from mwl.mapping.systems.order_reader import OrderReader
from mwl.mapping.systems.rule_compiler import LevelCompiler
from mwl.mapping.systems.rules import Level
from mwl.mapping.systems.schedule_reader import ScheduleReader
from mwl.mapping.systems.system_form import ScheduleForm
from mwl.yamldoc import Key

_PLACE: tuple[Key, ...] = ("schedule",)
_FOR_ORDERS = frozenset({"replace", "hold", "release"})


def compile_schedule(
    form: ScheduleForm,
    kinds: Collection[str],
    control: OrderControl | None,
    order: OrderReader,
    compiler: Compiler,
) -> ScheduleReader | None:
    """Return the reader; None where the profile says nothing of appointments.

    *kinds* are what is done with messages at all, *control* is the section's own.  The patient is read
    as *order* reads it.
    """
    if form.control is None and "schedule" in kinds:
        compiler.lack(_PLACE, "schedule: the key 'control' is missing")
    if control is None:
        return None
    for code, action in form.control.actions.items() if form.control else ():
        if action in _FOR_ORDERS:
            place = (*_PLACE, "control", "actions", code)
            compiler.problem(place, f"{action!r} is for orders, not for appointments")
    for key, names in (("exactly_one", form.exactly_one), ("services", form.services)):
        compiler.segments(names, (*_PLACE, key))
    levels = LevelCompiler(compiler, {node.tag for node in order.patient.nodes})
    fields = LevelCompiler(compiler)  # asked before any attribute is read
    orders = [levels.level("procedure", lines, (*_PLACE, "order", n)) for n, lines in enumerate(form.order)]
    procedure = levels.level("procedure", form.procedure, (*_PLACE, "procedure"))
    step = levels.level("step", form.step, (*_PLACE, "step"))
    return ScheduleReader(
        order.patient,
        tuple(orders),
        procedure,
        step,
        control,
        exactly_one=form.exactly_one,
        services=form.services,
        when=fields.when(form.when, (*_PLACE, "when")),
        withdrawn=fields.when(form.withdrawn, (*_PLACE, "withdrawn")),
        moves=frozenset(_moves(form.moves, step, compiler)),
        offset=order.offset,
        other_spelling=order.policies.other_spelling,
    )


def _moves(names: Sequence[str], step: Level, compiler: Compiler) -> Iterator[str]:
    read = {node.tag for node in step.nodes}
    for index, name in enumerate(names):
        place = (*_PLACE, "moves", index)
        if tags := compiler.tags(name, place):
            if len(tags) > 1 or tags[0] not in read:
                compiler.problem(place, f"schedule.step has no line for {name}")
            yield tags[0]
