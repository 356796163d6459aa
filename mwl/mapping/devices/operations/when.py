"""P3 `when`: the guard on a step; the same tests are the filter's predicates (P10).

A guard maps what is tested to how: ``{SPS.Modality: {in: [CR, DX]}}``.  All of its lines must hold.
What is tested is an attribute of the document at hand (the keys before items are found, the item
after), a variable of the profile (``var.long``) or of the association (``$calling_ae``); beside them
stand the patient's age and the system that ordered.  Before items are found nobody has either.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Iterator
from typing import Annotated, Any, TypeAlias

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, GetJsonSchemaHandler, model_validator
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from mwl.expressions import expression
from mwl.mapping import paths
from mwl.mapping.devices.operations.ages import AgeText, parse
from mwl.mapping.devices.operations.notation import (
    SCALAR,
    Flag,
    Number,
    Scalars,
    as_text,
    checked_path,
    either,
)
from mwl.mapping.devices.operations.operation import Binding, Predicate, Run
from mwl.mapping.devices.operations.values import fact, text_value
from mwl.mapping.elements import gather
from mwl.mapping.facts import Facts
from mwl.mapping.text.charset import UnknownCharacterSet, parse_terms
from mwl.model import Document
from mwl.query import pattern
from mwl.yamldoc import suggestion

Subject: TypeAlias = Callable[[Document, Run], list[str]]
Judge: TypeAlias = Callable[[list[str], Run], bool]

_BIRTH_DATE = paths.parse_path("PatientBirthDate")
_DATE = re.compile(r"[0-9]{8}")


def about_no_item(subject: str) -> bool:
    """Tell whether *subject* is a variable, of the profile or of the association."""
    return subject.startswith(("var.", "$"))


def _checked_subject(text: str) -> str:
    return text if about_no_item(text) else checked_path(text)


def _checked_regex(text: str) -> str:
    expression(text)
    return text


RegexText: TypeAlias = Annotated[str, AfterValidator(_checked_regex)]


def _checked_label(text: str) -> str:
    try:
        parse_terms(text)
    except UnknownCharacterSet:
        raise ValueError(f"there is no character set {text!r}") from None
    return text


CharsetLabel: TypeAlias = Annotated[str, AfterValidator(_checked_label)]
"""The label of a character set, as in (0008,0005)."""


class Test(BaseModel):
    """How a value is tested; several tests must all hold, each by any of the attribute's values."""

    __test__ = False  # the word is the reference's; pytest is not meant
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    present: Flag | None = None
    """Whether there is a value."""
    empty: Flag | None = None
    """Whether there is none."""
    eq: Scalars | None = None
    """The value equals this."""
    in_: Scalars | None = Field(None, alias="in")
    """The value is one of these."""
    glob: Scalars | None = None
    """The value matches one of these, with * and ?."""
    regex: RegexText | None = None
    """The regular expression is found in the value; one that could take for ever is refused."""
    len_gt: Number | None = None
    """The value has more characters than this."""
    requested: Flag | None = None
    """Whether the device asked for the attribute."""
    charset_fits: CharsetLabel | None = None
    """Every value can be written in this character set."""

    @model_validator(mode="before")
    @classmethod
    def _shorthand(cls, data: Any) -> Any:
        """Take ``CT`` for ``{eq: CT}`` and ``[CR, DX]`` for ``{in: [CR, DX]}``."""
        if isinstance(data, list):
            return {"in": data}
        return {"eq": data} if isinstance(data, str | int | float) else data

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return either({"anyOf": [SCALAR, {"type": "array", "items": SCALAR}]}, core, handler)

    def judge(self, binding: Binding, *keys: str | int) -> Judge:
        """Return all of these tests, but for `requested`, as one function of the values."""
        judges = list(self._judges(binding, *keys))
        if len(judges) == 1:
            return judges[0]
        return lambda found, run: all(judge(found, run) for judge in judges)

    def _judges(self, binding: Binding, *keys: str | int) -> Iterator[Judge]:
        if self.present is not None:
            yield _presence(self.present)
        if self.empty is not None:
            yield _presence(not self.empty)
        for wanted in (self.eq, self.in_):
            if wanted is not None:
                yield _membership([text_value(text, binding, *keys) for text in wanted])
        if self.glob is not None:
            yield _any_value(*(pattern(glob).fullmatch for glob in self.glob))
        if self.regex is not None:
            yield _any_value(expression(self.regex).found_in)
        if self.len_gt is not None:
            yield _any_value(_longer(self.len_gt))
        if self.charset_fits is not None:
            charset = parse_terms(self.charset_fits)
            yield lambda found, _run: all(charset.fits(value, name="^" in value) for value in found)


def _presence(wanted: bool) -> Judge:
    return lambda found, _run: bool(found) is wanted


def _membership(wanted: list[Callable[[Facts], str]]) -> Judge:
    return lambda found, run: any(text(run.facts) in found for text in wanted)


