"""P31 `charset` and P32 `wire`: in which letters and in which bytes an answer leaves.

Theory of operation.  The profile states an order of preference: labels, and two words that stand for one.

* ``site``: what the site's configuration states, skipped where it states nothing;
* ``from_request``: what the device's own identifier declares, skipped where it declares nothing.

`generic` begins with ``site, from_request``.  So a profile that names a label decides; where none does,
the site decides; where the site is silent too, the device's request does.  The first set that holds the
whole answer is taken (`choosing` says what holding means).  Where none does, it is the first of all and
`unfit` says what happens; no character becomes a question mark behind anyone's back (A-58).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from mwl.mapping.devices.operations.choosing import Candidate, Chooser
from mwl.mapping.devices.operations.lint import Lint
from mwl.mapping.devices.operations.notation import Flag
from mwl.mapping.devices.operations.operation import Binding, Options, Stage
from mwl.mapping.text.charset import DEFAULT, CharacterSet, UnknownCharacterSet, parse_terms
from mwl.mapping.text.romanise import Policy

SITE, FROM_REQUEST = "site", "from_request"
_WHOLE_UNICODE = (("ISO_IR 192",), ("GB18030",))
_TRANSFER_SYNTAXES = {
    "ILE": "1.2.840.10008.1.2",
    "ELE": "1.2.840.10008.1.2.1",
    "EBE": "1.2.840.10008.1.2.2",
}


class Charset(Options):
    """In which character set a device is answered (P31)."""

    key = "charset"
    stage = Stage.ENCODE
    number = 31

    prefer: tuple[str, ...] = (SITE, FROM_REQUEST, "ISO_IR 192")
    """Character sets in order of preference: labels, `site` and `from_request`."""
    fixed: str | None = None
    """The one character set of this device, whatever it asks for; it takes the place of `prefer`."""
    literal: str | None = None
    """What is written into (0008,0005), as it stands here; "" for nothing at all.  Without `fixed` it also
    is the one character set."""
    unfit: Literal["transliterate", "drop_group", "skip_item", "question"] = "transliterate"
    """Text that no set holds: in Latin letters, left out, the item is left out, or question marks."""
    unsafe: Flag = False
    """`question` is meant: a name of question marks is nobody's, and patients are told apart by it."""

    def chooser(self, binding: Binding, *, always_label: bool) -> Chooser:
        """Return the order of preference, worked out for a site."""
        only = next((key for key in ("fixed", "literal") if getattr(self, key)), None)
        if only is not None:
            candidates = [_candidate(getattr(self, only), binding, only)]
        else:
            candidates = [
                _candidate(word, binding, "prefer", index) for index, word in enumerate(self.prefer)
            ]
        stated = tuple(candidate for candidate in candidates if candidate is not None)
        label = None if self.literal is None else tuple(self.literal.split("\\")) if self.literal else ()
        return Chooser(stated, Policy(self.unfit), always_label, label)

    def lint(self) -> Iterator[Lint]:
        """Warn of a set that cannot hold every name, where nothing says what happens then (L5)."""
        only = self.fixed or self.literal
        if only and not _holds_every_name(only) and "unfit" not in self.model_fields_set:
            message = f"{only} cannot hold every name: say what happens in 'unfit'"
            yield Lint("L5", message, ("fixed" if self.fixed else "literal",), warning=True)
        if self.unfit == "question" and not self.unsafe:
            message = "question marks make a name nobody's: add 'unsafe: true' if that is meant"
            yield Lint("unsafe", message, ("unfit",))


def _holds_every_name(label: str) -> bool:
    try:
        return parse_terms(label).terms[:1] in _WHOLE_UNICODE
    except UnknownCharacterSet:  # which is told with its own words
        return True


def _candidate(word: str, binding: Binding, *keys: str | int) -> Candidate | None:
    origin = binding.origin(*keys)
    if word == FROM_REQUEST:
        return Candidate(None, "from the request", origin)
    if word != SITE:
        return Candidate(_parsed(word, binding, *keys), "from the profile", origin)
    label = binding.site.charset
    return Candidate(_parsed(label, binding, *keys), "from the site", origin) if label else None


def _parsed(label: str, binding: Binding, *keys: str | int) -> CharacterSet:
    try:
        return parse_terms(label)
    except UnknownCharacterSet:
        binding.problem(f"there is no character set {label!r}", *keys)
        return DEFAULT


class Wire(Options):
    """How answers travel (P32)."""

    key = "wire"
    stage = Stage.ENCODE
    number = 32

    ts: tuple[Literal["ILE", "ELE", "EBE", "as_proposed_first"], ...] = ("as_proposed_first",)
    """Transfer syntaxes in order of preference, among those the device proposes; what it proposes first."""
    sequences: Literal["explicit", "undefined"] = "explicit"
    """Whether sequences and items state their length, or end with a delimiter."""
    group_lengths: Literal["none", "present"] = "none"
    """Whether each group begins with its length, as before 2008."""

    @property
    def transfer_syntaxes(self) -> tuple[str, ...]:
        """The UIDs in order of preference; () takes what the device proposes first."""
        return tuple(_TRANSFER_SYNTAXES[name] for name in self.ts if name in _TRANSFER_SYNTAXES)
