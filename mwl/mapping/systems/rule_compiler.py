"""From the written lines of a section to nodes that read; done once, when a profile is bound."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import Final

from pydicom.datadict import dictionary_VM

from mwl.expressions import Expression, expression
from mwl.mapping import paths
from mwl.mapping.systems import stations
from mwl.mapping.systems.catalogue import PREFIX, Column, Giver
from mwl.mapping.systems.catalogue_compiler import check_cells
from mwl.mapping.systems.compiling import Compiler
from mwl.mapping.systems.conversion import NUMBERS, Conversion, Lookup, Structured, Unit, Worded, number
from mwl.mapping.systems.fitting import Unfit, fit, uid
from mwl.mapping.systems.functions import ALLOWED, STRICT, STRUCTURES, TEXTS
from mwl.mapping.systems.hl7paths import BadPath, looks_like_path
from mwl.mapping.systems.hl7template import Template, parse_template
from mwl.mapping.systems.lookup import Table
from mwl.mapping.systems.rules import Each, Leaf, Level, Line, Nested, Node, Origin, StandIn, When
from mwl.mapping.systems.stations import StationRule, StationRules
from mwl.mapping.systems.system_form import ConditionForm, RuleForm, StationForm
from mwl.model import STEP_SEQUENCE, Element, name_value
from mwl.query import Path
from mwl.yamldoc import Key, suggestion

# What reads an attribute that names no function; others must say what they mean.
_BY_VR: Final = {"UI": "identifier", "AE": "identifier"}
_MUST_SAY: Final = {
    "PN": "xpn or xcn",
    "SQ": "code, ei or cx, or give each and items",
    "DA": "date or ts_date",
    "TM": "ts_time",
}
_TEXT_OPTIONS: Final = ("table", "ignore", "join", "max", "unit", "units", "template")


@dataclass
class LevelCompiler:
    """Compiles the sections patient, procedure and step, in this order: each may refer to those before."""

    compiler: Compiler
    read_before: set[str] = field(default_factory=set)  # tags

    def level(self, section: str, forms: Mapping[str, RuleForm], place: tuple[Key, ...] = ()) -> Level:
        """Return a section's nodes; *place* is where its lines stand, where that is within another one."""
        return Level(self._nodes(section, place or (section,), forms, within=""))

    def _nodes(
        self, section: str, place: tuple[Key, ...], forms: Mapping[str, RuleForm], *, within: str
    ) -> tuple[Node, ...]:
        tree = _Tree()
        for target, form in forms.items():
            here = (*place, target)
            tags = self.compiler.tags(target, here, at_key=True)
            if tags is None:
                self._paths(form.from_, (*here, "from"), within=within)  # for the mistakes in them
                continue
            if tags[0] == STEP_SEQUENCE:
                self.compiler.problem(here, "write it without SPS: the section step says so", at_key=True)
                continue
            node = self._node(section, here, target, tags[-1], form, within=within)
            if node is not None and not tree.add(tags, node):
                message = f"{target} stands both as a whole and in its parts"
                self.compiler.problem(here, message, at_key=True)
            if not within:
                self.read_before.add(tags[0])
        return tree.nodes()

    def _node(
        self, section: str, place: tuple[Key, ...], target: str, tag: str, form: RuleForm, *, within: str
    ) -> Node | None:
        vr = form.vr or paths.vr(tag)
        if vr == "UN":
            self.compiler.problem(place, f"{target} is not in the data dictionary: give its vr", at_key=True)
            return None
        if form.each is not None or form.items:
            return self._each(section, place, target, tag, vr, form)
        if not (form.from_ or form.template or form.else_ or form.default is not None):
            self.compiler.problem(place, f"{target} has nothing to read: give from, template or default")
            return None
        if form.else_ and section == "patient":
            self.compiler.problem((*place, "else"), "else is for orders: list a patient's paths in from")
        conversion = self._conversion(place, target, tag, vr, form)
        origins = self._paths(form.from_, (*place, "from"), within=within)
        stand_ins = self._stand_ins(form.else_, (*place, "else"))
        if conversion is None:
            return None
        check_cells(conversion, (*origins, *stand_ins), self.compiler)
        return Leaf(
            tag,
            vr,
            Line(section, within + target, self.compiler.profile.origin(*place)),
            conversion,
            paths=origins,
            template=self._template(form.template, (*place, "template")),
            stand_ins=stand_ins,
            default=self._default(form.default, vr, (*place, "default")),
            when=self.when(form.when, (*place, "when")),
            required=form.required and not within,
        )

    def _each(
        self, section: str, place: tuple[Key, ...], target: str, tag: str, vr: str, form: RuleForm
    ) -> Node | None:
        if vr != "SQ":
            self.compiler.problem(place, "only a sequence has each and items", at_key=True)
            return None
        if form.each is None or not form.items or form.from_ or form.as_:
            self.compiler.problem(place, "each and items belong together, without from and as")
            return None
        path = self.compiler.absolute(form.each, (*place, "each"))
        nodes = self._nodes(section, (*place, "items"), form.items, within=f"{target}.")
        names = [name for name, item in form.items.items() if item.required]
        needed = frozenset(found[0] for name in names if (found := _tags(name)))
        return None if path is None else Each(tag, path, nodes, needed)

    # ── a line's parts ──

    def _conversion(
        self, place: tuple[Key, ...], target: str, tag: str, vr: str, form: RuleForm
    ) -> Conversion | None:
        name = form.as_ or _BY_VR.get(vr, "first")
        if form.as_ is None and vr in _MUST_SAY:
            self.compiler.problem(place, f"{target} needs as: {_MUST_SAY[vr]}", at_key=True)
            return None
        if name not in TEXTS and name not in STRUCTURES:
            hint = suggestion(name, [*TEXTS, *STRUCTURES])
            self.compiler.problem((*place, "as"), f"unknown function {name!r}{hint}")
            return None
        if not _may_fill(name, vr):
            self.compiler.problem((*place, "as"), f"{name} cannot fill {target}, whose VR is {vr}")
            return None
        many = _many(tag)
        if name in STRUCTURES:
            return self._structured(place, name, vr, form, many=many)
        return Worded(
            name,
            TEXTS[name],
            target,
            vr,
            strict=name in STRICT or vr in _BY_VR,
            many=many,
            limit=form.max,
            cut=form.cut,
            lookup=self._lookup(form, place),
            ignore=Table((each, each) for each in form.ignore) if form.ignore else None,
            unit=self._unit(form, place),
            join=form.join,
        )

    def _structured(
        self, place: tuple[Key, ...], name: str, vr: str, form: RuleForm, *, many: bool
    ) -> Conversion:
        for option in _TEXT_OPTIONS:
            if getattr(form, option):
                self.compiler.problem(
                    (*place, option), f"{option} has no effect with as: {name}", at_key=True
                )
        return Structured(name, STRUCTURES[name], form.scheme, many=many or vr == "SQ")

    def _lookup(self, form: RuleForm, place: tuple[Key, ...]) -> Lookup | None:
        if not form.table:
            return None
        return Lookup(self.compiler.table(form.table, (*place, "table")), form.miss)

    def _unit(self, form: RuleForm, place: tuple[Key, ...]) -> Unit | None:
        if form.unit is None and not form.units:
            return None
        if form.unit is None or not form.units:
            self.compiler.problem(place, "unit and units belong together")
            return None
        path = self.compiler.absolute(form.unit, (*place, "unit"))
        factors: dict[str, Decimal] = {}
        for name, factor in form.units.items():
            try:
                factors[name.casefold()] = Decimal(factor)
            except InvalidOperation:
                self.compiler.problem((*place, "units", name), f"{factor!r} is not a number")
        return Unit(path, factors) if path else None

    def _paths(self, texts: Sequence[str], place: tuple[Key, ...], *, within: str) -> tuple[Origin, ...]:
        find = self.compiler.path if within else self.compiler.absolute
        found: list[Origin | None] = []
        for index, text in enumerate(texts):
            if not within and _names_giver(text):
                found += self._giver(text)
            else:
                found.append(find(text, (*place, index)))
        return tuple(path for path in found if path is not None)

    def _template(self, text: str | None, place: tuple[Key, ...]) -> Template | None:
        if text is None:
            return None
        try:
            return parse_template(text)
        except BadPath as error:
            self.compiler.problem(place, str(error))
            return None

    def _stand_ins(self, texts: Sequence[str], place: tuple[Key, ...]) -> tuple[StandIn, ...]:
        found: list[StandIn] = []
        for index, text in enumerate(texts):
            here = (*place, index)
            if _names_giver(text):
                found += self._giver(text)
            elif looks_like_path(text):
                if path := self.compiler.path(text, here):
                    found.append(path)
            elif tags := self.compiler.tags(text, here):
                if len(tags) > 1 or tags[0] not in self.read_before:
                    self.compiler.problem(here, f"{text} is not read before this line")
                found.append(tags[0])
        return tuple(found)

    def _default(self, text: str | None, vr: str, place: tuple[Key, ...]) -> Element | None:
        if text is None:
            return None
        try:
            return constant(vr, text)
        except Unfit as error:
            self.compiler.problem(place, f"default: {text!r} {error}")
            return None

    def when(self, forms: Mapping[str, ConditionForm], place: tuple[Key, ...]) -> tuple[When, ...]:
        """Return conditions."""
        found = []
        for text, form in forms.items():
            here = (*place, text)
            subject = self.compiler.path(text, here) if looks_like_path(text) else self._read(text, here)
            texts = None if form.in_ is None else Table((each, each) for each in form.in_)
            regex = self._regex(form.regex, (*here, "regex"))
            if subject is not None:
                found.append(When(subject, texts, form.present, regex))
        return tuple(found)

    def _read(self, text: str, place: tuple[Key, ...]) -> str | None:
        """Return the tag of an attribute that was read before; note where it is none."""
        tags = self.compiler.tags(text, place, at_key=True)
        if tags is None:
            return None
        if len(tags) > 1 or tags[0] not in self.read_before:
            self.compiler.problem(place, f"{text} is not read before this line", at_key=True)
        return tags[0]

    def _regex(self, text: str | None, place: tuple[Key, ...]) -> Expression | None:
        try:
            return None if text is None else expression(text)
        except ValueError as error:
            self.compiler.problem(place, f"{text!r} {error}")
            return None

    # ── what the profile knows by itself ──

    def _giver(self, text: str) -> list[Giver]:
        """Return what *text* names, [] where the profile has nothing of that kind."""
        compiler = self.compiler
        if text == stations.WORD:
            compiler.stations_used = True
            return [self._stations(compiler.stations)] if compiler.stations else []
        column = text.removeprefix(PREFIX).casefold()
        compiler.columns_used.add(column)
        return [Column(column, compiler.catalogue)] if compiler.catalogue else []

    def _stations(self, forms: Mapping[str, StationForm]) -> StationRules:
        ranked = []
        for name, form in forms.items():
            place: tuple[Key, ...] = (stations.WORD, name)
            when = self.when(form.when, (*place, "when"))
            rule = StationRule(name, when, form.to, self.compiler.profile.origin(*place))
            for index, title in enumerate(form.to):
                if fit("AE", title) != (title, "", False):
                    self.compiler.problem((*place, "to", index), f"{title!r} is no AE title")
            ranked.append((-form.priority, rule))
        ranked.sort(key=lambda each: each[0])  # equals stay in the order they are written
        return StationRules(tuple(rule for _, rule in ranked))


