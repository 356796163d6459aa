"""From the section ``adt`` of a profile to what reads messages on patients."""

from __future__ import annotations

from collections.abc import Collection

from mwl.mapping.systems.compiling import Compiler
from mwl.mapping.systems.hl7paths import Hl7Path
from mwl.mapping.systems.order_reader import OrderReader
from mwl.mapping.systems.patient_reader import ArrivalRule, PatientReader
from mwl.mapping.systems.rule_compiler import LevelCompiler
from mwl.mapping.systems.rules import Each, Level
from mwl.mapping.systems.system_form import AdtForm, RuleForm

_PLACE = ("adt",)
_PRIOR = "OtherPatientIDsSequence"  # a sequence of patient IDs with their issuers


def compile_patients(
    form: AdtForm, kinds: Collection[str], order: OrderReader, compiler: Compiler
) -> PatientReader | None:
    """Return the reader; None where the profile says nothing of such messages.

    *kinds* are what is done with messages at all.  The patient is read as *order* reads it, and the visit
    by lines of its procedure.
    """
    wanted = {"patient", "arrival", "merge"} & set(kinds)
    if not form.groups:
        if wanted:
            compiler.lack(_PLACE, "adt: the key 'groups' names no segment")
        return None
    compiler.segments(form.groups, (*_PLACE, "groups"))
    prior, prior_at = _prior(form.prior, compiler)
    if form.prior is None and "merge" in wanted:
        compiler.lack(_PLACE, "adt: the key 'prior' is missing")
    days = (
        compiler.absolute(text, (*_PLACE, "arrival", "day", n)) for n, text in enumerate(form.arrival.day)
    )
    return PatientReader(
        order.patient,
        _visit(form, order.procedure, compiler),
        form.groups,
        prior=prior,
        prior_at=prior_at,
        arrival=ArrivalRule(tuple(day for day in days if day is not None), form.arrival.same_visit),
        keeps_unknown=form.unknown == "store",
        offset=order.offset,
    )


def _prior(form: RuleForm | None, compiler: Compiler) -> tuple[Each | None, Hl7Path | None]:
    if form is None:
        return None, None
    place = (*_PLACE, "prior")
    if form.each is None or "PatientID" not in form.items:
        compiler.problem(place, "each and items are needed, and PatientID among them")
        return None, None
    level = LevelCompiler(compiler).level("prior", {_PRIOR: form}, place)
    for node in level.nodes:
        if isinstance(node, Each) and isinstance(node.path, Hl7Path):
            return node, node.path
    return None, None


def _visit(form: AdtForm, procedure: Level, compiler: Compiler) -> Level:
    nodes = []
    for index, name in enumerate(form.visit):
        place = (*_PLACE, "visit", index)
        tags = compiler.tags(name, place)
        if tags is None:
            continue
        found = [node for node in procedure.nodes if node.tag == tags[0]]
        if len(tags) > 1 or not found:
            compiler.problem(place, f"section procedure has no line for {name}")
        nodes += found
    return Level(tuple(nodes))
