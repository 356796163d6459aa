"""P28 `seq` and P29 `return`: of all that is known, exactly what was asked for.

Theory of operation.  The identifier, as it was accepted, is the shape of the answer; `always` adds to
it and `never` takes away.  Each key becomes an element (A-10):

* with the item's value where there is one, the stored one and not the key's (A-11);
* zero-length where there is none (A-18), a sequence without items (A-19);
* a sequence whose key has no item, or an empty one, with all that is stored in it (A-44);
* a sequence whose key names attributes, with those alone, in every item (A-45).

An item in which nothing of that has a value is left out (R4): it would hide the order from some devices
(F24), and the skeleton that others send must not come back (F25).  Two exceptions keep to the standard:
the step's own item stays, since there is exactly one (A-08), and the code macro's attributes are left
out rather than sent zero-length, since none of them may be (PS3.3 8.1).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from mwl.mapping import paths
from mwl.mapping.devices.operations.code import CODE_MACRO
from mwl.mapping.devices.operations.lint import Lint, withholding_lint
from mwl.mapping.devices.operations.notation import Flag, Number, Paths, PathText
from mwl.mapping.devices.operations.operation import Apply, Binding, Lines, Options, Run, Stage, Step
from mwl.mapping.devices.operations.request import WHOLE, item_of
from mwl.mapping.elements import ABSENT, has_value, holds_value
from mwl.model import STEP_SEQUENCE, Document, Element
from mwl.query import Path

_SQ: Element = {"vr": "SQ"}
_NOT_KEYS = frozenset(paths.tag(name) for name in ("SpecificCharacterSet", "QueryRetrieveLevel"))
_TIMEZONE = paths.tag("TimezoneOffsetFromUTC")  # never zero-length


class SequenceForm(BaseModel):
    """What becomes of a sequence with nothing to say."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    empty: Literal["zero_items", "omit", "one_empty_item"] | None = None
    """A requested sequence without items: send it with none, leave it out, or send one item in which
    what was asked for is zero-length (against R4: for a console that insists on it)."""
    prune_empty_items: Flag | None = None
    """Whether an item in which nothing has a value is left out (R4)."""
    max_items: Annotated[Number, Field(ge=1)] | None = None
    """How many items are sent at most, the first ones."""
    flatten: Flag | None = None
    """Whether the attributes of the first item are sent in the place of the sequence, at its level."""


class Seq(Lines):
    """How sequences are sent: `default` for all, and by path (P28)."""

    key = "seq"
    stage = Stage.CONFORM
    number = 28
    __pydantic_extra__: dict[PathText, SequenceForm]

    default: SequenceForm = SequenceForm()
    """The form of every sequence that has none of its own."""

    def compile(self, binding: Binding) -> Iterator[Step]:
        """Yield a step for each sequence that is flattened: when all else is done, checks included."""
        for text, form in self.lines.items():
            if form.flatten:
                path = paths.parse_path(text)
                yield binding.step(_flattening(path), text, "flatten", last=True)

    def lint(self) -> Iterator[Lint]:
        """Refuse what is no sequence, and to flatten whatever comes."""
        if self.default.flatten:
            yield Lint("seq", "say which sequence is to be flattened", ("default", "flatten"))
        for text in self.lines:
            if paths.vr(paths.parse_path(text)[-1]) not in ("SQ", "UN"):
                yield Lint("seq", f"{text} is no sequence", (text,))

    def forms(self) -> dict[Path, SequenceForm]:
        """Return the form of each sequence that has its own, with the default for what that leaves open."""
        stated = self.default.model_dump(exclude_none=True)
        return {
            paths.parse_path(text): SequenceForm(**{**stated, **form.model_dump(exclude_none=True)})
            for text, form in self.lines.items()
        }


class Return(Options):
    """Which attributes are returned (P29)."""

    key = "return"
    stage = Stage.CONFORM
    number = 29

    mode: Literal["requested", "requested+always", "all"] = "requested"
    """What was asked for, and `always` (both words say so); or all that the order holds as well."""
    always: Paths = ()
    """Attributes that are returned whether they are asked for or not."""
    never: Paths = ()
    """Attributes that are not returned, even when they are asked for."""
    unknown: Literal["empty", "omit"] = "empty"
    """A requested attribute that the data dictionary does not hold: zero-length, or left out."""
    unsafe: Flag = False
    """`never` may name what tells items apart: identities, and the patient's name (L2)."""

    def compile(self, binding: Binding) -> Iterator[Step]:
        """Yield the one step that cuts the item to the request."""
        seq = next((each for each, _ in binding.operations if isinstance(each, Seq)), Seq.model_validate({}))
        yield binding.step(_Shape(self, seq).apply)

    def lint(self) -> Iterator[Lint]:
        """Refuse to withhold identities, unless the same profile says `unsafe`."""
        for index, text in enumerate(self.never):
            if not self.unsafe:
                yield from withholding_lint(text, ("never", index))

    @property
    def labels_charset(self) -> bool:
        """Whether (0008,0005) is returned even for plain ASCII (A-51)."""
        return "SpecificCharacterSet" in self.always or self.mode == "all"


