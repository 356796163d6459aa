"""P25 `codec`: identities that a device knows in another form, in all three directions (R2).

Theory of operation.  All codecs of one attribute are one chain.  Stored values are shown to the device by
it, when everything else is done with an answer; what the device asks for, and what it reports as performed,
goes through the chain backwards before anybody looks at it.  `transforms` sees to it that nothing is shown
that would not come back as it is stored: such an item is left out and reported, and nothing is ever cut.

Two forms cannot be led back by themselves, and come first in a chain: the handle of what is too long, and
capitals.  A query asks for either by `Op.HANDLE`; of a performed step the store is asked (`mwl.handles`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Annotated, Literal, TypeAlias

from pydantic import AfterValidator, Field, model_validator

from mwl import handles
from mwl.mapping import paths
from mwl.mapping.devices.operations import reported, transforms
from mwl.mapping.devices.operations.lint import Lint
from mwl.mapping.devices.operations.notation import Number, PathText, Scalar
from mwl.mapping.devices.operations.operation import Binding, Options, Run, Stage, Step, Withheld
from mwl.mapping.devices.operations.request import (
    any_of,
    asked_texts,
    asking,
    folding,
    folds_of,
    how,
    matched_by,
    matching_nothing,
    single,
)
from mwl.mapping.devices.operations.transforms import (
    Affix,
    Mapped,
    Pad,
    Slice,
    Transform,
    Unpad,
    Unshowable,
    in_capitals,
)
from mwl.mapping.devices.operations.when import When
from mwl.mapping.elements import edit_texts, texts
from mwl.mapping.facts import Facts
from mwl.model import Document, Element
from mwl.query import Fold, Op, Path

_STUDY = paths.parse_path("StudyInstanceUID")
_STATION = paths.parse_path("SPS.ScheduledStationAETitle")
_WITH_CAPITALS = frozenset({paths.parse_path("PatientID"), paths.parse_path("AccessionNumber")})
_CODED = _WITH_CAPITALS | {
    _STATION,
    paths.parse_path("RequestedProcedureID"),
    paths.parse_path("SPS.ScheduledProcedureStepID"),
}
_LONGEST = {"AE": 16, "SH": 16, "LO": 64}  # characters (PS3.5 6.2)
_UNSHOWABLE = "unshowable"  # beside the value of an element: why the device cannot be shown it
_NOBODY = Run(Facts(""), {})

_NEEDS: dict[str, tuple[str, ...]] = {
    "pad": ("width",), "unpad": ("width",), "prefix": ("text",), "suffix": ("text",),
    "slice": ("table",), "station_map": ("table",), "shorten": (), "upper": (),
}  # fmt: skip
_TAKES: dict[str, tuple[str, ...]] = {
    "pad": ("width", "char", "side"), "unpad": ("width", "char", "side"), "slice": ("table", "side"),
}  # fmt: skip


def _plain(text: str) -> str:
    if any(char in "\\*?^=" or not char.isprintable() for char in text) or text != text.strip():
        raise ValueError("blanks at the ends, wildcards and delimiters are lost on the way")
    return text


Plain: TypeAlias = Annotated[Scalar, AfterValidator(_plain)]


class Codec(Options):
    """An identity that the device knows in another form, in what it asks, gets and reports (P25)."""

    key = "codec"
    stage = Stage.RESPOND
    number = 25
    repeats = True

    tag: PathText
    """PatientID, AccessionNumber, RequestedProcedureID, SPS.ScheduledProcedureStepID or
    SPS.ScheduledStationAETitle."""
    op: Literal["pad", "unpad", "prefix", "suffix", "slice", "shorten", "station_map", "upper"]
    """pad, unpad: filled up to `width` for the device, or stored so; prefix, suffix: `text` at one end;
    slice: the beginning or end by `table`; shorten: a handle of 16 characters for what is longer;
    station_map: AE titles by `table`; upper: capitals."""
    width: Annotated[Number, Field(ge=2, le=64)] | None = None
    """pad, unpad: how many characters there are with those that fill up."""
    char: Annotated[Plain, Field(min_length=1, max_length=1)] = "0"
    """pad, unpad: what fills up."""
    side: Literal["left", "right"] = "left"
    """pad, unpad, slice: at which end."""
    text: Annotated[Plain, Field(min_length=1)] | None = None
    """prefix, suffix: what the device's value has and the stored one has not."""
    table: dict[Plain, Plain] | None = None
    """slice, station_map: what is stored, and what the device knows it by."""
    when: When | None = None
    """Only where this holds of variables (`var.`): a codec works in all directions, or in none."""

    @model_validator(mode="after")
    def _complete(self) -> Codec:
        taken = _TAKES.get(self.op, _NEEDS[self.op])
        stated = self.model_fields_set - {"tag", "op", "when"}
        if missing := [name for name in _NEEDS[self.op] if getattr(self, name) is None]:
            raise ValueError(f"{self.op} needs {missing[0]!r}")
        if needless := sorted(stated - set(taken)):
            raise ValueError(f"{needless[0]!r} has no effect on {self.op}")
        return self

    def lint(self) -> Iterator[Lint]:
        """Refuse what could not be led back."""
        path = paths.parse_path(self.tag)
        if path == _STUDY:
            yield Lint("codec", "a Study Instance UID is no text: see 'uid'", ("tag",))
        elif path not in _CODED:
            yield Lint("codec", f"{self.tag} is no identity, and does not come back", ("tag",))
        if self.op == "station_map" and path != _STATION:
            yield Lint("codec", "station_map is for SPS.ScheduledStationAETitle", ("op",))
        if self.op == "upper" and path not in _WITH_CAPITALS:
            yield Lint("codec", "upper is for PatientID and AccessionNumber, which tell whose it is", ("op",))
        if self.op in ("shorten", "upper") and path == _STATION:
            yield Lint("codec", f"{self.op} is not for AE titles", ("op",))
        for one, other in combinations((self.table or {}).items(), 2):
            yield from self._ambiguous(one, other)
        for name in _outside(self.when):
            yield Lint("codec", f"a codec works always or never: {name} is no variable", ("when", name))

    def _ambiguous(self, one: tuple[str, str], other: tuple[str, str]) -> Iterator[Lint]:
        edge = str.endswith if self.side == "right" else str.startswith
        same = edge if self.op == "slice" else str.__eq__
        for a, b in zip(one, other, strict=True):
            if same(a, b) or same(b, a):
                yield Lint("codec", f"{a!r} and {b!r} cannot be told apart", ("table", other[0]))

    def compile(self, binding: Binding) -> Iterator[Step]:
        """Yield the steps of the whole chain, at its first line."""
        if binding.place[0] != self.key:
            binding.problem("a codec works in all directions: it stands at the top of a profile, in no list")
        chain = chain_of(binding, paths.parse_path(self.tag))
        if chain is None or chain.place != binding.place:
            return
        yield binding.step(chain.asked, stage=Stage.QUERY, last=True)
        yield binding.step(chain.answered, last=True)
        yield binding.step(chain.judged, stage=Stage.CONFORM, last=True)
        yield binding.step(chain.reported, stage=Stage.MPPS)

    def holds(self, binding: Binding) -> bool:
        """Tell whether the guard holds, which is about variables alone."""
        return self.when is None or self.when.compile(binding, "when")({}, _NOBODY)

    def transform(self) -> Transform | None:
        """Return what is done to a value; None for the forms that the store leads back."""
        right, width, table = self.side == "right", self.width or 0, self.table or {}
        made: dict[str, Callable[[], Transform]] = {
            "pad": lambda: Pad(width, self.char, right),
            "unpad": lambda: Unpad(width, self.char, right),
            "prefix": lambda: Affix(self.text or "", right=False),
            "suffix": lambda: Affix(self.text or "", right=True),
            "slice": lambda: Slice(table, right),
            "station_map": lambda: Mapped(table),
        }
        return made[self.op]() if self.op in made else None


