"""Whether an edit of text makes up a patient's name, birth date or sex (12.3 b).

It is judged by what it does: an edit that gives two different patients the same name, date or sex says
what no order said.  What it takes away of one value is no invention; to leave nothing of any name is to
withhold it (R2).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from mwl.mapping import paths
from mwl.mapping.devices.operations.lint import NEVER_INVENTED, Lint, withholding_lint
from mwl.mapping.devices.operations.notation import glob_tags

_SAMPLES = {
    # The first two differ in their letters alone, and in every one of them.
    paths.tag("PatientName"): ("DOE^JOHN", "RAY^ALAN", "WANG^LI", "\u5c71\u7530^\u592a\u90ce"),
    # The second differs from the first in the day alone, the third in the month, the fourth in the year.
    paths.tag("PatientBirthDate"): ("19700102", "19700103", "19701202", "19850102"),
    paths.tag("PatientSex"): ("M", "F", "O"),
}


def invention_by(
    selectors: tuple[str, ...], key: str, change: Callable[[str], str], *, from_nothing: bool = False
) -> Iterator[Lint]:
    """Refuse each of *selectors* that reaches an attribute of which *change* makes up a value, or leaves
    nothing where it tells patients apart; *from_nothing* where the edit alone says so.
    """
    for index, selector in enumerate(selectors):
        reached = sorted(_tags(selector) & NEVER_INVENTED)
        if made_up := [tag for tag in reached if from_nothing or _invents(tag, change)]:
            names = " and ".join(paths.show((tag,)) for tag in made_up)
            message = f"{names} would be made up: add 'unsafe: true' if that is meant"
            yield Lint("unsafe", message, (key, index))
        for tag in reached:
            if not any(_made(tag, change)):
                yield from withholding_lint(paths.show((tag,)), (key, index))


def _invents(tag: str, change: Callable[[str], str]) -> bool:
    made = [text for text in _made(tag, change) if text]
    return len(set(made)) < len(made)


def _made(tag: str, change: Callable[[str], str]) -> list[str]:
    return [change(text).strip("^= ") for text in _SAMPLES[tag]]


def _tags(selector: str) -> frozenset[str]:
    last = selector.rpartition(".")[2]
    if "*" in last or "?" in last:
        return glob_tags(last)
    return frozenset({paths.parse_path(selector)[-1]})