class _Shape:
    """`Return` and `Seq`, worked out."""

    def __init__(self, returned: Return, seq: Seq) -> None:
        self._all = returned.mode == "all"
        self._omit_unknown = returned.unknown == "omit"
        self._always: Document = {}
        for text in returned.always:
            path = paths.parse_path(text)
            if path[-1] not in _NOT_KEYS:
                self._always = paths.put(self._always, path, {"vr": paths.vr(path[-1])})
        self._never = [paths.parse_path(text) for text in returned.never]
        self._forms, self._default = seq.forms(), seq.default

    def apply(self, item: Document, run: Run) -> Document:
        """Return what of *item* is sent for the request."""
        keys = _joined(run.requested, self._always) if self._always else run.requested
        for path in self._never:
            keys = paths.drop(keys, path)
        answer = self._cut(item, keys, ())
        if self._all:
            answer = {**self._whole(item, ()), **answer}
            for path in self._never:
                answer = paths.drop(answer, path)
        return answer

    def _cut(self, item: Document, keys: Document, under: Path) -> Document:
        answer: Document = {}
        for tag, key in keys.items():
            if tag in _NOT_KEYS or tag.endswith("0000"):  # group lengths say nothing
                continue
            stored = item.get(tag)
            if stored is ABSENT:
                continue
            if key["vr"] == "SQ" or (stored is not None and stored["vr"] == "SQ"):
                element = self._sequence(stored or _SQ, key, (*under, tag))
            elif stored is not None and has_value(stored):
                element = stored
            else:
                element = self._empty(tag, key, stored)
            if element is not None:
                answer[tag] = element
        return answer

    def _empty(self, tag: str, key: Element, stored: Element | None) -> Element | None:
        if tag == _TIMEZONE or tag in CODE_MACRO or paths.is_private(tag):
            return None  # a private attribute without its creator's block would be nobody's
        if stored is not None:
            return {"vr": stored["vr"]}
        if paths.known(tag):
            return {"vr": paths.vr(tag)}
        return None if self._omit_unknown else {"vr": key["vr"]}

    def _sequence(self, stored: Element, key: Element, path: Path) -> Element | None:
        wanted = item_of(key)
        items: list[Document] = [item for item in stored.get("Value") or [] if isinstance(item, dict)]
        # The step is a level of the order, of which `all` holds all, whatever the key names.
        if WHOLE in wanted or (self._all and path == (STEP_SEQUENCE,)):
            items = [{**self._whole(item, path), **self._cut(item, wanted, path)} for item in items]
        else:
            items = [self._cut(item, wanted, path) for item in items]
        return self._of_items(items, path, wanted)

    def _of_items(self, items: list[Document], path: Path, wanted: Document | None = None) -> Element | None:
        form = self._forms.get(path, self._default)
        if path == (STEP_SEQUENCE,):
            items = [item for item in items if item][:1]
        elif form.prune_empty_items is not False:
            items = [item for item in items if holds_value(item)]
        if items:
            return {"vr": "SQ", "Value": items[: form.max_items]}
        if form.empty == "omit":
            return None
        if form.empty == "one_empty_item" and wanted is not None:
            return {"vr": "SQ", "Value": [_skeleton(wanted)]}
        return {"vr": "SQ"}

    def _whole(self, item: Document, under: Path) -> Document:
        answer: Document = {}
        for tag, stored in item.items():
            element: Element | None = stored
            if stored["vr"] == "SQ":
                path = (*under, tag)
                items = [each for each in stored.get("Value", ()) if isinstance(each, dict)]
                element = self._of_items([self._whole(each, path) for each in items], path)
            elif stored is ABSENT or (tag in CODE_MACRO and not has_value(stored)):
                element = None
            if element is not None:
                answer[tag] = element
        return answer


def _skeleton(wanted: Document) -> Document:
    """Return an item in which everything that is asked for is zero-length."""
    tags = (tag for tag in wanted if paths.known(tag) and not tag.endswith("0000"))
    return {tag: {"vr": paths.vr(tag)} for tag in tags}


def _flattening(path: Path) -> Apply:
    def apply(answer: Document, _run: Run) -> Document:
        sequence = paths.get(answer, path)
        if sequence is None or sequence["vr"] != "SQ":
            return answer
        items = [item for item in sequence.get("Value", ()) if isinstance(item, dict)]
        rest = paths.drop(answer, path)
        for tag, element in (items[0] if items else {}).items():
            at = (*path[:-1], tag)
            if paths.get(rest, at) is None:  # what stands there already is stronger
                rest = paths.put(rest, at, element)
        return rest

    return apply


def _joined(keys: Document, more: Document) -> Document:
    """Return *keys* with those of *more*; a sequence that is wanted whole stays so."""
    result = dict(keys)
    for tag, key in more.items():
        asked = keys.get(tag)
        if asked is None:
            result[tag] = key
        elif key["vr"] == "SQ" and key.get("Value"):
            result[tag] = {"vr": "SQ", "Value": [_joined(item_of(asked), item_of(key))]}
    return result
