"""Values as profiles write them: constants, and variables of the association and the clock."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence
from typing import TypeAlias

from mwl.mapping import paths
from mwl.mapping.devices.operations.legal import is_legal
from mwl.mapping.devices.operations.operation import Binding, Run
from mwl.mapping.elements import make
from mwl.mapping.facts import Facts
from mwl.model import Element
from mwl.query import Path
from mwl.yamldoc import suggestion

Value: TypeAlias = Callable[[Run], Element | None]
"""What a written value is for one query; None where it is no value of its attribute's VR."""

_FACTS: dict[str, Callable[[Facts], str]] = {
    "calling_ae": lambda facts: facts.calling_ae,
    "called_ae": lambda facts: facts.called_ae,
    "ip": lambda facts: facts.address,
    "impl_uid": lambda facts: facts.implementation_uid,
    "impl_version": lambda facts: facts.implementation_version,
    "today": lambda facts: facts.now.strftime("%Y%m%d"),
}
_NOW = {"DA": "%Y%m%d", "TM": "%H%M%S"}  # any other VR takes both
_VARIABLE = re.compile(r"\$([a-z][a-z_]*)")


def fact(name: str, binding: Binding, *keys: str | int, vr: str = "") -> Callable[[Facts], str]:
    """Return the reader of the variable *name* (without ``$``); an unknown one is reported."""
    if name == "now":
        form = _NOW.get(vr, "%Y%m%d%H%M%S")
        binding.reads.add(name)
        return lambda facts: facts.now.strftime(form)
    if name not in _FACTS:
        binding.problem(f"there is no variable ${name}{suggestion(name, [*_FACTS, 'now', 'var'])}", *keys)
        return lambda _facts: ""
    binding.reads.add(name)
    return _FACTS[name]


def seen(names: Collection[str], facts: Facts) -> tuple[str, ...] | None:
    """Return the facts of these *names*; None where the time of day is one, which never comes again."""
    return None if "now" in names else tuple(_FACTS[name](facts) for name in sorted(names))


def text_value(text: str, binding: Binding, *keys: str | int, vr: str = "") -> Callable[[Facts], str]:
    """Return *text* with the variables in it, as a function of the facts."""
    pieces: list[str | Callable[[Facts], str]] = []
    end = 0
    for match in _VARIABLE.finditer(text):
        pieces += [text[end : match.start()], fact(match[1], binding, *keys, vr=vr)]
        end = match.end()
    pieces.append(text[end:])
    if len(pieces) == 1:
        return lambda _facts: text
    return lambda facts: "".join(piece if isinstance(piece, str) else piece(facts) for piece in pieces)


def sent(written: Sequence[str], path: Path, binding: Binding, *keys: str | int) -> Value:
    """Do as `value`, and take what its VR allows alone: unlike a key it may hold no range and no wildcard."""
    return value(written, path, binding, *keys, allowed=is_legal)


def value(
    written: Sequence[str],
    path: Path,
    binding: Binding,
    *keys: str | int,
    allowed: Callable[[Element], bool] = lambda _element: True,
) -> Value:
    """Return *written* as an element for *path*; a constant that is no value of its VR is reported."""
    vr = paths.vr(path[-1])

    def made(values: Sequence[str]) -> Element | None:
        element = make(vr, values)
        return element if element is not None and allowed(element) else None

    if not any(_VARIABLE.search(text) for text in written):
        constant = made(written)
        if constant is None:
            binding.problem(
                f"{', '.join(written)} is no value of VR {vr}, which {paths.show(path)} has", *keys
            )
        return lambda _run: constant
    parts = [text_value(text, binding, *keys, vr=vr) for text in written]
    return lambda run: made([part(run.facts) for part in parts])