def _any_value(*tests: Callable[[str], object]) -> Judge:
    return lambda found, _run: any(test(value) for test in tests for value in found)


def _longer(length: int) -> Callable[[str], bool]:
    return lambda value: len(value) > length


class AgeRange(BaseModel):
    """How old the patient is today; one whose birth date is not known is of no age."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    from_: AgeText | None = Field(None, alias="from")
    """This age or more: 18Y, 6M, 2W, 10D."""
    under: AgeText | None = None
    """Less than this age."""

    def births(self, today: dt.date) -> tuple[str, str]:
        """Return the first and the last day of birth, YYYYMMDD; "" is open."""
        low, high = "", _written(today)
        if self.under is not None and (under := parse(self.under)):
            low = _written(min(under.birthday(today), today) + dt.timedelta(days=1))
        if self.from_ is not None and (least := parse(self.from_)):
            high = _written(least.birthday(today))
        return low, high

    def holds(self, births: list[str], today: dt.date) -> bool:
        """Tell whether one of *births* (DA) is a birthday of that age."""
        low, high = self.births(today)
        dates = [birth for birth in births if _DATE.fullmatch(birth)]
        return any((not low or birth >= low) and birth <= high for birth in dates)


def _written(day: dt.date) -> str:
    return f"{day.year:04}{day.month:02}{day.day:02}"


class When(BaseModel):
    """A guard: every line, and every of its combinations, must hold."""

    model_config = ConfigDict(extra="allow", frozen=True, use_attribute_docstrings=True)
    __pydantic_extra__: dict[Annotated[str, AfterValidator(_checked_subject)], Test]

    source: Scalars | None = None
    """The system that ordered is one of these, by their names in the configuration."""
    age: AgeRange | None = None
    """The patient's age, `from` and `under`."""
    any: tuple[When, ...] | None = None
    """At least one of these holds."""
    all: tuple[When, ...] | None = None
    """Each of these holds."""
    not_: When | None = Field(None, alias="not")
    """This does not hold."""

    @property
    def tests(self) -> dict[str, Test]:
        """What is tested, and how."""
        return self.__pydantic_extra__

    def compile(self, binding: Binding, *keys: str | int) -> Predicate:
        """Return the guard as a function of a document and its run."""
        parts = [
            part for name, test in self.tests.items() for part in tests_of(name, test, binding, *keys, name)
        ]
        if self.source is not None:
            parts.append(_ordered_by([text_value(text, binding, *keys) for text in self.source]))
        if self.age is not None:
            fact("today", binding, *keys)
            parts.append(_aged(self.age))
        if self.all is not None:
            parts += [each.compile(binding, *keys, "all", i) for i, each in enumerate(self.all)]
        if self.any is not None:
            choices = [each.compile(binding, *keys, "any", i) for i, each in enumerate(self.any)]
            parts.append(lambda document, run: any(choice(document, run) for choice in choices))
        if self.not_ is not None:
            inner = self.not_.compile(binding, *keys, "not")
            parts.append(lambda document, run: not inner(document, run))
        return lambda document, run: all(part(document, run) for part in parts)


def _ordered_by(wanted: list[Callable[[Facts], str]]) -> Predicate:
    return lambda _document, run: run.source in [text(run.facts) for text in wanted]


def _aged(age: AgeRange) -> Predicate:
    return lambda document, run: age.holds(gather(document, _BIRTH_DATE), run.facts.now.date())


def tests_of(name: str, test: Test, binding: Binding, *keys: str | int) -> Iterator[Predicate]:
    """Yield what must hold of *name*, an attribute or a variable."""
    subject, judge = _subject(name, binding, *keys), test.judge(binding, *keys)
    yield lambda document, run: judge(subject(document, run), run)
    if test.requested is not None:
        asked, wanted = _requested(name), test.requested
        yield lambda document, run: asked(document, run) is wanted


def _subject(name: str, binding: Binding, *keys: str | int) -> Subject:
    if name.startswith("$"):
        read = fact(name[1:], binding, *keys)
        return lambda _document, run: [found] if (found := read(run.facts)) else []
    if name.startswith("var."):
        values = _variable(name.removeprefix("var."), binding, *keys)
        return lambda _document, _run: values
    path = paths.parse_path(name)
    return lambda document, _run: gather(document, path)


def _variable(name: str, binding: Binding, *keys: str | int) -> list[str]:
    if name not in binding.variables:
        known = suggestion(name, binding.variables)
        binding.problem(f"the variable {name!r} is not declared in 'vars'{known}", *keys)
        return []
    value = binding.variables[name]
    values = value if isinstance(value, list) else [value]
    return [as_text(each) for each in values if each not in (None, "")]


def _requested(name: str) -> Predicate:
    if about_no_item(name):
        return lambda _document, _run: False
    path = paths.parse_path(name)
    return lambda _document, run: paths.get(run.requested, path) is not None
