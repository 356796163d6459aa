"""Whether an edit of text makes up a patient's name, birth date or sex (12.3 b).

It is judged by what it does: an edit that gives two different patients the same name, date or sex says
what no order said.  What it takes away altogether is no invention.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from mwl.mapping import paths
from mwl.mapping.devices.operations.lint import NEVER_INVENTED, Lint
from mwl.mapping.devices.operations.notation import glob_tags

_SAMPLES = {
    paths.tag("PatientName"): ("DOE^JOHN", "WANG^LI", "\u5c71\u7530^\u592a\u90ce"),
    paths.tag("PatientBirthDate"): ("19700102", "19701231", "19851202", "20010703"),
    paths.tag("PatientSex"): ("M", "F", "O"),
}


def invents(tag: str, change: Callable[[str], str]) -> bool:
    """Tell whether *change* makes one value of different ones of the attribute *tag*."""
    made = [text for text in map(change, _SAMPLES[tag]) if text.strip("^= ")]
    return len(set(made)) < len(made)


def made_up_lint(selectors: tuple[str, ...], key: str, invented: Callable[[str], bool]) -> Iterator[Lint]:
    """Refuse each of *selectors* that reaches an attribute of which the edit says that it is *invented*."""
    for index, selector in enumerate(selectors):
        reached = sorted(tag for tag in _tags(selector) & NEVER_INVENTED if invented(tag))
        if reached:
            names = " and ".join(paths.show((tag,)) for tag in reached)
            yield Lint(
                "unsafe", f"{names} would be made up: add 'unsafe: true' if that is meant", (key, index)
            )


def _tags(selector: str) -> frozenset[str]:
    last = selector.rpartition(".")[2]
    if "*" in last or "?" in last:
        return glob_tags(last)
    return frozenset({paths.parse_path(selector)[-1]})