def _names_giver(text: str) -> bool:
    return text == stations.WORD or text.startswith(PREFIX)


def _tags(name: str) -> Path:
    try:
        return paths.parse_path(name)
    except ValueError:  # reported where the item was compiled
        return ()


def _may_fill(name: str, vr: str) -> bool:
    if name in STRUCTURES:
        return STRUCTURES[name].vr == vr
    if name in ALLOWED:
        return vr in ALLOWED[name]
    return vr not in _MUST_SAY


def _many(tag: str) -> bool:
    """Tell whether an attribute may have several values."""
    try:
        return dictionary_VM(int(tag, 16)) != "1"
    except KeyError:  # a private one
        return True


def constant(vr: str, text: str) -> Element:
    """Return *text*, written in a profile, as an element; raise `Unfit` where it is no value of *vr*."""
    if not text:
        return {"vr": vr}
    if vr == "SQ":
        raise Unfit("cannot stand for a sequence: give its attributes")
    if vr == "PN":
        return {"vr": vr, "Value": [name_value(text)]}
    if vr == "UI":
        return {"vr": vr, "Value": [uid(text)]}
    if vr in NUMBERS:
        return {"vr": vr, "Value": [number(vr, text)]}
    fitted = fit(vr, text)
    if fitted.note or not fitted.value:
        raise Unfit(f"is no value of VR {vr}")
    return {"vr": vr, "Value": [fitted.value]}


class _Tree:
    """Nodes by the path of their targets; those inside one sequence grow into one item."""

    def __init__(self) -> None:
        self._inner: dict[str, _Tree | Node] = {}

    def add(self, tags: Path, node: Node) -> bool:
        """Put *node* at *tags*; False where something stands there already."""
        head, *rest = tags
        below = self._inner.get(head)
        if not rest:
            self._inner.setdefault(head, node)
            return below is None
        if below is None:
            below = self._inner[head] = _Tree()
        return isinstance(below, _Tree) and below.add(tuple(rest), node)

    def nodes(self) -> tuple[Node, ...]:
        """Return the nodes, in the order in which their tags were first written."""
        return tuple(
            Nested(tag, below.nodes()) if isinstance(below, _Tree) else below
            for tag, below in self._inner.items()
        )
