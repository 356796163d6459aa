"""Which character set holds an answer, and the answer in a form that it holds.

A person name counts as held when its alphabetic group is: an ideographic or phonetic group may be
dropped, which every device understands, while a set it did not ask for it may not (A-55).  An identity
is never put into other letters (R2).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from mwl.mapping import paths
from mwl.mapping.devices.operations.lint import IDENTITY
from mwl.mapping.devices.operations.operation import Withheld
from mwl.mapping.elements import has_value
from mwl.mapping.text.charset import UTF8, CharacterSet, Unfit, UnknownCharacterSet, parse_terms
from mwl.mapping.text.romanise import Policy, fit_name, fit_text
from mwl.model import Document, Element, person_name

_LABEL = paths.tag("SpecificCharacterSet")
_NAME = paths.tag("PatientName")
_AFFECTED = frozenset({"SH", "LO", "UC", "ST", "LT", "UT", "PN"})


@dataclass(frozen=True, slots=True)
class Candidate:
    """One word of the preference; without *charset* the one that the request declares."""

    charset: CharacterSet | None
    reason: str
    origin: str

    def resolved(self, requested: Sequence[str]) -> CharacterSet | None:
        """Return the set for a request, or None where the request declares none that is known (A-50)."""
        if self.charset is not None:
            return self.charset
        try:
            return parse_terms(tuple(requested)) if any(requested) else None
        except UnknownCharacterSet:
            return None


@dataclass(frozen=True, slots=True)
class Choice:
    """The set an answer is written in, the answer in a form that it holds, and what was done to it."""

    charset: CharacterSet
    document: Document
    notes: tuple[str, ...]
    origin: str


@dataclass(frozen=True, slots=True)
class Chooser:
    """A preference for one site."""

    candidates: tuple[Candidate, ...]
    unfit: Policy
    always_label: bool
    literal: tuple[str, ...] | None = (
        None  # what is written into (0008,0005), whatever the set is; () nothing
    )

    def choose(self, answer: Document, requested: Sequence[str]) -> Choice:
        """Return the first set that holds *answer*, or the first of all with the answer made to fit.

        Raises `Withheld` where the policy, or an identity that cannot be written, forbids to send it.
        """
        found = list(self._considered(requested))
        special = [value for value in _values(answer) if not _plain(_line(value))]
        held = (pair for pair in found if all(_holds(pair[1], value) for value in special))
        candidate, charset = next(held, found[0] if found else (_LAST_RESORT, UTF8))
        notes = [f"{charset}, {candidate.reason}"]
        try:
            fitted = self._fitted(answer, charset, notes) if special else answer
        except Withheld as reason:  # by the line that chose the set
            raise Withheld(reason.reason, reason.path, candidate.origin) from reason.__cause__
        label = charset.terms if self.literal is None else self.literal
        if label and (self.always_label or special):
            fitted = {**fitted, _LABEL: {"vr": "CS", "Value": list(label)}}
        return Choice(charset, fitted, tuple(notes), candidate.origin)

    def _considered(self, requested: Sequence[str]) -> Iterator[tuple[Candidate, CharacterSet]]:
        """Yield the sets to try; what a request declares ends them: a device may not know another."""
        for each in self.candidates:
            if (charset := each.resolved(requested)) is not None:
                yield each, charset
                if each.charset is None:
                    return

    def _fitted(self, document: Document, charset: CharacterSet, notes: list[str]) -> Document:
        changed: Document = {}
        for tag, element in document.items():
            new = self._element(tag, element, charset, notes)
            if new is not element:
                changed[tag] = new
        return {**document, **changed} if changed else document

    def _element(self, tag: str, element: Element, charset: CharacterSet, notes: list[str]) -> Element:
        found: list[Any] = element.get("Value", [])
        if element["vr"] == "SQ":
            fitted = [self._fitted(item, charset, notes) for item in found]
        elif element["vr"] in _AFFECTED:
            fitted = [self._value(tag, value, charset, notes) for value in found]
        else:
            return element
        if all(new is old for new, old in zip(fitted, found, strict=True)):
            return element
        result = {"vr": element["vr"], "Value": fitted}
        if tag == _NAME and not has_value(result):
            raise Withheld(
                "the patient's name cannot be written in the device's character set", "PatientName"
            )
        return result if has_value(result) else {"vr": element["vr"]}

    def _value(self, tag: str, value: Any, charset: CharacterSet, notes: list[str]) -> Any:
        line = _line(value)
        if not line or _plain(line) or charset.fits(line, name=isinstance(value, dict)):
            return value
        if tag in IDENTITY:
            raise Withheld("an identity does not fit the device's character set", paths.keyword(tag))
        try:
            fitted, done = (
                self._name(value, charset)
                if isinstance(value, dict)
                else fit_text(value, charset, self.unfit)
            )
        except Unfit:
            raise Withheld(
                "text cannot be written in the device's character set", paths.keyword(tag)
            ) from None
        notes += [f"{paths.keyword(tag)}: {note}" for note in done]
        return fitted

    def _text(self, text: str, charset: CharacterSet) -> tuple[str, list[str]]:
        return fit_text(text, charset, self.unfit)

    def _name(self, name: dict[str, str], charset: CharacterSet) -> tuple[dict[str, str], list[str]]:
        if name.get("Alphabetic") and charset.fits(name["Alphabetic"], name=True):
            return fit_name(name, charset, Policy.DROP_GROUP)
        return fit_name(name, charset, self.unfit)


_LAST_RESORT = Candidate(UTF8, "because nothing else is stated", "")


def _line(value: Any) -> str:
    return person_name(value) if isinstance(value, dict) else str(value)


def _plain(text: str) -> bool:
    """Tell whether every character set holds *text*."""
    return text.isascii() and "\x1b" not in text and "\x00" not in text


def _holds(charset: CharacterSet, value: Any) -> bool:
    if isinstance(value, dict) and value.get("Alphabetic"):
        return charset.fits(value["Alphabetic"], name=True)
    return charset.fits(_line(value), name=isinstance(value, dict))


def _values(document: Document) -> Iterator[Any]:
    """Yield the values that a character set matters to."""
    for element in document.values():
        if element["vr"] == "SQ":
            for item in element.get("Value", ()):
                yield from _values(item)
        elif element["vr"] in _AFFECTED:
            yield from (value for value in element.get("Value", ()) if value)