def _outside(when: When | None) -> Iterator[str]:
    """Yield what a guard tests that is no variable of the profile."""
    if when is None:
        return
    yield from (name for name in when.tests if not name.startswith("var."))
    yield from (name for name in ("source", "age") if getattr(when, name, None) is not None)
    for each in (*(when.any or ()), *(when.all or ()), *([when.not_] if when.not_ else ())):
        yield from _outside(each)


@dataclass(frozen=True, slots=True)
class Chain:
    """All codecs of one attribute."""

    path: Path
    place: tuple[str | int, ...]  # of the first line
    origin: str
    shortens: bool
    capitals: bool
    transforms: tuple[Transform, ...]

    @property
    def kept(self) -> bool:
        """Whether the store has to lead a value back."""
        return self.shortens or self.capitals

    def shown(self, value: str) -> str:
        """Return *value* as the device knows it; raise `Unshowable`."""
        if self.shortens and len(value) > handles.LONGEST:
            value = handles.shortened(value)
        elif self.capitals:
            value = in_capitals(value)
        return transforms.shown(self.transforms, value, _LONGEST[paths.vr(self.path[-1])])

    def form(self, text: str) -> str:
        """Return what the device says, led back as far as it can be without the store."""
        text = transforms.stored(self.transforms, text.strip())
        return text.upper() if self.capitals else text

    def stored(self, text: str, known: handles.Known) -> str:
        """Return what is stored, of what the device says; what the store does not know stays as it came."""
        form = self.form(text)
        if self.kept and (value := known.values.get((self.path[-1], form))) is not None:
            return value
        return transforms.stored(self.transforms, text.strip())

    def asked(self, keys: Document, run: Run) -> Document:  # noqa: ARG002 - the form of a step
        """Return *keys* as they are stored (query)."""
        key = paths.get(keys, self.path)
        values = asked_texts(key)
        if key is None or not values or values == ["*"]:
            return keys
        return paths.put(keys, self.path, self._asked(key, values))

    def _asked(self, key: Element, values: Sequence[str]) -> Element:
        literal = how(key) is Op.IN
        if literal or not any("*" in value or "?" in value for value in values):
            found = asking(key, [self.form(value) for value in values])
            return matched_by(found, Op.HANDLE) if self.kept else found
        wanted = [each for value in values for each in transforms.stored_patterns(self.transforms, value)]
        if not wanted:
            return matching_nothing(key)
        found = any_of(asking(single(key), wanted), self.origin)
        folds = {*folds_of(key), Fold.CASE} if self.capitals else set(folds_of(key))
        return folding(found, sorted(folds)) if folds else found

    def answered(self, item: Document, run: Run) -> Document:  # noqa: ARG002
        """Return *item* as the device knows it; a value that cannot be shown is marked (respond)."""
        element = paths.get(item, self.path)
        if element is None:
            return item
        try:
            changed = edit_texts(element, lambda value: self.shown(value.strip()) if value.strip() else value)
        except Unshowable as reason:
            changed = {**element, _UNSHOWABLE: str(reason)}
        return item if changed is element else paths.put(item, self.path, changed)

    def judged(self, answer: Document, run: Run) -> Document:  # noqa: ARG002
        """Leave an item out that would be sent a value it cannot be shown (conform)."""
        element = paths.get(answer, self.path)
        if element is not None and _UNSHOWABLE in element:
            raise Withheld(str(element[_UNSHOWABLE]), paths.show(self.path), self.origin)
        return answer

    def reported(self, performed: Document, run: Run) -> Document:
        """Return a performed step with what is stored in the place of what the device knows (mpps)."""

        def back(text: str) -> str:
            return self.stored(text, run.known) if text.strip() else text

        return reported.edited(performed, self.path, lambda element: edit_texts(element, back))

    def lookups(self, performed: Document) -> Iterator[tuple[str, str]]:
        """Yield what of a performed step the store has to lead back: tag and text."""
        if self.kept:
            for element in reported.elements(performed, self.path):
                yield from ((self.path[-1], self.form(text)) for text in texts(element))


def chain_of(binding: Binding, path: Path) -> Chain | None:
    """Return the chain of the attribute at *path*; None where no codec is in force."""
    lines = [
        (operation, place)
        for operation, place in binding.operations
        if isinstance(operation, Codec)
        and paths.parse_path(operation.tag) == path
        and operation.holds(binding.at(operation, place))
    ]
    if not lines:
        return None
    made = [operation.transform() for operation, _ in lines]
    ops = {operation.op for operation, _ in lines}
    place = lines[0][1]
    return Chain(
        path, tuple(place), binding.profile.origin(*place), "shorten" in ops, "upper" in ops,
        tuple(transform for transform in made if transform is not None),
    )  # fmt: skip


def chains(binding: Binding) -> tuple[Chain, ...]:
    """Return the chains of all attributes."""
    codecs = (operation for operation, _ in binding.operations if isinstance(operation, Codec))
    tagged = dict.fromkeys(paths.parse_path(operation.tag) for operation in codecs)
    return tuple(chain for path in tagged if (chain := chain_of(binding, path)) is not None)
